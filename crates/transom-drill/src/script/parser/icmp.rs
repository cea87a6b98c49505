//! ICMP messages.

use super::{Parser, Read, Token};
use crate::script::{Icmp, IcmpQuote};

impl Parser<'_> {
    /// What follows `icmp`.
    pub(super) fn icmp(&mut self) -> Read<Icmp> {
        let mut icmp = Icmp {
            kind: self.word("the type of an ICMP message")?,
            code: None,
            mtu: None,
            id: None,
            quote: None,
        };
        loop {
            match self.peek()? {
                Token::Word(word) if word == "mtu" => {
                    self.next()?;
                    icmp.mtu = Some(self.number("a number of octets")?);
                }
                Token::Word(word) if word == "id" => {
                    self.next()?;
                    icmp.id = Some(self.number("a number below 65536")?);
                }
                Token::Word(word) if icmp.code.is_none() => {
                    self.next()?;
                    icmp.code = Some(word);
                }
                Token::Sign('[') => {
                    self.next()?;
                    icmp.quote = Some(self.quote()?);
                    self.sign(']')?;
                    return Ok(icmp);
                }
                Token::Word(_) => return self.unexpected("mtu, id or `[`"),
                _ => return Ok(icmp),
            }
        }
    }

    fn quote(&mut self) -> Read<IcmpQuote> {
        if self.has_word("udp")? {
            return Ok(IcmpQuote::Udp(self.length()?));
        }
        if self.has_word("raw")? {
            return Ok(IcmpQuote::Raw(self.length()?));
        }
        let (start, end, len) = self.sequence()?;
        Ok(IcmpQuote::Tcp { start, end, len })
    }

    fn length(&mut self) -> Read<u16> {
        self.sign('(')?;
        let len = self.number("a number of octets below 65536")?;
        self.sign(')')?;
        Ok(len)
    }
}
