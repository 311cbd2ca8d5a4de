//! Forms with parts (`multipart/form-data`, RFC 7578), from which one part is read.
//!
//! The body itself says what its boundary is: its first line does. `Content-Type`, which says it too, is signed by nobody.

use crate::json::Unread;

/// No boundary is longer (RFC 2046, section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// Returns the content of the part with this name, where `body` is a form with parts.
pub(super) fn part<'b>(body: &'b [u8], name: &str) -> Option<Result<Option<&'b [u8]>, Unread>> {
    let rest = body.strip_prefix(b"--")?;
    let end = find(rest.get(..LONGEST_BOUNDARY + 2).unwrap_or(rest), b"\r\n")?;
    let boundary = &rest[..end];
    let is_boundary = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(byte);
    if boundary.is_empty() || !boundary.iter().all(is_boundary) {
        return None;
    }
    Some(in_parts(&rest[end + 2..], boundary, name))
}

fn in_parts<'b>(mut rest: &'b [u8], boundary: &[u8], name: &str) -> Result<Option<&'b [u8]>, Unread> {
    let delimiter = [b"\r\n--", boundary].concat();
    let mut found = None;
    loop {
        let end = find(rest, &delimiter).ok_or(Unread::NotJson)?;
        let (part, behind) = (&rest[..end], &rest[end + delimiter.len()..]);
        // Without headers a part begins with the empty line.
        let (headers, content) = match part.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => {
                let end = find(part, b"\r\n\r\n").ok_or(Unread::NotJson)?;
                (&part[..end], &part[end + 4..])
            }
        };
        if name_of(headers) == Some(name.as_bytes()) && found.replace(content).is_some() {
            return Err(Unread::Repeated);
        }
        match behind {
            [b'-', b'-', ..] => return Ok(found),
            [b'\r', b'\n', next @ ..] => rest = next,
            _ => return Err(Unread::NotJson),
        }
    }
}

/// The name of a part: the first parameter of its disposition.
fn name_of(headers: &[u8]) -> Option<&[u8]> {
    const FIELD: &[u8] = b"content-disposition:";
    const TYPE: &[u8] = b"form-data;";
    let mut lines = headers.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.find(|line| line.get(..FIELD.len()).is_some_and(|start| start.eq_ignore_ascii_case(FIELD)))?;
    let value = line[FIELD.len()..].trim_ascii();
    let value =
        value.get(..TYPE.len()).filter(|start| start.eq_ignore_ascii_case(TYPE)).map(|_| &value[TYPE.len()..])?;
    let name = value.trim_ascii().strip_prefix(b"name=\"")?;
    Some(&name[..name.iter().position(|byte| *byte == b'"')?])
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::part;
    use crate::json::Unread;

    fn read(body: &str) -> Option<Result<Option<&[u8]>, Unread>> {
        part(body.as_bytes(), "json")
    }

    #[test]
    fn a_part_is_found_by_its_name() {
        let json = "Content-Disposition: form-data; name=\"json\"\r\n\r\n{}\r\n";
        let other = "content-type: text/plain\r\nCONTENT-DISPOSITION: Form-Data; name=\"x\"; filename=\"a; name=\"json\"\"\r\n\r\n--y\r\n";

        for body in [format!("--b\r\n{json}--b--\r\n"), format!("--b\r\n{other}--b\r\n{json}--b--")] {
            assert_eq!(read(&body), Some(Ok(Some(&b"{}"[..]))), "{body}");
        }
        assert_eq!(read(&format!("--b\r\n{other}--b--")), Some(Ok(None)));
        assert_eq!(read("--b\r\n\r\n{}\r\n--b--"), Some(Ok(None)));
        assert_eq!(read(&format!("--b\r\n{json}--b\r\n{json}--b--")), Some(Err(Unread::Repeated)));
    }

    #[test]
    fn what_is_cut_off_or_of_another_form_is_not_read() {
        for body in ["--b\r\n", "--b\r\nx", "--b\r\nx\r\n--b--", "--b\r\n\r\n{}\r\n--bx", "--b\r\n\r\n{}\r\n--b\r\n"] {
            assert_eq!(read(body), Some(Err(Unread::NotJson)), "{body:?}");
        }
        let long = format!("--{}\r\n", "b".repeat(71));
        for body in ["", "--", "--b", "--\r\n", "-b\r\n", "--b c\r\n", "{}", "a=--b\r\n", &long] {
            assert_eq!(read(body), None, "{body:?}");
        }
    }
}
