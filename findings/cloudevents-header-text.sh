#!/usr/bin/env bash
# In binary mode the CloudEvents SDK for Python percent-encodes attributes, as the HTTP binding says; the one for
# JavaScript neither encodes nor decodes them. So an id with a blank, sent from Python, is another id in binary mode than
# in structured mode, and a text with a percent sign, sent from JavaScript, changes on its way to Python. Python also
# writes Booleans as "True", where the specification has "true".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cloudevents@10.0.0
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
cat > js.mjs <<'JS'
import { CloudEvent, HTTP } from 'cloudevents';
import { readFileSync, writeFileSync } from 'node:fs';
for (const [mode, message] of Object.entries(JSON.parse(readFileSync('from-python.json')))) {
  const event = HTTP.toEvent(message);
  console.log(`Python to JavaScript, ${mode}: id ${JSON.stringify(event.id)}, flag ${JSON.stringify(event.flag)}`);
}
const event = new CloudEvent({ id: '100%25 done', source: '/s', type: 't', time: '2026-01-01T00:00:00Z', data: {} });
writeFileSync('from-javascript.json', JSON.stringify({ binary: HTTP.binary(event), structured: HTTP.structured(event) }));
JS
cat > py.py <<'PY'
import json, sys
from cloudevents.core.v1.event import CloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
if sys.argv[1] == "send":
    event = CloudEvent({"id": "order 7 é", "source": "/s", "type": "t", "specversion": "1.0", "datacontenttype": "application/json", "flag": True}, {})
    messages = {"binary": to_binary_event(event), "structured": to_structured_event(event)}
    out = {mode: {"headers": message.headers, "body": message.body.decode()} for mode, message in messages.items()}
    json.dump(out, open("from-python.json", "w"))
else:
    for mode, message in json.load(open("from-javascript.json")).items():
        event = from_http_event(HTTPMessage(message["headers"], message["body"].encode()))
        print(f"JavaScript to Python, {mode}: id {json.dumps(event.get_attributes()['id'])}")
PY
echo "cloudevents 10.0.0 (npm), cloudevents 2.2.0 (PyPI)"
{ py/bin/python py.py send; node js.mjs; py/bin/python py.py receive; } | tee seen
diff - seen <<'END'
Python to JavaScript, binary: id "order%207%20%C3%A9", flag "True"
Python to JavaScript, structured: id "order 7 é", flag true
JavaScript to Python, binary: id "100% done"
JavaScript to Python, structured: id "100%25 done"
END
