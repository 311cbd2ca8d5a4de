#!/usr/bin/env bash
# django-webhook repeats a delivery up to five times if the receiver answers with an error. If there is no answer, since
# the connection is refused, its own handling of the failure raises an AttributeError: the delivery is never repeated, and
# its event stays PENDING.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check celery==5.7.0 Django==4.2.30 django-webhook==0.0.15 requests==2.34.2
cat > probe.py <<'PY'
import http.server, logging, socket, threading
import celery, django
from django.conf import settings
logging.disable(logging.CRITICAL)
settings.configure(
    SECRET_KEY="-", USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django_webhook"],
    DJANGO_WEBHOOK={"STORE_EVENTS": True, "MODELS": []},
)
django.setup()
# Tasks run in this process, and their repetitions at once.
celery.Celery().conf.task_always_eager = True
from django.core.management import call_command
from django_webhook.models import Webhook, WebhookEvent
from django_webhook.tasks import fire_webhook
call_command("migrate", verbosity=0)
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
closed = socket.socket()
closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
for name, port in (("a receiver that answers 503", server.server_port), ("a receiver that is down", closed.getsockname()[1])):
    webhook = Webhook.objects.create(url=f"http://127.0.0.1:{port}/", active=True)
    result = fire_webhook.apply(args=(webhook.pk, '{"id":1}'))
    events = WebhookEvent.objects.filter(webhook=webhook)
    print(f"{name}: attempts {events.count()}, the task ends with {type(result.result).__name__}, the last event is {events.last().status}")
PY
echo "django-webhook 0.0.15 (PyPI)"
py/bin/python probe.py | tee seen
diff - seen <<'END'
a receiver that answers 503: attempts 6, the task ends with HTTPError, the last event is FAILURE
a receiver that is down: attempts 1, the task ends with AttributeError, the last event is PENDING
END
