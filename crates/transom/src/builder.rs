//! Describing a stack.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use transom_device::Device;
use transom_stack::wire::Cidr;
use transom_stack::{EchoMode, Recorder, RouteTarget, StackConfig, tcp};

use crate::clock::Clock;
use crate::host::{Division, Host, recorders};
use crate::stack::Stack;

/// Describes a [`Stack`]. A device is needed, everything else has a default.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use transom::{Capabilities, Stack, memory};
///
/// let (device, _other_end) = memory::pair(Capabilities::ip(1500));
/// let stack = Stack::builder()
///     .address("10.0.0.1/24")
///     .gateway("10.0.0.254")
///     .device(device)
///     .spawn()?;
/// # drop(stack); Ok(()) }
/// ```
#[must_use = "a builder does nothing until `spawn`"]
pub struct Builder {
    config: StackConfig,
    addresses: Vec<Cidr>,
    routes: Vec<(Cidr, RouteTarget)>,
    devices: Vec<Box<dyn Device>>,
    recorder: Option<Box<dyn Recorder + Send>>,
    secret: Option<[u8; 32]>,
    busy_poll: Duration,
    /// The first thing that could not be understood; said by `spawn`.
    mistake: Option<String>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("addresses", &self.addresses)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            config: StackConfig::default(),
            addresses: Vec::new(),
            routes: Vec::new(),
            devices: Vec::new(),
            recorder: None,
            secret: None,
            busy_poll: Duration::ZERO,
            mistake: None,
        }
    }

    /// An address of the host with the length of its prefix: `"10.0.0.1/24"`, `"fd00::1/64"`. May be given
    /// several times.
    pub fn address(mut self, address: impl ToCidr) -> Self {
        if let Some(address) = self.parse(&address) {
            self.addresses.push(address);
        }
        self
    }

    /// The router for everything that is not on the link. May be given once for IPv4 and once for IPv6.
    pub fn gateway(mut self, gateway: impl ToIp) -> Self {
        match gateway.to_ip() {
            Ok(ip) => {
                let everything = if ip.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
                self.route(everything, RouteTarget::Gateway(ip))
            }
            Err(mistake) => {
                self.note(mistake);
                self
            }
        }
    }

    /// A route.
    pub fn route(mut self, prefix: impl ToCidr, target: RouteTarget) -> Self {
        if let Some(prefix) = self.parse(&prefix) {
            self.routes.push((prefix, target));
        }
        self
    }

    /// Accept packets to every address, not only to the host's own, and answer from there: a
    /// transparent proxy, the far end of a TUN. Default false.
    pub fn any_address(mut self, any_address: bool) -> Self {
        self.config = self.config.any_address(any_address);
        self
    }

    /// Who answers pings. Default: the stack.
    pub fn echo(mut self, echo: EchoMode) -> Self {
        self.config = self.config.echo(echo);
        self
    }

    /// The choices for connections that bring none of their own.
    pub fn tcp(mut self, tcp: tcp::Config) -> Self {
        self.config = self.config.tcp(tcp);
        self
    }

    /// All choices of the stack at once; replaces what was chosen before by `any_address`, `echo` and `tcp`.
    pub fn config(mut self, config: StackConfig) -> Self {
        self.config = config;
        self
    }

    /// Who is told about each frame, state change and discarded segment.
    ///
    /// It is called with the stack locked: it should note what it is told, not work on it. The stacks of a host with several
    /// queues take turns calling it.
    pub fn recorder(mut self, recorder: impl Recorder + Send + 'static) -> Self {
        self.recorder = Some(Box::new(recorder));
        self
    }

    /// The device.
    pub fn device(self, device: impl Device + 'static) -> Self {
        self.devices([device])
    }

    /// The queues of one interface, for more connections than one processor can serve, as
    /// [`Tun::open_queues`](transom_device::Tun::open_queues),
    /// [`PacketSocket::open_queues`](transom_device::PacketSocket::open_queues) and
    /// [`XdpSocket::open_queues`](transom_device::XdpSocket::open_queues) give them.
    ///
    /// The host is then made of as many stacks, each with a queue, a driver task and connections of its own, that share
    /// no lock on the way of a segment; a runtime of several threads runs them side by side. A keyed hash of addresses and
    /// ports says to which one a connection belongs. What comes in on another's queue is handed over
    /// ([`Stack::handed_over`](crate::Stack::handed_over)).
    ///
    /// - Listeners and [`Stack::incoming`](crate::Stack::incoming) take connections of all of them. The backlog is divided.
    /// - A connection that is opened gets a port that leads its answers to the stack whose turn it is.
    /// - Datagrams and echo requests belong to the first, as do fragments of anything but TCP.
    /// - What limits the host as a whole is divided, see [`StackConfig::divided`].
    pub fn devices<D: Device + 'static>(mut self, queues: impl IntoIterator<Item = D>) -> Self {
        let boxed = queues
            .into_iter()
            .map(|device| Box::new(device) as Box<dyn Device>);
        self.devices = boxed.collect();
        self
    }

    /// The secret from which sequence numbers, ports and hash keys are derived. Default: from the
    /// operating system. A fixed one makes a test repeatable, and a stack predictable to attackers.
    pub fn secret(mut self, secret: [u8; 32]) -> Self {
        self.secret = Some(secret);
        self
    }

    /// How long to look at the device again and again before going to sleep, like the kernel's
    /// `net.core.busy_read`. Default: zero, sleep at once.
    ///
    /// A frame that comes in this time is handled without waiting for the kernel to wake us: a third of the
    /// round trip. It costs a processor, which other tasks of the runtime share as they come. It adapts:
    /// when frames come further apart than this, it soon sleeps at once, and looks again when they come faster.
    /// On a runtime of one thread, and with one queue, the task that waited last to read or to accept looks itself once all
    /// others have run, and has what comes without being woken for it.
    /// 50 to 200 µs are useful.
    pub fn busy_poll(mut self, most: Duration) -> Self {
        self.busy_poll = most;
        self
    }

    /// Starts the stack: spawns the task that drives it on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is none or a missing device, `Other` outside of a tokio
    /// runtime, or what the operating system says.
    ///
    /// # Panics
    /// As everything of tokio's that waits: when the runtime was built without its I/O or time driver.
    pub fn spawn(self) -> io::Result<Stack> {
        if let Some(mistake) = self.mistake {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, mistake));
        }
        if self.devices.is_empty() {
            let text = "a stack needs a device";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let secret = match self.secret {
            Some(secret) => secret,
            None => fresh_secret(getrandom::fill)?,
        };
        let host = Host {
            addresses: self.addresses,
            routes: self.routes,
            config: self.config.divided(self.devices.len()),
            secret,
            clock: Clock::start(),
            division: Division::new(&secret, self.devices.len())?,
            recorders: recorders(self.recorder, self.devices.len()),
            busy_poll: self.busy_poll,
        };
        host.spawn(&runtime, self.devices)
    }

    fn parse(&mut self, text: &impl ToCidr) -> Option<Cidr> {
        match text.to_cidr() {
            Ok(cidr) => Some(cidr),
            Err(mistake) => {
                self.note(mistake);
                None
            }
        }
    }

    fn note(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }
}

