#!/usr/bin/env bash
# A POST whose body is a generator or a stream, answered with 308: got, needle, urllib3 and requests follow it with a POST
# that has no body, and report the 200 that this one gets. fetch of Node.js, ky, node-fetch, httpx and aiohttp report a
# failure; axios has kept the body and sends it again.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts axios@1.21.1 got@14.6.6 ky@1.14.3 needle@3.5.0 node-fetch@3.3.2
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check aiohttp==3.14.5 httpx==0.28.1 requests==2.34.2 urllib3==2.8.0
# The receiver: /old/NAME has moved to /new/NAME. GET shows the method and the body that came there.
cat > receiver.mjs <<'JS'
import http from 'node:http';
const seen = {};
const server = http.createServer(async (request, response) => {
  let body = '';
  try { for await (const piece of request) body += piece; } catch { return; }
  if (request.method === 'GET') return response.end(seen[request.url] ?? 'nothing at all');
  if (request.url.startsWith('/old')) return response.writeHead(308, { location: request.url.replace('old', 'new') }).end();
  seen[request.url] = `${request.method} with ${body || 'no body'}`;
  response.end();
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
JS
cat > probe.mjs <<'JS'
import { Readable } from 'node:stream';
import axios from 'axios';
import got from 'got';
import ky from 'ky';
import needle from 'needle';
import nodeFetch from 'node-fetch';
const body = () => Readable.from([Buffer.from('{"id":'), Buffer.from('1}')]);
const clients = {
  axios: (url) => axios.post(url, body()),
  fetch: (url) => fetch(url, { method: 'POST', body: Readable.toWeb(body()), duplex: 'half' }),
  got: (url) => got.post(url, { body: body() }),
  ky: (url) => ky.post(url, { body: Readable.toWeb(body()), duplex: 'half' }),
  needle: (url) => needle('post', url, body(), { follow_max: 1, follow_keep_method: true }),
  'node-fetch': (url) => nodeFetch(url, { method: 'POST', body: body() }),
};
for (const [name, post] of Object.entries(clients)) {
  const end = await post(`${process.argv[2]}/old/${name}`).then((answer) => answer.status ?? answer.statusCode, () => 'a failure');
  console.log(`${name} delivers ${await (await fetch(`${process.argv[2]}/new/${name}`)).text()}, reports ${end}`);
}
process.exit();
JS
cat > probe.py <<'PY'
import asyncio, sys
import aiohttp, httpx, requests, urllib3
def body():
    yield b'{"id":'
    yield b"1}"
async def body_async():
    for piece in body():
        yield piece
def by_aiohttp(url):
    async def post():
        async with aiohttp.ClientSession() as client:
            async with client.post(url, data=body_async()) as answer:
                return answer.status
    return asyncio.run(post())
clients = {
    "aiohttp": by_aiohttp,
    "httpx": lambda url: httpx.post(url, content=body(), follow_redirects=True).status_code,
    "requests": lambda url: requests.post(url, data=body()).status_code,
    "urllib3": lambda url: urllib3.request("POST", url, body=body()).status,
}
for name, post in clients.items():
    try:
        end = post(f"{sys.argv[1]}/old/{name}")
    except (aiohttp.ClientError, httpx.StreamError):
        end = "a failure"
    print(f"{name} delivers {requests.get(f'{sys.argv[1]}/new/{name}').text}, reports {end}")
PY
node receiver.mjs > address &
pid=$!
until [ -s address ]; do sleep 0.1; done
echo "axios 1.21.1, got 14.6.6, ky 1.14.3, needle 3.5.0, node-fetch 3.3.2 (npm), aiohttp 3.14.5, httpx 0.28.1, requests 2.34.2, urllib3 2.8.0 (PyPI), Node.js $(node --version)"
{ node probe.mjs "$(cat address)"; py/bin/python probe.py "$(cat address)"; } | tee seen
diff - seen <<'END'
axios delivers POST with {"id":1}, reports 200
fetch delivers nothing at all, reports a failure
got delivers POST with no body, reports 200
ky delivers nothing at all, reports a failure
needle delivers POST with no body, reports 200
node-fetch delivers nothing at all, reports a failure
aiohttp delivers nothing at all, reports a failure
httpx delivers nothing at all, reports a failure
requests delivers POST with no body, reports 200
urllib3 delivers POST with no body, reports 200
END
