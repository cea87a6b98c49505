use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use transom_stack::wire::ip::Packet as IpPacket;
use transom_stack::wire::quote::Quoted;
use transom_stack::wire::{Protocol, icmpv4, icmpv6};

use super::numbers::{LIVE_TICK, Numbers};
use super::{Unreadable, Way};
use crate::script::Packet;

/// One connection of a script: its addresses and how the script's numbers map to live ones.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) numbers: Numbers,
    pub(super) tick: Duration,
    pub(super) echo_scaled: bool,
    pub(super) strict_segments: bool,
    /// The largest segment that the script's side said it takes: longer live ones are bursts.
    pub(super) mss: u16,
}

impl Conversation {
    /// Between the stack at `local` and the script at `remote`. Addresses that map IPv4 are taken as IPv4.
    #[must_use]
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self {
            local: canonical(local),
            remote: canonical(remote),
            numbers: Numbers::default(),
            tick: Duration::ZERO,
            echo_scaled: false,
            strict_segments: false,
            mss: 536,
        }
    }

    /// Checks outbound timestamps, which the script writes in ticks of `tick`; zero does not check them, which is the
    /// default. With `echo_scaled`, an echo of a timestamp that was never seen is counted from the first one.
    #[must_use]
    pub fn timestamps(mut self, tick: Duration, echo_scaled: bool) -> Self {
        self.tick = tick;
        self.echo_scaled = echo_scaled;
        self
    }

    /// Whether each packet of the script must be one live packet. By default a longer one may come in several.
    #[must_use]
    pub fn strict_segments(mut self, strict: bool) -> Self {
        self.strict_segments = strict;
        self
    }

    /// The tick that timestamps are shown in: the live one where none is asked for.
    pub(super) const fn tick(&self) -> Duration {
        if self.tick.is_zero() {
            LIVE_TICK
        } else {
            self.tick
        }
    }

    /// The stack's address and port.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The script's address and port.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The live packet in the script's numbers, and which way it goes.
    ///
    /// # Errors
    /// When it is no packet of this conversation that a script can write.
    pub fn read(&self, packet: &[u8]) -> Result<(Way, Packet), Unreadable> {
        super::live::read(self, packet)
    }

    /// The live packet in script notation; one that cannot be read is described.
    #[must_use]
    pub fn print(&self, packet: &[u8]) -> String {
        match self.read(packet) {
            Ok((way, packet)) => packet.notation(way).to_string(),
            Err(reason) => format!("({reason})"),
        }
    }

    /// Whether a live packet is of this conversation: between its two ends, or an ICMP message about such a packet.
    #[must_use]
    pub fn belongs(&self, packet: &[u8]) -> bool {
        let Ok(packet) = IpPacket::lax(packet) else {
            return false;
        };
        match packet.protocol() {
            Protocol::TCP | Protocol::UDP => {
                let Some(&[a, b, c, d]) = packet.payload().first_chunk::<4>() else {
                    return false;
                };
                let ports = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                self.between(packet.src(), packet.dst(), ports)
            }
            Protocol::ICMP | Protocol::ICMPV6 => quote(&packet).is_none_or(|quote| {
                quote
                    .ports()
                    .is_some_and(|ports| self.between(quote.src(), quote.dst(), ports))
            }),
            _ => false,
        }
    }

    fn between(&self, src: IpAddr, dst: IpAddr, ports: (u16, u16)) -> bool {
        let (src, dst) = (SocketAddr::new(src, ports.0), SocketAddr::new(dst, ports.1));
        (src, dst) == (self.local, self.remote) || (src, dst) == (self.remote, self.local)
    }
}

/// The packet that an ICMP error is about.
pub(super) fn quote<'a>(packet: &IpPacket<'a>) -> Option<Quoted<'a>> {
    let body = match packet.protocol() {
        Protocol::ICMP => {
            let view = icmpv4::View::new(packet.payload()).ok()?;
            view.is_error().then(|| view.body())?
        }
        _ => {
            let view = icmpv6::View::new(packet.payload()).ok()?;
            view.is_error().then(|| view.body())?
        }
    };
    Quoted::new(body).ok()
}
