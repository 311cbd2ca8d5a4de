use std::{
    borrow::Cow,
    ops::RangeInclusive,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{civil::DateTime, fmt::rfc2822::DateTimeParser, tz::TimeZone};
use serde_json::value::RawValue;

use super::{arrived::Arrived, subject::named};
use crate::{
    error::{VerifyError, VerifyErrorKind},
    field::Places,
};

/// The unit or format of a timestamp.
///
/// ```
/// use tower_webhooks::{Scheme, scheme::{Field, TimestampUnit}};
///
/// // X-Acme-Date: Sun, 06 Nov 1994 08:49:37 GMT
/// let acme = Scheme::hmac_sha256()
///     .header("x-acme-signature")
///     .hex()
///     .timestamp(Field::header("x-acme-date"))
///     .unit(TimestampUnit::HttpDate)
///     .signs("{timestamp}.{body}")
///     .build()?;
/// # let _ = acme;
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimestampUnit {
    /// Seconds since the Unix epoch, digits only.
    Seconds,
    /// Milliseconds since the Unix epoch, digits only.
    Milliseconds,
    /// A date and time as in HTTP headers (RFC 9110, section 5.6.7), in the form that senders have to use:
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    HttpDate,
    /// A date and time of RFC 3339, with its `T` and with a `Z` or an offset.
    Rfc3339,
    /// Like [`Rfc3339`](Self::Rfc3339), but `Z` or offset may be missing, which means UTC. In the signed text it must
    /// be followed by a literal that cannot be a part of a date.
    Rfc3339OrUtc,
}

/// The JSON type of a value.
///
/// ```
/// use tower_webhooks::{Scheme, scheme::{Field, JsonForm}};
///
/// // {"sent_at":1700000000,…}
/// let acme = Scheme::hmac_sha256()
///     .header("x-acme-signature")
///     .hex()
///     .timestamp(Field::json("/sent_at"))
///     .timestamp_json(JsonForm::Number)
///     .signs("{body}")
///     .build()?;
/// # let _ = acme;
/// # Ok::<(), tower_webhooks::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JsonForm {
    /// As a number or as a string.
    Either,
    /// As a number.
    Number,
    /// As a string.
    String,
}

/// Where a scheme's timestamp is, and how far from now it may be.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    pub(crate) places: Places,
    pub(crate) unit: TimestampUnit,
    /// `None` only if the application chose that by its insecure name.
    pub(crate) tolerance: Option<Duration>,
    /// How it is written where it is in the body.
    pub(crate) json: JsonForm,
}

impl Freshness {
    /// Reads the timestamp of a body, as text.
    pub(crate) fn in_body<'b>(&self, arrived: Arrived<'b>) -> Result<Option<Cow<'b, str>>, VerifyError> {
        let malformed =
            || VerifyError::new(VerifyErrorKind::MalformedTimestamp).with_subject(named("the timestamp in the body"));
        let Some(body) = arrived.json() else {
            // The fields of a form are text.
            return Ok(self.places.pointers().find_map(|pointer| arrived.scalar(pointer)));
        };
        for pointer in self.places.pointers() {
            let Ok((Some(raw), _)) = crate::json::payload::<&RawValue>(body, pointer, &[]) else { continue };
            let is_string = raw.get().starts_with('"');
            let text = match (is_string, self.json) {
                (true, JsonForm::Number) | (false, JsonForm::String) => return Err(malformed()),
                (true, _) => serde_json::from_str::<Cow<'_, str>>(raw.get()).map_err(|_| malformed())?,
                (false, _) if raw.get() == "null" => continue,
                // The digits as sent, so that no precision is lost in a floating point number.
                (false, _) => Cow::Borrowed(raw.get()),
            };
            return Ok(Some(text));
        }
        Ok(None)
    }

    /// The numbers that are fresh, in the scheme's unit; of dates, their seconds. One more at either end, so that no fraction
    /// of a second matters. `None` where any time will do.
    pub(crate) fn range(&self, now: SystemTime, tolerance: Option<Duration>) -> Option<RangeInclusive<u64>> {
        let (now, tolerance) = (now.duration_since(UNIX_EPOCH).unwrap_or_default(), tolerance?);
        let (from, to) = (now.saturating_sub(tolerance), now.saturating_add(tolerance));
        let count = |time: Duration| match self.unit {
            TimestampUnit::Milliseconds => u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            TimestampUnit::HttpDate | TimestampUnit::Rfc3339 | TimestampUnit::Rfc3339OrUtc | TimestampUnit::Seconds => {
                time.as_secs()
            }
        };
        let second = if self.unit == TimestampUnit::Milliseconds { 1000 } else { 1 };
        Some(count(from).saturating_sub(second)..=count(to).saturating_add(1))
    }
}

