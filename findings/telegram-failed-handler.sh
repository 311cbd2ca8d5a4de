#!/usr/bin/env bash
# Frameworks for Telegram's webhooks, and a handler that throws: telegraf, aiogram and python-telegram-bot answer 200, so
# that Telegram does not send the update again. aiogram answers before the handler has ended, unless it is told otherwise;
# then it answers 500.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts telegraf@4.16.3
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check aiogram==3.31.0 'python-telegram-bot[webhooks]==22.8'
cat > update.json <<'JSON'
{"update_id":1,"message":{"message_id":1,"date":1,"chat":{"id":1,"type":"private","first_name":"A"},"from":{"id":1,"is_bot":false,"first_name":"A"},"text":"hello"}}
JSON
cat > probe.cjs <<'JS'
const fs = require('node:fs');
const http = require('node:http');
const { Telegraf } = require('telegraf');
const bot = new Telegraf('1:token');
bot.botInfo = { id: 1, is_bot: true, first_name: 'B', username: 'b_bot' };
bot.on('message', async () => { throw new Error('no connection to the database'); });
const handle = bot.webhookCallback('/');
const server = http.createServer((request, response) => { handle(request, response).catch(() => {}); });
server.listen(0, '127.0.0.1', async () => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { method: 'POST', body: fs.readFileSync('update.json') });
  console.log(`telegraf: ${answer.status}`);
  process.exit(0);
});
JS
cat > probe.py <<'PY'
import asyncio, json, logging, socket
from aiogram import Bot, Dispatcher
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import ClientSession, web
from telegram.ext import Application, MessageHandler, filters
from telegram.request import BaseRequest
logging.disable(logging.CRITICAL)
UPDATE = json.load(open("update.json"))
async def fail(*_):
    raise RuntimeError("no connection to the database")
async def ask(name, url):
    async with ClientSession() as client, client.post(url, json=UPDATE) as answer:
        print(f"{name}: {answer.status}")
async def with_aiogram(name, **options):
    dispatcher = Dispatcher()
    dispatcher.message()(fail)
    app = web.Application()
    SimpleRequestHandler(dispatcher=dispatcher, bot=Bot("1:token"), **options).register(app, path="/")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await ask(name, f"http://127.0.0.1:{runner.addresses[0][1]}/")
    await runner.cleanup()
class Telegram(BaseRequest):
    """Stands for Telegram's own server, which the library asks for its name."""
    read_timeout = 5
    async def initialize(self): pass
    async def shutdown(self): pass
    async def do_request(self, url, *_, **__):
        bot = {"id": 1, "is_bot": True, "first_name": "B", "username": "b_bot"}
        return 200, json.dumps({"ok": True, "result": bot if url.endswith("/getMe") else True}).encode()
async def with_python_telegram_bot():
    app = Application.builder().token("1:token").request(Telegram()).get_updates_request(Telegram()).build()
    app.add_handler(MessageHandler(filters.ALL, fail))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with app:
        await app.start()
        await app.updater.start_webhook(listen="127.0.0.1", port=port, url_path="hook", webhook_url="https://hooks.example.com/hook")
        await ask("python-telegram-bot", f"http://127.0.0.1:{port}/hook")
        await app.updater.stop()
        await app.stop()
async def main():
    await with_aiogram("aiogram")
    await with_aiogram("aiogram, handle_in_background=False", handle_in_background=False)
    await with_python_telegram_bot()
asyncio.run(main())
PY
echo "telegraf 4.16.3 (npm), aiogram 3.31.0, python-telegram-bot 22.8 (PyPI)"
{ node probe.cjs 2>log; py/bin/python probe.py; } | tee seen
diff - seen <<'END'
telegraf: 200
aiogram: 200
aiogram, handle_in_background=False: 500
python-telegram-bot: 200
END
