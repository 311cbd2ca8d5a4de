#!/usr/bin/env bash
# A 503 with a long Retry-After: got, ky and axios-retry wait for it. undici's RetryAgent never waits for more than 30 s, so
# it comes back too early; retry-axios gives up where more than 300 s are asked for. (Waits are noted, and not waited for.)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts axios@1.21.1 axios-retry@4.5.0 got@14.6.6 ky@1.14.3 retry-axios@4.0.3 undici@7.30.2
cat > probe.mjs <<'JS'
import http from 'node:http';
let longest;
const timer = globalThis.setTimeout;
globalThis.setTimeout = (call, ms, ...rest) => {
  if (ms > 5000) longest = Math.max(longest, ms / 1000);
  return timer(call, ms > 5000 ? 50 : ms, ...rest);
};
const { default: axios } = await import('axios');
const { default: axiosRetry } = await import('axios-retry');
const { default: got } = await import('got');
const { default: ky } = await import('ky');
const rax = await import('retry-axios');
const { Agent, RetryAgent, request } = await import('undici');
let wait, attempts;
const server = http.createServer((message, answer) => {
  message.resume();
  attempts += 1;
  answer.writeHead(attempts === 1 ? 503 : 200, attempts === 1 ? { 'retry-after': wait } : {}).end('ok');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${server.address().port}/`;
const clients = {
  got: () => got.post(url, { json: {}, retry: { limit: 1, methods: ['POST'] } }).text(),
  ky: () => ky.post(url, { json: {}, timeout: false, retry: { limit: 1, methods: ['post'] } }).text(),
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
for (wait of ['20', '120', '600']) {
  for (const [client, post] of Object.entries(clients)) {
    attempts = 0;
    longest = 0;
    await post().catch(() => {});
    const waited = longest >= Number(wait) ? 'as long as asked' : `${longest} s`;
    console.log(`Retry-After: ${wait}: ${client} ${attempts > 1 ? `waits ${waited}` : 'gives up'}`);
  }
}
process.exit();
JS
echo "axios 1.21.1, axios-retry 4.5.0, got 14.6.6, ky 1.14.3, retry-axios 4.0.3, undici 7.30.2 (npm)"
node probe.mjs | tee seen
diff - seen <<'END'
Retry-After: 20: got waits as long as asked
Retry-After: 20: ky waits as long as asked
Retry-After: 20: axios-retry waits as long as asked
Retry-After: 20: undici waits as long as asked
Retry-After: 20: retry-axios waits as long as asked
Retry-After: 120: got waits as long as asked
Retry-After: 120: ky waits as long as asked
Retry-After: 120: axios-retry waits as long as asked
Retry-After: 120: undici waits 30 s
Retry-After: 120: retry-axios waits as long as asked
Retry-After: 600: got waits as long as asked
Retry-After: 600: ky waits as long as asked
Retry-After: 600: axios-retry waits as long as asked
Retry-After: 600: undici waits 30 s
Retry-After: 600: retry-axios gives up
END
