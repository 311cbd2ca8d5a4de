#!/usr/bin/env bash
# A worker that has deleted its JetStream consumer, or whose consumer an operator has deleted, acknowledges a message and waits
# for the server's confirmation ("double ack"). Nobody listens any more, so the server answers with the status 503 (no responders).
# async-nats takes that answer for the confirmation: `double_ack` succeeds, and the message is still in the work queue and is given
# out again. nats-py raises an error.
set -euo pipefail
dir=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root nats-server=2.9.10-1+b3 >/dev/null
dpkg-deb -x nats-server_*.deb root
python3 -m venv py
py/bin/pip install --quiet --disable-pip-version-check nats-py==2.16.0
mkdir -p rust/src
cat > rust/Cargo.toml <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2024"
[dependencies]
async-nats = { version = "=0.51.0", default-features = false, features = ["jetstream", "ring"] }
futures-util = { version = "0.3", default-features = false }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat > rust/src/main.rs <<'RUST'
use async_nats::jetstream::{self, consumer::pull::Config};
use futures_util::StreamExt;
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = async_nats::connect(std::env::args().nth(1).ok_or("no url")?).await?;
    let context = jetstream::new(client);
    let mut stream = context.get_stream("events").await?;
    let config = Config { durable_name: Some("rust".into()), ..Default::default() };
    let consumer = stream.create_consumer(config).await?;
    let message = consumer.fetch().max_messages(1).messages().await?.next().await.ok_or("no message")??;
    stream.delete_consumer("rust").await?;
    let acked = message.double_ack().await;
    println!("async-nats: {}", if acked.is_ok() { "confirmed" } else { "error" });
    println!("async-nats: {} message in the queue", stream.info().await?.state.messages);
    Ok(())
}
RUST
cat > probe.py <<'PY'
import asyncio, sys
import nats
async def main():
    client = await nats.connect(sys.argv[1])
    context = client.jetstream()
    if sys.argv[2] == "before":
        await context.add_stream(name="events", subjects=["events"], retention="workqueue")
        await context.publish("events", b'{"id":1}')
    else:
        worker = await context.pull_subscribe("events", durable="python")
        [message] = await worker.fetch(1)
        await context.delete_consumer("events", "python")
        try:
            await message.ack_sync()
            print("nats-py: confirmed")
        except Exception as error:
            print("nats-py:", type(error).__name__)
        print("nats-py:", (await context.stream_info("events")).state.messages, "message in the queue")
    await client.close()
asyncio.run(main())
PY
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/sbin/nats-server -js -sd "$dir/data" -a 127.0.0.1 -p "$port" 2>log &
pid=$!
until grep -q 'Server is ready' log; do sleep 0.1; done
{ root/usr/sbin/nats-server --version; echo "async-nats 0.51.0 (crates.io), nats-py 2.16.0 (PyPI)"; }
py/bin/python probe.py "nats://127.0.0.1:$port" before
cargo run --quiet --manifest-path rust/Cargo.toml -- "nats://127.0.0.1:$port" > seen
py/bin/python probe.py "nats://127.0.0.1:$port" after >> seen
cat seen
diff - seen <<'END'
async-nats: confirmed
async-nats: 1 message in the queue
nats-py: NoRespondersError
nats-py: 1 message in the queue
END
