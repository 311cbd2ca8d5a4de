#!/usr/bin/env bash
# syslog-ng's http() destination, with its defaults: after 400, 401, 404, 413 or 429 it repeats the same event without end
# and sends nothing behind it, without regard to Retry-After; after 410 and 425 it drops the event at once, and after 504
# it drops it when the third attempt has failed.
set -euo pipefail
dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root syslog-ng-core=3.38.1-5+deb12u1 syslog-ng-mod-http=3.38.1-5+deb12u1 libivykis0 libjson-c5 libnet1 libpcre3 libwrap0 >/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
library=$(echo root/usr/lib/*-linux-gnu)
# The receiver: a POST to /STATUS is answered with it, but for the second event, which is welcome.
cat > receiver.py <<'PY'
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        event = self.rfile.read(int(self.headers["content-length"])).decode().strip()
        with open("seen" + self.path.replace("/", "-"), "a") as seen:
            seen.write(event + "\n")
        self.send_response(200 if event == "second" else int(self.path[1:]))
        self.send_header("Retry-After", "60")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
open("port", "w").write(str(server.server_port))
server.serve_forever()
PY
python3 receiver.py &
pids+=($!)
until [ -s port ]; do sleep 0.1; done
statuses=(200 400 401 404 410 413 425 429 503 504)
echo '@version: 3.38' > config
for status in "${statuses[@]}"; do
    printf 'first\nsecond\n' > "events-$status"
    echo "log {
        source { file(\"$dir/events-$status\" flags(no-parse)); };
        destination { http(url(\"http://127.0.0.1:$(cat port)/$status\") body(\"\${MESSAGE}\") time-reopen(1)); };
    };" >> config
done
syslog_ng=(env "LD_LIBRARY_PATH=$library:${library%/*}/syslog-ng:root/lib/${library##*/}" root/usr/sbin/syslog-ng)
"${syslog_ng[@]}" --version 2>/dev/null | grep -o '^syslog-ng [0-9].*([0-9.]*)'
"${syslog_ng[@]}" -F --no-caps -f config --module-path="$dir/root/usr/lib/syslog-ng/3.38" -R persist -c control --pidfile=pid >log 2>&1 &
pids+=($!)
sleep 20
for status in "${statuses[@]}"; do
    first=$(grep -c first "seen-$status")
    [ "$first" -le 3 ] || first="more than 3"
    echo "$status: attempts at the first event: $first, at the second one: $(grep -c second "seen-$status" || true)"
done | tee result
diff - result <<'END'
200: attempts at the first event: 1, at the second one: 1
400: attempts at the first event: more than 3, at the second one: 0
401: attempts at the first event: more than 3, at the second one: 0
404: attempts at the first event: more than 3, at the second one: 0
410: attempts at the first event: 1, at the second one: 1
413: attempts at the first event: more than 3, at the second one: 0
425: attempts at the first event: 1, at the second one: 1
429: attempts at the first event: more than 3, at the second one: 0
503: attempts at the first event: more than 3, at the second one: 0
504: attempts at the first event: 3, at the second one: 1
END
