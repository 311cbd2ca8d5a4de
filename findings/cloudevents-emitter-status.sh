#!/usr/bin/env bash
# The HTTP transport of the CloudEvents SDK for JavaScript resolves with the headers and body of the answer, whatever its
# status was, and without the status: a sender cannot tell a 500 from a 200. A refused connection, and an id outside of
# ASCII in binary mode, are errors.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cloudevents@10.0.0
cat > probe.mjs <<'JS'
import http from 'node:http';
import { CloudEvent, emitterFor, httpTransport } from 'cloudevents';
const server = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(Number(request.url.slice(1)), { location: '/elsewhere' }).end('body'));
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const { port } = server.address();
async function emit(name, url, id) {
  try {
    const result = await emitterFor(httpTransport(url))(new CloudEvent({ id, source: '/s', type: 't', data: {} }));
    console.log(`${name}: resolved with ${Object.keys(result).sort().join(', ')}; ${JSON.stringify(result).includes(name) ? 'status named' : 'no status'}`);
  } catch (error) {
    console.log(`${name}: rejected, ${error.code}`);
  }
}
for (const status of [200, 302, 401, 410, 429, 500, 503]) await emit(`${status}`, `http://127.0.0.1:${port}/${status}`, '1');
await emit('id é', `http://127.0.0.1:${port}/200`, 'é😀');
const closed = http.createServer();
await new Promise((listening) => closed.listen(0, '127.0.0.1', listening));
const unused = closed.address().port;
await new Promise((done) => closed.close(done));
await emit('closed port', `http://127.0.0.1:${unused}/`, '1');
process.exit();
JS
echo "cloudevents 10.0.0 (npm)"
node probe.mjs | tee seen
diff - seen <<'END'
200: resolved with body, headers; no status
302: resolved with body, headers; no status
401: resolved with body, headers; no status
410: resolved with body, headers; no status
429: resolved with body, headers; no status
500: resolved with body, headers; no status
503: resolved with body, headers; no status
id é: rejected, ERR_INVALID_CHAR
closed port: rejected, ECONNREFUSED
END
