//! The types that events are read into.

use std::collections::HashMap;

use serde::Deserialize;

/// The whole rich body, as an application reads it.
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

/// The whole body again, for an application that does not look at the lines, which are nearly all of it.
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

/// The whole small body: five fields, and an object of four with a list.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct SmallEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    created: u64,
    livemode: bool,
    data: SmallData,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct SmallData {
    object: SmallInvoice,
}

/// The small payload.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct SmallInvoice {
    id: String,
    amount: i64,
    currency: String,
    status: String,
    lines: Vec<SmallLine>,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct SmallLine {
    id: String,
    description: String,
    amount: i64,
}

/// The payload of the README's example, which reads two fields of twenty.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct ReadmeInvoice {
    id: String,
    amount_paid: u64,
}

/// What an application without this crate writes around it.
#[derive(Debug, Deserialize)]
#[allow(dead_code)]
pub(crate) struct ReadmeEvent {
    data: ReadmeData,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct ReadmeData {
    object: ReadmeInvoice,
}
