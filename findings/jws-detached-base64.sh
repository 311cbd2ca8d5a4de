#!/usr/bin/env bash
# A detached JWS, as some banks put it in a header beside the body: joserfc and jwcrypto verify both kinds. PyJWT verifies only
# the one whose payload is not encoded (RFC 7797, "b64": false); the ordinary one (RFC 7515, appendix F) is an error, unless
# the payload is first put back in base64.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts jose@6.2.18
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check joserfc==1.8.0 jwcrypto==1.6.1 PyJWT==2.15.1 cryptography==50.0.2
cat > sign.mjs <<'JS'
import { FlattenedSign, exportJWK, generateKeyPair } from 'jose';
import { writeFileSync } from 'node:fs';
const { publicKey, privateKey } = await generateKeyPair('ES256');
const body = '{"amount":"1.10"}';
const forms = { 'RFC 7515, appendix F': {}, 'RFC 7797, b64 false': { b64: false, crit: ['b64'] } };
const signatures = {};
for (const [name, more] of Object.entries(forms)) {
  const signed = await new FlattenedSign(new TextEncoder().encode(body)).setProtectedHeader({ alg: 'ES256', ...more }).sign(privateKey);
  signatures[name] = `${signed.protected}..${signed.signature}`;
}
writeFileSync('signed.json', JSON.stringify({ key: await exportJWK(publicKey), body, signatures }));
JS
cat > verify.py <<'PY'
import base64, json
from joserfc import jws
from joserfc.jwk import import_key
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from jwt import PyJWK
from jwt.api_jws import PyJWS
signed = json.load(open("signed.json"))
key, body = signed["key"], signed["body"].encode()
def jwcrypto(value):
    token = JWS()
    token.deserialize(value)
    token.verify(JWK(**key), detached_payload=body)
def attached(value):
    head, _, signature = value.split(".")
    payload = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    PyJWS().decode(f"{head}.{payload}.{signature}", PyJWK(key, algorithm="ES256"), algorithms=["ES256"])
readers = {
    "joserfc": lambda value: jws.deserialize_compact(value, import_key(key), algorithms=["ES256"], payload=body),
    "jwcrypto": jwcrypto,
    "PyJWT": lambda value: PyJWS().decode(value, PyJWK(key, algorithm="ES256"), algorithms=["ES256"], detached_payload=body),
    "PyJWT, payload put back": attached,
}
for name, value in signed["signatures"].items():
    for reader, read in readers.items():
        if reader != "PyJWT, payload put back" or "7515" in name:
            try:
                read(value)
                print(f"{name}: {reader} verifies")
            except Exception as error:
                print(f"{name}: {reader} raises {type(error).__name__}")
PY
echo "jose 6.2.18 (npm), joserfc 1.8.0, jwcrypto 1.6.1, PyJWT 2.15.1 (PyPI)"
node sign.mjs
py/bin/python verify.py | tee seen
diff - seen <<'END'
RFC 7515, appendix F: joserfc verifies
RFC 7515, appendix F: jwcrypto verifies
RFC 7515, appendix F: PyJWT raises DecodeError
RFC 7515, appendix F: PyJWT, payload put back verifies
RFC 7797, b64 false: joserfc verifies
RFC 7797, b64 false: jwcrypto verifies
RFC 7797, b64 false: PyJWT verifies
END
