//! What can be chosen for a stack, each choice with its default and the reason for it.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::sync::Arc;

use crate::rate::RateLimit;

/// What becomes of an ICMP echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EchoMode {
    /// The stack answers (RFC 1122 §3.2.2.6).
    #[default]
    Reply,
    /// The application gets [`StackEvent::EchoRequest`](crate::StackEvent::EchoRequest) and answers with
    /// [`Stack::echo_reply`](crate::Stack::echo_reply), or not.
    Deliver,
    /// Silence.
    Ignore,
}

/// The choices for one stack.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StackConfig {
    /// Accept packets to every unicast destination, not only to the stack's addresses. Default false.
    pub any_address: bool,
    /// The choices for connections that bring none of their own.
    pub tcp: Arc<transom_tcp::Config>,
    /// The Ethernet address; of no meaning on a device for bare IP packets. Default 02:00:00:00:00:01.
    pub mac: [u8; 6],
    /// TTL and hop limit of what is sent (RFC 9293 MUST-49). Default 64.
    pub hop_limit: u8,
    /// What becomes of echo requests. Default: the stack answers.
    pub echo: EchoMode,
    /// Neither resets nor port-unreachable messages for ports that nobody uses. Default false.
    pub black_hole: bool,
    /// Local ports for connections that bring none. Default 32768–60999, as Linux.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// Most connections, those of listeners included. Default 2^20.
    pub max_connections: usize,
    /// Connections at rest that stay as they are. Those that have rested the longest beyond these are folded up, to a sixth of
    /// their memory, and unfolded when something happens to them, which takes about a microsecond. Default 1024.
    pub unfolded_idle: usize,
    /// Most connections in TIME-WAIT that no application holds. Default 65536; each takes about 128 bytes.
    pub max_time_wait: usize,
    /// Most connections that their applications have left, before TIME-WAIT. Default 65536.
    pub max_orphans: usize,
    /// Most handshakes under way, of all listeners. Default 65536; each takes about 250 bytes.
    pub max_embryos: usize,
    /// Answer SYNs that the queue of handshakes has no place for with SYN cookies (RFC 4987 §3.6); otherwise they are
    /// dropped. Default true, as Linux.
    pub syn_cookies: bool,
    /// Most bytes beyond gaps that all connections hold together. Default 256 MiB. Beyond that, what lies beyond the
    /// oldest gaps is forgotten, and its senders send it again.
    pub max_out_of_order_bytes: usize,
    /// Most bytes that all connections hold for sending. Default 1 GiB. Beyond that, the connections whose peers have
    /// kept their windows closed the longest are reset.
    pub max_send_bytes: usize,
    /// Most SYNs that wait for the decision of the application, of all listeners. Default 4096.
    pub max_incoming: usize,
    /// How long a key for Fast Open cookies is in use before the next one; its cookies are good as long again. Default
    /// 24 h. Zero: one key for ever.
    pub fast_open_key_lifetime: Duration,
    /// Most servers whose Fast Open cookies are remembered. Default 4096; each takes about 120 bytes.
    pub max_fast_open_servers: usize,
    /// How long no SYN carries data, or a Fast Open option, after a sign that a middlebox swallows what follows one;
    /// doubles each time, up to 64-fold, until it works again. Default 1 h. Zero: never; that is Linux's default.
    pub fast_open_pause: Duration,
    /// How long a SYN waits for that decision. Default 180 s: longer than a peer goes on sending it.
    pub incoming_timeout: Duration,
    /// Most bytes of fragments held. Default 4 MiB.
    pub max_fragment_bytes: usize,
    /// Most bytes of datagrams held by one UDP socket. Default 1 MiB; one for any port, four times that.
    pub udp_receive_buffer: usize,
    /// On Ethernet, ask for IPv6 routers and follow what they advertise: default route, prefixes on the link, MTU, hop
    /// limit (RFC 4861 §6.3). Default false: routes are configured.
    pub router_discovery: bool,
    /// Most neighbours remembered on Ethernet. Default 1024.
    pub max_neighbours: usize,
    /// Most paths remembered that are narrower than the link. Default 4096.
    pub max_path_mtus: usize,
    /// Most answers (resets, ICMP, datagrams) that wait for the device. Default 1024.
    pub max_output_queue: usize,
    /// ICMP errors to all destinations together. Default 1000 a second, 50 at once, as Linux.
    pub icmp_limit: RateLimit,
    /// ICMP errors to one destination. Default 100 a second, 10 at once.
    pub icmp_limit_each: RateLimit,
    /// Resets without a connection, to all destinations together. Default 20000 a second, 2000 at once.
    pub reset_limit: RateLimit,
    /// Resets without a connection, to one destination. Default 5000 a second, 500 at once: a local
    /// program that tries many closed ports is not slowed down.
    pub reset_limit_each: RateLimit,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            any_address: false,
            tcp: Arc::new(transom_tcp::Config::default()),
            mac: [2, 0, 0, 0, 0, 1],
            hop_limit: 64,
            echo: EchoMode::Reply,
            black_hole: false,
            ephemeral_ports: 32768..=60999,
            max_connections: 1 << 20,
            unfolded_idle: 1024,
            max_time_wait: 1 << 16,
            max_orphans: 1 << 16,
            max_out_of_order_bytes: 256 << 20,
            max_send_bytes: 1 << 30,
            max_incoming: 4096,
            max_embryos: 1 << 16,
            syn_cookies: true,
            fast_open_key_lifetime: Duration::from_secs(24 * 3600),
            max_fast_open_servers: 4096,
            fast_open_pause: Duration::from_secs(3600),
            incoming_timeout: Duration::from_secs(180),
            max_fragment_bytes: 4 << 20,
            udp_receive_buffer: 1 << 20,
            router_discovery: false,
            max_neighbours: 1024,
            max_path_mtus: 4096,
            max_output_queue: 1024,
            icmp_limit: RateLimit::new(1000, 50),
            icmp_limit_each: RateLimit::new(100, 10),
            reset_limit: RateLimit::new(20_000, 2000),
            reset_limit_each: RateLimit::new(5000, 500),
        }
    }
}

