//! Reading a filter: `[state STATE…] [exclude STATE…] [EXPRESSION]`.
//!
//! ```text
//! expression = both ("or" both)*
//! both       = not (["and"] not)*
//! not        = "not" not | "(" expression ")" | condition
//! ```

use std::net::{IpAddr, Ipv4Addr};

use super::lexer::{Token, tokens};
use super::{Comparison, Filter, Host, Side};
use crate::cmd::ss::states::{States, WORDS};
use crate::kernel::inet_diag::Family;

/// What a filter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The states that were named.
    pub(crate) states: Option<States>,
    /// Everything else.
    pub(crate) filter: Option<Filter>,
}

/// Names in filters, looked up.
pub(crate) trait Names {
    /// The port of a service.
    fn port(&self, service: &str) -> Option<u16>;
    /// The number of a device.
    fn device(&self, name: &str) -> Option<u32>;
    /// The number of a cgroup by its path.
    fn cgroup(&self, path: &str) -> Option<u64>;
    /// The ports that the kernel chooses from.
    fn ephemeral(&self) -> (u16, u16);
    /// The addresses of a host.
    fn host(&self, name: &str) -> Vec<IpAddr>;
}

/// Words beyond which the kernel takes no filter anyway.
const LONGEST: usize = 8192;
/// Nesting beyond which nobody thinks.
const DEEPEST: usize = 64;

