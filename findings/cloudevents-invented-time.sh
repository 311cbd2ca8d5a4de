#!/usr/bin/env bash
# A CloudEvent may have no time. The SDKs for JavaScript and Python then give it the time at which they read it. The one
# for JavaScript does the same, without an error, with a time that it cannot read, such as a leap second, which RFC 3339
# allows; the one for Python raises an error there.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cloudevents@10.0.0
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
cat > js.mjs <<'JS'
import { HTTP } from 'cloudevents';
for (const time of [undefined, '2016-12-31T23:59:60Z', '2016-12-31T23:59:59.123456789+01:00']) {
  const body = JSON.stringify({ id: '1', source: '/s', type: 't', specversion: '1.0', time, data: {} });
  const read = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body }).time;
  console.log(`JavaScript: ${time} -> ${Math.abs(Date.parse(read) - Date.now()) < 60_000 ? 'now' : read}`);
}
JS
cat > py.py <<'PY'
import datetime, json
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
for time in [None, "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.123456789+01:00"]:
    event = {"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "data": {}} | ({"time": time} if time else {})
    try:
        read = from_http_event(HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(event).encode())).get_attributes()["time"]
        now = abs(read - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=1)
        read = "now" if now else read.isoformat()
    except Exception as error:
        read = f"{type(error).__name__}: {error}"
    print(f"Python: {time} -> {read}")
PY
echo "cloudevents 10.0.0 (npm), cloudevents 2.2.0 (PyPI)"
{ node js.mjs; py/bin/python py.py; } | tee seen
diff - seen <<'END'
JavaScript: undefined -> now
JavaScript: 2016-12-31T23:59:60Z -> now
JavaScript: 2016-12-31T23:59:59.123456789+01:00 -> 2016-12-31T22:59:59.123Z
Python: None -> now
Python: 2016-12-31T23:59:60Z -> ValueError: second must be in 0..59
Python: 2016-12-31T23:59:59.123456789+01:00 -> 2016-12-31T23:59:59.123456+01:00
END
