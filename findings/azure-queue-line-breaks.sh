#!/usr/bin/env bash
# A body that goes as text through Azure's queue client and its emulator loses its line feeds, and each carriage return
# comes back as the five characters "&#xD;". A signature over a body with line breaks fails behind such a queue; a body in
# base64 is unchanged.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts azurite@3.35.0 @azure/storage-queue@12.30.0
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
key=$(printf example | base64)
AZURITE_ACCOUNTS="example:$key" node node_modules/azurite/dist/src/queue/main.js --queueHost 127.0.0.1 --queuePort "$port" --silent --inMemoryPersistence --skipApiVersionCheck --disableTelemetry >log 2>&1 &
pid=$!
cat > probe.mjs <<'JS'
import { QueueServiceClient, StorageSharedKeyCredential } from '@azure/storage-queue';
const account = new StorageSharedKeyCredential('example', process.argv[3]);
const queue = new QueueServiceClient(`http://127.0.0.1:${process.argv[2]}/example`, account).getQueueClient('deliveries');
await queue.create();
const bodies = ['{"a":"é <&> 😀"}', '{\n  "a": 1\n}', '{\r\n  "a": 1\r\n}', '{"a":1}\n', Buffer.from('{\r\n  "a": 1\r\n}').toString('base64')];
for (const body of bodies) {
  await queue.sendMessage(body);
  const [message] = (await queue.receiveMessages()).receivedMessageItems;
  await queue.deleteMessage(message.messageId, message.popReceipt);
  console.log(JSON.stringify(body), message.messageText === body ? 'unchanged' : `became ${JSON.stringify(message.messageText)}`);
}
JS
echo "azurite 3.35.0, @azure/storage-queue 12.30.0 (npm)"
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep 0.3; done
node probe.mjs "$port" "$key" | tee seen
diff - seen <<'END'
"{\"a\":\"é <&> 😀\"}" unchanged
"{\n  \"a\": 1\n}" became "{  \"a\": 1}"
"{\r\n  \"a\": 1\r\n}" became "{&#xD;  \"a\": 1&#xD;}"
"{\"a\":1}\n" became "{\"a\":1}"
"ew0KICAiYSI6IDENCn0=" unchanged
END
