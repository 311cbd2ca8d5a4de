#!/usr/bin/env bash
# webhook (the hook runner) passes a JSON null to its command as the text "<nil>", and a member that is absent as an
# empty argument: the command runs in both cases, and the sender is answered with 200.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root webhook=2.8.0-4+b6 >/dev/null
dpkg-deb -x webhook_*.deb root
root/usr/bin/webhook -version

cat > show.sh <<'SH'
#!/bin/sh
for argument in "$@"; do printf '[%s]' "$argument"; done
SH
chmod +x show.sh
cat > hooks.json <<JSON
[{"id": "order", "execute-command": "$dir/show.sh", "include-command-output-in-response": true,
  "pass-arguments-to-command": [{"source": "payload", "name": "customer"}, {"source": "payload", "name": "amount"}]}]
JSON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/bin/webhook -hooks hooks.json -ip 127.0.0.1 -port "$port" >log 2>&1 &
pid=$!
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep 0.1; done
for body in '{"customer":"c1","amount":1.10}' '{"customer":null,"amount":9007199254740993}' '{"amount":5}' '{"customer":"","amount":null}'; do
    answer=$(curl -s -w ' %{http_code}' -H 'content-type: application/json' -d "$body" "http://127.0.0.1:$port/hooks/order")
    echo "$body -> $answer"
done | tee seen
diff - seen <<'END'
{"customer":"c1","amount":1.10} -> [c1][1.10] 200
{"customer":null,"amount":9007199254740993} -> [<nil>][9007199254740993] 200
{"amount":5} -> [][5] 200
{"customer":"","amount":null} -> [][<nil>] 200
END
