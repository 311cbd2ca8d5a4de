// A receiver that checks deliveries with the official libraries: `node receiver.cjs FOLDER SECRET`, where FOLDER has their
// `node_modules`. The path says which library; the answer is 204 or 400. Its port is the first line of its output.
'use strict';

const http = require('node:http');
const { createRequire } = require('node:module');

const [folder, secret] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const libraries = {
  '/standardwebhooks': load('standardwebhooks').Webhook,
  '/svix': load('svix').Webhook,
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
