#!/usr/bin/env bash
# A POST whose body is a generator or a stream, answered with 503: urllib3, requests, aiohttp-retry and axios-retry repeat
# it without the body, which is used up, and report the 200 that the empty request gets. httpx-retries, got and undici's
# RetryAgent report a failure; only ky sends the whole body again.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts axios@1.21.1 axios-retry@4.5.0 got@14.6.6 ky@1.14.3 undici@7.30.2
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check aiohttp==3.14.5 aiohttp-retry==2.9.1 httpx==0.28.1 httpx-retries==0.6.0 requests==2.34.2 urllib3==2.8.0
# The receiver: each path is answered with 503 at first and with 200 from then on. GET shows the bodies that came whole.
cat > receiver.mjs <<'JS'
import http from 'node:http';
const seen = {};
const server = http.createServer(async (request, response) => {
  let body = '';
  try { for await (const piece of request) body += piece; } catch { return; }
  if (request.method === 'GET') return response.end(seen[request.url].map((text) => text || 'nothing').join(', then '));
  (seen[request.url] ??= []).push(body);
  response.writeHead(seen[request.url].length === 1 ? 503 : 200, { 'retry-after': '0', 'content-length': '0' }).end();
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
JS
cat > probe.mjs <<'JS'
import { Readable } from 'node:stream';
import axios from 'axios';
import axiosRetry from 'axios-retry';
import got from 'got';
import ky from 'ky';
import { Agent, RetryAgent, request } from 'undici';
const body = () => Readable.from([Buffer.from('{"id":'), Buffer.from('1}')]);
const clients = {
  got: (url) => got.post(url, { body: body(), retry: { limit: 1, methods: ['POST'] } }),
  ky: (url) => ky.post(url, { body: Readable.toWeb(body()), duplex: 'half', retry: { limit: 1, methods: ['post'] } }),
  undici: (url) => request(url, { method: 'POST', body: body(), dispatcher: new RetryAgent(new Agent(), { maxRetries: 1, methods: ['POST'], statusCodes: [503] }) }),
  'axios-retry': (url) => { const client = axios.create(); axiosRetry(client, { retries: 1, retryCondition: () => true }); return client.post(url, body()); },
};
for (const [name, post] of Object.entries(clients)) {
  const url = `${process.argv[2]}/${name}`;
  const end = await post(url).then((answer) => answer.status ?? answer.statusCode, () => 'failure');
  console.log(`${name} sends ${await (await fetch(url)).text()}, reports ${end}`);
}
process.exit();
JS
cat > probe.py <<'PY'
import asyncio, sys
import aiohttp_retry, httpx, httpx_retries, requests, urllib3
def body():
    yield b'{"id":'
    yield b"1}"
async def body_async():
    for piece in body():
        yield piece
retry = urllib3.Retry(total=1, status_forcelist=[503], allowed_methods=None)
def by_requests(url):
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    return session.post(url, data=body()).status_code
def by_httpx(url):
    transport = httpx_retries.RetryTransport(retry=httpx_retries.Retry(total=1, allowed_methods=["POST"], status_forcelist=[503]))
    return httpx.Client(transport=transport).post(url, content=body()).status_code
def by_aiohttp(url):
    async def post():
        async with aiohttp_retry.RetryClient(retry_options=aiohttp_retry.ExponentialRetry(attempts=2)) as client:
            async with client.post(url, data=body_async()) as answer:
                return answer.status
    return asyncio.run(post())
for name, post in {"urllib3": lambda url: urllib3.request("POST", url, body=body(), retries=retry).status, "requests": by_requests, "aiohttp-retry": by_aiohttp, "httpx-retries": by_httpx}.items():
    url = f"{sys.argv[1]}/{name}"
    try:
        end = post(url)
    except httpx.StreamError:
        end = "failure"
    print(f"{name} sends {requests.get(url).text}, reports {end}")
PY
node receiver.mjs > address &
pid=$!
until [ -s address ]; do sleep 0.1; done
echo "axios-retry 4.5.0, got 14.6.6, ky 1.14.3, undici 7.30.2 (npm), aiohttp-retry 2.9.1, httpx-retries 0.6.0, requests 2.34.2, urllib3 2.8.0 (PyPI)"
{ node probe.mjs "$(cat address)"; py/bin/python probe.py "$(cat address)"; } | tee seen
diff - seen <<'END'
got sends {"id":1}, reports failure
ky sends {"id":1}, then {"id":1}, reports 200
undici sends {"id":1}, reports failure
axios-retry sends {"id":1}, then nothing, reports 200
urllib3 sends {"id":1}, then nothing, reports 200
requests sends {"id":1}, then nothing, reports 200
aiohttp-retry sends {"id":1}, then nothing, reports 200
httpx-retries sends {"id":1}, reports failure
END
