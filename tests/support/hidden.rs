//! What must be in no log, in each form in which it could be there.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Every way in which a text could be written.
pub(crate) fn forms(text: &[u8]) -> Vec<String> {
    let mut forms =
        vec![HEXLOWER.encode(text), HEXUPPER.encode(text), BASE64.encode(text), BASE64URL_NOPAD.encode(text)];
    forms.push(format!("{text:?}"));
    forms.extend(String::from_utf8(text.to_vec()));
    forms
}
