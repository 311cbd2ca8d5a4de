#!/usr/bin/env bash
# Retry-After may be a date, and RFC 9110 lets a date be written in three forms. got, ky, axios-retry and undici's
# RetryAgent read the third one, `Sat Jan  3 12:00:00 2026`, which is in UTC too, as the local time of their machine: east
# of Greenwich they come back at once, and west of it hours later or never.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts axios@1.21.1 axios-retry@4.5.0 got@14.6.6 ky@1.14.3 undici@7.30.2
cat > probe.mjs <<'JS'
import http from 'node:http';
import axios from 'axios';
import axiosRetry from 'axios-retry';
import got from 'got';
import ky from 'ky';
import { Agent, RetryAgent, request } from 'undici';
const [zone, form] = process.argv.slice(2);
process.env.TZ = zone;
// What `date -u` would print in the three forms, of the moment in 5 s.
function inFiveSeconds() {
  const [day, date, month, year, time] = new Date(Date.now() + 5000).toUTCString().replace(',', '').split(' ');
  const long = { Sun: 'Sunday', Mon: 'Monday', Tue: 'Tuesday', Wed: 'Wednesday', Thu: 'Thursday', Fri: 'Friday', Sat: 'Saturday' }[day];
  return {
    'IMF-fixdate': `${day}, ${date} ${month} ${year} ${time} GMT`,
    'RFC 850': `${long}, ${date}-${month}-${year.slice(2)} ${time} GMT`,
    asctime: `${day} ${month} ${date.replace(/^0/, ' ')} ${time} ${year}`,
  }[form];
}
const arrivals = {};
const server = http.createServer((message, answer) => {
  message.resume();
  const times = (arrivals[message.url] ??= []);
  times.push(Date.now());
  answer.writeHead(times.length === 1 ? 503 : 200, times.length === 1 ? { 'retry-after': inFiveSeconds() } : {}).end('ok');
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const clients = {
  got: (url) => got.post(url, { json: {}, retry: { limit: 1, methods: ['POST'] } }).text(),
  ky: (url) => ky.post(url, { json: {}, retry: { limit: 1, methods: ['post'] }, timeout: false }).text(),
  'axios-retry': (url) => {
    const client = axios.create();
    axiosRetry(client, { retries: 1, retryCondition: () => true, retryDelay: axiosRetry.exponentialDelay });
    return client.post(url, {});
  },
  undici: (url) => request(url, { method: 'POST', body: '{}', dispatcher: new RetryAgent(new Agent(), { maxRetries: 1, methods: ['POST'], statusCodes: [503] }) }),
};
for (const [name, post] of Object.entries(clients)) post(`http://127.0.0.1:${server.address().port}/${name}`).catch(() => {});
setTimeout(() => {
  const waits = Object.keys(clients).map((name) => {
    const [first, second] = arrivals[`/${name}`];
    return `${name} ${second ? (second - first < 2500 ? 'at once' : 'in time') : 'not'}`;
  });
  console.log(`${form} in ${zone}: ${waits.join(', ')}`);
  process.exit();
}, 9000);
JS
echo "axios-retry 4.5.0, got 14.6.6, ky 1.14.3, undici 7.30.2 (npm), Node.js $(node --version)"
for zone in UTC Asia/Kolkata America/New_York; do
    for form in IMF-fixdate 'RFC 850' asctime; do node probe.mjs "$zone" "$form" & done
    wait
done | LC_ALL=C sort | tee seen
diff - seen <<'END'
IMF-fixdate in America/New_York: got in time, ky in time, axios-retry in time, undici in time
IMF-fixdate in Asia/Kolkata: got in time, ky in time, axios-retry in time, undici in time
IMF-fixdate in UTC: got in time, ky in time, axios-retry in time, undici in time
RFC 850 in America/New_York: got in time, ky in time, axios-retry in time, undici in time
RFC 850 in Asia/Kolkata: got in time, ky in time, axios-retry in time, undici in time
RFC 850 in UTC: got in time, ky in time, axios-retry in time, undici in time
asctime in America/New_York: got not, ky not, axios-retry not, undici not
asctime in Asia/Kolkata: got at once, ky at once, axios-retry at once, undici at once
asctime in UTC: got in time, ky in time, axios-retry in time, undici in time
END
