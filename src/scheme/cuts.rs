//! Checks that a signed text can be split into its parts in only one way.
//!
//! A signature covers a text, not its parts: if two requests have different parts but the same text, one signature is
//! valid for both. So each part that a sender or an attacker can choose has a rule that says where it ends, or the
//! scheme does not build.
//!
//! 1. A text without `{body}` is read from its beginning. A text with it is read from both sides, and the rest is the
//!    body. The same holds for a text with another part that may contain anything, in the place of the body.
//! 2. A literal, the public base of a URL, and the secret of a plain hash (which an attacker cannot write into a part)
//!    end the parts next to them. Such a part must not contain them.
//! 3. A date has one form; if its zone may be missing, it is followed by a literal that cannot be a part of a date.
//!    Within a window, all fresh numbers have the same length, since the window would otherwise have to span a third of
//!    the time since 1970. So no fresh number begins or ends with another.
//! 4. Between `{url}` and `{body}` the first byte of the body, which is one with which JSON begins, says where the body
//!    begins.
//!
//! 5. A number without a window ends where the digits do, so that what follows must not begin with one.
//! 6. In the texts that senders sign, nothing separates the fields of a form. This is a weakness of these senders,
//!    which the docs of each mention.
//!
//! Each rule reads a byte a few times at most, and is applied before anything is hashed.

use std::{
    borrow::Cow,
    ops::RangeInclusive,
    time::{SystemTime, UNIX_EPOCH},
};

use http::Method;
use smallvec::SmallVec;

use super::{
    content::{Listed, Part, Rule},
    freshness::{Freshness, TimestampUnit},
    look::Look,
    template::Template,
};
use crate::error::{VerifyError, VerifyErrorKind};

/// Finds the rules of a template, or says between which parts none exists.
pub(crate) fn rules(
    content: &[Part],
    freshness: Option<&Freshness>,
    methods: &[Method],
    free: Option<usize>,
) -> Result<Vec<Rule>, &'static str> {
    let time = Time::new(freshness);
    let body =
        content.iter().position(|part| matches!(part, Part::Body | Part::Fields(_))).or(free).unwrap_or(content.len());
    let mut rules = Vec::new();
    for index in 0..body {
        let Some(next) = content.get(index + 1) else { break };
        rules.extend(before_body(content, index, next, time, methods)?);
    }
    for index in body + 1..content.len() {
        rules.extend(after_body(content, index, time, methods)?);
    }
    Ok(rules)
}

/// What is known of the timestamp of a scheme.
#[derive(Clone, Copy)]
struct Time {
    is_date: bool,
    /// A date begins in one way only, and so does a number of which only one length can be fresh.
    begins_by_itself: bool,
    /// It ends in one too, unless its zone may be missing.
    ends_by_itself: bool,
}

impl Time {
    fn new(freshness: Option<&Freshness>) -> Self {
        let unit = freshness.map(|freshness| freshness.unit);
        let is_date = unit.is_some_and(TimestampUnit::is_date);
        let is_fresh_number = freshness.is_some_and(|freshness| !is_date && freshness.tolerance.is_some());
        let begins_by_itself = is_date || is_fresh_number;
        let ends_by_itself = begins_by_itself && unit != Some(TimestampUnit::Rfc3339OrUtc);
        Self { is_date, begins_by_itself, ends_by_itself }
    }
}

