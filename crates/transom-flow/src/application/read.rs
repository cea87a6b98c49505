//! What a direction's first bytes are.

use super::first::Outcome;
use super::{Spoken, tls};
use crate::hint::line_end;
use crate::model::End;

/// Characters of a line that are kept.
const LINE_MAX: usize = 120;
/// Text without a line end is no greeting beyond this.
const GREETING_MAX: usize = 512;
/// The port of DNS.
pub(crate) const DNS_PORT: u16 = 53;

/// Methods that start an HTTP/1 request line (RFC 9110 §9, RFC 5789, WebDAV and HTTP/2's preface).
const METHODS: [&[u8]; 12] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PROPFIND ",
    b"REPORT ",
    b"PRI ",
];

/// Whether one starts with the other, as far as both go.
fn may_become(bytes: &[u8], whole: &[u8]) -> bool {
    bytes.iter().zip(whole).all(|(a, b)| a == b)
}

/// Reads what an end sent first. `is_last` tells that there will be no more bytes to look at,
/// `is_first_to_speak` that the other end has sent nothing; `port` is the server's.
pub(super) fn read(
    from: End,
    bytes: &[u8],
    is_last: bool,
    is_first_to_speak: bool,
    port: u16,
) -> Outcome {
    if port == DNS_PORT {
        return dns(bytes, is_last);
    }
    if let [22, 3, ..] = bytes {
        return tls::read(bytes, is_last);
    }
    let is_request = METHODS.iter().any(|method| may_become(bytes, method));
    let is_status = may_become(bytes, b"HTTP/1.");
    let is_ssh = may_become(bytes, b"SSH-");
    if !(is_request || is_status || is_ssh || is_text(bytes)) {
        return Outcome::Nothing;
    }
    let Some(line) = line(bytes, is_last) else {
        return if bytes.len() < GREETING_MAX {
            Outcome::More
        } else {
            Outcome::Nothing
        };
    };
    let is_whole = |start: &[u8]| bytes.len() >= start.len();
    if is_request && METHODS.iter().any(|m| is_whole(m) && bytes.starts_with(m)) {
        Outcome::Spoken(Spoken::Request(line))
    } else if is_status && is_whole(b"HTTP/1.") {
        Outcome::Spoken(Spoken::Status(line))
    } else if is_ssh && is_whole(b"SSH-") {
        Outcome::Spoken(Spoken::Ssh(from, line))
    } else if is_first_to_speak && line.len() >= 2 {
        Outcome::Spoken(Spoken::Banner(line))
    } else {
        Outcome::Nothing
    }
}

/// Whether the first line, as far as it goes, is printable.
fn is_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..LINE_MAX).unwrap_or(bytes);
    let end = line_end(head);
    let line = head.get(..end.unwrap_or(head.len())).unwrap_or(&[]);
    let is_printable = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    !line.is_empty() && line.iter().all(is_printable)
}

/// The first line, once it is there; what there is of it, if no more will come.
fn line(bytes: &[u8], is_last: bool) -> Option<Box<str>> {
    let end = match line_end(bytes) {
        Some(end) => end,
        None if is_last => bytes.len(),
        None => return None,
    };
    let line = bytes.get(..end.min(LINE_MAX))?;
    Some(String::from_utf8_lossy(line).into())
}

/// The first question of a message over TCP (RFC 1035 §4.1, §4.2.2).
fn dns(bytes: &[u8], is_last: bool) -> Outcome {
    let wanted = bytes.split_first_chunk::<2>();
    let Some((len, message)) = wanted else {
        return if is_last {
            Outcome::Nothing
        } else {
            Outcome::More
        };
    };
    let len = usize::from(u16::from_be_bytes(*len));
    match question(message) {
        Some((name, kind)) => Outcome::Spoken(Spoken::Question(name, kind)),
        None if message.len() < len && !is_last => Outcome::More,
        None => Outcome::Nothing,
    }
}

fn question(message: &[u8]) -> Option<(Box<str>, u16)> {
    let (header, mut rest) = message.split_first_chunk::<12>()?;
    let [_, _, _, _, count @ .., _, _, _, _, _, _] = header;
    if *count == [0, 0] {
        return None;
    }
    let mut name = String::new();
    loop {
        let (&len, after) = rest.split_first()?;
        if len == 0 {
            rest = after;
            break;
        }
        // A question comes first, so there is nothing that its name could be a pointer to.
        let (label, after) = after.split_at_checked(usize::from(len))?;
        if len > 63 || name.len() > 255 {
            return None;
        }
        name.push_str(&String::from_utf8_lossy(label));
        name.push('.');
        rest = after;
    }
    let (kind, _) = rest.split_first_chunk::<2>()?;
    if name.is_empty() {
        name.push('.');
    } else if name.len() > 1 {
        name.pop();
    }
    Some((name.into(), u16::from_be_bytes(*kind)))
}
