#!/usr/bin/env bash
# rq: to enqueue a second job under the id of one that waits is neither refused nor ignored. It replaces the arguments of
# the first one and stands in the queue twice, so that the second payload is handled twice and the first one never. An id
# with a point or a colon, as event ids often have, is refused.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
# The server is the same program as redis-check-rdb, under another name.
apt-get download -qq -o APT::Sandbox::User=root redis-tools liblzf1 libjemalloc2 >/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
cp root/usr/bin/redis-check-rdb redis-server
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check rq==3.0.0 redis==8.1.0
LD_LIBRARY_PATH=$(echo root/usr/lib/*-linux-gnu) ./redis-server --port 0 --unixsocket "$dir/socket" --save '' --dir "$dir" >log &
pid=$!
until [ -S socket ]; do sleep 0.1; done
cat > handlers.py <<'PY'
handled = []
def handle(payload):
    handled.append(payload)
PY
cat > probe.py <<'PY'
import sys
from redis import Redis
from rq import Queue, SimpleWorker
import handlers
redis = Redis(unix_socket_path=sys.argv[1])
queue = Queue(connection=redis)
for payload in ("first payload", "second payload"):
    queue.enqueue(handlers.handle, payload, job_id="evt_1")
print("waiting:", queue.job_ids)
SimpleWorker([queue], connection=redis).work(burst=True, logging_level="ERROR")
print("handled:", handlers.handled)
for job_id in ("evt_1", "evt-1", "evt.1", "evt:1"):
    try:
        queue.enqueue(handlers.handle, "", job_id=job_id)
        print(job_id, "accepted")
    except ValueError as error:
        print(job_id, "refused:", error)
PY
echo "rq 3.0.0, redis 8.1.0 (PyPI), $(root/usr/bin/redis-cli --version)"
py/bin/python probe.py "$dir/socket" | tee seen
diff - seen <<'END'
waiting: ['evt_1', 'evt_1']
handled: ['second payload', 'second payload']
evt_1 accepted
evt-1 accepted
evt.1 refused: Job ID must only contain letters, numbers, underscores and dashes
evt:1 refused: Job ID must only contain letters, numbers, underscores and dashes
END
