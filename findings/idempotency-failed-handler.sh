#!/usr/bin/env bash
# Middlewares for Idempotency-Key, and a handler that fails at first and would succeed the second time. One of them keeps
# the 503 and gives it to all repeats for a day; under two of them a handler that throws leaves its key "in progress", so
# that all repeats get 409. One of three lets the handler run again in both cases.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts express@5.3.0 express-idempotency@1.0.6
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check asgi-idempotency-header==0.2.0 fastapi==0.165.0 fastapi-idempotency==0.1.1 httpx==0.28.1 redis==8.1.0
cat > probe.cjs <<'JS'
const express = require('express');
const { idempotency, getSharedIdempotencyService } = require('express-idempotency');
async function ask(name, url) {
  for (const way of ['answers-503', 'throws']) {
    const statuses = [];
    for (let copy = 0; copy < 3; copy++) {
      const answer = await fetch(`${url}/${way}`, { method: 'POST', headers: { 'idempotency-key': way, 'content-type': 'application/json' }, body: '{}' });
      statuses.push(answer.status);
      await new Promise((done) => setTimeout(done, 50));
    }
    console.log(`${name}, handler ${way}: ${statuses.join(', ')}`);
  }
}
async function withExpress() {
  const runs = {};
  const app = express().use(express.json(), idempotency());
  app.post('/:way', (request, response) => {
    if (getSharedIdempotencyService().isHit(request)) return;
    const { way } = request.params;
    if (runs[way]) return response.json({ handled: true });
    runs[way] = 1;
    if (way === 'throws') throw new Error('no connection');
    response.status(503).json({ error: 'busy' });
  });
  app.use((error, request, response, next) => response.status(response.statusCode < 400 ? 500 : response.statusCode).end());
  const server = await new Promise((done) => { const server = app.listen(0, '127.0.0.1', () => done(server)); });
  await ask('express-idempotency', `http://127.0.0.1:${server.address().port}`);
}
withExpress().then(() => process.exit());
JS
cat > probe.py <<'PY'
import asyncio, httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi_idempotency import IdempotencyMiddleware
from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends.memory import MemoryBackend
async def ask(name, middleware, **options):
    app, runs = FastAPI(), set()
    @app.post("/{way}")
    async def handle(way: str):
        if way in runs:
            return {"handled": True}
        runs.add(way)
        if way == "throws":
            raise RuntimeError("no connection")
        return JSONResponse({"error": "busy"}, 503)
    app.add_middleware(middleware, **options)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://hooks.example.com") as client:
        for way in ("answers-503", "throws"):
            statuses = [(await client.post(f"/{way}", json={}, headers={"Idempotency-Key": way})).status_code for _ in range(3)]
            print(f"{name}, handler {way}: {', '.join(map(str, statuses))}")
asyncio.run(ask("asgi-idempotency-header", IdempotencyHeaderMiddleware, backend=MemoryBackend()))
asyncio.run(ask("fastapi-idempotency", IdempotencyMiddleware))
PY
echo "express-idempotency 1.0.6 (npm), asgi-idempotency-header 0.2.0, fastapi-idempotency 0.1.1 (PyPI)"
{ node probe.cjs; py/bin/python probe.py; } | tee seen
diff - seen <<'END'
express-idempotency, handler answers-503: 503, 200, 200
express-idempotency, handler throws: 500, 409, 409
asgi-idempotency-header, handler answers-503: 503, 503, 503
asgi-idempotency-header, handler throws: 500, 409, 409
fastapi-idempotency, handler answers-503: 503, 200, 200
fastapi-idempotency, handler throws: 500, 200, 200
END
