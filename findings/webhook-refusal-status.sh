#!/usr/bin/env bash
# webhook (the hook runner) answers 500 to a wrong signature and 200 to a delivery whose rule does not match. A sender
# repeats the first as if the server had failed, and takes the second for delivered. A hexadecimal digest in upper case
# is a wrong signature.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root webhook=2.8.0-4+b6 >/dev/null
dpkg-deb -x webhook_*.deb root
root/usr/bin/webhook -version

cat > hooks.json <<'JSON'
[{"id": "signed", "execute-command": "/bin/echo", "trigger-rule": {"and": [
   {"match": {"type": "payload-hmac-sha256", "secret": "s", "parameter": {"source": "header", "name": "X-Signature"}}},
   {"match": {"type": "value", "value": "main", "parameter": {"source": "payload", "name": "branch"}}}]}}]
JSON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/bin/webhook -hooks hooks.json -ip 127.0.0.1 -port "$port" >log 2>&1 &
pid=$!
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep 0.1; done
digest() { printf %s "$1" | openssl dgst -sha256 -hmac s -r | cut -d' ' -f1; }
post() {
    printf '%s -> ' "$1"
    curl -s -w ' %{http_code}\n' -H 'content-type: application/json' ${3:+-H "x-signature: $3"} -d "$2" "http://127.0.0.1:$port/hooks/signed"
}
main='{"branch":"main"}' other='{"branch":"other"}'
{
    post 'right' "$main" "sha256=$(digest "$main")"
    post 'right, rule does not match' "$other" "sha256=$(digest "$other")"
    post 'right, digits in upper case' "$main" "sha256=$(digest "$main" | tr a-f A-F)"
    post 'of another key' "$main" "sha256=$(digest x)"
    post 'none' "$main" ''
} | tee seen
diff - seen <<'END'
right ->  200
right, rule does not match -> Hook rules were not satisfied. 200
right, digits in upper case -> Error occurred while evaluating hook rules. 500
of another key -> Error occurred while evaluating hook rules. 500
none -> Hook rules were not satisfied. 200
END
