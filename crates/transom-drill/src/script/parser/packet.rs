//! Packet lines: what stands in front of the segment, datagram or message.

use std::net::IpAddr;

use super::{Fault, Parser, Read, Token, Way};
use crate::script::{Body, EcnMark, Encapsulation, IpFields, Mpls, Packet, Place, Ports, Udp};

impl Parser<'_> {
    /// What follows `<` or `>`.
    pub(super) fn packet(&mut self, place: Place, way: Way) -> Read<Packet> {
        let mut packet = Packet {
            place,
            encapsulation: Vec::new(),
            ip: IpFields::default(),
            ports: None,
            body: Body::Udp(Udp { len: 0 }),
        };
        loop {
            match self.peek()? {
                Token::Sign(open @ ('[' | '(')) => {
                    self.next()?;
                    let close = if open == '[' { ']' } else { ')' };
                    self.ip_fields(&mut packet.ip, way, close)?;
                }
                Token::Word(word) => match word.as_str() {
                    "ipv4" | "ipv6" | "gre" | "mpls" | "encap" => {
                        self.next()?;
                        let layer = self.encapsulation(&word)?;
                        packet.encapsulation.push(layer);
                    }
                    "icmp" => {
                        self.next()?;
                        packet.body = Body::Icmp(self.icmp()?);
                        return Ok(packet);
                    }
                    "udp" => {
                        self.next()?;
                        self.sign('(')?;
                        let len = self.number("the number of octets")?;
                        self.sign(')')?;
                        packet.body = Body::Udp(Udp { len });
                        return Ok(packet);
                    }
                    _ => break,
                },
                _ => break,
            }
        }
        packet.ports = self.ports()?;
        if packet.ports.is_some() && self.has_word("udp")? {
            self.sign('(')?;
            let len = self.number("the number of octets")?;
            self.sign(')')?;
            packet.body = Body::Udp(Udp { len });
        } else {
            packet.body = Body::Tcp(self.segment(way)?);
        }
        Ok(packet)
    }

    /// `src > dst` where it comes next; a digit alone is an ACE field.
    fn ports(&mut self) -> Read<Option<Ports>> {
        let before = self.cursor;
        if !matches!(self.peek()?, Token::Integer(_)) {
            return Ok(None);
        }
        self.next()?;
        if !self.is_sign('>')? {
            self.cursor = before;
            return Ok(None);
        }
        self.cursor = before;
        let source = self.number("a port")?;
        self.sign('>')?;
        let destination = self.number("a port")?;
        Ok(Some(Ports {
            source,
            destination,
        }))
    }

    fn ip_fields(&mut self, ip: &mut IpFields, way: Way, close: char) -> Read<()> {
        loop {
            if self.has_sign(close)? {
                return Ok(());
            }
            let before = self.cursor;
            let word = self.word("a field of the IP header")?;
            match (word.as_str(), way) {
                ("ect0", _) => ip.ecn = Some(EcnMark::Ect0),
                ("ect1", _) => ip.ecn = Some(EcnMark::Ect1),
                ("ce", _) => ip.ecn = Some(EcnMark::Ce),
                ("noecn", _) => ip.ecn = Some(EcnMark::NotEct),
                ("ect01", Way::Out) => ip.ecn = Some(EcnMark::Ect01),
                ("tos" | "tclass", _) => ip.tos = Some(self.number("a number below 256")?),
                ("ttl" | "hlim", _) => ip.ttl = Some(self.number("a number below 256")?),
                ("flowlabel", _) => {
                    let before = self.cursor;
                    let label: u32 = self.number("a flow label")?;
                    if label > 0x000f_ffff {
                        self.cursor = before;
                        return self.unexpected("a flow label of 20 bits");
                    }
                    ip.flow_label = Some(label);
                }
                _ => {
                    self.cursor = before;
                    return self.unexpected(match way {
                        Way::In => "noecn, ect0, ect1, ce, tos, ttl or flowlabel",
                        Way::Out => "noecn, ect0, ect1, ect01, ce, tos, ttl or flowlabel",
                    });
                }
            }
            self.has_sign(',')?;
        }
    }

    fn encapsulation(&mut self, word: &str) -> Read<Encapsulation> {
        match word {
            "ipv4" | "ipv6" => {
                let source = self.address(word)?;
                self.sign('>')?;
                let destination = self.address(word)?;
                self.sign(':')?;
                Ok(Encapsulation::Ip {
                    source,
                    destination,
                })
            }
            "gre" => {
                let text = self.run(|c| c != ':' && c != '\n')?.trim().to_owned();
                self.sign(':')?;
                Ok(Encapsulation::Gre(text))
            }
            "mpls" => {
                let mut stack = Vec::new();
                while self.is_sign('(')? {
                    stack.push(self.mpls()?);
                }
                self.sign(':')?;
                Ok(Encapsulation::Mpls(stack))
            }
            _ => {
                if !self.has_word("psp")? || !self.has_word("spi")? {
                    return self.unexpected("`psp spi` and a number");
                }
                let spi = self.number("a number of 32 bits")?;
                Ok(Encapsulation::Psp { spi })
            }
        }
    }

    fn address(&mut self, version: &str) -> Read<IpAddr> {
        let place = self.here()?;
        let mut ahead = self.cursor;
        let run = ahead.take_while(|c| c.is_ascii_hexdigit() || c == ':' || c == '.');
        // The colon after a destination ends the header, unless it is the second of the address's own `::`.
        let text = match run.strip_suffix(':') {
            Some(address) if !run.ends_with("::") || address.parse::<IpAddr>().is_ok() => address,
            _ => run,
        };
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv4() == (version == "ipv4") => {
                self.cursor.advance(text.len());
                Ok(address)
            }
            _ => {
                let expected = format!("an address of {version}");
                Err(Fault::new(place, format!("`{text}`"), expected))
            }
        }
    }

    /// `(label N, tc N, [S], ttl N)`.
    fn mpls(&mut self) -> Read<Mpls> {
        let mut entry = Mpls {
            label: 0,
            class: 0,
            bottom: false,
            ttl: 0,
        };
        self.sign('(')?;
        while !self.has_sign(')')? {
            if self.has_word("label")? {
                entry.label = self.number("a label")?;
            } else if self.has_word("tc")? {
                entry.class = self.number("a traffic class")?;
            } else if self.has_word("ttl")? {
                entry.ttl = self.number("a number below 256")?;
            } else if self.has_sign('[')? {
                if !self.has_word("S")? {
                    return self.unexpected("`S`");
                }
                self.sign(']')?;
                entry.bottom = true;
            } else {
                return self.unexpected("label, tc, [S], ttl or `)`");
            }
            self.has_sign(',')?;
        }
        Ok(entry)
    }
}
