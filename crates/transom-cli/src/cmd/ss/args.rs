//! What was typed after `transom ss`.

use std::time::Duration;

use clap::Args;

use crate::args::ColorChoice;

/// `transom ss`
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub(crate) struct SsArgs {
    /// TCP sockets (without -t and -u: both)
    #[arg(short, long)]
    pub(crate) tcp: bool,

    /// UDP sockets
    #[arg(short, long)]
    pub(crate) udp: bool,

    /// Only listening sockets
    #[arg(short, long, overrides_with = "all")]
    pub(crate) listening: bool,

    /// Sockets in all states, listening ones too
    #[arg(short, long, overrides_with = "listening")]
    pub(crate) all: bool,

    /// Numbers for ports, exact numbers for rates
    #[arg(short, long)]
    pub(crate) numeric: bool,

    /// Names for addresses
    #[arg(short, long)]
    pub(crate) resolve: bool,

    /// The processes that hold each socket
    #[arg(short, long)]
    pub(crate) processes: bool,

    /// What TCP knows: round-trip time, congestion window, rates, counters
    #[arg(short, long)]
    pub(crate) info: bool,

    /// User, inode, cookie, mark, cgroup, which directions are shut
    #[arg(short, long)]
    pub(crate) extended: bool,

    /// The running timer, when it expires, and how often it has
    #[arg(short = 'o', long)]
    pub(crate) options: bool,

    /// Memory
    #[arg(short, long)]
    pub(crate) memory: bool,

    /// Type of service, traffic class, priority
    #[arg(long)]
    pub(crate) tos: bool,

    /// The cgroup
    #[arg(long)]
    pub(crate) cgroup: bool,

    /// IPv4 only
    #[arg(short = '4', long)]
    pub(crate) ipv4: bool,

    /// IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// inet or inet6, as -4 and -6
    #[arg(short, long, value_name = "FAMILY")]
    pub(crate) family: Option<String>,

    /// Tables to list: tcp, udp, inet, all, separated by commas; !NAME leaves one out
    #[arg(short = 'A', long, visible_alias = "socket", value_name = "QUERY")]
    pub(crate) query: Option<String>,

    /// The network namespace of this name (`ip netns`)
    #[arg(short = 'N', long, value_name = "NAME")]
    pub(crate) net: Option<String>,

    /// Only how many sockets there are
    #[arg(short, long)]
    pub(crate) summary: bool,

    /// No header line
    #[arg(short = 'H', long)]
    pub(crate) no_header: bool,

    /// Everything about a socket on one line
    #[arg(short = 'O', long)]
    pub(crate) oneline: bool,

    /// Close the sockets that the filter leaves; without --yes only say which they are
    #[arg(short = 'K', long)]
    pub(crate) kill: bool,

    /// With -K: really
    #[arg(long)]
    pub(crate) yes: bool,

    /// One more column in words, where a state deserves it (always on a terminal)
    #[arg(long, overrides_with = "no_explain")]
    pub(crate) explain: bool,

    /// No such column, also on a terminal
    #[arg(long, overrides_with = "explain")]
    pub(crate) no_explain: bool,

    /// Also the connections of running `transom run`s, which no kernel of this host knows
    /// (always on a terminal, in --json and in --watch)
    #[arg(long, overrides_with = "no_stacks")]
    pub(crate) stacks: bool,

    /// Never those
    #[arg(long, overrides_with = "stacks")]
    pub(crate) no_stacks: bool,

    /// As JSON, with everything that is known; docs/SS.md names the fields
    #[arg(long)]
    pub(crate) json: bool,

    /// Stay and show what changes; looks every INTERVAL seconds
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = interval)]
    pub(crate) watch: Option<Duration>,

    /// Colours
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,

    /// Options of ss that concern sockets which are neither TCP nor UDP, or other tools.
    #[command(flatten)]
    pub(crate) others: Others,

    /// Which sockets, as for ss: state STATE…, exclude STATE…, and an expression such as 'sport = :22'
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
}

