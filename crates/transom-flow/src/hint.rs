//! What data looks like, from its first bytes.

/// Bytes of a first line that are worth showing.
pub(crate) const LINE_MAX: usize = 120;

/// HTTP/1 methods that start a request line.
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];

/// Names what a segment's data starts with. `is_first` tells that nothing was sent before it in this
/// direction; only then an unknown first line counts as a banner.
///
/// The text may hold any characters but line ends: whoever shows it must escape them.
pub(crate) fn hint(data: &[u8], is_first: bool) -> Option<Box<str>> {
    if is_http(data) {
        return first_line(data);
    }
    if !is_first {
        return None;
    }
    if data.starts_with(b"PRI * HTTP/2.0\r\n") {
        return Some("HTTP/2 preface".into());
    }
    tls(data).or_else(|| banner(data))
}

/// Whether data starts with the line of an HTTP/1 message.
pub(crate) fn is_http(data: &[u8]) -> bool {
    // Nearly all data is told apart from one by its first byte.
    match data.first() {
        Some(b'H') => data.starts_with(b"HTTP/1.") || data.starts_with(b"HEAD "),
        Some(b'G' | b'P' | b'D' | b'O' | b'C' | b'T') => {
            METHODS.iter().any(|m| data.starts_with(m))
        }
        _ => false,
    }
}

/// Where the first line ends; looked for in eight bytes at a time, as this is done for much of all data.
pub(crate) fn line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const CR: u64 = u64::from_le_bytes([b'\r'; 8]);
    const LF: u64 = u64::from_le_bytes([b'\n'; 8]);
    // The highest bit of each byte that is zero; of those above the lowest such byte, perhaps of others.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (words, rest) = bytes.as_chunks::<8>();
    for (word, at) in words.iter().zip((0..).step_by(8)) {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ CR) | zeros(word ^ LF);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
    }
    let at = rest.iter().position(|b| matches!(b, b'\r' | b'\n'))?;
    Some(bytes.len() - rest.len() + at)
}

/// The first line, as far as it goes.
fn first_line(data: &[u8]) -> Option<Box<str>> {
    let head = data.get(..LINE_MAX).unwrap_or(data);
    let end = line_end(head).unwrap_or(head.len());
    let line = head.get(..end)?;
    if line.is_empty() {
        return None;
    }
    Some(match core::str::from_utf8(line) {
        Ok(line) => line.into(),
        Err(_) => String::from_utf8_lossy(line).into(),
    })
}

/// A line of text that ends within the first bytes, such as `SSH-2.0-OpenSSH_9.2` or `220 mail ESMTP`.
fn banner(data: &[u8]) -> Option<Box<str>> {
    let head = data.get(..LINE_MAX).unwrap_or(data);
    let end = line_end(head);
    if end.is_none() && data.len() > LINE_MAX {
        // Text that goes on and on is a file, not a greeting.
        return None;
    }
    let line = head.get(..end.unwrap_or(head.len()))?;
    let is_text = |b: &u8| b.is_ascii_graphic() || *b == b' ' || *b == b'\t';
    (line.len() >= 2 && line.iter().all(is_text))
        .then(|| first_line(data))
        .flatten()
}

/// A TLS record that holds a handshake message or an alert (RFC 8446 §5.1, §4).
fn tls(data: &[u8]) -> Option<Box<str>> {
    let [kind, 3, _, _, _, body @ ..] = data else {
        return None;
    };
    match (kind, body) {
        (22, [1, ..]) => Some(match server_name(body) {
            Some(name) => format!("TLS ClientHello {name}").into(),
            None => "TLS ClientHello".into(),
        }),
        (22, [2, ..]) => Some("TLS ServerHello".into()),
        (21, ..) => Some("TLS Alert".into()),
        _ => None,
    }
}

