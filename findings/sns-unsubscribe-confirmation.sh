#!/usr/bin/env bash
# Amazon SNS over HTTP, messages that are signed as its manual says: sns-validator (npm) refuses every
# UnsubscribeConfirmation, whose Token it leaves out of the signed text; aws-sns-message-validator (PyPI) accepts that one,
# and refuses signature version 2 and topics in China.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts sns-validator@0.3.5
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check aws-sns-message-validator==0.0.5
# The sender's certificate; both libraries are given this file in place of what they would download.
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 1 -subj /CN=sns.amazonaws.com 2>/dev/null
cat > sender.py <<'PY'
import base64, json, subprocess
HOST = "https://sns.eu-west-1.amazonaws.com/"
def message(kind, version="1", host=HOST, **members):
    members |= {"Type": kind, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:orders", "Timestamp": "2026-01-02T12:00:00.123Z"}
    text = "".join(f"{name}\n{members[name]}\n" for name in sorted(members) if name != "UnsubscribeURL")
    signed = subprocess.run(["openssl", "dgst", "-sha1" if version == "1" else "-sha256", "-sign", "key.pem"], input=text.encode(), capture_output=True, check=True)
    return members | {"SignatureVersion": version, "Signature": base64.b64encode(signed.stdout).decode(), "SigningCertURL": host + "SimpleNotificationService.pem"}
notice = {"Message": '{"id":1}', "UnsubscribeURL": HOST + "?Action=Unsubscribe"}
question = {"Message": "Please confirm.", "Token": "2336412f37", "SubscribeURL": HOST + "?Action=ConfirmSubscription&Token=2336412f37"}
json.dump({
    "Notification": message("Notification", **notice),
    "Notification with a subject": message("Notification", Subject="paid", **notice),
    "Notification, version 2": message("Notification", "2", **notice),
    "Notification from China": message("Notification", host="https://sns.cn-north-1.amazonaws.com.cn/", **notice),
    "SubscriptionConfirmation": message("SubscriptionConfirmation", **question),
    "UnsubscribeConfirmation": message("UnsubscribeConfirmation", **question),
}, open("messages.json", "w"))
PY
cat > probe.cjs <<'JS'
const fs = require('node:fs');
const https = require('node:https');
const { Readable } = require('node:stream');
https.get = (_, done) => {
  done(Object.assign(Readable.from([fs.readFileSync('certificate.pem')]), { statusCode: 200 }));
  return { on() {} };
};
const Validator = require('sns-validator');
for (const [name, message] of Object.entries(JSON.parse(fs.readFileSync('messages.json')))) {
  new Validator().validate(message, (error) => console.log(`sns-validator, ${name}: ${error ? error.message : 'valid'}`));
}
JS
cat > probe.py <<'PY'
import json, types
from sns_message_validator import SNSMessageValidator
validator = SNSMessageValidator()
validator._cert_session.get = lambda url: types.SimpleNamespace(content=open("certificate.pem", "rb").read())
for name, message in json.load(open("messages.json")).items():
    try:
        validator.validate_message(message)
        verdict = "valid"
    except Exception as error:
        verdict = error
    print(f"aws-sns-message-validator, {name}: {verdict}")
PY
python3 sender.py
echo "sns-validator 0.3.5 (npm), aws-sns-message-validator 0.0.5 (PyPI)"
{ node probe.cjs; py/bin/python probe.py; } | tee seen
diff - seen <<'END'
sns-validator, Notification: valid
sns-validator, Notification with a subject: valid
sns-validator, Notification, version 2: valid
sns-validator, Notification from China: valid
sns-validator, SubscriptionConfirmation: valid
sns-validator, UnsubscribeConfirmation: The message signature is invalid.
aws-sns-message-validator, Notification: valid
aws-sns-message-validator, Notification with a subject: valid
aws-sns-message-validator, Notification, version 2: Invalid signature version. Unable to verify signature.
aws-sns-message-validator, Notification from China: Invalid certificate URL.
aws-sns-message-validator, SubscriptionConfirmation: valid
aws-sns-message-validator, UnsubscribeConfirmation: valid
END