impl TimestampUnit {
    /// Reads a timestamp exactly as it was sent. Digits are ASCII, without a sign and without a leading zero; a
    /// millisecond value is never taken for seconds.
    pub(crate) fn parse(self, text: &[u8]) -> Option<SystemTime> {
        match self {
            Self::Seconds => UNIX_EPOCH.checked_add(Duration::from_secs(digits(text)?)),
            Self::Milliseconds => UNIX_EPOCH.checked_add(Duration::from_millis(digits(text)?)),
            Self::HttpDate | Self::Rfc3339 | Self::Rfc3339OrUtc => {
                // The parsers read more forms than there are.
                let text = (self.date_length(text)? == text.len()).then_some(text)?;
                let text = std::str::from_utf8(text).ok()?;
                let stamp = match self {
                    Self::HttpDate => DateTimeParser::new().parse_timestamp(text).ok()?,
                    Self::Rfc3339OrUtc if rfc3339(text.as_bytes()).is_none() => {
                        TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?
                    }
                    _ => text.parse::<jiff::Timestamp>().ok()?,
                };
                SystemTime::try_from(stamp).ok()
            }
        }
    }

    /// Whether it is a date and not a number.
    pub(crate) fn is_date(self) -> bool {
        match self {
            Self::HttpDate | Self::Rfc3339 | Self::Rfc3339OrUtc => true,
            Self::Milliseconds | Self::Seconds => false,
        }
    }

    /// The length of the date at the start of `text`, if there is one. The format of a number does not show its end.
    pub(crate) fn date_length(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::HttpDate => http_date(text),
            Self::Milliseconds | Self::Seconds => None,
            Self::Rfc3339 => rfc3339(text),
            Self::Rfc3339OrUtc => rfc3339(text).or_else(|| without_zone(text)),
        }
    }

    /// Writes a time as a sender does.
    #[cfg(feature = "testing")]
    pub(crate) fn write(self, time: SystemTime) -> Option<String> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let date = || jiff::Timestamp::try_from(time).ok();
        Some(match self {
            Self::HttpDate => jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date()?).ok()?,
            Self::Milliseconds => since.as_millis().to_string(),
            Self::Rfc3339 => date()?.to_string(),
            Self::Rfc3339OrUtc => date()?.to_string().trim_end_matches('Z').to_owned(),
            Self::Seconds => since.as_secs().to_string(),
        })
    }
}

/// Rejects a time that is further than `tolerance` from `now`, in either direction. Ages are compared in whole seconds, as
/// senders stamp them.
pub(crate) fn check(stamp: SystemTime, now: SystemTime, tolerance: Duration) -> Result<(), VerifyError> {
    let (distance, sign) = match now.duration_since(stamp) {
        Ok(age) => (age, 1),
        Err(ahead) => (ahead.duration(), -1),
    };
    // A clock that shows fractions of a second must not make a timestamp on the border older than it says.
    let distance = if sign > 0 { Duration::from_secs(distance.as_secs()) } else { distance };
    if distance <= tolerance {
        return Ok(());
    }
    let skew = i64::try_from(distance.as_secs()).unwrap_or(i64::MAX).saturating_mul(sign);
    Err(VerifyError::new(VerifyErrorKind::Stale).with_skew(skew))
}

/// The length of the date and time that `text` begins with, if it has the form of RFC 3339, section 5.6, with the `T`. Its
/// end is always clear: there is a `Z` or an offset, and nothing in it is optional but the fraction.
fn rfc3339(text: &[u8]) -> Option<usize> {
    let length = without_zone(text)?;
    let rest = &text[length..];
    let offset = [&b"Z"[..], b"+00:00", b"-00:00"].into_iter().find(|form| has_form(form, rest))?;
    Some(length + offset.len())
}

