#!/usr/bin/env bash
# RFC 9421, @query, @authority and @target-uri: the library for Node.js signs and verifies what its URL parser makes of the
# request, which encodes apostrophes and shortens IPv6 addresses; the one for Python takes the URL as it is, but adds the
# slash that stands for an empty path. In these places a valid signature of one is refused by the other.
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
const { url, fields, headers } = JSON.parse(process.argv[2]);
const message = { method: 'POST', url, headers: headers ?? {} };
const done = headers
  ? httpbis.verifyMessage({ all: true, keyLookup: async () => ({ id: 'k', verify: createVerifier(key, 'hmac-sha256') }) }, message)
  : httpbis.signMessage({ key: createSigner(key, 'hmac-sha256', 'k'), fields }, message).then((signed) => signed.headers);
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
for component, url in [
    ("@path", "/a/b"),
    ("@path", "/%7ea%2fb"),
    ("@query", "/?q=(1)"),
    ("@query", "/?q='1'"),
    ("@authority", "HTTPS://Hooks.Example.com:443/"),
    ("@authority", "https://[2001:db8:0:0::1]/"),
    ("@target-uri", "https://hooks.example.com"),
]:
    url = url if "://" in url else "https://hooks.example.com" + url
    try:
        HTTPMessageVerifier(**HOW).verify(Request(url, node(url=url, fields=[component])))
        python = "accepts"
    except InvalidSignature:
        python = "refuses"
    request = Request(url, {})
    HTTPMessageSigner(**HOW).sign(request, key_id="k", covered_component_ids=[component])
    javascript = "accepts" if node(url=url, headers=request.headers) else "refuses"
    print(f"{component} of {url}: Python {python} JavaScript's signature, JavaScript {javascript} Python's")
PY
echo "http-message-signatures 1.0.6 (npm), http-message-signatures 3.0.0 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
@path of https://hooks.example.com/a/b: Python accepts JavaScript's signature, JavaScript accepts Python's
@path of https://hooks.example.com/%7ea%2fb: Python accepts JavaScript's signature, JavaScript accepts Python's
@query of https://hooks.example.com/?q=(1): Python accepts JavaScript's signature, JavaScript accepts Python's
@query of https://hooks.example.com/?q='1': Python refuses JavaScript's signature, JavaScript refuses Python's
@authority of HTTPS://Hooks.Example.com:443/: Python accepts JavaScript's signature, JavaScript accepts Python's
@authority of https://[2001:db8:0:0::1]/: Python refuses JavaScript's signature, JavaScript refuses Python's
@target-uri of https://hooks.example.com: Python refuses JavaScript's signature, JavaScript refuses Python's
END