/// What `ss` has and this command has not: named, so that the answer is a sentence.
#[derive(Debug, Args)]
pub(crate) struct Others {
    #[arg(short = 'x', long, hide = true)]
    unix: bool,
    #[arg(short = 'w', long, hide = true)]
    raw: bool,
    #[arg(short = '0', long, hide = true)]
    packet: bool,
    #[arg(short = 'd', long, hide = true)]
    dccp: bool,
    #[arg(short = 'S', long, hide = true)]
    sctp: bool,
    #[arg(short = 'M', long, hide = true)]
    mptcp: bool,
    #[arg(long, hide = true)]
    vsock: bool,
    #[arg(long, hide = true)]
    tipc: bool,
    #[arg(long, hide = true)]
    xdp: bool,
    #[arg(short = 'T', long, hide = true)]
    threads: bool,
    #[arg(short = 'b', long, hide = true)]
    bpf: bool,
    #[arg(short = 'Z', long, hide = true)]
    context: bool,
    #[arg(short = 'z', long, hide = true)]
    contexts: bool,
    #[arg(long, hide = true)]
    inet_sockopt: bool,
    #[arg(short = 'E', long, hide = true)]
    events: bool,
    #[arg(short = 'D', long, hide = true, value_name = "FILE")]
    diag: Option<String>,
    #[arg(short = 'F', long, hide = true, value_name = "FILE")]
    filter_file: Option<String>,
}

impl SsArgs {
    /// What a filter consists of, and how often to look. A filter never begins with a number, so the
    /// number behind `--watch` may stand without a `=`.
    pub(crate) fn filter_and_watch(&self) -> Result<(&[String], Option<Duration>), String> {
        let number = self.filter.split_first().filter(|(first, _)| {
            self.watch.is_some() && first.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        });
        Ok(match number {
            Some((first, rest)) => (rest, Some(interval(first)?)),
            None => (&self.filter, self.watch),
        })
    }
}

impl Others {
    /// What to say when one of them was typed.
    pub(crate) fn refusal(&self) -> Option<String> {
        let families = [
            (self.unix, "-x"),
            (self.raw, "-w"),
            (self.packet, "-0"),
            (self.dccp, "-d"),
            (self.sctp, "-S"),
            (self.mptcp, "-M"),
            (self.vsock, "--vsock"),
            (self.tipc, "--tipc"),
            (self.xdp, "--xdp"),
        ];
        if let Some((_, option)) = families.into_iter().find(|(given, _)| *given) {
            return Some(format!(
                "transom ss lists TCP and UDP sockets; for {option} use ss itself"
            ));
        }
        if self.events {
            return Some("transom ss has no -E: --watch shows what changes".to_owned());
        }
        let rest = [
            (self.threads, "-T"),
            (self.bpf, "-b"),
            (self.context, "-Z"),
            (self.contexts, "-z"),
            (self.inet_sockopt, "--inet-sockopt"),
            (self.diag.is_some(), "-D"),
            (self.filter_file.is_some(), "-F"),
        ];
        let (_, option) = rest.into_iter().find(|(given, _)| *given)?;
        Some(format!("transom ss has no {option}; use ss itself"))
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "write a number of seconds".to_owned())?;
    if !(0.05..=86_400.0).contains(&seconds) {
        return Err("write a number of seconds between 0.05 and 86400".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

const HELP: &str = "\
FILTER: state all|connected|synchronized|bucket|big|established|syn-sent|syn-recv|fin-wait-1|
fin-wait-2|time-wait|closed|close-wait|last-ack|listening|closing (may be repeated; exclude leaves
one out), then an expression of
  sport OP :PORT   dport OP :PORT   src HOST   dst HOST   dev [OP] NAME   fwmark [OP] VALUE[/MASK]
  cgroup [OP] PATH   autobound
joined by and, or, not and parentheses (two side by side mean and). OP is one of = != < <= > >= or
eq ne lt le gt ge; HOST is ADDRESS[/BITS][:PORT] or a name, an IPv6 address in brackets.

  transom ss -tlnp                       who listens
  transom ss -tan state close-wait       which programs do not close
  transom ss -tno dst 10.0.0.0/8 and '( dport = :443 or dport = :80 )'
  transom ss -t --watch                  what changes

The output is that of ss (iproute2), so that scripts can read either. docs/SS.md says more.";
