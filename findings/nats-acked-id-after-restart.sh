#!/usr/bin/env bash
# NATS JetStream drops what comes again under a Nats-Msg-Id within the duplicate window, here an hour. After a restart it
# knows only the ids of the messages that it still stores: on a stream with work queue retention an event that was
# acknowledged is stored, and handled, once more. With the retention by limits the id is still known.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root nats-server=2.9.10-1+b3 >/dev/null
dpkg-deb -x nats-server_*.deb root
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check nats-py==2.16.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start() {
    root/usr/sbin/nats-server -js -sd "$dir/data" -a 127.0.0.1 -p "$port" 2>log &
    pid=$!
    until grep -q 'Server is ready' log; do sleep 0.1; done
}
cat > probe.py <<'PY'
import asyncio, sys
import nats
async def main():
    client = await nats.connect(f"nats://127.0.0.1:{sys.argv[1]}")
    stream = client.jetstream()
    async def publish(retention, when):
        answer = await stream.publish(retention, b'{"id":1}', headers={"Nats-Msg-Id": "evt_1"})
        print(f"{retention}, {when}: {'dropped as a duplicate' if answer.duplicate else 'stored'}")
    for retention in ("workqueue", "limits"):
        if sys.argv[2] == "before":
            await stream.add_stream(name=retention, subjects=[retention], retention=retention, duplicate_window=3600)
            await publish(retention, "first copy")
            worker = await stream.pull_subscribe(retention, durable="worker")
            [message] = await worker.fetch(1)
            await message.ack_sync()
            await publish(retention, "copy after the acknowledgement")
        else:
            await publish(retention, "copy after a restart of the server")
    await client.close()
asyncio.run(main())
PY
{ root/usr/sbin/nats-server --version; echo "nats-py 2.16.0 (PyPI)"; }
start
py/bin/python probe.py "$port" before > seen
kill "$pid"
wait "$pid" || true
start
py/bin/python probe.py "$port" after >> seen
cat seen
diff - seen <<'END'
workqueue, first copy: stored
workqueue, copy after the acknowledgement: dropped as a duplicate
limits, first copy: stored
limits, copy after the acknowledgement: dropped as a duplicate
workqueue, copy after a restart of the server: stored
limits, copy after a restart of the server: dropped as a duplicate
END
