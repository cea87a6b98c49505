//! The values that fields are compared with.

use super::field::{Kind, nearest};
use crate::verdict::Severity;
use core::cmp::Ordering;
use core::fmt;
use std::net::IpAddr;
use transom_tcp::State;

/// A value as written in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Simple {
    Number(u64),
    Bool(bool),
    /// Nanoseconds.
    Nanos(i64),
    /// An address, or a network of which this many bits count.
    Net(IpAddr, u8),
    State(State),
    Severity(Severity),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Simple(Simple),
    Text(String),
}

/// A value of a field, as found in a frame or a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Datum<'a> {
    /// It is there, and that is all.
    Mark,
    Simple(Simple),
    Text(&'a str),
    Octets(&'a [u8]),
}

impl From<u64> for Datum<'_> {
    fn from(number: u64) -> Self {
        Self::Simple(Simple::Number(number))
    }
}

impl From<bool> for Datum<'_> {
    fn from(value: bool) -> Self {
        Self::Simple(Simple::Bool(value))
    }
}

impl From<State> for Datum<'_> {
    fn from(state: State) -> Self {
        Self::Simple(Simple::State(state))
    }
}

impl<T: Into<IpAddr>> From<T> for Simple {
    fn from(addr: T) -> Self {
        let addr = addr.into();
        Self::Net(addr, width(addr))
    }
}

impl Value {
    /// How a datum compares; `None` where the two have nothing in common.
    pub(super) fn compare(&self, datum: Datum<'_>, mask: Option<u64>) -> Option<Ordering> {
        match (self, datum) {
            (Self::Simple(value), Datum::Simple(datum)) => value.compare(datum, mask),
            (Self::Text(text), Datum::Text(datum)) => Some(datum.cmp(text.as_str())),
            (Self::Text(text), Datum::Octets(datum)) => Some(datum.cmp(text.as_bytes())),
            _ => None,
        }
    }
}

impl Simple {
    /// How the end of a range compares with its other end.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Net(a, a_len), Self::Net(b, b_len)) => {
                let are_alike = a.is_ipv4() == b.is_ipv4();
                let are_hosts = a_len == width(a) && b_len == width(b);
                (are_alike && are_hosts).then(|| a.cmp(&b))
            }
            _ => other.compare(self, None),
        }
    }

    fn compare(self, datum: Self, mask: Option<u64>) -> Option<Ordering> {
        match (self, datum) {
            (Self::Number(value), Self::Number(datum)) => {
                Some((datum & mask.unwrap_or(u64::MAX)).cmp(&value))
            }
            (Self::Bool(value), Self::Bool(datum)) => Some(datum.cmp(&value)),
            (Self::Nanos(value), Self::Nanos(datum)) => Some(datum.cmp(&value)),
            (Self::Severity(value), Self::Severity(datum)) => Some(datum.cmp(&value)),
            (Self::State(value), Self::State(datum)) => {
                // States have no order: only equality is ever asked.
                Some((datum as u8).cmp(&(value as u8)))
            }
            (Self::Net(net, len), Self::Net(addr, _)) => match (net, addr) {
                (IpAddr::V4(net), IpAddr::V4(addr)) => {
                    let masked = |a: u32| a.checked_shr(32 - u32::from(len)).unwrap_or(0);
                    Some(masked(addr.to_bits()).cmp(&masked(net.to_bits())))
                }
                (IpAddr::V6(net), IpAddr::V6(addr)) => {
                    let masked = |a: u128| a.checked_shr(128 - u32::from(len)).unwrap_or(0);
                    Some(masked(addr.to_bits()).cmp(&masked(net.to_bits())))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

const fn width(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(value) => value.fmt(f),
            Self::Text(text) => quote(f, text),
        }
    }
}

impl fmt::Display for Simple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => u8::from(*value).fmt(f),
            Self::Nanos(nanos) => {
                let sign = if *nanos < 0 { "-" } else { "" };
                let (seconds, rest) = (
                    nanos.unsigned_abs() / 1_000_000_000,
                    nanos.unsigned_abs() % 1_000_000_000,
                );
                if rest == 0 {
                    return write!(f, "{sign}{seconds}");
                }
                let rest = format!("{rest:09}");
                write!(f, "{sign}{seconds}.{}", rest.trim_end_matches('0'))
            }
            Self::Net(addr, len) if *len == width(*addr) => addr.fmt(f),
            Self::Net(addr, len) => write!(f, "{addr}/{len}"),
            Self::State(state) => f.write_str(state.name()),
            Self::Severity(severity) => f.write_str(severity.id()),
        }
    }
}