/// The same without `Z` or offset.
fn without_zone(text: &[u8]) -> Option<usize> {
    const WITHOUT_FRACTION: &[u8] = b"0000-00-00T00:00:00";
    let mut length = has_form(WITHOUT_FRACTION, text).then_some(WITHOUT_FRACTION.len())?;
    if text.get(length) == Some(&b'.') {
        let digits = text[length + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        // More digits than nanoseconds have are not read.
        length += (1..=9).contains(&digits).then_some(1 + digits)?;
    }
    Some(length)
}

/// The length of an HTTP date, `Sun, 06 Nov 1994 08:49:37 GMT`, in just these letters.
fn http_date(text: &[u8]) -> Option<usize> {
    const FORM: &[u8] = b"XXX, 00 XXX 0000 00:00:00 GMT";
    const DAYS: &[u8] = b"Mon Tue Wed Thu Fri Sat Sun";
    const MONTHS: &[u8] = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";

    let is = |form: &u8, byte: &u8| match form {
        b'0' => byte.is_ascii_digit(),
        b'X' => byte.is_ascii_alphabetic(),
        other => byte == other,
    };
    let name = |names: &[u8], at: usize| names.chunks(4).any(|name| text[at..].starts_with(&name[..3]));
    let has_form = text.len() >= FORM.len() && FORM.iter().zip(text).all(|(form, byte)| is(form, byte));
    (has_form && name(DAYS, 0) && name(MONTHS, 8)).then_some(FORM.len())
}

/// Whether text begins with a form, in which `0` stands for a digit, and letters may be of either case.
fn has_form(form: &[u8], text: &[u8]) -> bool {
    text.len() >= form.len()
        && form.iter().zip(text).all(|(form, byte)| match form {
            b'0' => byte.is_ascii_digit(),
            letter => byte.to_ascii_uppercase() == *letter,
        })
}

fn digits(text: &[u8]) -> Option<u64> {
    let plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 20;
    if !plain {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// A wider window does not stop a replay of a recorded delivery, and numbers of several lengths would be fresh in it.
pub(crate) const WIDEST_WINDOW: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{TimestampUnit, check, rfc3339};

    #[test]
    fn an_http_date_has_one_form() {
        let unit = TimestampUnit::HttpDate;
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(unit.parse(date.as_bytes()), Some(UNIX_EPOCH + Duration::from_secs(784_111_777)));
        assert_eq!(unit.date_length(format!("{date}{{}}").as_bytes()), Some(29));
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "784111777",
        ] {
            assert_eq!(unit.parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_date_without_a_zone_is_of_utc_where_that_is_declared() {
        let unit = TimestampUnit::Rfc3339OrUtc;
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        for (text, expected) in [
            ("1970-01-01T00:00:01", at(1)),
            ("1970-01-01T00:00:01Z", at(1)),
            ("1970-01-01T02:00:01+02:00", at(1)),
            ("1970-01-01T00:00:01.000000", at(1)),
            ("1970-01-01T00:00", None),
            ("1970-01-01 00:00:01", None),
            ("1970-01-01T00:00:01+02", None),
            ("1970-01-01T00:00:01[UTC]", None),
            ("1970-13-01T00:00:01", None),
            ("1", None),
        ] {
            assert_eq!(unit.parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(TimestampUnit::Rfc3339.parse(b"1970-01-01T00:00:01"), None);
    }

    #[test]
    fn only_plain_digits_are_a_timestamp() {
        for text in ["", "+1", "-1", " 1", "1 ", "01", "1.5", "1e3", "0x1", "1_000", "NaN", "١", "18446744073709551616"]
        {
            assert_eq!(TimestampUnit::Seconds.parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(TimestampUnit::Seconds.parse("9".repeat(4000).as_bytes()), None);
        assert_eq!(TimestampUnit::Seconds.parse(b"1700000000"), Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        // The largest number parses, and is out of range for the clock or far outside any window.
        let _ = TimestampUnit::Seconds.parse(b"18446744073709551615");
    }

    #[test]
    fn units_are_declared_and_never_guessed() {
        assert_eq!(TimestampUnit::Milliseconds.parse(b"1500"), Some(UNIX_EPOCH + Duration::from_millis(1500)));
        assert_eq!(
            TimestampUnit::Rfc3339.parse(b"1970-01-01T01:00:01+01:00"),
            Some(UNIX_EPOCH + Duration::from_secs(1))
        );
        assert_eq!(TimestampUnit::Rfc3339.parse(b"1"), None);
        assert_eq!(TimestampUnit::Seconds.parse(b"1970-01-01T00:00:01Z"), None);
    }

    #[test]
    fn a_date_has_the_form_of_rfc_3339_and_no_other() {
        for text in [
            "2026-10-13T17:12:12Z",
            "2026-10-13t17:12:12z",
            "2026-10-13T17:12:12.1Z",
            "2026-10-13T17:12:12.123456789Z",
            "2026-10-13T17:12:12.123456789+00:00",
            "2026-10-13T19:12:12-02:00",
        ] {
            assert_eq!(rfc3339(text.as_bytes()), Some(text.len()), "{text}");
            assert_eq!(rfc3339(format!("{text}{{\"a\":1}}").as_bytes()), Some(text.len()), "{text}");
            assert!(TimestampUnit::Rfc3339.parse(text.as_bytes()).is_some(), "{text}");
            assert!(TimestampUnit::Rfc3339.parse(format!("{text}[UTC]").as_bytes()).is_none(), "{text}");
        }
        for text in [
            "",
            "2026-10-13",
            "2026-10-13T17:12:12",
            "2026-10-13T17:12Z",
            "2026-10-13 17:12:12Z",
            "20261013T171212Z",
            "+002026-10-13T17:12:12Z",
            "2026-10-13T17:12:12.Z",
            "2026-10-13T17:12:12.1234567891Z",
            "2026-10-13T17:12:12+00",
            "2026-13-13T17:12:12Z",
            "2026-10-13T17:12:12Z ",
        ] {
            assert!(TimestampUnit::Rfc3339.parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn the_window_is_symmetric_and_its_border_belongs_to_it() {
        let stamp = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let window = Duration::from_secs(300);
        let at = |millis: i64| {
            if millis < 0 {
                stamp - Duration::from_millis(millis.unsigned_abs())
            } else {
                stamp + Duration::from_millis(millis.unsigned_abs())
            }
        };

        for fresh in [0, 300_000, 300_999, -300_000] {
            assert!(check(stamp, at(fresh), window).is_ok(), "{fresh} ms");
        }
        for stale in [301_000, -300_001, -301_000] {
            assert!(check(stamp, at(stale), window).is_err(), "{stale} ms");
        }
        assert!(check(stamp, at(0), Duration::ZERO).is_ok());
        assert!(check(stamp, at(1000), Duration::ZERO).is_err());
    }
}