/// An address with the length of its prefix.
pub trait ToCidr {
    /// The value.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    fn to_cidr(&self) -> Result<Cidr, String>;
}

impl ToCidr for Cidr {
    fn to_cidr(&self) -> Result<Cidr, String> {
        Ok(*self)
    }
}

impl ToCidr for str {
    fn to_cidr(&self) -> Result<Cidr, String> {
        self.parse()
            .map_err(|error| format!("{self:?} is no address with a prefix length: {error}"))
    }
}

impl ToCidr for String {
    fn to_cidr(&self) -> Result<Cidr, String> {
        self.as_str().to_cidr()
    }
}

impl<T: ToCidr + ?Sized> ToCidr for &T {
    fn to_cidr(&self) -> Result<Cidr, String> {
        (**self).to_cidr()
    }
}

/// An IP address.
pub trait ToIp {
    /// The value.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    fn to_ip(&self) -> Result<IpAddr, String>;
}

impl ToIp for IpAddr {
    fn to_ip(&self) -> Result<IpAddr, String> {
        Ok(*self)
    }
}

impl ToIp for std::net::Ipv4Addr {
    fn to_ip(&self) -> Result<IpAddr, String> {
        Ok((*self).into())
    }
}

impl ToIp for std::net::Ipv6Addr {
    fn to_ip(&self) -> Result<IpAddr, String> {
        Ok((*self).into())
    }
}

impl ToIp for &str {
    fn to_ip(&self) -> Result<IpAddr, String> {
        self.parse()
            .map_err(|_| format!("{self:?} is not an IP address"))
    }
}

/// A secret from the operating system.
// SEC-RNG-1: there is no other, and without one there is no stack.
fn fresh_secret<E: std::fmt::Display>(
    fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_sec_rng_1_no_entropy_means_no_secret() {
        let none = fresh_secret(|_| Err("no entropy"));
        assert_eq!(none.unwrap_err().to_string(), "no entropy");
        let (one, two) = (
            fresh_secret(getrandom::fill).unwrap(),
            fresh_secret(getrandom::fill).unwrap(),
        );
        assert_ne!(one, two);
        assert_ne!(one, [0; 32]);
    }
}
