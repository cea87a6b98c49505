//! ClientHello and ServerHello (RFC 8446 §4.1, §5.1; RFC 5246 §7.4.1).

use super::Spoken;
use super::first::Outcome;

/// Characters of a name that are kept.
const NAME_MAX: usize = 120;
/// The largest hello that is looked at.
const HELLO_MAX: usize = 2048;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Reads a handshake record. `is_last` tells that there are no more bytes to come.
pub(super) fn read(bytes: &[u8], is_last: bool) -> Outcome {
    let mut hello = [0; HELLO_MAX];
    let len = records(bytes, &mut hello);
    let hello = hello.get(..len).unwrap_or(&[]);
    let [kind, a, b, c, body @ ..] = hello else {
        return if is_last || !is_cut(bytes) {
            Outcome::Nothing
        } else {
            Outcome::More
        };
    };
    let wanted = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    let is_hello = matches!(*kind, CLIENT_HELLO | SERVER_HELLO);
    if is_hello && body.len() < wanted && !is_last && is_cut(bytes) {
        return Outcome::More;
    }
    let body = body.get(..wanted).unwrap_or(body);
    match *kind {
        CLIENT_HELLO => Outcome::Spoken(client_hello(body)),
        SERVER_HELLO => Outcome::Spoken(server_hello(body)),
        _ => Outcome::Nothing,
    }
}

/// Puts the handshake bytes of consecutive records into `out`, and returns their number.
fn records(mut bytes: &[u8], out: &mut [u8; HELLO_MAX]) -> usize {
    let mut filled = 0;
    while let [22, 3, _, a, b, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*a, *b]));
        let (fragment, next) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        for (place, byte) in out.iter_mut().skip(filled).zip(fragment) {
            *place = *byte;
        }
        filled = (filled + fragment.len()).min(HELLO_MAX);
        bytes = next;
    }
    filled
}

/// Whether the last record is not whole, or another may follow.
fn is_cut(mut bytes: &[u8]) -> bool {
    while let [22, 3, _, a, b, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*a, *b]));
        match rest.get(len..) {
            Some(next) => bytes = next,
            None => return true,
        }
    }
    bytes.len() < 5
}

/// Splits off a field that starts with its length in `N` bytes; a field that is cut ends early.
fn vector<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<N>()?;
    let len = len
        .iter()
        .fold(0usize, |len, byte| len << 8 | usize::from(*byte));
    Some(rest.split_at_checked(len).unwrap_or((rest, &[])))
}

/// The extensions' types and contents.
fn extensions(list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = list;
    core::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<2>()?;
        let (content, next) = vector::<2>(after)?;
        rest = next;
        Some((u16::from_be_bytes(*kind), content))
    })
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes.get(..NAME_MAX).unwrap_or(bytes)).into()
}

/// The first name of a list of names (RFC 7301 §3.1).
fn first_protocol(content: &[u8]) -> Option<Box<str>> {
    let (list, _) = vector::<2>(content)?;
    let (name, _) = vector::<1>(list)?;
    Some(text(name))
}

fn client_hello(body: &[u8]) -> Spoken {
    let mut sni = None;
    let mut alpn = None;
    for (kind, content) in client_extensions(body).into_iter().flat_map(extensions) {
        match kind {
            // RFC 6066 §3: a list of names, each with its type and length.
            SERVER_NAME => {
                let name = vector::<2>(content)
                    .and_then(|(list, _)| list.split_first())
                    .and_then(|(_, name)| vector::<2>(name));
                sni = name
                    .map(|(name, _)| text(name))
                    .filter(|name| !name.is_empty());
            }
            ALPN => alpn = first_protocol(content),
            _ => {}
        }
    }
    Spoken::ClientHello { sni, alpn }
}

fn client_extensions(body: &[u8]) -> Option<&[u8]> {
    let (_, rest) = body.split_at_checked(2 + 32)?;
    let (_session, rest) = vector::<1>(rest)?;
    let (_suites, rest) = vector::<2>(rest)?;
    let (_compression, rest) = vector::<1>(rest)?;
    Some(vector::<2>(rest)?.0)
}

fn server_hello(body: &[u8]) -> Spoken {
    let legacy = body.split_first_chunk::<2>().map(|(version, _)| *version);
    let mut version = legacy.and_then(version_name);
    let mut alpn = None;
    for (kind, content) in server_extensions(body).into_iter().flat_map(extensions) {
        match kind {
            SUPPORTED_VERSIONS => {
                let chosen = content.split_first_chunk::<2>();
                version = chosen
                    .and_then(|(chosen, _)| version_name(*chosen))
                    .or(version);
            }
            ALPN => alpn = first_protocol(content),
            _ => {}
        }
    }
    Spoken::ServerHello { version, alpn }
}

fn server_extensions(body: &[u8]) -> Option<&[u8]> {
    let (_, rest) = body.split_at_checked(2 + 32)?;
    let (_session, rest) = vector::<1>(rest)?;
    let (_suite_and_compression, rest) = rest.split_at_checked(3)?;
    Some(vector::<2>(rest)?.0)
}

const fn version_name(version: [u8; 2]) -> Option<&'static str> {
    match version {
        [3, 0] => Some("SSL 3.0"),
        [3, 1] => Some("1.0"),
        [3, 2] => Some("1.1"),
        [3, 3] => Some("1.2"),
        [3, 4] => Some("1.3"),
        _ => None,
    }
}