/// Splits off a field that starts with its length in `N` bytes.
fn vector<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<N>()?;
    let len = len
        .iter()
        .fold(0usize, |len, byte| len << 8 | usize::from(*byte));
    // A hello may be cut by the segment's end; what is there is enough to look for the name.
    Some(rest.split_at_checked(len).unwrap_or((rest, &[])))
}

/// The host name in a ClientHello (RFC 6066 §3).
fn server_name(hello: &[u8]) -> Option<String> {
    let (_, body) = hello.split_at_checked(4 + 2 + 32)?;
    let (_session, rest) = vector::<1>(body)?;
    let (_suites, rest) = vector::<2>(rest)?;
    let (_compression, rest) = vector::<1>(rest)?;
    let (mut extensions, _) = vector::<2>(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        let (extension, next) = vector::<2>(rest)?;
        if *kind == [0, 0] {
            let (list, _) = vector::<2>(extension)?;
            let (_name_type, name) = list.split_first()?;
            let (name, _) = vector::<2>(name)?;
            return Some(
                String::from_utf8_lossy(name.get(..LINE_MAX).unwrap_or(name)).into_owned(),
            );
        }
        extensions = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_open_a_conversation_are_named() {
        assert_eq!(
            hint(b"GET / HTTP/1.1\r\nHost: x\r\n", false).as_deref(),
            Some("GET / HTTP/1.1")
        );
        assert_eq!(
            hint(b"HTTP/1.1 200 OK\r\n", false).as_deref(),
            Some("HTTP/1.1 200 OK")
        );
        assert_eq!(
            hint(b"SSH-2.0-OpenSSH_9.2\r\n", true).as_deref(),
            Some("SSH-2.0-OpenSSH_9.2")
        );
        assert_eq!(hint(b"SSH-2.0-OpenSSH_9.2\r\n", false), None);
        assert_eq!(
            hint(b"PRI * HTTP/2.0\r\n\r\nSM", true).as_deref(),
            Some("HTTP/2 preface")
        );
        assert_eq!(hint(b"\x00\x01binary", true), None);
        assert_eq!(hint(b"", true), None);
        assert_eq!(hint(&[b'x'; 200], true), None);
    }

    #[test]
    fn a_line_ends_at_its_first_cr_or_lf_wherever_that_is() {
        let plain = |bytes: &[u8]| bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
        for filler in [b'a', 0, 0x0b, 0x0c, 0x0e, 0x8d, 0x8a, 0xff] {
            for len in 0..40 {
                let line = vec![filler; len];
                assert_eq!(line_end(&line), None);
                for at in 0..len {
                    for behind in [b'\n', b'\r', 0x0b, 0x0c] {
                        let mut line = line.clone();
                        *line.get_mut(at).unwrap() = b'\r';
                        line.extend([behind; 9]);
                        assert_eq!(line_end(&line), plain(&line));
                        *line.get_mut(at).unwrap() = b'\n';
                        assert_eq!(line_end(&line), Some(at));
                    }
                }
            }
        }
    }

    #[test]
    fn a_client_hello_names_its_server() {
        let mut hello = vec![1, 0, 0, 0, 3, 3];
        hello.extend([7; 32]);
        hello.extend([2, 9, 9]); // session id
        hello.extend([0, 2, 0x13, 1]); // cipher suites
        hello.extend([1, 0]); // compression methods
        let name = b"example.com";
        hello.extend([0, 4 + 3 + 9 + 4 + 4, 0, 10, 0, 0]); // extensions: an empty one first
        hello.extend([0, 0, 0, 16, 0, 14, 0, 0, 11]);
        hello.extend(name);
        let mut record = vec![22, 3, 1, 0, 200];
        record.extend(&hello);
        assert_eq!(
            hint(&record, true).as_deref(),
            Some("TLS ClientHello example.com")
        );
        for cut in 0..record.len() {
            // Any cut is read without a panic.
            let _ = hint(record.get(..cut).unwrap(), true);
        }
    }
}