/// The rule that says where a part before the body ends.
fn before_body(
    content: &[Part],
    index: usize,
    next: &Part,
    time: Time,
    methods: &[Method],
) -> Result<Option<Rule>, &'static str> {
    let part = &content[index];
    Ok(match part {
        Part::Listed(Listed::Hook0) if matches!(next, Part::Body) => Some(Rule::ListedBeforeBody(index)),
        part if part.has_own_ends() => None,
        Part::Method if is_code(methods, |method, other| method.starts_with(other)) => None,
        Part::Method => return Err(METHODS),
        Part::Timestamp if time.ends_by_itself || ends_timestamp(next, time.is_date) => None,
        Part::Timestamp if !time.is_date && matches!(next, Part::Header(_) | Part::Id | Part::Json(_)) => {
            Some(Rule::BeginsWithoutDigit(index + 1))
        }
        Part::Timestamp => return Err(TIMESTAMP),
        // What a sender or an attacker may write.
        part => match next {
            Part::Literal(end) => {
                let before_timestamp = matches!(content.get(index + 2), Some(Part::Timestamp));
                let has_digit = end.bytes().any(|byte| byte.is_ascii_digit());
                Some(if before_timestamp && time.ends_by_itself && !has_digit {
                    Rule::EndsBeforeTimestamp(index)
                } else {
                    Rule::Ends(index)
                })
            }
            Part::Secret => None,
            Part::Timestamp if time.ends_by_itself => Some(Rule::BeforeTimestamp(index)),
            Part::Timestamp => return Err(TIMESTAMP),
            Part::Url => Some(Rule::Ends(index)),
            Part::Fields(_) if matches!(part, Part::Url) => None,
            Part::Body if matches!(part, Part::Url) => Some(Rule::UrlBeforeBody(index)),
            _ => return Err(NEIGHBOURS),
        },
    })
}

/// The rule that says where a part behind the body begins: the text is read from its end there.
fn after_body(content: &[Part], index: usize, time: Time, methods: &[Method]) -> Result<Option<Rule>, &'static str> {
    let before = &content[index - 1];
    Ok(match &content[index] {
        part if part.has_own_ends() => None,
        Part::Method if is_code(methods, |method, other| method.ends_with(other)) => None,
        Part::Method => return Err(METHODS),
        Part::Timestamp if time.begins_by_itself || ends_without_digit(before) => None,
        Part::Timestamp => return Err(TIMESTAMP),
        Part::Url => Some(Rule::Begins(index)),
        _ => match before {
            Part::Literal(_) => Some(Rule::Begins(index)),
            Part::Secret => None,
            _ => return Err(NEIGHBOURS),
        },
    })
}

const NEIGHBOURS: &str = "two parts of the signed text follow each other without a separator, so it is unclear where one ends: an \
                          attacker could move the boundary, and the signature would stay valid; add the text that the \
                          sender has between them";
const METHODS: &str = "a method of deliveries is a part of another one, and `{method}` is signed next to another part";
const TIMESTAMP: &str =
    "it is unclear where `{timestamp}` ends: it has no window, and no literal next to it that is not a digit";

/// Whether no method is a part of another.
fn is_code(methods: &[Method], is_part: impl Fn(&str, &str) -> bool) -> bool {
    methods
        .iter()
        .all(|method| methods.iter().all(|other| method == other || !is_part(method.as_str(), other.as_str())))
}

/// Whether a literal cannot be the end of a number, or of a date whose zone may be missing.
fn ends_timestamp(part: &Part, is_date: bool) -> bool {
    let continues = |first: char| first.is_ascii_digit() || is_date && ".zZ+-".contains(first);
    matches!(part, Part::Literal(text) if !text.starts_with(continues))
}

fn ends_without_digit(part: &Part) -> bool {
    matches!(part, Part::Literal(text) if !text.ends_with(|last: char| last.is_ascii_digit()))
}

