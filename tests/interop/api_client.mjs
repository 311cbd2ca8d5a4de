// A client that is generated from the OpenAPI document of the management API (openapi-typescript with openapi-fetch) lives the
// whole life of an endpoint. `tsc` checks the types of this file against the document before it runs.
//
//     node api_client.mjs BASE_URL HOOK_URL
// @ts-check

import createClient from "openapi-fetch";
import assert from "node:assert/strict";

const [baseUrl, hook] = process.argv.slice(2);
assert(baseUrl && hook);

/** @param {string} key @returns {import("openapi-fetch").Client<import("./api_document.ts").paths>} */
const client = (key) => createClient({ baseUrl, headers: { authorization: `Bearer ${key}` } });
const customer = client("acme");
const operator = client("operator");

/** @template T @param {{ data?: T, error?: unknown, response: Response }} answer @param {number} status @returns {T} */
function ok(answer, status) {
  assert.equal(answer.response.status, status, JSON.stringify(answer.error));
  return /** @type {T} */ (answer.data);
}

// Registered, with the secret in this answer alone.
const body = { url: hook, events: ["order.*"], description: "generated", rate_limit: "50/s" };
const key = { "Idempotency-Key": "a-key" };
const created = ok(await customer.POST("/endpoints", { params: { header: key }, body }), 201);
assert.match(created.secret, /^whsec_/);
const again = ok(await customer.POST("/endpoints", { params: { header: key }, body }), 201);
assert.equal(again.id, created.id);
const path = { id: created.id };

// A problem is typed, too.
const wrong = await customer.POST("/endpoints", { body: { url: "https://metadata/" } });
assert.equal(wrong.response.status, 422);
assert.equal(/** @type {{ errors: { pointer: string }[] }} */ (wrong.error).errors[0].pointer, "#/url");

// Changed by who has seen the newest state, and by nobody else.
const read = await customer.GET("/endpoints/{id}", { params: { path } });
const tag = read.response.headers.get("etag") ?? "";
const change = { params: { path, header: { "If-Match": tag } }, body: { description: "changed", rate_limit: null } };
assert.equal(ok(await customer.PATCH("/endpoints/{id}", change), 200).description, "changed");
assert.equal((await customer.PATCH("/endpoints/{id}", change)).response.status, 412);

// Metadata is changed by the entry.
const metadata = { plan: "pro", region: null };
ok(await customer.PATCH("/endpoints/{id}", { params: { path }, body: { metadata: { region: "eu" } } }), 200);
const labelled = ok(await customer.PATCH("/endpoints/{id}", { params: { path }, body: { metadata } }), 200);
assert.deepEqual(labelled.metadata, { plan: "pro" });

// Sent an example of the catalogue.
const entry = { name: "order.completed", example: { order: 1 } };
ok(await operator.PUT("/event-types", { body: { data: [entry] } }), 204);
const example = ok(await customer.POST("/endpoints/{id}/send-example", { params: { path }, body: { type: entry.name } }), 202);
assert.equal(ok(await customer.GET("/deliveries/{id}", { params: { path: { id: example.delivery } } }), 200).type, entry.name);

// Told of an order.
const message = { type: "order.completed", data: { order: 7 } };
const query = { tenant: "acme" };
const sent = ok(await operator.POST("/messages", { params: { query }, body: message }), 202);
assert.equal(sent.deliveries, 1);
assert.deepEqual(ok(await customer.GET("/messages/{id}", { params: { path: { id: sent.id } } }), 200).data, { order: 7 });
let delivery;
for (let tries = 0; tries < 600 && !delivery; tries += 1) {
  const page = ok(await customer.GET("/deliveries", { params: { query: { message: sent.id, state: "delivered" } } }), 200);
  delivery = page.data[0];
  if (!delivery) await new Promise((resolve) => setTimeout(resolve, 50));
}
assert(delivery, "the message is delivered");
const attempts = ok(await customer.GET("/deliveries/{id}/attempts", { params: { path: { id: delivery.id } } }), 200);
assert.equal(attempts.data[0].status, 200);
ok(await customer.POST("/deliveries/{id}/resend", { params: { path: { id: delivery.id } }, body: {} }), 202);

// Rotated, disabled, enabled, pinged, removed.
const rotated = ok(await customer.POST("/endpoints/{id}/rotate-secret", { params: { path }, body: { overlap_seconds: 0 } }), 200);
assert.notEqual(rotated.secret, created.secret);
assert.equal(ok(await customer.POST("/endpoints/{id}/disable", { params: { path }, body: {} }), 200).enabled, false);
assert.equal(ok(await customer.POST("/endpoints/{id}/enable", { params: { path }, body: {} }), 200).enabled, true);
ok(await customer.POST("/endpoints/{id}/ping", { params: { path }, body: {} }), 202);
const since = new Date(Date.now() - 3_600_000).toISOString();
ok(await customer.POST("/endpoints/{id}/recover", { params: { path }, body: { since } }), 202);
assert.equal((await customer.DELETE("/endpoints/{id}", { params: { path } })).response.status, 204);
assert.equal((await customer.GET("/endpoints/{id}", { params: { path } })).response.status, 404);

// What was received: listed, read with its request, discarded, replayed, and many at once. A customer may not.
const events = ok(await customer.GET("/inbox", { params: { query: { state: "pending", limit: 2 } } }), 200);
assert.equal(events.data.length, 2);
const event = { id: events.data[0].id };
const received = ok(await customer.GET("/inbox/{id}", { params: { path: event } }), 200);
assert.equal(received.request?.path, "/in");
assert.equal((await customer.POST("/inbox/{id}/discard", { params: { path: event }, body: {} })).response.status, 403);
assert.equal(ok(await operator.POST("/inbox/{id}/discard", { params: { path: event }, body: {} }), 202).state, "discarded");
assert.equal(ok(await operator.POST("/inbox/{id}/replay", { params: { path: event }, body: {} }), 202).state, "pending");
const two = { ids: events.data.map(({ id }) => id) };
assert.equal(ok(await operator.POST("/inbox/discard", { params: { query }, body: two }), 202).changed, 2);
assert.equal(ok(await operator.POST("/inbox/replay", { body: { since } }), 202).changed, 0);
console.log("the whole life of an endpoint");