macro_rules! setters {
    ($($name:ident: $type:ty,)+) => {
        impl StackConfig {
            $(
                #[doc = concat!("Sets [`StackConfig::", stringify!($name), "`].")]
                #[must_use]
                pub fn $name(mut self, $name: $type) -> Self {
                    self.$name = $name;
                    self
                }
            )+
        }
    };
}

setters! {
    any_address: bool,
    mac: [u8; 6],
    hop_limit: u8,
    echo: EchoMode,
    black_hole: bool,
    ephemeral_ports: RangeInclusive<u16>,
    max_connections: usize,
    unfolded_idle: usize,
    max_time_wait: usize,
    max_orphans: usize,
    max_out_of_order_bytes: usize,
    max_send_bytes: usize,
    max_incoming: usize,
    max_embryos: usize,
    syn_cookies: bool,
    fast_open_key_lifetime: Duration,
    max_fast_open_servers: usize,
    fast_open_pause: Duration,
    incoming_timeout: Duration,
    max_fragment_bytes: usize,
    udp_receive_buffer: usize,
    router_discovery: bool,
    max_neighbours: usize,
    max_path_mtus: usize,
    max_output_queue: usize,
    icmp_limit: RateLimit,
    icmp_limit_each: RateLimit,
    reset_limit: RateLimit,
    reset_limit_each: RateLimit,
}

impl StackConfig {
    /// Sets [`StackConfig::tcp`].
    #[must_use]
    pub fn tcp(mut self, tcp: impl Into<Arc<transom_tcp::Config>>) -> Self {
        self.tcp = tcp.into();
        self
    }
}