impl Look<'_> {
    /// Rejects a request whose signed text could be cut in another way, as far as it has arrived.
    pub(crate) fn check_cuts(&self, now: SystemTime) -> Result<(), VerifyError> {
        for rule in &self.template.rules {
            if self.breaks(*rule, now) {
                let (Rule::Begins(index)
                | Rule::BeginsWithoutDigit(index)
                | Rule::BeforeTimestamp(index)
                | Rule::Ends(index)
                | Rule::EndsBeforeTimestamp(index)
                | Rule::ListedBeforeBody(index)
                | Rule::UrlBeforeBody(index)) = *rule;
                let subject = self.template.content[index].subject();
                return Err(VerifyError::new(VerifyErrorKind::AmbiguousText).with_subject(subject));
            }
        }
        Ok(())
    }

    fn breaks(&self, rule: Rule, now: SystemTime) -> bool {
        let template = self.template;
        let content = &template.content;
        match rule {
            Rule::Begins(index) => {
                let Some(text) = self.known(&content[index]) else { return false };
                let start = match &content[index] {
                    Part::Url => template.settings.base(),
                    _ => fixed(template, content.get(index - 1)),
                };
                // Read from its end, the text would be found to begin at the last of them.
                begins_later(&text, start.as_bytes())
            }
            Rule::BeginsWithoutDigit(index) => {
                self.known(&content[index]).is_some_and(|text| text.first().is_some_and(u8::is_ascii_digit))
            }
            Rule::Ends(index) => {
                let Some(text) = self.known(&content[index]) else { return false };
                let end = fixed(template, content.get(index + 1)).as_bytes();
                occurrences(&text, end).next().is_some()
            }
            Rule::EndsBeforeTimestamp(index) => {
                let Some(text) = self.known(&content[index]) else { return false };
                let end = fixed(template, content.get(index + 1)).as_bytes();
                if occurrences(&text, end).next().is_none() {
                    return false;
                }
                let Some((timestamp, freshness)) = self.known(&Part::Timestamp).zip(template.freshness.as_ref()) else {
                    return false;
                };
                let then = fixed(template, content.get(index + 3)).as_bytes();
                let whole = joined([&text, end, &timestamp, then]);
                let range = freshness.range(now, template.tolerance());
                occurrences(&text, end)
                    .any(|at| begins_with_timestamp(&whole[at + end.len()..], freshness.unit, range.as_ref(), then))
            }
            Rule::BeforeTimestamp(index) => {
                let Some(text) = self.known(&content[index]) else { return false };
                let Some((timestamp, freshness)) = self.known(&Part::Timestamp).zip(template.freshness.as_ref()) else {
                    return false;
                };
                let then = fixed(template, content.get(index + 2)).as_bytes();
                let whole = joined([&text, &timestamp, then, b""]);
                match freshness.range(now, template.tolerance()).filter(|_| !freshness.unit.is_date()) {
                    Some(range) => number_begins(&whole, text.len(), &range, then),
                    // Any date will do: its form is so particular that no id holds one by accident.
                    None => (0..text.len()).any(|start| {
                        let length = freshness.unit.date_length(&whole[start..]);
                        length.is_some_and(|length| whole[start + length..].starts_with(then))
                    }),
                }
            }
            // Its values hold nothing that JSON begins with, so that the body is what begins with it. Without a list, the body could be list,
            // values and body of a signature over all three: such a list always names the id.
            Rule::ListedBeforeBody(_) => {
                let body = self.arrived.body.unwrap_or_default();
                if self.has_item("v1") {
                    return body.first().is_some_and(|first| !matches!(first, b'{' | b'['));
                }
                let list = body.split(|byte| *byte == b'.').next().unwrap_or_default();
                list.split(|byte| *byte == b' ').any(|name| name.eq_ignore_ascii_case(b"x-event-id"))
            }
            Rule::UrlBeforeBody(_) => {
                let begins_json = |byte: &u8| matches!(byte, b'{' | b'[' | b'"');
                // A URL has these only escaped (RFC 3986, section 3.3), and never white space.
                template.settings.target(self.arrived.head).as_bytes().iter().any(begins_json)
                    || self.arrived.body.is_some_and(|body| {
                        let first = body.first();
                        // A GET request has no JSON body.
                        let is_json = template.json_alone && *self.arrived.head.method() != Method::GET;
                        !is_json && first.is_some_and(|first| !begins_json(first) && !first.is_ascii_whitespace())
                    })
            }
        }
    }

    /// Returns the text of a part. For a URL it is the text after the base.
    fn known<'p>(&'p self, part: &'p Part) -> Option<Cow<'p, [u8]>> {
        match part {
            Part::Url => Some(match self.template.settings.target(self.arrived.head) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            part => self.text(part).ok(),
        }
    }
}

/// The text that a part begins with whatever the request holds.
fn fixed<'t>(template: &'t Template, part: Option<&'t Part>) -> &'t str {
    match part {
        Some(Part::Literal(text)) => text,
        Some(Part::Url) => template.settings.base(),
        _ => "",
    }
}

/// Ids are short, so this is mostly on the stack.
fn joined(pieces: [&[u8]; 4]) -> SmallVec<[u8; 128]> {
    let mut whole = SmallVec::new();
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole
}

