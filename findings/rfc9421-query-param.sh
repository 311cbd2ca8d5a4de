#!/usr/bin/env bash
# RFC 9421, @query-param: two libraries encode a decoded value in different ways. Valid signatures over a value with
# parentheses, an exclamation mark, an apostrophe or a tilde are refused in both directions; the other values pass.
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
const { url, headers } = JSON.parse(process.argv[2]);
const message = { method: 'POST', url, headers: headers ?? {} };
const done = headers
  ? httpbis.verifyMessage({ all: true, keyLookup: async () => ({ id: 'k', verify: createVerifier(key, 'hmac-sha256') }) }, message)
  : httpbis.signMessage({ key: createSigner(key, 'hmac-sha256', 'k'), fields: ['"@query-param";name="note"'] }, message).then((signed) => signed.headers);
done.then((result) => console.log(JSON.stringify(result)));
JS
cat > probe.py <<'PY'
import json, subprocess
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
KEYS = {"k": b"0123456789abcdef0123456789abcdef"}
HOW = {"signature_algorithm": HMAC_SHA256, "key_resolver": MappingKeyResolver(public_keys=KEYS, private_keys=KEYS)}
class Request:
    def __init__(self, url, headers):
        self.method, self.url, self.headers = "POST", url, headers
def node(**message):
    return json.loads(subprocess.run(["node", "peer.cjs", json.dumps(message)], check=True, capture_output=True, text=True).stdout)
for value in ["a%20b", "a+b", "%C3%A9", "a%2Fb", "a*b", "(a)", "a!", "%27a%27", "~a"]:
    url = f"https://hooks.example.com/?note={value}"
    try:
        HTTPMessageVerifier(**HOW).verify(Request(url, node(url=url)))
        python = "accepts"
    except InvalidSignature:
        python = "refuses"
    request = Request(url, {})
    HTTPMessageSigner(**HOW).sign(request, key_id="k", covered_component_ids=['"@query-param";name="note"'])
    javascript = "accepts" if node(url=url, headers=request.headers) else "refuses"
    print(f"note={value}: Python {python} JavaScript's signature, JavaScript {javascript} Python's")
PY
echo "http-message-signatures 1.0.6 (npm), http-message-signatures 3.0.0 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
note=a%20b: Python accepts JavaScript's signature, JavaScript accepts Python's
note=a+b: Python accepts JavaScript's signature, JavaScript accepts Python's
note=%C3%A9: Python accepts JavaScript's signature, JavaScript accepts Python's
note=a%2Fb: Python accepts JavaScript's signature, JavaScript accepts Python's
note=a*b: Python accepts JavaScript's signature, JavaScript accepts Python's
note=(a): Python refuses JavaScript's signature, JavaScript refuses Python's
note=a!: Python refuses JavaScript's signature, JavaScript refuses Python's
note=%27a%27: Python refuses JavaScript's signature, JavaScript refuses Python's
note=~a: Python refuses JavaScript's signature, JavaScript refuses Python's
END
