// Drives a headless Chromium over the dashboard, by WebDriver: `node browser.mjs CHROMEDRIVER_URL DASHBOARD_URL FOLDER [OUT]`.
// FOLDER holds node_modules with axe-core; screenshots go to OUT.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const [driver, base, folder, out] = process.argv.slice(2);
const axe = readFileSync(createRequire(`${folder}/package.json`).resolve("axe-core/axe.min.js"), "utf8");

const call = async (method, path, body) => {
  const answer = await fetch(`${driver}${path}`, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  const { value } = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value).slice(0, 600)}`);
  return value;
};
const options = { args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en-US"], binary: "/usr/bin/chromium" };
const { sessionId } = await call("POST", "/session", { capabilities: { alwaysMatch: { browserName: "chrome", "goog:chromeOptions": options } } });
const at = `/session/${sessionId}`;
const cdp = (cmd, params = {}) => call("POST", `${at}/goog/cdp/execute`, { cmd, params });
const run = (script, ...args) => call("POST", `${at}/execute/sync`, { script, args });
const soon = (script, ...args) => call("POST", `${at}/execute/async`, { script, args });
const text = (selector) => run("return document.querySelector(arguments[0])?.innerText ?? null", selector);
const open = async (path) => {
  await call("POST", `${at}/url`, { url: `${base}${path}` });
  assert.deepEqual(await run("return window.violations ?? []"), [], `${path}: the content security policy was violated`);
};
const click = async (selector, words) => {
  const found = await run("return [...document.querySelectorAll(arguments[0])].find((one) => one.innerText.includes(arguments[1]))", selector, words);
  assert.ok(found, `there is no ${selector} with "${words}"`);
  await call("POST", `${at}/element/${Object.values(found)[0]}/click`, {});
};
const until = async (what, is_so) => {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await is_so()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not come true`);
};
// A click returns before the page that it leads to is there.
const arrived = (place) =>
  until(`the page ${place}`, () => run("return document.readyState === 'complete' && (location.pathname + location.search).includes(arguments[0])", place));
