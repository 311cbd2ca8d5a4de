/// Returns text as one short line for a log. The text may come from the sender: a key, an event type.
pub(crate) fn line(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= LONGEST {
            line.push('…');
            break;
        }
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn text_of_the_sender_is_one_short_line_in_a_log() {
        assert_eq!(line("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert!(line(&"x".repeat(1_000_000)).len() < 310);
    }
}
