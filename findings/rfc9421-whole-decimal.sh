#!/usr/bin/env bash
# RFC 9421, a member of a structured field ("key"): the library for Node.js reads a whole decimal such as 10.0 as a number
# and writes it as the integer 10, so that its signature over the member differs from Python's, which keeps 10.0.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts http-message-signatures@1.0.6
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check http-message-signatures==3.0.0
cat > peer.cjs <<'JS'
const { httpbis, createSigner, createVerifier } = require('http-message-signatures');
const key = Buffer.from('0123456789abcdef0123456789abcdef');
const { verify, headers } = JSON.parse(process.argv[2]);
const message = { method: 'POST', url: 'https://hooks.example.com/', headers };
const done = verify
  ? httpbis.verifyMessage({ all: true, keyLookup: async () => ({ id: 'k', verify: createVerifier(key, 'hmac-sha256') }) }, message)
  : httpbis.signMessage({ key: createSigner(key, 'hmac-sha256', 'k'), fields: ['"order-totals";key="gross"'] }, message).then((signed) => signed.headers);
done.then((result) => console.log(JSON.stringify(result)));
JS
cat > probe.py <<'PY'
import json, subprocess
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
KEYS = {"k": b"0123456789abcdef0123456789abcdef"}
HOW = {"signature_algorithm": HMAC_SHA256, "key_resolver": MappingKeyResolver(public_keys=KEYS, private_keys=KEYS)}
class Request:
    def __init__(self, headers):
        self.method, self.url, self.headers = "POST", "https://hooks.example.com/", headers
def node(**message):
    return json.loads(subprocess.run(["node", "peer.cjs", json.dumps(message)], check=True, capture_output=True, text=True).stdout)
for value in ["10", "10.5", "10.50", "10.0", "0.0"]:
    headers = {"order-totals": f"net=1, gross={value}"}
    try:
        HTTPMessageVerifier(**HOW).verify(Request(node(headers=headers)))
        python = "accepts"
    except InvalidSignature:
        python = "refuses"
    request = Request(dict(headers))
    HTTPMessageSigner(**HOW).sign(request, key_id="k", covered_component_ids=['"order-totals";key="gross"'])
    javascript = "accepts" if node(verify=True, headers=request.headers) else "refuses"
    print(f"gross={value}: Python {python} JavaScript's signature, JavaScript {javascript} Python's")
PY
echo "http-message-signatures 1.0.6 (npm), http-message-signatures 3.0.0 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
gross=10: Python accepts JavaScript's signature, JavaScript accepts Python's
gross=10.5: Python accepts JavaScript's signature, JavaScript accepts Python's
gross=10.50: Python accepts JavaScript's signature, JavaScript accepts Python's
gross=10.0: Python refuses JavaScript's signature, JavaScript refuses Python's
gross=0.0: Python refuses JavaScript's signature, JavaScript refuses Python's
END
