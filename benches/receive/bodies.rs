//! What is sent: an invoice event of a given size, signed as one of three senders signs.

use std::{
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, header};
use http_body::{Body, Frame, SizeHint};
use sha2::Sha256;

/// The secret of all senders. Standard Webhooks takes what follows `whsec_` as base64, the others take the text.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const NOW: u64 = 1_753_900_000;

/// How the sender signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    GitHub,
    StandardWebhooks,
    Stripe,
}

impl Sender {
    pub(crate) const ALL: [Self; 3] = [Self::Stripe, Self::GitHub, Self::StandardWebhooks];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::StandardWebhooks => "Standard Webhooks",
            Self::Stripe => "Stripe",
        }
    }

    /// The key of the HMAC.
    pub(crate) fn key(self) -> Vec<u8> {
        match self {
            Self::StandardWebhooks => BASE64.decode(&SECRET.as_bytes()[6..]).expect("the secret is base64"),
            Self::GitHub | Self::Stripe => SECRET.as_bytes().to_vec(),
        }
    }

    /// The headers of its own, with a signature made at a time.
    fn headers(self, body: &[u8], at: u64) -> Vec<(HeaderName, String)> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key()).expect("HMAC takes a key of any length");
        let mut sign = |before: &str| {
            mac.update(before.as_bytes());
            mac.update(body);
            mac.clone().finalize().into_bytes()
        };
        let header = HeaderName::from_static;
        match self {
            Self::GitHub => vec![
                (header("x-github-delivery"), ID.to_owned()),
                (header("x-github-event"), TYPE.to_owned()),
                (header("x-hub-signature-256"), format!("sha256={}", HEXLOWER.encode(&sign("")))),
            ],
            Self::StandardWebhooks => vec![
                (header("webhook-id"), ID.to_owned()),
                (header("webhook-timestamp"), at.to_string()),
                (header("webhook-signature"), format!("v1,{}", BASE64.encode(&sign(&format!("{ID}.{at}."))))),
            ],
            Self::Stripe => {
                let signature = HEXLOWER.encode(&sign(&format!("{at}.")));
                vec![(header("stripe-signature"), format!("t={at},v1={signature}"))]
            }
        }
    }
}

/// Which body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As Stripe sends it: an object of twenty fields, and lines of nine.
    Rich,
    /// What most events look like: few fields, and lines of three.
    Small,
}

const ID: &str = "evt_1RqX2kLkdIwHu7ix";
const TYPE: &str = "invoice.paid";

/// What an HTTP server reads at once from a busy connection.
const FRAME: usize = 16 * 1024;

/// A prepared delivery, which can be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) body: Bytes,
    /// The values of the headers, one after the other, and where each is.
    pub(crate) head: Vec<u8>,
    pub(crate) headers: Vec<(HeaderName, Range<usize>)>,
    sender: Sender,
}

impl Delivery {
    /// An event of exactly `size` bytes, signed now.
    pub(crate) fn new(shape: Shape, sender: Sender, size: usize) -> Self {
        let body = Bytes::from(event(shape, size));
        Self { body, head: Vec::new(), headers: Vec::new(), sender }.signed(NOW)
    }

