#!/usr/bin/env bash
# Middlewares for Idempotency-Key, and copies of a request that was handled and answered without a body: express-idempotency
# takes it for one that is still in progress and answers all copies with 409, @node-idempotency/nestjs answers them with
# 500. A sender takes that for failures, and repeats what was handled.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts express@5.3.0 express-idempotency@1.0.6 @nestjs/common@10.4.22 @nestjs/core@10.4.22 @nestjs/platform-express@10.4.22 @node-idempotency/nestjs@1.0.4 @node-idempotency/storage-adapter-memory@1.0.2 reflect-metadata@0.2.2 rxjs@7.8.2
cat > probe.cjs <<'JS'
require('reflect-metadata');
const express = require('express');
const { idempotency, getSharedIdempotencyService } = require('express-idempotency');
const { Controller, HttpCode, Module, Param, Post } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');
const { Idempotent, NodeIdempotencyModule } = require('@node-idempotency/nestjs');
async function ask(name, url) {
  for (const what of ['a body', 'no body']) {
    const statuses = [];
    for (let copy = 0; copy < 3; copy++) {
      const answer = await fetch(`${url}/${what}`, { method: 'POST', headers: { 'idempotency-key': what, 'content-type': 'application/json' }, body: '{}' });
      statuses.push(answer.status);
      await new Promise((done) => setTimeout(done, 50));
    }
    console.log(`${name}, handler answers with ${what}: ${statuses.join(', ')}`);
  }
}
async function withExpress() {
  const app = express().use(express.json(), idempotency());
  app.post('/:what', (request, response) => {
    if (getSharedIdempotencyService().isHit(request)) return;
    if (request.params.what === 'a body') response.json({ handled: true });
    else response.status(204).end();
  });
  app.use((error, request, response, next) => response.end());
  const server = await new Promise((done) => { const server = app.listen(0, '127.0.0.1', () => done(server)); });
  await ask('express-idempotency', `http://127.0.0.1:${server.address().port}`);
}
async function withNest() {
  class Hooks {
    async handle(what) {
      if (what === 'a body') return { handled: true };
    }
  }
  const handle = Object.getOwnPropertyDescriptor(Hooks.prototype, 'handle');
  for (const decorate of [Post('/:what'), HttpCode(200), Idempotent()]) decorate(Hooks.prototype, 'handle', handle);
  Param('what')(Hooks.prototype, 'handle', 0);
  Controller()(Hooks);
  class App {}
  Module({ imports: [NodeIdempotencyModule.forRootAsync({ storage: { adapter: 'memory' } })], controllers: [Hooks] })(App);
  const app = await NestFactory.create(App, { logger: false });
  await app.listen(0, '127.0.0.1');
  await ask('@node-idempotency/nestjs', await app.getUrl());
}
withExpress().then(withNest).then(() => process.exit());
JS
echo "express-idempotency 1.0.6, @node-idempotency/nestjs 1.0.4 (npm)"
node probe.cjs | tee seen
diff - seen <<'END'
express-idempotency, handler answers with a body: 200, 200, 200
express-idempotency, handler answers with no body: 204, 409, 409
@node-idempotency/nestjs, handler answers with a body: 200, 200, 200
@node-idempotency/nestjs, handler answers with no body: 200, 500, 500
END
