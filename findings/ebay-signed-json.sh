#!/usr/bin/env bash
# eBay's own SDK for event notifications checks the signature over JSON.stringify of the parsed message, and not over the
# bytes that were signed. A message with a blank, `10.0`, an escape that JavaScript does not write or a member named "1"
# behind another one is refused, although its signature is right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts event-notification-nodejs-sdk@1.0.3
cat > probe.cjs <<'JS'
const { createSign, createVerify, generateKeyPairSync } = require('node:crypto');
const client = require('event-notification-nodejs-sdk/lib/client.js');
const { validateSignature } = require('event-notification-nodejs-sdk/lib/validator.js');
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
// In place of the key that the SDK would fetch.
client.getPublicKey = async () => ({ key: publicKey.export({ type: 'spki', format: 'pem' }).replace(/\n/g, '') });
const bodies = ['{"price":10}', '{"price": 10}', '{"price":10.0}', '{"user":"é"}', '{"user":"\\u00e9"}', '{"url":"https:\\/\\/example.com"}', '{"id":12345678901234567890}', '{"a":1,"1":2}'];
(async () => {
  for (const body of bodies) {
    const signature = createSign('sha1').update(body).sign(privateKey, 'base64');
    const header = Buffer.from(JSON.stringify({ alg: 'ecdsa', kid: 'key', signature, digest: 'SHA1' })).toString('base64');
    const bytes = createVerify('sha1').update(body).verify(publicKey, signature, 'base64');
    const sdk = await validateSignature(JSON.parse(body), header, {});
    console.log(`${body}: signature over the bytes ${bytes ? 'valid' : 'invalid'}, the SDK ${sdk ? 'accepts' : 'refuses'}`);
  }
})();
JS
echo "event-notification-nodejs-sdk 1.0.3 (npm)"
node probe.cjs | tee seen
diff - seen <<'END'
{"price":10}: signature over the bytes valid, the SDK accepts
{"price": 10}: signature over the bytes valid, the SDK refuses
{"price":10.0}: signature over the bytes valid, the SDK refuses
{"user":"é"}: signature over the bytes valid, the SDK accepts
{"user":"\u00e9"}: signature over the bytes valid, the SDK refuses
{"url":"https:\/\/example.com"}: signature over the bytes valid, the SDK refuses
{"id":12345678901234567890}: signature over the bytes valid, the SDK refuses
{"a":1,"1":2}: signature over the bytes valid, the SDK refuses
END
