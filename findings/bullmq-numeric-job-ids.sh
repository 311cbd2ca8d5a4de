#!/usr/bin/env bash
# BullMQ refuses job ids that are whole numbers, and recognises them by whether a JavaScript number prints as the same
# digits: it accepts nearly all ids of 19 digits and refuses about one in a hundred. An id with one colon is refused, one
# with two colons is not.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
# The server is the same program as redis-check-rdb, under another name.
apt-get download -qq -o APT::Sandbox::User=root redis-tools liblzf1 libjemalloc2 >/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
cp root/usr/bin/redis-check-rdb redis-server
npm install --silent --no-audit --no-fund --ignore-scripts bullmq@6.7.0 ioredis@6.0.0
LD_LIBRARY_PATH=$(echo root/usr/lib/*-linux-gnu) ./redis-server --port 0 --unixsocket "$dir/socket" --save '' --dir "$dir" >log &
pid=$!
until [ -S socket ]; do sleep 0.1; done
cat > probe.mjs <<'JS'
import { Queue } from 'bullmq';
import Redis from 'ioredis';
const queue = new Queue('deliveries', { connection: new Redis(process.argv[2], { maxRetriesPerRequest: null }) });
for (const jobId of ['1234567890123456789', '1234567890123456800', '9007199254740993', '9007199254740994', 'a:b', 'a:b:c', 'a:b:c:d']) {
  try {
    console.log(jobId, 'stored as', (await queue.add('deliver', {}, { jobId })).id);
  } catch (error) {
    console.log(jobId, 'refused:', error.message);
  }
}
process.exit();
JS
echo "bullmq 6.7.0, ioredis 6.0.0 (npm), $(./redis-server --version 2>/dev/null | cut -d' ' -f1-3 || true)"
node probe.mjs "$dir/socket" | tee seen
diff - seen <<'END'
1234567890123456789 stored as 1234567890123456789
1234567890123456800 refused: Custom Id cannot be integers
9007199254740993 stored as 9007199254740993
9007199254740994 refused: Custom Id cannot be integers
a:b refused: Custom Id cannot contain :
a:b:c stored as a:b:c
a:b:c:d refused: Custom Id cannot contain :
END
