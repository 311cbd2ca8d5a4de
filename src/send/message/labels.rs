use std::collections::BTreeMap;

use crate::send::error::SendError;

/// Labels by name: those of a message, or those that an endpoint asks for.
pub(crate) type Labels = BTreeMap<String, String>;

/// Checks the labels of a message or an endpoint.
pub(crate) fn check_labels(labels: &Labels) -> Result<(), SendError> {
    let invalid = |text: &'static str| SendError::invalid(text).with_field("labels");
    if labels.len() > MOST_LABELS {
        return Err(invalid("there are at most 16 labels"));
    }
    for (name, value) in labels {
        let fits = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !fits {
            return Err(invalid("the name of a label is 1 to 40 letters, digits, `_`, `-` and `.`"));
        }
        let length = value.chars().count();
        if !(1..=LONGEST_VALUE).contains(&length) || value.chars().any(char::is_control) {
            let text = "the value of a label is 1 to 100 characters long, none of them a control character";
            return Err(SendError::invalid(text).with_field(format!("labels/{name}")));
        }
    }
    Ok(())
}

/// How many labels a message or an endpoint has at most.
const MOST_LABELS: usize = 16;

const LONGEST_NAME: usize = 40;

/// In characters.
const LONGEST_VALUE: usize = 100;
