#!/usr/bin/env bash
# The Python libraries of Standard Webhooks and Svix sign the wall clock of the datetime that they are given as if it were
# UTC: with 14:00+02:00 they sign 14:00Z. The signature then does not fit the timestamp of that moment, and every receiver
# refuses the delivery.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check standardwebhooks==1.1.0 svix==2.9.1
cat > probe.py <<'PY'
import base64, datetime, hashlib, hmac
import standardwebhooks, svix
KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
moment = datetime.datetime(2026, 1, 2, 12, 0, tzinfo=datetime.timezone.utc)
def signed(second):
    return "v1," + base64.b64encode(hmac.new(KEY, f"msg_1.{second}.{{}}".encode(), hashlib.sha256).digest()).decode()
for library in (standardwebhooks, svix):
    for hours in (0, 2, -5):
        same = moment.astimezone(datetime.timezone(datetime.timedelta(hours=hours)))
        signature = library.Webhook(SECRET).sign("msg_1", same, "{}")
        second = int(same.timestamp())
        off = next(h for h in range(-24, 25) if signature == signed(second + 3600 * h))
        print(f"{library.__name__}: {same.isoformat()} signed as {datetime.datetime.fromtimestamp(second + 3600 * off, datetime.timezone.utc).isoformat()}")
PY
echo "standardwebhooks 1.1.0, svix 2.9.1 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
standardwebhooks: 2026-01-02T12:00:00+00:00 signed as 2026-01-02T12:00:00+00:00
standardwebhooks: 2026-01-02T14:00:00+02:00 signed as 2026-01-02T14:00:00+00:00
standardwebhooks: 2026-01-02T07:00:00-05:00 signed as 2026-01-02T07:00:00+00:00
svix: 2026-01-02T12:00:00+00:00 signed as 2026-01-02T12:00:00+00:00
svix: 2026-01-02T14:00:00+02:00 signed as 2026-01-02T14:00:00+00:00
svix: 2026-01-02T07:00:00-05:00 signed as 2026-01-02T07:00:00+00:00
END