/// Writes text so that the lexer reads it back.
pub(super) fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

/// Reads a value for a field of this kind; the error says what may have been meant.
pub(super) fn read(kind: Kind, word: &str) -> Result<Value, Option<String>> {
    let simple = match kind {
        Kind::Presence => None,
        Kind::Number => number(word).map(Simple::Number),
        Kind::Size => size(word).map(Simple::Number),
        Kind::Bool => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(Simple::Bool(true)),
            "false" | "no" | "off" => Some(Simple::Bool(false)),
            // As in Wireshark, any number but 0 is yes.
            other => number(other).map(|number| Simple::Bool(number != 0)),
        },
        Kind::Duration => duration(word).map(Simple::Nanos),
        Kind::V4 | Kind::V6 | Kind::Address => return net(kind, word).map(Value::Simple),
        Kind::State => return state(word).map(|state| Value::Simple(Simple::State(state))),
        Kind::Severity => {
            let all = [Severity::Fine, Severity::Note, Severity::Problem];
            let found = all.into_iter().find(|severity| severity.id() == word);
            return found
                .map(|severity| Value::Simple(Simple::Severity(severity)))
                .ok_or_else(|| meant(nearest(word, all.iter().map(|severity| severity.id()))));
        }
        Kind::Word(words) => {
            return if words.contains(&word) {
                Ok(Value::Text(word.into()))
            } else {
                let near = nearest(word, words.iter().copied());
                Err(meant(near).or_else(|| {
                    (words.len() <= WORDS_SHOWN).then(|| format!("it knows {}", words.join(", ")))
                }))
            };
        }
        Kind::Text | Kind::Octets => return Ok(Value::Text(word.into())),
    };
    simple.map(Value::Simple).ok_or(None)
}

/// Words that an error lists at most.
const WORDS_SHOWN: usize = 24;

fn meant(near: Option<&str>) -> Option<String> {
    near.map(|near| format!("did you mean {near}?"))
}

