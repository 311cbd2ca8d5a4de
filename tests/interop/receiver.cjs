// A receiver that checks deliveries with the official libraries: `node receiver.cjs FOLDER SECRET`, where FOLDER has their
// `node_modules`. The path says which library; the answer is 204 or 400. Its port is the first line of its output.
//
// No official library on npm or PyPI verifies `v1a` at the pinned versions. `/v1a` does it with what Node has, written from
// the specification.
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { createRequire } = require('node:module');

const [folder, secret] = process.argv.slice(2);
const load = createRequire(`${folder}/`);

class PublicKeyWebhook {
  constructor(text) {
    if (!text.startsWith('whpk_')) throw new Error('not a public key');
    // SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4), and the 32 bytes of the key.
    const head = Buffer.from('302a300506032b6570032100', 'hex');
    const key = Buffer.concat([head, Buffer.from(text.slice('whpk_'.length), 'base64')]);
    this.key = crypto.createPublicKey({ key, format: 'der', type: 'spki' });
  }

  verify(body, headers) {
    const timestamp = Number(headers['webhook-timestamp']);
    if (!(Math.abs(Date.now() / 1000 - timestamp) <= 300)) throw new Error('not of now');
    const text = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
    const fits = headers['webhook-signature'].split(' ').some((signature) => {
      const [version, digits] = signature.split(',');
      return version === 'v1a' && crypto.verify(null, text, this.key, Buffer.from(digits, 'base64'));
    });
    if (!fits) throw new Error('no signature fits');
    return JSON.parse(body);
  }
}

const libraries = {
  '/standardwebhooks': load('standardwebhooks').Webhook,
  '/svix': load('svix').Webhook,
  '/v1a': PublicKeyWebhook,
};

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const Webhook = libraries[request.url];
    let status = 400;
    try {
      const event = new Webhook(secret).verify(Buffer.concat(chunks).toString('utf8'), request.headers);
      status = event.type === 'order.completed' && event.data.text === 'größer' ? 204 : 422;
    } catch (cause) {
      process.stderr.write(`${cause}\n`);
    }
    response.writeHead(status).end();
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
