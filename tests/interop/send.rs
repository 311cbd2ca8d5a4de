//! What we sign verifies with the official libraries: npm `standardwebhooks` and `svix`, PyPI `standardwebhooks`. None
//! of them knows `v1a`; that verifies with Node's own Ed25519.
//!
//! Their receivers are in `tests/interop/`, with pinned versions. `tests/run.sh` installs the libraries.

use std::{path::PathBuf, process::Stdio, time::Duration};

use bytes::Bytes;
use key_pairs::PAIRS;
use receiver::{loopback_client, loopback_policy};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tower_webhooks::{
    Secret, Secrets,
    clock::{Clock, SystemClock},
    send::{AttemptRequest, Message, Signer, Style, Target, Transport, deliver},
};

use crate::support::{key_pairs, receiver};

const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A receiver in another language, which knows one secret. It ends with this value.
struct Verifier {
    port: u16,
    _process: Child,
}

impl Verifier {
    async fn start(program: &str, script: &str, secret: &str) -> Self {
        let folder = libraries();
        let mut process = Command::new(program)
            .arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script))
            .args([folder.as_os_str(), secret.as_ref()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|cause| {
                panic!(
                    "`{program}` cannot be started ({cause}); install it with: \
                     apt-get install -y --no-install-recommends nodejs npm python3 python3-pip"
                )
            });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        let port = line.ok().and_then(|line| line.ok()??.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the receiver in {script} did not start; see its errors above"));
        Self { port, _process: process }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

/// Where `tests/run.sh` has put the libraries.
fn libraries() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interop");
    let whole = folder.join("node_modules/svix").exists() && folder.join("python/standardwebhooks").exists();
    assert!(whole, "the official libraries are not installed; run: tests/run.sh --interop");
    folder
}

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

async fn status(signer: &Signer, url: &str, change: impl FnOnce(&mut AttemptParts)) -> u16 {
    let message = message();
    let now = SystemClock.now();
    let mut parts = AttemptParts { body: message.body(signer.style(), now), now };
    let signed = parts.body.clone();
    change(&mut parts);
    let headers = signer.headers(&message, parts.now, &signed);
    let request = AttemptRequest::new(loopback_policy().endpoint(url).unwrap(), headers, parts.body);
    let result = loopback_client(Duration::from_secs(10)).send(request).await;
    result.status().unwrap_or_else(|| panic!("{result:?}")).as_u16()
}

struct AttemptParts {
    body: Bytes,
    now: std::time::SystemTime,
}

fn message() -> Message {
    Message::new("order.completed", &json!({ "text": "größer", "big": 12345678901234567890_u64 })).unwrap()
}

#[tokio::test]
async fn the_official_libraries_accept_what_we_sign_and_refuse_what_is_changed() {
    let (shared, [[new, public], [old, _], _]) = (Style::StandardWebhooks, PAIRS);
    let verifiers = [
        ("node", "receiver.cjs", "standardwebhooks", shared, [NEW, OLD], NEW),
        ("node", "receiver.cjs", "svix", shared, [NEW, OLD], NEW),
        ("node", "receiver.cjs", "v1a", Style::StandardWebhooksV1a, [new, old], public),
        ("python3", "receiver.py", "", shared, [NEW, OLD], NEW),
    ];
    for (program, script, path, style, [new, old], held) in verifiers {
        let verifier = Verifier::start(program, script, held).await;
        let url = verifier.url(path);
        let signer = Signer::in_style(style, secret(new)).unwrap();

        let target = Target::new(loopback_policy().endpoint(&url).unwrap(), signer.clone());
        let delivered = deliver(&loopback_client(Duration::from_secs(10)), &target, &message()).await;
        assert!(delivered.is_ok(), "{program} {path}: {delivered:?}");

        // During a rotation, a receiver with either secret can verify.
        for secrets in [[new, old], [old, new]] {
            let rotating = Signer::in_style(style, Secrets::from(secrets.map(secret))).unwrap();
            assert_eq!(status(&rotating, &url, |_| {}).await, 204, "{program} {path}");
        }

        let other = Signer::in_style(style, secret(old)).unwrap();
        assert_eq!(status(&other, &url, |_| {}).await, 400, "{program} {path}: another key");
        let changed = status(&signer, &url, |parts| {
            parts.body = String::from_utf8_lossy(&parts.body).replace("12345", "12346").into();
        });
        assert_eq!(changed.await, 400, "{program} {path}: another body");
        let late = status(&signer, &url, |parts| parts.now -= Duration::from_secs(600));
        assert_eq!(late.await, 400, "{program} {path}: an old timestamp");
    }
}
