//! TCP segments: control bits, numbers, options.

use transom_stack::wire::tcp::{Flags, MAX_OPTIONS_LEN};

use super::{Fault, Parser, Read, Token, Way};
use crate::script::lexer::is_word;
use crate::script::{Tcp, TcpOption, TcpOptions};

impl Parser<'_> {
    pub(super) fn segment(&mut self, way: Way) -> Read<Tcp> {
        let (flags, ace) = self.flags()?;
        let (start, end, len) = self.sequence()?;
        let mut tcp = Tcp {
            flags,
            ace,
            start,
            end,
            len,
            ack: None,
            window: None,
            urgent: None,
            options: TcpOptions::Exact(Vec::new()),
        };
        loop {
            if tcp.ack.is_none() && self.has_word("ack")? {
                tcp.ack = Some(self.number("a number of 32 bits")?);
            } else if tcp.window.is_none() && self.has_word("win")? {
                tcp.window = Some(self.number("a window below 65536")?);
            } else if tcp.urgent.is_none() && self.has_word("urg")? {
                tcp.urgent = Some(self.number("a number below 65536")?);
            } else {
                break;
            }
        }
        if way == Way::In && tcp.window.is_none() {
            return self.unexpected("`win` and a window, which a packet with `<` needs");
        }
        if self.has_sign('<')? {
            tcp.options = self.options_of_segment(way)?;
        } else if matches!(self.peek()?, Token::Word(_)) {
            return self.unexpected("ack, win, urg, `<` or the next event");
        }
        Ok(tcp)
    }

    fn flags(&mut self) -> Read<(Flags, bool)> {
        const EXPECTED: &str =
            "control bits: letters of SFRPUEWA, a digit up to 7, `.`; or `-` for none";
        let place = self.here()?;
        let text = self.run(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')?;
        let fault = |text: &str| Fault::new(place, format!("`{text}`"), EXPECTED);
        if text == "-" {
            return Ok((Flags::EMPTY, false));
        }
        let mut flags = Flags::EMPTY;
        let mut ace = false;
        for letter in text.chars() {
            let bit = match letter {
                'S' => Flags::SYN,
                'F' => Flags::FIN,
                'R' => Flags::RST,
                'P' => Flags::PSH,
                'U' => Flags::URG,
                'E' => Flags::ECE,
                'W' => Flags::CWR,
                'A' => Flags::AE,
                '.' => Flags::ACK,
                '0'..='7' if !ace => {
                    ace = true;
                    ace_bits(letter.to_digit(8).unwrap_or(0))
                }
                _ => return Err(fault(text)),
            };
            flags = flags.union(bit);
        }
        if text.is_empty() {
            return self.unexpected(EXPECTED);
        }
        Ok((flags, ace))
    }

    /// `start:end(len)`.
    pub(super) fn sequence(&mut self) -> Read<(u32, u32, u16)> {
        let start: u32 = self.number("a sequence number")?;
        self.sign(':')?;
        let place = self.here()?;
        let end: u32 = self.number("a sequence number")?;
        self.sign('(')?;
        let len: u16 = self.number("a length below 65536")?;
        self.sign(')')?;
        let right = start.wrapping_add(len.into());
        if end != right {
            return Err(Fault::new(place, format!("`{end}`"), format!("`{right}`")));
        }
        Ok((start, end, len))
    }

    /// What follows `<`.
    fn options_of_segment(&mut self, way: Way) -> Read<TcpOptions> {
        let place = self.here()?;
        if self.peek()? == Token::Ellipsis {
            if way == Way::In {
                return self.unexpected("the options: `...` cannot be sent");
            }
            self.next()?;
            self.sign('>')?;
            return Ok(TcpOptions::Any);
        }
        let mut options = Vec::new();
        while !self.has_sign('>')? {
            options.push(self.option()?);
            if !self.has_sign(',')? && !self.is_sign('>')? {
                return self.unexpected("`,` or `>`");
            }
        }
        let len: usize = options.iter().map(TcpOption::wire_len).sum();
        if len > MAX_OPTIONS_LEN || !len.is_multiple_of(4) {
            let expected = format!("a multiple of 4 up to {MAX_OPTIONS_LEN}");
            return Err(Fault::new(
                place,
                format!("options of {len} octets"),
                expected,
            ));
        }
        Ok(TcpOptions::Exact(options))
    }

    fn option(&mut self) -> Read<TcpOption> {
        const EXPECTED: &str =
            "mss, wscale, sackOK, sack, TS, nop, eol, md5, FO, FOEXP, ECN, kind or bytes";
        let before = self.cursor;
        let name = self.word(EXPECTED)?;
        Ok(match name.as_str() {
            "mss" => TcpOption::Mss(self.number("a size below 65536")?),
            "wscale" => TcpOption::WindowScale(self.number("a shift below 256")?),
            "sackOK" => TcpOption::SackPermitted,
            "nop" => TcpOption::Nop,
            "eol" => TcpOption::EndOfList,
            "sack" => self.sack()?,
            "TS" => {
                let val = self.named("val")?;
                let ecr = self.named("ecr")?;
                TcpOption::Timestamps { val, ecr }
            }
            "md5" => {
                let digest = self.hex()?;
                if digest.len() != 16 {
                    self.cursor = before;
                    return self.unexpected("md5 and 16 octets in hexadecimal");
                }
                TcpOption::Md5(digest)
            }
            "FO" => TcpOption::FastOpen(self.hex()?),
            "FOEXP" => TcpOption::FastOpenExperiment(self.hex()?),
            "ECN" => self.acc_ecn()?,
            "kind" => TcpOption::Other {
                kind: self.number("a number below 256")?,
                data: self.hex()?,
            },
            "bytes" => TcpOption::Bytes(self.hex()?),
            _ => {
                self.cursor = before;
                return self.unexpected(EXPECTED);
            }
        })
    }

    fn named(&mut self, name: &str) -> Read<u32> {
        if self.has_word(name)? {
            self.number("a number of 32 bits")
        } else {
            self.unexpected(format!("`{name}`"))
        }
    }

    fn sack(&mut self) -> Read<TcpOption> {
        let mut blocks = Vec::new();
        while matches!(self.peek()?, Token::Integer(_)) {
            let start = self.number("a sequence number")?;
            self.sign(':')?;
            blocks.push((start, self.number("a sequence number")?));
            if blocks.len() > 4 {
                return self.unexpected("`,` or `>`: there is room for four blocks");
            }
        }
        Ok(TcpOption::Sack(blocks))
    }

    fn acc_ecn(&mut self) -> Read<TcpOption> {
        let mut names = Vec::new();
        let mut counters = Vec::new();
        for _ in 0..3 {
            let before = self.cursor;
            let Token::Word(name) = self.peek()? else {
                break;
            };
            self.next()?;
            names.push(name);
            let named: Vec<&str> = names.iter().map(String::as_str).collect();
            if !["e0b", "ceb", "e1b"].starts_with(&named)
                && !["e1b", "ceb", "e0b"].starts_with(&named)
            {
                self.cursor = before;
                return self.unexpected("e0b, ceb, e1b or e1b, ceb, e0b");
            }
            let before = self.cursor;
            let counter: u32 = self.number("a counter")?;
            if counter > 0x00ff_ffff {
                self.cursor = before;
                return self.unexpected("a counter of 24 bits");
            }
            counters.push(counter);
        }
        Ok(TcpOption::AccEcn {
            e1_first: names.first().is_some_and(|name| name == "e1b"),
            counters,
        })
    }

    /// Octets in hexadecimal, or none.
    fn hex(&mut self) -> Read<Vec<u8>> {
        let place = self.here()?;
        let text = self.run(is_word)?;
        let text = match self.defines.get(text) {
            Some(crate::script::Definition::Word(word)) => word.clone(),
            Some(crate::script::Definition::Integer(number)) => number.to_string(),
            _ => text.to_owned(),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let octets: Option<Vec<u8>> = pairs
            .iter()
            .map(|pair| {
                let digit = |at: u8| char::from(at).to_digit(16);
                let [high, low] = *pair;
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()
            })
            .collect();
        match octets {
            Some(octets) if rest.is_empty() => Ok(octets),
            _ => {
                let expected = "octets in hexadecimal, two digits each";
                Err(Fault::new(place, format!("`{text}`"), expected))
            }
        }
    }
}

fn ace_bits(digit: u32) -> Flags {
    [(4, Flags::AE), (2, Flags::CWR), (1, Flags::ECE)]
        .into_iter()
        .filter(|&(bit, _)| digit & bit != 0)
        .fold(Flags::EMPTY, |all, (_, flag)| all.union(flag))
}