/// Where `end` begins within `text`, when `text` is followed by `end`: an occurrence may reach into the one that follows.
fn occurrences<'t>(text: &'t [u8], end: &'t [u8]) -> impl Iterator<Item = usize> + 't {
    (0..text.len()).filter(move |start| {
        look_at(1);
        let here = &text[*start..];
        let within = here.len().min(end.len());
        here[..within] == end[..within] && end.starts_with(&end[within..]) && !end.is_empty()
    })
}

/// Whether `start` begins anywhere else than at the beginning of `start` with `text` behind it.
fn begins_later(text: &[u8], start: &[u8]) -> bool {
    !start.is_empty()
        && (1..=text.len()).any(|at| {
            look_at(1);
            // The last bytes of `start` itself, then those of `text`.
            let own = start.get(at..).unwrap_or_default();
            let rest = &text[at.saturating_sub(start.len())..];
            start.starts_with(own) && rest.len() >= start.len() - own.len() && rest.starts_with(&start[own.len()..])
        })
}

/// Whether `text` begins with another timestamp that would pass, and what follows one.
fn begins_with_timestamp(text: &[u8], unit: TimestampUnit, range: Option<&RangeInclusive<u64>>, then: &[u8]) -> bool {
    if unit.is_date() {
        return unit.date_length(text).is_some_and(|length| {
            let is_fresh = |range: &RangeInclusive<u64>| {
                let stamp = unit.parse(&text[..length])?.duration_since(UNIX_EPOCH).ok()?;
                Some(range.contains(&stamp.as_secs()))
            };
            range.is_none_or(|range| is_fresh(range).unwrap_or(false)) && text[length..].starts_with(then)
        });
    }
    range.is_some_and(|range| {
        lengths(range).any(|length| {
            text.get(..length).and_then(number).is_some_and(|value| range.contains(&value))
                && text[length..].starts_with(then)
        })
    })
}

/// Whether a fresh number begins at one of the first `starts` bytes.
fn number_begins(whole: &[u8], starts: usize, range: &RangeInclusive<u64>, then: &[u8]) -> bool {
    lengths(range).any(|length| {
        // The number that ends here, of this length: each byte is taken in and let go of once.
        let most = 10u64.pow(u32::try_from(length - 1).unwrap_or_default());
        let least = if length == 1 { 0 } else { most };
        let (mut value, mut digits) = (0u64, 0usize);
        whole.iter().enumerate().take(starts + length - 1).any(|(at, byte)| {
            look_at(1);
            if !byte.is_ascii_digit() {
                (value, digits) = (0, 0);
                return false;
            }
            value = (value % most).wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            digits += 1;
            // A number of this length has no zero at its beginning, which a smaller value would have.
            digits >= length && value >= least && range.contains(&value) && whole[at + 1..].starts_with(then)
        })
    })
}

/// How many digits the numbers of a range have.
fn lengths(range: &RangeInclusive<u64>) -> RangeInclusive<usize> {
    let length = |number: u64| number.checked_ilog10().map_or(1, |log| log as usize + 1);
    length(*range.start())..=length(*range.end())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    digits.iter().try_fold(0u64, |value, byte| {
        look_at(1);
        match byte {
            b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
            _ => None,
        }
    })
}

