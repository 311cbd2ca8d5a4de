use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    fmt::rfc2822::DateTimeParser,
    tz::Offset,
};

use crate::send::retry::RetryPolicy;

/// Reads `Retry-After` (RFC 9110, section 10.2.3): whole seconds or a date. Anything else is ignored. At most a day is
/// returned.
pub(super) fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number with too many digits is still a number, and a large one.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok();
        let date = date.or_else(|| obsolete(text, now))?;
        let date = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(date.as_second().try_into().ok()?))?;
        date.duration_since(now).ok()?
    };
    Some(wait.min(RetryPolicy::LONGEST_RETRY_AFTER))
}

/// Reads the two old forms of a date that every recipient must accept (RFC 9110, section 5.6.7):
/// `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. As in the current form, the day of the week is ignored.
fn obsolete(text: &str, now: SystemTime) -> Option<Timestamp> {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let (year, month, day, time) = match words[..] {
        [weekday, date, time, "GMT"] if weekday.ends_with(',') => {
            let [day, month, year] = parts(date, '-')?;
            let year = number(year, 2)?;
            (full_year(year, now)?, month, number(day, 2)?, time)
        }
        [_, month, day, time, year] => (number(year, 4)?, month, number(day, day.len())?, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let [hour, minute, second] = parts(time, ':')?;
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let small = |text: &str| i8::try_from(number(text, 2)?).ok();
    // A leap second counts as the second before.
    let time = Time::new(small(hour)?, small(minute)?, small(second)?.min(59), 0).ok()?;
    Offset::UTC.to_timestamp(DateTime::from_parts(date, time)).ok()
}

/// Returns the year for two digits that is at most 50 years in the future, and less than 50 in the past.
fn full_year(year: i16, now: SystemTime) -> Option<i16> {
    let this = Offset::UTC.to_datetime(Timestamp::try_from(now).ok()?).year();
    let year = this - this % 100 + year;
    Some(match year - this {
        51.. => year - 100,
        ..=-50 => year + 100,
        _ => year,
    })
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let parts: Vec<_> = text.split(separator).collect();
    parts.try_into().ok()
}

/// Reads a number with exactly this many digits.
fn number(text: &str, digits: usize) -> Option<i16> {
    let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderValue, header};

    use super::parse;

    #[test]
    fn seconds_and_dates_of_all_three_forms_are_read_and_nothing_else() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("86401", Some(86_400)),
            ("99999999999999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Fri, 31 Dec 9998 23:59:59 GMT", Some(86_400)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Monday, 07-Nov-94 00:49:37 GMT", Some(57_600)),
            // 50 years and less are ahead, more are behind.
            ("Friday, 31-Dec-44 23:59:59 GMT", Some(86_400)),
            ("Friday, 31-Dec-45 23:59:59 GMT", None),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Wed Nov 16 08:49:37 1994", Some(86_400)),
            ("Sun Nov 6 08:50:60 1994", Some(82)),
            ("Sun Nov  6 08:48:37 1994", None),
            ("Sunday, 06-Nov-94 08:50:37", None),
            ("Sunday, 6-Nov-94 08:50:37 GMT", None),
            ("Sunday, 31-Feb-95 08:50:37 GMT", None),
            ("Sunday, 06-nov-94 08:50:37 GMT", None),
            ("Sun Nov  6 25:50:37 1994", None),
            ("Sun Nov +6 08:50:37 1994", None),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("1e30", None),
            ("0x10", None),
            ("5, 10", None),
            ("soon", None),
            ("NaN", None),
            ("Sun, 99 Nov 1994 08:50:37 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(parse(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
        }
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_bytes(b"\xff").unwrap())]);
        assert_eq!(parse(&headers, now), None);
    }
}