/// Reads a filter as it stands behind the options.
///
/// Fails with a sentence that shows where it stopped understanding.
pub(crate) fn wanted(words: &[String], names: &dyn Names) -> Result<Wanted, String> {
    let text = words.join(" ");
    let tokens = tokens(&text);
    if tokens.len() > LONGEST {
        return Err(format!("a filter of more than {LONGEST} words is too long"));
    }
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        text: &text,
        names,
    };
    let states = parser.states()?;
    let filter = if parser.peek().is_some() {
        Some(parser.expression()?)
    } else {
        None
    };
    match parser.peek() {
        None => Ok(Wanted { states, filter }),
        Some("state" | "exclude" | "excl") => Err(parser
            .wrong("states stand before the expression, as in `state established dport = :443`")),
        Some(_) => Err(parser.wrong("this has no meaning here")),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    text: &'a str,
    names: &'a dyn Names,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.next).map(|token| token.text.as_str())
    }

    fn take(&mut self) -> Option<String> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        Some(token.text.clone())
    }

    fn takes(&mut self, words: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| words.contains(&word));
        self.next += usize::from(found);
        found
    }

    /// The complaint, and the text with a mark under the next word.
    fn wrong(&self, why: &str) -> String {
        let (at, length) = match self.tokens.get(self.next) {
            Some(token) => (token.at, token.text.chars().count()),
            None => (self.text.len(), 1),
        };
        let before = self.text.get(..at).unwrap_or_default().chars().count();
        format!(
            "cannot read the filter: {why}\n  {}\n  {}{}",
            self.text,
            " ".repeat(before),
            "^".repeat(length)
        )
    }

    fn wrong_before(&mut self, why: &str) -> String {
        self.next = self.next.saturating_sub(1);
        self.wrong(why)
    }

    fn states(&mut self) -> Result<Option<States>, String> {
        let mut states = None;
        loop {
            let (leaves_out, so_far) = if self.takes(&["state"]) {
                (false, states.unwrap_or(States(0)))
            } else if self.takes(&["exclude", "excl"]) {
                (true, states.unwrap_or(States::ALL))
            } else {
                return Ok(states);
            };
            let named = self.take().and_then(|word| States::named(&word));
            let Some(named) = named else {
                return Err(self.wrong_before(&format!("a state is one of {WORDS}")));
            };
            states = Some(States(if leaves_out {
                so_far.0 & !named.0
            } else {
                so_far.0 | named.0
            }));
        }
    }

    fn expression(&mut self) -> Result<Filter, String> {
        let mut left = self.both()?;
        while self.takes(&["or", "|", "||"]) {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, String> {
        let mut left = self.not()?;
        loop {
            let joined = self.takes(&["and", "&", "&&"]);
            let ends = matches!(
                self.peek(),
                None | Some(")" | "or" | "|" | "||" | "state" | "exclude" | "excl")
            );
            if ends && !joined {
                return Ok(left);
            }
            left = Filter::And(Box::new(left), Box::new(self.not()?));
        }
    }

    fn not(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("it is nested too deeply"));
        }
        let result = if self.takes(&["not", "!"]) {
            self.not().map(|inner| Filter::Not(Box::new(inner)))
        } else if self.takes(&["("]) {
            let inner = self.expression()?;
            if self.takes(&[")"]) {
                Ok(inner)
            } else {
                Err(self.wrong("a ) is missing"))
            }
        } else {
            self.condition()
        };
        self.depth -= 1;
        result
    }

    fn condition(&mut self) -> Result<Filter, String> {
        let word = self.take();
        match word.as_deref() {
            Some("src") => self.host(Side::Source),
            Some("dst") => self.host(Side::Destination),
            Some("sport") => self.port(Side::Source),
            Some("dport") => self.port(Side::Destination),
            Some("dev") => self.either(Self::device),
            Some("fwmark") => self.either(Self::mark),
            Some("cgroup") => self.either(Self::cgroup),
            Some("autobound") => {
                let (lowest, highest) = self.names.ephemeral();
                Ok(Filter::Autobound(lowest, highest))
            }
            None => Err(self.wrong("a condition is missing")),
            Some(_) => Err(self.wrong_before(
                "a condition begins with src, dst, sport, dport, dev, fwmark, cgroup or autobound",
            )),
        }
    }

    fn comparison(&mut self) -> Comparison {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Unequal};
        let known: [(&[&str], Comparison); 6] = [
            (&["=", "==", "eq"], Equal),
            (&["!=", "ne", "neq"], Unequal),
            (&["<", "lt"], Less),
            (&["<=", "le", "leq"], LessOrEqual),
            (&[">", "gt"], Greater),
            (&[">=", "ge", "geq"], GreaterOrEqual),
        ];
        let found = known.into_iter().find(|(words, _)| self.takes(words));
        found.map_or(Equal, |(_, comparison)| comparison)
    }

    /// `= VALUE` or `!= VALUE`
    fn either(
        &mut self,
        value: impl FnOnce(&mut Self) -> Result<Filter, String>,
    ) -> Result<Filter, String> {
        match self.comparison() {
            Comparison::Equal => value(self),
            Comparison::Unequal => value(self).map(|filter| Filter::Not(Box::new(filter))),
            _ => Err(self.wrong_before("this can only be equal or not")),
        }
    }

    fn port(&mut self, side: Side) -> Result<Filter, String> {
        let comparison = self.comparison();
        let word = self.take().unwrap_or_default();
        let number = without_family(&word).1;
        let number = number.strip_prefix(':').unwrap_or(number);
        match self.number_of(number) {
            Some(port) => Ok(Filter::Port(side, comparison, port)),
            None => Err(self.wrong_before("a port is a number or a service, such as :22 or :ssh")),
        }
    }

    fn number_of(&self, port: &str) -> Option<u16> {
        port.parse().ok().or_else(|| {
            let starts_right = port.starts_with(|c: char| c.is_ascii_alphabetic());
            starts_right.then(|| self.names.port(port)).flatten()
        })
    }

    fn device(&mut self) -> Result<Filter, String> {
        let name = self.take().unwrap_or_default();
        let index = self.names.device(&name).or_else(|| name.parse().ok());
        index
            .map(Filter::Device)
            .ok_or_else(|| self.wrong_before("no device has this name"))
    }

    fn mark(&mut self) -> Result<Filter, String> {
        let word = self.take().unwrap_or_default();
        let (value, mask) = match word.split_once('/') {
            Some((value, mask)) => (unsigned(value), unsigned(mask)),
            None => (unsigned(&word), Some(u32::MAX)),
        };
        match (value, mask) {
            (Some(value), Some(mask)) => Ok(Filter::Mark { value, mask }),
            _ => Err(self.wrong_before("a mark is VALUE or VALUE/MASK, such as 0x1/0x3")),
        }
    }

    fn cgroup(&mut self) -> Result<Filter, String> {
        let path = self.take().unwrap_or_default();
        self.names
            .cgroup(&path)
            .map(Filter::Cgroup)
            .ok_or_else(|| self.wrong_before("no cgroup has this path"))
    }

    fn host(&mut self, side: Side) -> Result<Filter, String> {
        if self.comparison() != Comparison::Equal {
            return Err(self.wrong_before("an address can only be equal; write `not src …`"));
        }
        let word = self.take().unwrap_or_default();
        let hosts = self.hosts(&word).filter(|hosts| !hosts.is_empty());
        let mut hosts = hosts
            .ok_or_else(|| {
                self.wrong_before(
                    "a host is ADDRESS[/BITS][:PORT], with an IPv6 address in brackets before a port",
                )
            })?
            .into_iter()
            .map(|host| Filter::Host(side, host));
        let first = hosts.next();
        let all = first
            .map(|first| hosts.fold(first, |all, one| Filter::Or(Box::new(all), Box::new(one))));
        all.ok_or_else(|| self.wrong_before("no such host"))
    }

    /// `[inet:|inet6:]ADDRESS[/BITS][:PORT]`
    fn hosts(&self, word: &str) -> Option<Vec<Host>> {
        let (family, word) = without_family(word);
        let (address, port) = split_port(word)?;
        let port = match port {
            "" | "*" => None,
            port => Some(self.number_of(port)?),
        };
        let host = |family, network| Host {
            family,
            network,
            port,
        };
        if matches!(address, "" | "*") {
            return Some(vec![host(family, None)]);
        }
        let (address, bits) = match address.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (address, None),
        };
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        let numbers: Option<IpAddr> = bare.parse().ok().or_else(|| short_v4(bare).map(IpAddr::V4));
        let addresses = match numbers {
            Some(address) => vec![address],
            None => self.names.host(bare),
        };
        let mut hosts = Vec::new();
        for address in addresses {
            let its_own = Family::of(address);
            let width = if its_own == Family::V4 { 32 } else { 128 };
            let bits = bits.unwrap_or(width);
            if bits > width {
                return None;
            }
            if family.is_none_or(|family| family == its_own) {
                hosts.push(host(Some(its_own), Some((address, bits))));
            }
        }
        Some(hosts)
    }
}

