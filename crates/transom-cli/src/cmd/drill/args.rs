//! What `transom drill` takes.

use std::path::PathBuf;

use clap::Args;

use crate::args::ColorChoice;

/// `transom drill`
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct DrillArgs {
    /// Scripts, or folders of them (*.pkt)
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Print each packet and call
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Read the scripts and do not run them
    #[arg(long, alias = "dry_run")]
    pub(crate) dry_run: bool,

    /// Replace a word in the scripts; may be repeated
    #[arg(short = 'D', long = "define", value_name = "NAME=VALUE")]
    pub(crate) defines: Vec<String>,

    /// How far off a time may be at least [default: 4000]
    #[arg(long, alias = "tolerance_usecs", value_name = "MICROSECONDS")]
    pub(crate) tolerance_usecs: Option<String>,

    /// How far off a time may be, of the time since the event before [default: 12.5]
    #[arg(long, alias = "tolerance_percent", value_name = "PERCENT")]
    pub(crate) tolerance_percent: Option<String>,

    /// ipv4, ipv6, or ipv4-mapped-ipv6
    #[arg(long, alias = "ip_version", value_name = "VERSION")]
    pub(crate) ip_version: Option<String>,

    /// The stack's address
    #[arg(long, alias = "local_ip", value_name = "ADDRESS")]
    pub(crate) local_ip: Option<String>,

    /// The script's address
    #[arg(long, alias = "remote_ip", value_name = "ADDRESS")]
    pub(crate) remote_ip: Option<String>,

    /// MTU of the link [default: 1500]
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<String>,

    /// Longer packets going in were merged from segments of this size
    #[arg(long, value_name = "BYTES")]
    pub(crate) mss: Option<String>,

    /// Timestamps are checked, in ticks of this length; 0 does not check them
    #[arg(long, alias = "tcp_ts_tick_usecs", value_name = "MICROSECONDS")]
    pub(crate) tcp_ts_tick_usecs: Option<String>,

    /// Failures that do not end a script: packet, syscall
    #[arg(long, alias = "non_fatal", value_name = "KINDS")]
    pub(crate) non_fatal: Option<String>,

    /// A packet expected may not come in parts
    #[arg(long, alias = "strict_segments")]
    pub(crate) strict_segments: bool,

    /// The port that `bind` with `...` takes [default: 8080]
    #[arg(long, alias = "bind_port", value_name = "PORT", hide_short_help = true)]
    pub(crate) bind_port: Option<String>,

    /// The port that `connect` with `...` takes [default: 8080]
    #[arg(
        long,
        alias = "connect_port",
        value_name = "PORT",
        hide_short_help = true
    )]
    pub(crate) connect_port: Option<String>,

    /// Accepted and without a meaning: there is no gateway
    #[arg(long, alias = "gateway_ip", value_name = "ADDRESS", hide = true)]
    pub(crate) gateway_ip: Option<String>,

    /// Accepted and without a meaning: there is no network
    #[arg(long, alias = "netmask_ip", value_name = "ADDRESS", hide = true)]
    pub(crate) netmask_ip: Option<String>,

    /// Accepted and without a meaning: time is virtual
    #[arg(long, value_name = "RATE", hide = true)]
    pub(crate) speed: Option<String>,

    /// Colours in the output
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

impl DrillArgs {
    /// The options that scripts know, by their names there.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        let values = [
            ("tolerance_usecs", &self.tolerance_usecs),
            ("tolerance_percent", &self.tolerance_percent),
            ("ip_version", &self.ip_version),
            ("local_ip", &self.local_ip),
            ("remote_ip", &self.remote_ip),
            ("mtu", &self.mtu),
            ("mss", &self.mss),
            ("tcp_ts_tick_usecs", &self.tcp_ts_tick_usecs),
            ("non_fatal", &self.non_fatal),
            ("bind_port", &self.bind_port),
            ("connect_port", &self.connect_port),
            ("gateway_ip", &self.gateway_ip),
            ("netmask_ip", &self.netmask_ip),
            ("speed", &self.speed),
        ];
        let defines = self
            .defines
            .iter()
            .map(|text| ("define", Some(text.as_str())));
        let strict = self.strict_segments.then_some(("strict_segments", None));
        values
            .into_iter()
            .filter_map(|(name, value)| Some((name, Some(value.as_deref()?))))
            .chain(defines)
            .chain(strict)
    }
}

const HELP: &str = "\
Scripts are those of packetdrill: packets that go in (<), packets that must come out (>), system
calls with their results, all with times. Time is virtual: a script that waits a minute takes
milliseconds, needs no privilege and touches no network. Options may be written with dashes or
underscores. docs/DRILL.md tells what is supported and what differs.

Exit codes: 0 every script passed; 1 one failed; 125 the arguments cannot be used.";
