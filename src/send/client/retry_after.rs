use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use jiff::fmt::rfc2822::DateTimeParser;

use crate::send::RetryPolicy;

/// Reads `Retry-After` (RFC 9110, section 10.2.3): whole seconds or a date. Anything else says nothing. Never more than a
/// day.
pub(super) fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number can have are still a number, and a large one.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
        let date = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(date.as_second().try_into().ok()?))?;
        date.duration_since(now).ok()?
    };
    Some(wait.min(RetryPolicy::LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderValue, header};

    use super::parse;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
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
