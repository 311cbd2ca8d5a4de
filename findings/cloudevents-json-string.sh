#!/usr/bin/env bash
# In binary mode the CloudEvents SDKs for JavaScript and Python send an event whose data is a string, and whose content
# type is application/json, without the quotes: the body is not JSON, or is JSON that means something else. They also read
# such bodies differently: "42" comes back as a string in JavaScript and as a number in Python.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cloudevents@10.0.0
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
cat > js.mjs <<'JS'
import { CloudEvent, HTTP } from 'cloudevents';
for (const data of ['hello', '42', 'null', '"quoted"']) {
  const event = new CloudEvent({ id: '1', source: '/s', type: 't', time: '2026-01-01T00:00:00Z', datacontenttype: 'application/json', data });
  const { headers, body } = HTTP.binary(event);
  let back;
  try { back = JSON.stringify(HTTP.toEvent({ headers, body }).data); } catch (error) { back = error.name; }
  console.log(`JavaScript sends ${JSON.stringify(data)} as ${headers['content-type']} ${body} and reads it back as ${back}`);
}
JS
cat > py.py <<'PY'
import json
from cloudevents.core.v1.event import CloudEvent
from cloudevents.core.bindings.http import from_http_event, to_binary_event
for data in ["hello", "42", "null", '"quoted"']:
    event = CloudEvent({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "application/json"}, data)
    message = to_binary_event(event)
    try:
        back = json.dumps(from_http_event(message).get_data())
    except Exception as error:
        back = type(error).__name__
    print(f"Python sends {json.dumps(data)} as {message.headers['content-type']} {message.body.decode()} and reads it back as {back}")
PY
echo "cloudevents 10.0.0 (npm), cloudevents 2.2.0 (PyPI)"
{ node js.mjs; py/bin/python py.py; } | tee seen
diff - seen <<'END'
JavaScript sends "hello" as application/json hello and reads it back as "hello"
JavaScript sends "42" as application/json 42 and reads it back as "42"
JavaScript sends "null" as application/json null and reads it back as "null"
JavaScript sends "\"quoted\"" as application/json "quoted" and reads it back as "quoted"
Python sends "hello" as application/json hello and reads it back as "hello"
Python sends "42" as application/json 42 and reads it back as 42
Python sends "null" as application/json null and reads it back as null
Python sends "\"quoted\"" as application/json "quoted" and reads it back as "quoted"
END
