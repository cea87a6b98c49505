use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Words that are replaced in a script, with what stands for them.
pub type Defines = BTreeMap<String, Definition>;

/// What a defined word stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definition {
    /// A number.
    Integer(i64),
    /// Another word.
    Word(String),
    /// A string: the value began with `"`.
    Text(Vec<u8>),
    /// A shell command: the value began with a backquote.
    Shell(String),
}

impl Definition {
    /// The definition that a text means, as in `--define NAME=TEXT`.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix('"') {
            Self::Text(rest.strip_suffix('"').unwrap_or(rest).into())
        } else if let Some(rest) = text.strip_prefix('`') {
            Self::Shell(rest.strip_suffix('`').unwrap_or(rest).into())
        } else if let Some(number) = number(text) {
            Self::Integer(number)
        } else {
            Self::Word(text.into())
        }
    }
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        // A cookie such as 0011 keeps its zeros as a word.
        None if text.len() > 1 && text.starts_with('0') => None,
        None => text.parse().ok(),
    }
}

/// Over which IP a script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IpVersion {
    /// IPv4 sockets and packets.
    #[default]
    V4,
    /// IPv6 sockets, IPv4 packets: addresses such as `::ffff:192.0.2.1`.
    V4Mapped,
    /// IPv6 sockets and packets.
    V6,
}

/// An address, and the length of its network's prefix where one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// The prefix length in bits.
    pub prefix_len: Option<u8>,
}

/// Options of a script or a command line: `--name=value`. What is not given is `None`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Options {
    /// `--ip_version=ipv4`, `ipv4-mapped-ipv6`, `ipv6`.
    pub ip_version: Option<IpVersion>,
    /// `--local_ip`: the stack's address.
    pub local_ip: Option<Network>,
    /// `--remote_ip`: the script's address.
    pub remote_ip: Option<Network>,
    /// `--gateway_ip`.
    pub gateway_ip: Option<IpAddr>,
    /// `--netmask_ip`.
    pub netmask_ip: Option<IpAddr>,
    /// `--bind_port`: what `bind` with `...` takes (8080).
    pub bind_port: Option<u16>,
    /// `--connect_port`: what `connect` with `...` takes (8080).
    pub connect_port: Option<u16>,
    /// `--mtu` in octets of IP packet (1500).
    pub mtu: Option<u16>,
    /// `--mss`: the size that longer packets going in are said to be cut to.
    pub mss: Option<u16>,
    /// `--tolerance_usecs` (4000).
    pub tolerance: Option<Duration>,
    /// `--tolerance_percent` (12.5).
    pub tolerance_percent: Option<f64>,
    /// `--tcp_ts_tick_usecs`: the timestamp clock's tick; zero does not check timestamps.
    pub timestamp_tick: Option<Duration>,
    /// `--tcp_ts_ecr_scaled`: echoes going in are counted from the first timestamp.
    pub timestamp_echo_scaled: Option<bool>,
    /// `--strict_segments`: a packet expected may not come in parts.
    pub strict_segments: Option<bool>,
    /// `--non_fatal=packet,syscall`: what may differ without ending the script.
    pub non_fatal: Option<Vec<String>>,
    /// `--is_anyip`: any address of the network is the stack's.
    pub any_ip: Option<bool>,
    /// `--define NAME=VALUE`.
    pub defines: Defines,
    /// Options that have a meaning only for a real machine (`--speed`, `--init_scripts`, …), as given.
    pub ignored: Vec<(String, Option<String>)>,
}

/// An option that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// There is none of this name.
    Unknown(String),
    /// It needs a value.
    NoValue(&'static str),
    /// The value is not what the option takes.
    BadValue {
        /// The option.
        name: String,
        /// The value.
        value: String,
        /// What it takes, as a phrase.
        expected: &'static str,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no option --{name}"),
            Self::NoValue(expected) => write!(f, "the option needs a value: {expected}"),
            Self::BadValue {
                name,
                value,
                expected,
            } => write!(f, "--{name}={value}: the value must be {expected}"),
        }
    }
}

impl std::error::Error for OptionError {}

/// Options that other interpreters have and that mean nothing in virtual time.
const IGNORED: &[&str] = &[
    "psp_udp_port",
    "speed",
    "init_scripts",
    "verbose",
    "debug",
    "dry_run",
    "no_cleanup",
    "persistent_tun_dev",
    "so_filename",
    "so_flags",
    "wire_client",
    "wire_server",
    "wire_server_ip",
    "wire_server_port",
    "wire_client_dev",
    "wire_server_dev",
    "udp_encaps",
    "send_omit_free",
    "code_command",
    "code_format",
    "code_sockopt",
    "use_expect",
];

