#!/usr/bin/env bash
# persist-queue's SQLiteAckQueue: a worker that opens the queue, with the defaults, puts back all that other workers have
# taken and are still at work on, and takes it itself. The first worker's acknowledgement is accepted afterwards as well.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check persist-queue==1.1.0
cat > probe.py <<'PY'
import subprocess, sys
from persistqueue import Empty, SQLiteAckQueue
def take(queue):
    try:
        return queue.get(block=False)
    except Empty:
        return "nothing"
if len(sys.argv) > 1:
    resume = sys.argv[1] == "True"
    print(f"a second worker, auto_resume={resume}, takes {take(SQLiteAckQueue('queue', auto_resume=resume))}", flush=True)
else:
    queue = SQLiteAckQueue("queue")
    queue.put("delivery 1")
    delivery = take(queue)
    print("a worker takes", delivery, "and works on it", flush=True)
    for resume in ("False", "True"):
        subprocess.run([sys.executable, __file__, resume], check=True)
    queue.ack(delivery)
    print("the first worker acknowledges it; a third one takes", take(SQLiteAckQueue("queue")))
PY
echo "persist-queue 1.1.0 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
a worker takes delivery 1 and works on it
a second worker, auto_resume=False, takes nothing
a second worker, auto_resume=True, takes delivery 1
the first worker acknowledges it; a third one takes nothing
END
