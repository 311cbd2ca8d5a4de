#!/usr/bin/env bash
# What a CloudEvents SDK makes of one JSON body depends on how the media type is written, though letter case and blanks mean
# nothing in it: an object or a text. The one for JavaScript reads JSON with "; charset=utf-8" but not with ";charset=utf-8",
# nor with "+json"; neither of the two reads it with a capital letter. A batch is an AttributeError in Python.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts cloudevents@10.0.0
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
cat > requests.json <<'JSON'
[["application/json", "{\"a\":1}"],
 ["application/json; charset=utf-8", "{\"a\":1}"],
 ["application/json;charset=utf-8", "{\"a\":1}"],
 ["application/JSON; charset=UTF-8", "{\"a\":1}"],
 ["application/vnd.example+json", "{\"a\":1}"],
 ["application/cloudevents+json", "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"specversion\":\"1.0\",\"data\":{\"a\":1}}"],
 ["Application/CloudEvents+JSON", "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"specversion\":\"1.0\",\"data\":{\"a\":1}}"],
 ["application/cloudevents-batch+json", "[{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"specversion\":\"1.0\",\"data\":{\"a\":1}}]"]]
JSON
cat > js.mjs <<'JS'
import { HTTP } from 'cloudevents';
import { readFileSync } from 'node:fs';
for (const [type, body] of JSON.parse(readFileSync('requests.json'))) {
  const attributes = /cloudevents/i.test(type) ? {} : { 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't', 'ce-specversion': '1.0' };
  let result;
  try {
    const event = HTTP.toEvent({ headers: { ...attributes, 'content-type': type }, body });
    result = typeof (Array.isArray(event) ? event[0] : event).data === 'object' ? 'object' : 'text';
  } catch (error) {
    result = error.message;
  }
  console.log(`JavaScript, ${type}: ${result}`);
}
JS
cat > py.py <<'PY'
import json
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
for kind, body in json.load(open("requests.json")):
    attributes = {} if "cloudevents" in kind.lower() else {"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "1.0"}
    try:
        data = from_http_event(HTTPMessage({**attributes, "content-type": kind}, body.encode())).get_data()
        result = "object" if isinstance(data, dict) else "text"
    except Exception as error:
        result = type(error).__name__
    print(f"Python, {kind}: {result}")
PY
echo "cloudevents 10.0.0 (npm), cloudevents 2.2.0 (PyPI)"
{ node js.mjs; py/bin/python py.py; } | tee seen
diff - seen <<'END'
JavaScript, application/json: object
JavaScript, application/json; charset=utf-8: object
JavaScript, application/json;charset=utf-8: text
JavaScript, application/JSON; charset=UTF-8: text
JavaScript, application/vnd.example+json: text
JavaScript, application/cloudevents+json: object
JavaScript, Application/CloudEvents+JSON: no cloud event detected
JavaScript, application/cloudevents-batch+json: object
Python, application/json: object
Python, application/json; charset=utf-8: object
Python, application/json;charset=utf-8: object
Python, application/JSON; charset=UTF-8: text
Python, application/vnd.example+json: object
Python, application/cloudevents+json: object
Python, Application/CloudEvents+JSON: object
Python, application/cloudevents-batch+json: AttributeError
END