/// Decimal, hexadecimal with 0x, octal with 0 as in C and Wireshark, binary with 0b.
pub(super) fn number(word: &str) -> Option<u64> {
    let lower = word.to_ascii_lowercase();
    // The standard library would also take a sign.
    let digits = |text: &str, radix| {
        text.chars()
            .all(|c| c.is_digit(radix))
            .then(|| u64::from_str_radix(text, radix).ok())?
    };
    if let Some(hex) = lower.strip_prefix("0x") {
        digits(hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        digits(binary, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        digits(&lower, 8)
    } else {
        digits(&lower, 10)
    }
}

/// A number with a unit: thousands for kB, MB, GB; 1024 for K, M, G (as `ls -h` writes) and KiB, MiB, GiB.
fn size(word: &str) -> Option<u64> {
    if let Some(number) = number(word) {
        return Some(number);
    }
    let (digits, unit) = split_unit(word)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    scaled(digits, factor).and_then(|size| u64::try_from(size).ok())
}

/// Seconds, or another unit.
fn duration(word: &str) -> Option<i64> {
    let (word, sign) = match word.strip_prefix('-') {
        Some(rest) => (rest, -1),
        None => (word, 1),
    };
    let (digits, unit) = split_unit(word)?;
    let factor: u64 = match unit {
        "" | "s" | "sec" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let nanos = scaled(digits, factor).and_then(|nanos| i64::try_from(nanos).ok())?;
    Some(sign * nanos)
}

/// `1.5MiB` to `1.5` and `MiB`.
fn split_unit(word: &str) -> Option<(&str, &str)> {
    let end = word
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(word.len());
    word.split_at_checked(end)
}

/// `1.5` times a factor, exactly; what is below one is cut off.
fn scaled(digits: &str, factor: u64) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let factor = u128::from(factor);
    let mut total = if whole.is_empty() {
        0
    } else {
        u128::from(whole.parse::<u64>().ok()?) * factor
    };
    let mut unit = factor * 10_000_000_000;
    for c in fraction.chars() {
        unit /= 10;
        // Ten more digits than the factor has are enough for every unit.
        total += u128::from(c.to_digit(10)?) * unit / 10_000_000_000;
    }
    Some(total)
}

fn net(kind: Kind, word: &str) -> Result<Simple, Option<String>> {
    let (addr, len) = match word.split_once('/') {
        Some((addr, len)) => (addr, Some(len)),
        None => (word, None),
    };
    let Ok(addr) = addr.parse::<IpAddr>() else {
        let is_name = addr.contains(char::is_alphabetic) && !addr.contains(':');
        return Err(is_name.then(|| "for a name write host == \"…\"".into()));
    };
    let width = width(addr);
    let len = match len {
        None => width,
        Some(len) => number(len)
            .and_then(|len| u8::try_from(len).ok())
            .filter(|len| *len <= width)
            .ok_or_else(|| Some(format!("the length of its prefix is at most {width}")))?,
    };
    match (kind, addr) {
        (Kind::V4, IpAddr::V6(_)) => Err(Some("an IPv6 address is in ipv6.addr".into())),
        (Kind::V6, IpAddr::V4(_)) => Err(Some("an IPv4 address is in ip.addr".into())),
        _ => Ok(Simple::Net(addr, len)),
    }
}

/// A state as RFC 9293, `ss`, `netstat` or a programmer writes it.
fn state(word: &str) -> Result<State, Option<String>> {
    let plain: String = word
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let alias = match plain.as_str() {
        "ESTAB" => "ESTABLISHED",
        "SYNRECV" | "SYNRCVD" => "SYNRECEIVED",
        "LISTENING" => "LISTEN",
        "CLOSE" | "UNCONN" => "CLOSED",
        "FINWAIT" => "FINWAIT1",
        other => other,
    };
    State::ALL
        .into_iter()
        .find(|state| state.name().replace('-', "") == alias)
        .ok_or_else(|| {
            let names = State::ALL.iter().map(|state| state.name());
            meant(nearest(&word.to_ascii_uppercase(), names))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_bases() {
        assert_eq!(number("0x50"), Some(80));
        assert_eq!(number("0120"), Some(80));
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("+1"), None);
        assert_eq!(size("1.5MiB"), Some(1_572_864));
        assert_eq!(size("64K"), Some(65_536));
        assert_eq!(size("1kB"), Some(1000));
        assert_eq!(size("kB"), None);
        assert_eq!(duration("0.2"), Some(200_000_000));
        assert_eq!(duration("1.5ms"), Some(1_500_000));
        assert_eq!(duration("-2us"), Some(-2_000));
        assert_eq!(duration("2min"), Some(120_000_000_000));
        assert_eq!(duration("1e3"), None);
        assert_eq!(
            duration("1790000000.123456789"),
            Some(1_790_000_000_123_456_789)
        );
        assert_eq!(duration("99999999999999999999"), None);
    }

    #[test]
    fn states_are_read_as_every_tool_writes_them() {
        for state in State::ALL {
            assert_eq!(self::state(state.name()), Ok(state));
            assert_eq!(
                self::state(&state.name().to_lowercase().replace('-', "_")),
                Ok(state)
            );
        }
        assert_eq!(state("ESTAB"), Ok(State::Established));
        assert_eq!(state("syn-recv"), Ok(State::SynReceived));
        assert!(state("TIME-WIAT").is_err_and(|hint| hint.is_some()));
    }

    #[test]
    fn networks_hold_their_addresses() {
        let contains = |net: &str, addr: &str| {
            let addr: Result<IpAddr, _> = addr.parse();
            let Ok(addr) = addr else { return false };
            read(Kind::Address, net).is_ok_and(|net| {
                net.compare(Datum::Simple(addr.into()), None) == Some(Ordering::Equal)
            })
        };
        assert!(contains("10.0.0.0/8", "10.9.8.7"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "11.0.0.0"));
        assert!(contains("::/0", "::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("::/0", "1.2.3.4"));
        assert!(read(Kind::V4, "10.0.0.0/33").is_err());
    }
}
