#!/usr/bin/env bash
# RFC 9421: the library for Node.js adds `expires`, five minutes after `created`, to each signature unless told not to;
# the one for Python adds none. A request that is signed once and repeated later with the same headers is refused by
# either library in the first case.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts http-message-signatures@1.0.6
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check http-message-signatures==3.0.0
cat > peer.cjs <<'JS'
const { httpbis, createSigner } = require('http-message-signatures');
const created = new Date(Number(process.argv[2]) * 1000);
httpbis.signMessage(
  { key: createSigner(Buffer.from('0123456789abcdef0123456789abcdef'), 'hmac-sha256', 'k'), fields: ['@method'], paramValues: { created } },
  { method: 'POST', url: 'https://hooks.example.com/', headers: {} },
).then((signed) => console.log(JSON.stringify(signed.headers)));
JS
cat > probe.py <<'PY'
import datetime, json, re, subprocess, time
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
KEYS = {"k": b"0123456789abcdef0123456789abcdef"}
HOW = {"signature_algorithm": HMAC_SHA256, "key_resolver": MappingKeyResolver(public_keys=KEYS, private_keys=KEYS)}
class Request:
    def __init__(self, headers):
        self.method, self.url, self.headers = "POST", "https://hooks.example.com/", headers
for minutes in (1, 10):
    created = int(time.time()) - 60 * minutes
    javascript = Request(json.loads(subprocess.run(["node", "peer.cjs", str(created)], check=True, capture_output=True, text=True).stdout))
    python = Request({})
    HTTPMessageSigner(**HOW).sign(python, key_id="k", created=datetime.datetime.fromtimestamp(created), covered_component_ids=["@method"])
    for name, request in (("JavaScript", javascript), ("Python", python)):
        expires = re.search(r"expires=(\d+)", request.headers["Signature-Input"])
        expires = f"expires {int(expires[1]) - created} s after created" if expires else "no expires"
        try:
            HTTPMessageVerifier(**HOW).verify(request, max_age=datetime.timedelta(days=1))
            result = "accepted"
        except InvalidSignature as error:
            result = f"refused ({error})"
        print(f"signed in {name} {minutes} min ago: {expires}, {result}")
PY
echo "http-message-signatures 1.0.6 (npm), http-message-signatures 3.0.0 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
signed in JavaScript 1 min ago: expires 300 s after created, accepted
signed in Python 1 min ago: no expires, accepted
signed in JavaScript 10 min ago: expires 300 s after created, refused (Signature "expires" parameter is set to a time in the past)
signed in Python 10 min ago: no expires, accepted
END
