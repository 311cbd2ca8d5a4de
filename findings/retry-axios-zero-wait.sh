#!/usr/bin/env bash
# A 503 with `Retry-After: 0`, or with a date that has just passed, means "again at once" for got, ky, axios-retry and
# undici's RetryAgent. retry-axios takes it for "never": it does not try again and reports the 503.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts axios@1.21.1 axios-retry@4.5.0 got@14.6.6 ky@1.14.3 retry-axios@4.0.3 undici@7.30.2
cat > probe.mjs <<'JS'
import http from 'node:http';
import axios from 'axios';
import axiosRetry from 'axios-retry';
import got from 'got';
import ky from 'ky';
import * as rax from 'retry-axios';
import { Agent, RetryAgent, request } from 'undici';
let wait, attempts;
const server = http.createServer((message, answer) => {
  message.resume();
  attempts += 1;
  answer.writeHead(attempts === 1 ? 503 : 200, attempts === 1 ? { 'retry-after': wait() } : {}).end('ok');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${server.address().port}/`;
const clients = {
  got: () => got.post(url, { json: {}, retry: { limit: 1, methods: ['POST'] } }).text(),
  ky: () => ky.post(url, { json: {}, retry: { limit: 1, methods: ['post'] } }).text(),
  'axios-retry': () => {
    const client = axios.create();
    axiosRetry(client, { retries: 1, retryCondition: () => true, retryDelay: axiosRetry.exponentialDelay });
    return client.post(url, {});
  },
  undici: async () => (await request(url, { method: 'POST', body: '{}', dispatcher: new RetryAgent(new Agent(), { maxRetries: 1, methods: ['POST'], statusCodes: [503] }) })).body.text(),
  'retry-axios': () => {
    const client = axios.create();
    rax.attach(client);
    return client.post(url, {}, { raxConfig: { retry: 1, httpMethodsToRetry: ['POST'] } });
  },
};
const waits = { 'Retry-After: 1': () => '1', 'Retry-After: 0': () => '0', 'Retry-After of a second ago': () => new Date(Date.now() - 1000).toUTCString() };
for (const [name, value] of Object.entries(waits)) {
  for (const [client, post] of Object.entries(clients)) {
    wait = value;
    attempts = 0;
    const end = await post().then(() => 'delivered', () => 'failed');
    console.log(`${name}: ${client} made ${attempts} attempt${attempts > 1 ? 's' : ''}, ${end}`);
  }
}
process.exit();
JS
echo "axios 1.21.1, axios-retry 4.5.0, got 14.6.6, ky 1.14.3, retry-axios 4.0.3, undici 7.30.2 (npm)"
node probe.mjs | tee seen
diff - seen <<'END'
Retry-After: 1: got made 2 attempts, delivered
Retry-After: 1: ky made 2 attempts, delivered
Retry-After: 1: axios-retry made 2 attempts, delivered
Retry-After: 1: undici made 2 attempts, delivered
Retry-After: 1: retry-axios made 2 attempts, delivered
Retry-After: 0: got made 2 attempts, delivered
Retry-After: 0: ky made 2 attempts, delivered
Retry-After: 0: axios-retry made 2 attempts, delivered
Retry-After: 0: undici made 2 attempts, delivered
Retry-After: 0: retry-axios made 1 attempt, failed
Retry-After of a second ago: got made 2 attempts, delivered
Retry-After of a second ago: ky made 2 attempts, delivered
Retry-After of a second ago: axios-retry made 2 attempts, delivered
Retry-After of a second ago: undici made 2 attempts, delivered
Retry-After of a second ago: retry-axios made 1 attempt, failed
END