impl Options {
    /// Takes `--name=value` or `--name`.
    ///
    /// # Errors
    /// When there is no such option or the value does not fit it.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), OptionError> {
        let given = Given { name, value };
        match name {
            "ip_version" => self.ip_version = Some(given.read(IP_VERSION, ip_version)?),
            "local_ip" => self.local_ip = Some(given.read(NETWORK, network)?),
            "remote_ip" => self.remote_ip = Some(given.read(NETWORK, network)?),
            "gateway_ip" => self.gateway_ip = Some(given.read("an IP address", parsed)?),
            "netmask_ip" => self.netmask_ip = Some(given.read("an IP address", parsed)?),
            "bind_port" => self.bind_port = Some(given.read("a port", parsed)?),
            "connect_port" => self.connect_port = Some(given.read("a port", parsed)?),
            "mtu" => self.mtu = Some(given.read("octets, at most 65535", parsed)?),
            "mss" => self.mss = Some(given.read("octets, at most 65535", parsed)?),
            "tolerance_usecs" => {
                self.tolerance = Some(given.read("microseconds", parsed).map(micros)?);
            }
            "tolerance_percent" => {
                self.tolerance_percent = Some(given.read("a percentage", percent)?);
            }
            "tcp_ts_tick_usecs" => {
                self.timestamp_tick = Some(given.read("microseconds", parsed).map(micros)?);
            }
            "tcp_ts_ecr_scaled" => self.timestamp_echo_scaled = Some(given.switch()?),
            "strict_segments" => self.strict_segments = Some(given.switch()?),
            "is_anyip" => self.any_ip = Some(given.switch()?),
            "non_fatal" => {
                self.non_fatal = Some(given.read("a list such as packet,syscall", |text| {
                    Some(text.split(',').map(str::to_owned).collect())
                })?);
            }
            "define" | "D" => {
                let (name, value) =
                    given.read("NAME=VALUE", |text| text.split_once('=').map(own))?;
                self.defines.insert(name, Definition::from_text(&value));
            }
            _ if IGNORED.contains(&name) => {
                self.ignored.push((name.into(), value.map(str::to_owned)));
            }
            _ => return Err(OptionError::Unknown(name.into())),
        }
        Ok(())
    }

    /// These options where they are given, `other` where not.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        let Self {
            ip_version,
            local_ip,
            remote_ip,
            gateway_ip,
            netmask_ip,
            bind_port,
            connect_port,
            mtu,
            mss,
            tolerance,
            tolerance_percent,
            timestamp_tick,
            timestamp_echo_scaled,
            strict_segments,
            non_fatal,
            any_ip,
            defines,
            ignored,
        } = other;
        self.ip_version = self.ip_version.or(*ip_version);
        self.local_ip = self.local_ip.or(*local_ip);
        self.remote_ip = self.remote_ip.or(*remote_ip);
        self.gateway_ip = self.gateway_ip.or(*gateway_ip);
        self.netmask_ip = self.netmask_ip.or(*netmask_ip);
        self.bind_port = self.bind_port.or(*bind_port);
        self.connect_port = self.connect_port.or(*connect_port);
        self.mtu = self.mtu.or(*mtu);
        self.mss = self.mss.or(*mss);
        self.tolerance = self.tolerance.or(*tolerance);
        self.tolerance_percent = self.tolerance_percent.or(*tolerance_percent);
        self.timestamp_tick = self.timestamp_tick.or(*timestamp_tick);
        self.timestamp_echo_scaled = self.timestamp_echo_scaled.or(*timestamp_echo_scaled);
        self.strict_segments = self.strict_segments.or(*strict_segments);
        self.non_fatal = self.non_fatal.or_else(|| non_fatal.clone());
        self.any_ip = self.any_ip.or(*any_ip);
        for (name, value) in defines {
            self.defines
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        self.ignored.extend(ignored.iter().cloned());
        self
    }
}

const IP_VERSION: &str = "ipv4, ipv4-mapped-ipv6 or ipv6";
const NETWORK: &str = "an IP address, with or without /length";

struct Given<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl Given<'_> {
    fn read<T>(
        &self,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, OptionError> {
        let value = self.value.ok_or(OptionError::NoValue(expected))?;
        read(value).ok_or_else(|| OptionError::BadValue {
            name: self.name.into(),
            value: value.into(),
            expected,
        })
    }

    fn switch(&self) -> Result<bool, OptionError> {
        match self.value {
            None => Ok(true),
            Some(_) => self.read("0 or 1, or nothing for 1", |text| match text {
                "0" => Some(false),
                "1" => Some(true),
                _ => None,
            }),
        }
    }
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.into(), value.into())
}

fn parsed<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn micros(number: u32) -> Duration {
    Duration::from_micros(number.into())
}

fn percent(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (0.0..=1e6).contains(&number).then_some(number)
}

fn ip_version(text: &str) -> Option<IpVersion> {
    match text {
        "ipv4" => Some(IpVersion::V4),
        "ipv4-mapped-ipv6" => Some(IpVersion::V4Mapped),
        "ipv6" => Some(IpVersion::V6),
        _ => None,
    }
}

fn network(text: &str) -> Option<Network> {
    let (address, prefix_len) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix_len
        .is_none_or(|length| length <= longest)
        .then_some(Network {
            address,
            prefix_len,
        })
}
