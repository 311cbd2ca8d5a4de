#!/usr/bin/env bash
# arq: a handler that raises an exception ends its job at once, although five tries are allowed, and the job's id stays
# taken for an hour. The event that its sender repeats under that id is not queued: the call returns None, as it does for
# a copy of an event that was handled.
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
py/bin/pip install --quiet --disable-pip-version-check arq==0.28.0 redis==5.3.1
LD_LIBRARY_PATH=$(echo root/usr/lib/*-linux-gnu) ./redis-server --port 0 --unixsocket "$dir/socket" --save '' --dir "$dir" >log &
pid=$!
until [ -S socket ]; do sleep 0.1; done
cat > probe.py <<'PY'
import asyncio, logging, sys
import arq
logging.disable(logging.CRITICAL)
handled = []
async def deliver(context, event):
    handled.append(event)
    if event == "fails":
        raise RuntimeError("no connection to the database")
async def main():
    pool = await arq.create_pool(arq.connections.RedisSettings(unix_socket_path=sys.argv[1]))
    for time in ("first", "second"):
        for event in ("fails", "succeeds"):
            job = await pool.enqueue_job("deliver", event, _job_id=f"evt_{event}")
            print(f"{time} time: the event that {event} is {'not ' if job is None else ''}queued")
        worker = arq.Worker([deliver], redis_pool=pool, burst=True, handle_signals=False)
        await worker.main()
        print(f"handled, with up to {worker.max_tries} tries: {sorted(handled)}")
    for event in ("fails", "succeeds"):
        seconds = await pool.ttl(f"arq:result:evt_{event}")
        print(f"the id of the event that {event} is free again after {(seconds + 59) // 60} minutes")
asyncio.run(main())
PY
echo "arq 0.28.0 (PyPI), $(root/usr/bin/redis-cli --version)"
py/bin/python probe.py "$dir/socket" | tee seen
diff - seen <<'END'
first time: the event that fails is queued
first time: the event that succeeds is queued
handled, with up to 5 tries: ['fails', 'succeeds']
second time: the event that fails is not queued
second time: the event that succeeds is not queued
handled, with up to 5 tries: ['fails', 'succeeds']
the id of the event that fails is free again after 60 minutes
the id of the event that succeeds is free again after 60 minutes
END
