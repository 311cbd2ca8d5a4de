use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A time for people and for programs.
pub(super) struct Time {
    pub(super) human: String,
    pub(super) machine: String,
}

impl Time {
    pub(super) fn of(at: SystemTime) -> Self {
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            human: at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            machine: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }
    }
}

/// The time of a point of a chart.
pub(super) fn short(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH).strftime("%b %-d, %H:%M").to_string()
}

/// A number with commas between its thousands.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a short text for a duration.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Labels in one line.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    labels.join(", ")
}

/// Returns JSON with line breaks. Nothing else is changed: the order of fields and the form of numbers and characters
/// stay the same.
pub(super) fn pretty(text: &str) -> String {
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return text.to_owned();
    }
    let most = text.len() * 4 + 1024;
    let mut shown = String::with_capacity(text.len() * 2);
    let (mut depth, mut is_in_string, mut is_escaped) = (0_usize, false, false);
    let line = |shown: &mut String, depth: usize| {
        shown.push('\n');
        shown.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        if is_in_string {
            shown.push(one);
            (is_in_string, is_escaped) = (is_escaped || one != '"', !is_escaped && one == '\\');
            continue;
        }
        match one {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                shown.push(one);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if rest.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    shown.extend(rest.next());
                } else {
                    depth += 1;
                    line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut shown, depth);
                shown.push(one);
            }
            ',' => {
                shown.push(one);
                line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            one => {
                is_in_string = one == '"';
                shown.push(one);
            }
        }
        // Deeply nested values would be mostly blanks.
        if shown.len() > most {
            return text.to_owned();
        }
    }
    shown
}

/// Returns a share in per cent. It is 100 % only if it is not rounded.
pub(super) fn share(share: Option<f64>) -> String {
    match share {
        None => NOTHING.to_owned(),
        Some(share) if share >= 1.0 => "100 %".to_owned(),
        Some(share) => format!("{:.1} %", (share * 100.0).min(99.9)),
    }
}

/// The text in a place without a value.
pub(super) const NOTHING: &str = "–";

/// A path with parameters; those that are empty are left out.
pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut link = path.to_owned();
    let mut separator = '?';
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        link.push(separator);
        link.push_str(name);
        link.push('=');
        link.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        separator = '&';
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_gets_line_breaks_and_nothing_else() {
        let text = r#" {"b":1.10,"a":[ ],"s":"a\",{\\","o":{ },"n":[12345678901234567890,{"x":"\u00e4"}]}"#;
        let shown = "{\n  \"b\": 1.10,\n  \"a\": [],\n  \"s\": \"a\\\",{\\\\\",\n  \"o\": {},\n  \"n\": [\n    12345678901234567890,\n    {\n      \"x\": \"\\u00e4\"\n    }\n  ]\n}";
        assert_eq!(pretty(text), shown);
        for left_alone in ["", "no json", "{", "7", "\"a b\"", "[1,]"] {
            assert_eq!(pretty(left_alone), left_alone);
        }
        let deep = format!("{}{}{}", "[".repeat(100), vec!["1"; 10_000].join(","), "]".repeat(100));
        assert_eq!(pretty(&deep), deep);
    }

    #[test]
    fn figures_are_told_briefly() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [20, 1500, 90_000, 600_000, 90_000_000].map(|millis| duration(Duration::from_millis(millis))),
            ["20 ms", "1.5 s", "90 s", "10 min", "25 h"]
        );
        assert_eq!([None, Some(1.0), Some(0.99999), Some(0.5)].map(share), ["–", "100 %", "99.9 %", "50.0 %"]);
        assert_eq!(link("/deliveries", &[("type", "a&b"), ("state", "")]), "/deliveries?type=a%26b");
    }
}
