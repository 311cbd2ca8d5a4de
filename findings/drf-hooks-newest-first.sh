#!/usr/bin/env bash
# drf-hooks sends three events at a time, and of those that wait the newest one first. What is answered with 503 counts as
# sent.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check Django==4.2.30 djangorestframework==3.17.2 drf-hooks==0.1.5 requests==2.34.2
cat > probe.py <<'PY'
import http.server, threading, time
from django.conf import settings
settings.configure()
from drf_hooks.client import get_client
class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    came = []
    def do_POST(self):
        event = self.rfile.read(int(self.headers["content-length"])).decode()
        self.came.append(event)
        time.sleep(0.5)
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = get_client()
for event in range(1, 13):
    client.post(f"http://127.0.0.1:{server.server_port}/", data=str(event))
time.sleep(8)
came = [int(event) for event in Receiver.came]
print(f"events 1 to 12, each answered with 503: {len(came)} attempts")
print("the first three:", sorted(came[:3]))
print("10 to 12 came before 4 to 6:", max(map(came.index, (10, 11, 12))) < min(map(came.index, (4, 5, 6))))
PY
echo "drf-hooks 0.1.5 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
events 1 to 12, each answered with 503: 12 attempts
the first three: [1, 2, 3]
10 to 12 came before 4 to 6: True
END
