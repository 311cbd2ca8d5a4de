#!/usr/bin/env bash
# Alertmanager's webhook sender gives up at once on 429, which it calls unrecoverable, repeats after 503 within a second
# whatever Retry-After says, and sends what it gave up on again at the next group interval.
set -euo pipefail
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root prometheus-alertmanager=0.25.0-1+b4 >/dev/null
dpkg-deb -x prometheus-alertmanager_*.deb root
root/usr/bin/prometheus-alertmanager --version 2>&1 | head -n 1 | cut -d' ' -f1-3
# The built-in path of the default template; removed again if it was not there.
templates=/usr/share/prometheus/alertmanager
if [ ! -e "$templates" ]; then
    mkdir -p /usr/share/prometheus
    ln -s "$dir/root$templates" "$templates"
    trap 'kill "${pids[@]}" 2>/dev/null || true; rm -f "$templates"; rmdir --ignore-fail-on-non-empty /usr/share/prometheus; rm -rf "$dir"' EXIT
fi
cat > receiver.py <<'PY'
import http.server, sys, time
class Receiver(http.server.BaseHTTPRequestHandler):
    seen = []
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status = 503 if not self.seen else 429 if len(self.seen) == 1 else 200
        self.seen.append((time.monotonic(), status))
        self.send_response(status)
        self.send_header("Retry-After", "120")
        self.send_header("Content-Length", "0")
        self.end_headers()
        if status == 200:
            (first, _), (second, _), (third, _) = self.seen
            print("503, then after less than 10 s:", second - first < 10)
            print("429, then after the group interval of 20 s or more:", third - second > 10)
            sys.stdout.flush()
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
route: {receiver: hook, group_wait: 1s, group_interval: 20s, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: "http://127.0.0.1:$(cat port)/"}]}]
YML
root/usr/bin/prometheus-alertmanager --config.file=config.yml --storage.path=data --web.listen-address="127.0.0.1:$port" --cluster.listen-address= 2>log &
pids+=($!)
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/-/ready" && break; sleep 0.1; done
curl -s -H 'content-type: application/json' -d '[{"labels":{"alertname":"disk"}}]' "http://127.0.0.1:$port/api/v2/alerts"
for _ in $(seq 60); do [ "$(wc -l < seen)" -lt 2 ] || break; sleep 1; done
grep -o 'notify retry canceled due to unrecoverable error after [0-9]* attempts: unexpected status code [0-9]*' log >> seen
cat seen
diff - seen <<'END'
503, then after less than 10 s: True
429, then after the group interval of 20 s or more: True
notify retry canceled due to unrecoverable error after 2 attempts: unexpected status code 429
END
