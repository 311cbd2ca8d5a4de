"""A receiver that checks deliveries with the official library: `python3 receiver.py FOLDER SECRET`, where FOLDER has the
library in `python`. The answer is 204 or 400. Its port is the first line of its output."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

folder, secret = sys.argv[1:]
sys.path.insert(0, folder + "/python")
from standardwebhooks import Webhook  # noqa: E402


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = Webhook(secret).verify(body, headers)
            status = 204 if event["type"] == "order.completed" and event["data"]["text"] == "größer" else 422
        except Exception as cause:
            print(repr(cause), file=sys.stderr)
            status = 400
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