/// Counts the bytes that the rules read, for the test that limits their number.
#[inline]
fn look_at(bytes: usize) {
    #[cfg(test)]
    tests::LOOKED.with(|looked| looked.set(looked.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        time::{Duration, UNIX_EPOCH},
    };

    use http::{HeaderMap, HeaderValue, Method, Uri};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        head::Head,
        scheme::{
            Field,
            scheme::{Kind, Scheme},
        },
    };

    thread_local! {
        pub(super) static LOOKED: Cell<usize> = const { Cell::new(0) };
    }

    const NOW: u64 = 1_800_000_000;

    /// Header values that are meant to be expensive to check: dots, digits, dates, and texts that almost are dates.
    fn dear() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            Just("."),
            Just("1"),
            Just("0"),
            Just("1."),
            Just("1800000000"),
            Just("1800000000."),
            Just("180000000018"),
            Just("2027-01-15T08:00:00Z"),
            Just("2027-01-15T08:00:00.123456789"),
            Just("0000-00-00T00:00:0"),
            Just("Fri, 15 Jan 2027 08:00:00 GM"),
            Just("Fri, 15 Jan 2027 08:00:00 GMT"),
            Just("https://a.tes"),
            Just("x"),
        ];
        (token, 1usize..4000).prop_map(|(token, length)| token.chars().cycle().take(length).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // SHA-256 does more than 60 rounds for every 64 bytes, of a dozen steps each. A rule looks at a byte a few times.
        #[test]
        fn what_is_rejected_from_the_head_costs_less_than_to_hash_it(texts in [dear(), dear(), dear()]) {
            for unit in [TimestampUnit::Seconds, TimestampUnit::Milliseconds, TimestampUnit::Rfc3339, TimestampUnit::HttpDate]
            {
                for signs in [
                    "{id}.{timestamp}.{body}",
                    "{id}{timestamp}{body}",
                    "{header:x-a}{timestamp}:{body}",
                    "{header:x-a}:{header:x-b}:{timestamp}",
                    "{timestamp}{body}.{header:x-a}.{header:x-b}",
                    "{timestamp}{header:x-a}{url}{body}",
                    "{timestamp}{body}{url}",
                ] {
                    let scheme = Scheme::hmac_sha256().header("x-sig").hex().unit(unit)
                        .timestamp(Field::header("x-time")).id(Field::header("x-id")).signs(signs).build().unwrap()
                        .with_public_url("https://a.test").unwrap();
                    let Kind::Declared(template) = &scheme.kind else { unreachable!("it is declared") };
                    let mut headers = HeaderMap::new();
                    let stamp = match unit {
                        TimestampUnit::Seconds => NOW.to_string(),
                        TimestampUnit::Milliseconds => format!("{NOW}000"),
                        TimestampUnit::HttpDate => "Fri, 15 Jan 2027 08:00:00 GMT".to_owned(),
                        TimestampUnit::Rfc3339 | TimestampUnit::Rfc3339OrUtc => "2027-01-15T08:00:00Z".to_owned(),
                    };
                    let [id, a, b] = &texts;
                    let id = &id[..id.len().min(512)];
                    for (name, value) in [("x-id", id), ("x-a", a), ("x-b", b), ("x-time", &stamp)] {
                        headers.insert(name, HeaderValue::from_str(value).unwrap());
                    }
                    headers.insert("x-sig", HeaderValue::from_str(&"0".repeat(64)).unwrap());
                    let target = format!("/{}", texts[2].replace(['{', '[', ' '], ""));
                    let uri: Uri = target.parse().unwrap();
                    let head = Head::new(&Method::POST, &uri, &headers);

                    LOOKED.set(0);
                    let _ = template.inspect(head, UNIX_EPOCH + Duration::from_secs(NOW));

                    let length = id.len() + a.len() + b.len() + target.len();
                    prop_assert!(LOOKED.get() <= 3 * length + 100, "{signs}: {} for {length}", LOOKED.get());
                }
            }
        }
    }

    #[test]
    fn an_end_is_found_where_it_reaches_into_the_next_one() {
        let all = |text: &'static str, end: &'static str| -> Vec<usize> {
            occurrences(text.as_bytes(), end.as_bytes()).collect()
        };
        assert_eq!(all("a.b", "."), [1]);
        assert_eq!(all("ab", "."), Vec::<usize>::new());
        // `a.` and `..` are `a...`, in which `..` stands at 1 too.
        assert_eq!(all("a.", ".."), [1]);
        assert_eq!(all("xab", "abab"), [1]);
        assert_eq!(all("xab", "abx"), Vec::<usize>::new());
        assert_eq!(all("", "."), Vec::<usize>::new());
    }

    #[test]
    fn a_beginning_is_found_behind_the_first() {
        let later = |text: &str, start: &str| begins_later(text.as_bytes(), start.as_bytes());
        assert!(later("a.b", "."));
        assert!(!later("ab", "."));
        assert!(later(".a", ".."));
        assert!(!later("a.", ".."));
        assert!(later("/x?u=https://a.test/y", "https://a.test"));
        assert!(!later("/x", "https://a.test"));
        assert!(!later("", "."));
    }
}
