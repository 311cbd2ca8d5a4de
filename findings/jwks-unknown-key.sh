#!/usr/bin/env bash
# RFC 7517, section 5: keys of a set whose type is not understood should be ignored. PyJWT, jwcrypto and jose do so.
# Authlib raises a KeyError on a key of type AKP (the type of post-quantum keys), and joserfc on an unknown curve: one new
# key beside the one in use makes the whole set unreadable.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts jose@6.2.18
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check authlib==1.9.10 joserfc==1.8.0 jwcrypto==1.6.1 PyJWT==2.15.1
cat > sets.json <<'JSON'
{"with a key of type AKP": {"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AAAA"},
 "with an unknown curve": {"kty": "EC", "kid": "new", "crv": "brainpoolP256r1", "x": "AAAA", "y": "AAAA"}}
JSON
cat > good.json <<'JSON'
{"kty": "EC", "kid": "good", "use": "sig", "alg": "ES256", "crv": "P-256",
 "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
JSON
cat > probe.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createLocalJWKSet } from 'jose';
const good = JSON.parse(readFileSync('good.json'));
for (const [name, other] of Object.entries(JSON.parse(readFileSync('sets.json')))) {
  const result = await createLocalJWKSet({ keys: [good, other] })({ alg: 'ES256', kid: 'good' }).then(() => 'finds the good key', (error) => error.name);
  console.log(`jose, ${name}: ${result}`);
}
JS
cat > probe.py <<'PY'
import json
from authlib.jose import JsonWebKey
from joserfc.jwk import KeySet
from jwcrypto.jwk import JWKSet
from jwt import PyJWKSet
good = json.load(open("good.json"))
readers = {
    "Authlib": lambda keys: JsonWebKey.import_key_set(keys).find_by_kid("good"),
    "joserfc": lambda keys: KeySet.import_key_set(keys).get_by_kid("good"),
    "jwcrypto": lambda keys: JWKSet.from_json(json.dumps(keys)).get_key("good"),
    "PyJWT": lambda keys: PyJWKSet.from_dict(keys)["good"],
}
for reader, read in readers.items():
    for name, other in json.load(open("sets.json")).items():
        try:
            result = "finds the good key" if read({"keys": [good, other]}) else "finds nothing"
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        print(f"{reader}, {name}: {result}")
PY
echo "jose 6.2.18 (npm), authlib 1.9.10, joserfc 1.8.0, jwcrypto 1.6.1, PyJWT 2.15.1 (PyPI)"
{ node probe.mjs; py/bin/python probe.py 2>/dev/null; } | tee seen
diff - seen <<'END'
jose, with a key of type AKP: finds the good key
jose, with an unknown curve: finds the good key
Authlib, with a key of type AKP: KeyError: 'AKP'
Authlib, with an unknown curve: finds the good key
joserfc, with a key of type AKP: finds the good key
joserfc, with an unknown curve: KeyError: 'brainpoolP256r1'
jwcrypto, with a key of type AKP: finds the good key
jwcrypto, with an unknown curve: finds the good key
PyJWT, with a key of type AKP: finds the good key
PyJWT, with an unknown curve: finds the good key
END