const as = (who) => cdp("Network.setCookie", { name: "who", value: who, url: base });
const size = (width, height = 900) => cdp("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 });
const scheme = (value) => cdp("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value }] });
const shot = async (name, whole = false) => {
  if (!out) return;
  const { data } = await cdp("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole, ...(whole ? { clip: await run("return { x: 0, y: 0, width: innerWidth, height: document.documentElement.scrollHeight, scale: 1 }") } : {}) });
  writeFileSync(`${out}/${name}.png`, Buffer.from(data, "base64"));
};

try {
  await cdp("Network.enable");
  await cdp("Page.addScriptToEvaluateOnNewDocument", {
    source: "window.violations = []; addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI));",
  });
  await as("operator-of-acme");
  await size(1440);
  await scheme("light");

  // The overview shows the right counts.
  await open("");
  const counts = await (await fetch(`${base.replace("/webhooks", "/api")}/stats?since=${new Date(Date.now() - 23 * 3600 * 1000).toISOString()}`, { headers: { cookie: "who=operator-of-acme" } })).json();
  const figures = await text("#figures");
  assert.ok(figures.includes(counts.delivered.toLocaleString("en-US")), `${figures}: ${counts.delivered} delivered`);
  assert.ok(figures.includes(`${counts.attempts.toLocaleString("en-US")} attempts`), figures);
  await shot("overview");
  await scheme("dark");
  await shot("overview-dark");
  await scheme("light");

  // Filter, open, resend, and see it delivered.
  await open("/deliveries");
  await run("document.querySelector('[name=state]').value = 'exhausted'");
  await click("form.filters button", "Filter");
  await arrived("state=exhausted");
  const states = await run("return [...document.querySelectorAll('td .state')].map((state) => state.innerText)");
  assert.ok(states.length > 0 && states.every((state) => state === "exhausted"), `${states} on ${await text("main")}`);
  await click("td a", "dlv_");
  await arrived("/deliveries/");
  const page = await run("return location.pathname");
  await shot("delivery", true);
  await click("button", "Resend");
  await until("resent", async () => (await text("[role=status]"))?.includes("on its way again"));
  // Without a load of the page: the script keeps it fresh.
  await until("delivered", async () => (await text("#state .state")) === "delivered");
  assert.equal(await run("return location.pathname"), page);

  // Pause, resume, rotate.
  await open("/endpoints");
  await shot("endpoints");
  await click("td a", "shop.example.com");
  await arrived("/endpoints/ep_");
  await shot("endpoint", true);
  await click("button", "Pause");
  await until("paused", async () => (await text("h1 + p .state")) === "paused");
  await click("button", "Resume");
  await until("healthy", async () => (await text("h1 + p .state")) === "healthy");
  await click("summary", "Rotate");
  await click("button", "Rotate");
  await until("rotated", async () => (await text("#secret")) !== null);
  const secret = await text("#secret");
  assert.match(secret, /^whsec_/);
  await open("/endpoints");
  assert.ok(!(await run("return document.documentElement.outerHTML")).includes(secret.slice(6)));

  // What is hostile shows as text.
  await open("/deliveries?type=note.added");
  await click("td a", "dlv_");
  await arrived("/deliveries/");
  assert.ok((await text("main")).includes("<script>window.hacked"), await text("main"));
  assert.equal(await run("return window.hacked ?? null"), null);
  const hostile = (await run("return location.pathname")).replace(/^\/webhooks/, "");

  const hostileEvent = await run("return (async () => new DOMParser().parseFromString(await (await fetch(arguments[0])).text(), 'text/html'))().then((page) => [...page.querySelectorAll('td a')].find((link) => link.innerText.includes('<script>')).getAttribute('href'))", `${base}/inbox`);
  await call("POST", `${at}/url`, { url: new URL(hostileEvent, base).href });
  assert.ok((await text("main")).includes("<script>window.hacked"), await text("main"));
  assert.equal(await run("return window.hacked ?? null"), null);

  // Dead letters: the right counts, a reason, a replay of one, and of what is ticked.
  await as("operator");
  // What waited over the day: a line and a row for each quarter of an hour, and gaps where nothing was noted.
  await open("");
  const waited = await run("return [...document.querySelectorAll('#backlog svg[role=img]')].map((chart) => chart.getAttribute('aria-label'))");
  assert.equal(waited.length, 2, JSON.stringify(waited));
  assert.match(waited[0], /^Line of what waited over the last 24 hours: at most \d+\. The numbers are in the table below\.$/);
  assert.equal(await run("return document.querySelectorAll('#backlog tbody tr').length"), 96);
  assert.ok((await run("return document.querySelector('#backlog path.line').getAttribute('d')")).split("M").length > 10);
  await open("/inbox?state=dead");
  const depth = await run("return Object.fromEntries([...document.querySelectorAll('#depth .figure')].map((figure) => [...figure.children].map((part) => part.innerText)))");
  assert.equal(depth["Dead letters"], "3", JSON.stringify(depth));
  assert.equal(depth["Waiting in the inbox"], "2", JSON.stringify(depth));
  await shot("inbox");
  await click("td a", "invoice.paid");
  await arrived("/webhooks/inbox/");
  assert.ok((await text("main")).includes("amount_paid"), await text("main"));
  await shot("event", true);
  await click("button", "Replay");
  await until("replayed", async () => (await text("[role=status]"))?.includes("due again"));
  await until("dead again", async () => (await text("#state .state")) === "dead");
  await open("/inbox?state=dead");
  await run("document.querySelectorAll('td input').forEach((box) => box.click())");
  // What is ticked stays ticked, though the list renews itself.
  await new Promise((resolve) => setTimeout(resolve, 6000));
  assert.equal(await run("return document.querySelectorAll('td input:checked').length"), 3);
  await click("#bulk button", "Discard");
  await until("discarded", async () => (await text("[role=status]"))?.includes("3 events are discarded"));
  await as("operator-of-acme");

  // Without script the same can be read.
  const read = async (path) => {
    await open(path);
    return (await text("main")).replace(/\s+/g, " ");
  };
  const pages = ["", "/endpoints", "/deliveries?state=delivered", "/event-types", "/inbox", hostileEvent.replace(/^\/webhooks/, ""), hostile];
  const endpoint = await run("return (async () => new DOMParser().parseFromString(await (await fetch(arguments[0])).text(), 'text/html').querySelector('td a').getAttribute('href'))()", `${base}/endpoints`);
  pages.push(endpoint.replace(/^\/webhooks/, ""));
  const withScript = [];
  for (const path of pages) withScript.push(await read(path));
  await cdp("Emulation.setScriptExecutionDisabled", { value: true });
  for (const [place, path] of pages.entries()) {
    await call("POST", `${at}/url`, { url: `${base}${path}` });
    assert.equal((await text("main")).replace(/\s+/g, " "), withScript[place], `${path} without script`);
  }
  await cdp("Emulation.setScriptExecutionDisabled", { value: false });

  // Nothing for axe to find, in either scheme, on a phone and on a desk, for who may change something and who may not.
  const faults = [];
  for (const who of ["operator-of-acme", "acme", "operator"]) {
    await as(who);
    for (const path of who === "operator" ? ["", "/endpoints", "/deliveries?tenant=acme", "/inbox", "/inbox?state=lost"] : [...pages, "/deliveries?state=wrong", "/nothing"]) {
      await open(path);
      for (const width of [360, 1440]) {
        await size(width);
        for (const mode of ["light", "dark"]) {
          await scheme(mode);
          const wide = await run("return document.documentElement.scrollWidth");
          // A customer's pages are those of an operator, without the buttons.
          if (who !== "operator-of-acme" && (width === 360) === (mode === "light")) continue;
          if (wide > width) faults.push(`${who} ${path} ${width}: ${wide} px wide`);
          if (!(await run("return typeof axe === 'object'"))) await run(axe);
          const found = await soon(
            "const done = arguments[0]; document.body.getAnimations({ subtree: true }).forEach((one) => one.finish()); axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => html.slice(0, 160) + ' ' + failureSummary.slice(0, 200)).slice(0, 3).join(' | ')}`)))",
          );
          faults.push(...found.map((fault) => `${who} ${path || "/"} ${width} ${mode}: ${fault}`));
        }
      }
      if (who === "acme" && path === "") {
        await size(360, 800);
        await scheme("light");
        await shot("phone");
      }
    }
  }
  assert.deepEqual(faults, []);
  console.log("the dashboard is as it should be");
} finally {
  await call("DELETE", at).catch(() => {});
}
