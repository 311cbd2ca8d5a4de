#!/usr/bin/env bash
# The registry of Debian's docker-registry tells of each push by a webhook. It repeats an event that it could not deliver
# without end and without growing waits, whatever the status was, also 410; the first attempts come within milliseconds of
# each other; and all later events wait behind it. A 302 is followed by a GET without the event, which counts as delivered.
set -euo pipefail
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root docker-registry=2.8.2+ds1-1 >/dev/null
dpkg-deb -x docker-registry_*.deb root
root/usr/bin/docker-registry --version | cut -d' ' -f1,3
cat > receiver.py <<'PY'
import http.server, json, sys, time
answers = [410] * 8 + [302, 200, 200]
class Receiver(http.server.BaseHTTPRequestHandler):
    seen, bodies, names = [], [], {}
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        size = json.loads(body)["events"][0]["target"]["size"] if body else None
        status = answers[len(self.seen)]
        before = self.seen[-1] if self.seen else time.monotonic()
        self.seen.append(time.monotonic())
        self.bodies.append(body)
        wait = self.seen[-1] - before
        wait = "at once" if wait < 1 else "after about 2 s" if wait < 6 else "later"
        same = "the same bytes" if body and body in self.bodies[:-1] else "new"
        print(f"{self.command}: " + (f"push of {size} bytes, {same}, {wait}" if body else "no body") + f" -> {status}", flush=True)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_GET = do_POST
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PY
python3 receiver.py > seen &
pids+=($!)
until [ -s port ]; do sleep 0.1; done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > config.yml <<YML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/data}}
http: {addr: "127.0.0.1:$port"}
notifications: {endpoints: [{name: hook, url: "http://127.0.0.1:$(cat port)/", timeout: 5s, threshold: 3, backoff: 2s}]}
YML
root/usr/bin/docker-registry serve config.yml >/dev/null 2>log &
pids+=($!)
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/v2/" && break; sleep 0.1; done
for blob in 1234567 123456; do
    place=$(curl -s -i -X POST "http://127.0.0.1:$port/v2/repository/blobs/uploads/" | tr -d '\r' | awk 'tolower($1) == "location:" { print $2 }')
    curl -s -X PUT -H 'content-type: application/octet-stream' --data-binary "$blob" "$place&digest=sha256:$(printf %s "$blob" | sha256sum | cut -d' ' -f1)"
done
for _ in $(seq 60); do [ "$(wc -l < seen)" -lt 11 ] || break; sleep 1; done
cat seen
diff - seen <<'END'
POST: push of 7 bytes, new, at once -> 410
POST: push of 7 bytes, the same bytes, at once -> 410
POST: push of 7 bytes, the same bytes, at once -> 410
POST: push of 7 bytes, the same bytes, after about 2 s -> 410
POST: push of 7 bytes, the same bytes, after about 2 s -> 410
POST: push of 7 bytes, the same bytes, after about 2 s -> 410
POST: push of 7 bytes, the same bytes, after about 2 s -> 410
POST: push of 7 bytes, the same bytes, after about 2 s -> 410
POST: push of 7 bytes, the same bytes, after about 2 s -> 302
GET: no body -> 200
POST: push of 6 bytes, new, at once -> 200
END
