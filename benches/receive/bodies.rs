//! The bodies: an invoice event of a given size, as Stripe sends it, and the types into which it is parsed.

use std::{
    collections::HashMap,
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, header};
use http_body::{Body, Frame, SizeHint};
use serde::Deserialize;
use sha2::Sha256;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
pub(crate) const NOW: u64 = 1_753_900_000;

/// What an HTTP server reads at once from a busy connection.
const FRAME: usize = 16 * 1024;

/// A prepared delivery, which can be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) body: Bytes,
    /// The values of the headers, one after the other, and where each is.
    pub(crate) head: Vec<u8>,
    pub(crate) headers: Vec<(HeaderName, Range<usize>)>,
}

impl Delivery {
    /// An event of exactly `size` bytes, signed now.
    pub(crate) fn new(size: usize) -> Self {
        let body = Bytes::from(event(size));
        Self { body, head: Vec::new(), headers: Vec::new() }.signed(NOW)
    }

    /// The headers that Stripe sends, with a signature made at a time.
    fn signed(mut self, at: u64) -> Self {
        (self.head, self.headers) = (Vec::new(), Vec::new());
        let length = self.body.len().to_string();
        let signature = sign(&self.body, at);
        for (name, value) in [
            (header::ACCEPT, "*/*; q=0.5, application/xml"),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_LENGTH, &length),
            (header::CONTENT_TYPE, "application/json; charset=utf-8"),
            (header::HOST, "hooks.example.com"),
            (header::USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
            (SIGNATURE, &signature),
        ] {
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
        self.headers.retain(|(name, _)| *name != SIGNATURE);
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

fn sign(body: &[u8], at: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(at.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={at},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
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
fn event(size: usize) -> String {
    let bare = event_of(0, 0).len();
    let line = line(0).len() + 1;
    let lines = (size - bare) / line;
    let filling = size - event_of(lines, 0).len();
    let event = event_of(lines, filling);
    assert_eq!(event.len(), size);
    event
}

fn event_of(lines: usize, filling: usize) -> String {
    let lines: Vec<_> = (0..lines).map(line).collect();
    let lines = lines.join(",");
    let filling = "x".repeat(filling);
    format!(
        r#"{{"id":"evt_1RqX2kLkdIwHu7ix","object":"event","api_version":"2025-06-30.basil","created":1753899990,"data":{{"object":{{"id":"in_1RqX2kLkdIwHu7ix","object":"invoice","amount_due":1999,"amount_paid":1999,"attempt_count":1,"attempted":true,"auto_advance":false,"billing_reason":"subscription_cycle","created":1753899980,"currency":"usd","customer":"cus_SmAbCdEfGhIjKl","customer_email":"zoe@example.com","customer_name":"Zo\u00eb Ng","description":"{filling}","lines":{{"data":[{lines}],"has_more":false}},"metadata":{{"order":"6735"}},"number":"A1B2-0042","paid":true,"status":"paid","total":1999}}}},"livemode":false,"type":"invoice.paid"}}"#
    )
}

/// One line of an invoice. All are equally long.
fn line(index: usize) -> String {
    let number = 10_000 + index % 90_000;
    format!(
        r#"{{"id":"il_1RqX2kLkdIwH{number}","object":"line_item","amount":{number},"currency":"usd","description":"1 x Pro plan","discountable":true,"metadata":{{}},"period":{{"end":1756578380,"start":1753899980}},"price":{{"id":"price_1RqX{number}","product":"prod_Sm{number}","unit_amount":{number}}},"quantity":1}}"#
    )
}

/// The whole body, as an application reads it.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) api_version: Option<String>,
    pub(crate) created: u64,
    pub(crate) data: Data,
    pub(crate) livemode: bool,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct Data {
    pub(crate) object: Invoice,
}

/// The payload: fifteen fields, lines among them.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct Invoice {
    id: String,
    amount_due: i64,
    amount_paid: i64,
    attempt_count: u32,
    attempted: bool,
    created: u64,
    currency: String,
    customer: String,
    customer_email: Option<String>,
    description: Option<String>,
    lines: Lines,
    metadata: HashMap<String, String>,
    number: Option<String>,
    status: String,
    total: i64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Lines {
    data: Vec<Line>,
    has_more: bool,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Line {
    id: String,
    amount: i64,
    currency: String,
    description: Option<String>,
    metadata: HashMap<String, String>,
    period: Period,
    price: Price,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Period {
    end: u64,
    start: u64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Price {
    id: String,
    product: String,
    unit_amount: Option<i64>,
}

/// The same with everything borrowed that can be.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct BorrowedEvent<'a> {
    id: &'a str,
    api_version: Option<&'a str>,
    created: u64,
    #[serde(borrow)]
    data: BorrowedData<'a>,
    livemode: bool,
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct BorrowedData<'a> {
    #[serde(borrow)]
    object: BorrowedInvoice<'a>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct BorrowedInvoice<'a> {
    id: &'a str,
    amount_due: i64,
    amount_paid: i64,
    attempt_count: u32,
    attempted: bool,
    created: u64,
    currency: &'a str,
    customer: &'a str,
    customer_email: Option<&'a str>,
    description: Option<&'a str>,
    #[serde(borrow)]
    lines: BorrowedLines<'a>,
    #[serde(borrow)]
    metadata: HashMap<&'a str, &'a str>,
    number: Option<&'a str>,
    status: &'a str,
    total: i64,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct BorrowedLines<'a> {
    #[serde(borrow)]
    data: Vec<BorrowedLine<'a>>,
    has_more: bool,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct BorrowedLine<'a> {
    id: &'a str,
    amount: i64,
    currency: &'a str,
    description: Option<&'a str>,
    #[serde(borrow)]
    metadata: HashMap<&'a str, &'a str>,
    period: Period,
    #[serde(borrow)]
    price: BorrowedPrice<'a>,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct BorrowedPrice<'a> {
    id: &'a str,
    product: &'a str,
    unit_amount: Option<i64>,
}

/// The whole body, for an application that does not read the lines, which are most of it.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct ShortEvent {
    id: String,
    created: u64,
    data: ShortData,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct ShortData {
    object: ShortInvoice,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct ShortInvoice {
    id: String,
    amount_paid: i64,
    currency: String,
    customer: String,
    metadata: HashMap<String, String>,
    status: String,
}