    /// The headers that the sender sends, with a signature made at a time.
    fn signed(mut self, at: u64) -> Self {
        (self.head, self.headers) = (Vec::new(), Vec::new());
        let common = [
            (header::ACCEPT, "*/*; q=0.5, application/xml".to_owned()),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::CONTENT_LENGTH, self.body.len().to_string()),
            (header::CONTENT_TYPE, "application/json; charset=utf-8".to_owned()),
            (header::HOST, "hooks.example.com".to_owned()),
            (header::USER_AGENT, "Hooks/1.0 (+https://example.com/docs/webhooks)".to_owned()),
        ];
        for (name, value) in common.into_iter().chain(self.sender.headers(&self.body, at)) {
            let start = self.head.len();
            self.head.extend_from_slice(value.as_bytes());
            self.headers.push((name, start..self.head.len()));
        }
        self
    }

    /// The same, signed an hour ago.
    pub(crate) fn stale(self) -> Self {
        self.signed(NOW - 3600)
    }

    /// The same without a signature.
    pub(crate) fn unsigned(mut self) -> Self {
        self.headers.retain(|(name, _)| !name.as_str().contains("signature"));
        self
    }

    /// The body as a server hands it over: a small one in one frame, a large one in many.
    pub(crate) fn frames(&self) -> Frames {
        Frames { rest: self.body.clone(), gate: None }
    }

    /// The same, except that the last frame does not come before the gate is opened.
    pub(crate) fn gated(&self, gate: &Arc<AtomicBool>) -> Frames {
        Frames { rest: self.body.clone(), gate: Some(Arc::clone(gate)) }
    }
}

/// A body in frames, of known length as with `Content-Length`.
#[derive(Debug)]
pub(crate) struct Frames {
    rest: Bytes,
    gate: Option<Arc<AtomicBool>>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let is_last = self.rest.len() <= FRAME;
        if is_last && self.gate.as_ref().is_some_and(|gate| !gate.load(Ordering::Relaxed)) {
            return Poll::Pending;
        }
        let length = FRAME.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len().try_into().expect("a length fits into 64 bits"))
    }
}

/// An `invoice.paid` of `size` bytes: as many lines as fit, and a description that fills up the rest.
fn event(shape: Shape, size: usize) -> String {
    let bare = event_of(shape, 0, 0).len();
    let lines = (size - bare) / (line(shape, 0).len() + 1);
    let filling = size - event_of(shape, lines, 0).len();
    let event = event_of(shape, lines, filling);
    assert_eq!(event.len(), size);
    event
}

fn event_of(shape: Shape, lines: usize, filling: usize) -> String {
    let lines: Vec<_> = (0..lines).map(|index| line(shape, index)).collect();
    let lines = lines.join(",");
    let filling = "x".repeat(filling);
    if shape == Shape::Small {
        return format!(
            r#"{{"id":"{ID}","type":"{TYPE}","created":1753899990,"livemode":false,"data":{{"object":{{"id":"in_1RqX2kLkdIwHu7ix","amount":1999,"currency":"usd","status":"{filling}paid","lines":[{lines}]}}}}}}"#
        );
    }
    format!(
        r#"{{"id":"{ID}","object":"event","api_version":"2025-06-30.basil","created":1753899990,"data":{{"object":{{"id":"in_1RqX2kLkdIwHu7ix","object":"invoice","amount_due":1999,"amount_paid":1999,"attempt_count":1,"attempted":true,"auto_advance":false,"billing_reason":"subscription_cycle","created":1753899980,"currency":"usd","customer":"cus_SmAbCdEfGhIjKl","customer_email":"zoe@example.com","customer_name":"Zo\u00eb Ng","description":"{filling}","lines":{{"data":[{lines}],"has_more":false}},"metadata":{{"order":"6735"}},"number":"A1B2-0042","paid":true,"status":"paid","total":1999}}}},"livemode":false,"type":"{TYPE}"}}"#
    )
}

/// One line of an invoice. All are equally long.
fn line(shape: Shape, index: usize) -> String {
    let number = 10_000 + index % 90_000;
    if shape == Shape::Small {
        return format!(
            r#"{{"id":"il_1RqX2kLkdIwH{number}","description":"1 x Pro plan, from 2025-07-30 to 2025-08-30, paid by the month, without a discount, all taxes included","amount":{number}}}"#
        );
    }
    format!(
        r#"{{"id":"il_1RqX2kLkdIwH{number}","object":"line_item","amount":{number},"currency":"usd","description":"1 x Pro plan","discountable":true,"metadata":{{}},"period":{{"end":1756578380,"start":1753899980}},"price":{{"id":"price_1RqX{number}","product":"prod_Sm{number}","unit_amount":{number}}},"quantity":1}}"#
    )
}