fn without_family(word: &str) -> (Option<Family>, &str) {
    if let Some(rest) = word.strip_prefix("inet:") {
        (Some(Family::V4), rest)
    } else if let Some(rest) = word.strip_prefix("inet6:") {
        (Some(Family::V6), rest)
    } else {
        (None, word)
    }
}

/// Address and port; a bare IPv6 address has no port.
fn split_port(word: &str) -> Option<(&str, &str)> {
    if word.starts_with('[') {
        let (inside, behind) = word.split_once(']')?;
        // `[2001:db8::]/32:443` and `[2001:db8::/32]:443` alike.
        let address = inside.strip_prefix('[')?;
        return match behind.rsplit_once(':') {
            Some(("", port)) => Some((address, port)),
            Some((bits, port)) => {
                let whole = word.get(..word.len() - port.len() - 1)?;
                bits.starts_with('/').then_some((whole, port))
            }
            None if behind.is_empty() => Some((address, "")),
            None => behind.starts_with('/').then_some((word, "")),
        };
    }
    Some(match word.matches(':').count() {
        1 => word.split_once(':')?,
        _ => (word, ""),
    })
}

/// `10/8` and `192.168/16`: what is not written is zero.
fn short_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        match parts.next() {
            Some(part) => *octet = part.parse().ok()?,
            None => break,
        }
    }
    parts.next().is_none().then(|| octets.into())
}

fn unsigned(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
