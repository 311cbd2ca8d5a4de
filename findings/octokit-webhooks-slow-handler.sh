#!/usr/bin/env bash
# @octokit/webhooks answers 202 "still processing" when a handler has run for 9 s. If the handler fails after that, the
# delivery has succeeded for the sender, and no promise is rejected. The same failure before the 9 s is answered with 500.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts @octokit/webhooks@14.2.0
cat > probe.mjs <<'JS'
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { Webhooks, createNodeMiddleware } from '@octokit/webhooks';
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let failed = 0;
let rejected = 0;
process.on('unhandledRejection', () => { rejected += 1; });
const webhooks = new Webhooks({ secret: 'secret', log: { debug() {}, info() {}, warn() {}, error() {} } });
webhooks.on('push', async ({ payload }) => {
  await sleep(payload.after);
  failed += 1;
  throw new Error('no connection to the database');
});
const middleware = createNodeMiddleware(webhooks, { path: '/' });
const server = http.createServer((request, response) => { middleware(request, response).catch(() => { rejected += 1; }); });
await new Promise((done) => server.listen(0, '127.0.0.1', done));
for (const after of [100, 10000]) {
  failed = 0;
  const body = JSON.stringify({ after });
  const signature = `sha256=${createHmac('sha256', 'secret').update(body).digest('hex')}`;
  const headers = { 'content-type': 'application/json', 'x-github-event': 'push', 'x-github-delivery': `delivery-${after}`, 'x-hub-signature-256': signature };
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { method: 'POST', body, headers });
  const text = (await answer.text()).trim();
  await sleep(2000);
  console.log(`a handler that fails after ${after} ms: the sender gets ${answer.status} ${text}; failures: ${failed}, rejected promises: ${rejected}`);
}
process.exit();
JS
echo "@octokit/webhooks 14.2.0 (npm)"
node probe.mjs 2>log | tee seen
diff - seen <<'END'
a handler that fails after 100 ms: the sender gets 500 {"error":"Error: no connection to the database"}; failures: 1, rejected promises: 0
a handler that fails after 10000 ms: the sender gets 202 still processing; failures: 1, rejected promises: 0
END
