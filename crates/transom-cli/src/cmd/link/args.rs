//! What was typed after `transom link`, and what it means for each direction.

use std::ffi::OsString;

use clap::Args;
use transom_sim::{Impairment, Queue, SpecError};

/// `transom link`
#[derive(Debug, Args)]
#[command(after_help = LINK_HELP)]
pub(crate) struct LinkArgs {
    /// One end of the wire
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// The other end
    #[arg(value_name = "B")]
    pub(crate) b: String,

    #[command(flatten)]
    pub(crate) settings: Settings,

    /// Both directions, in the words of `run --fault`: loss=1%,delay=20ms,seed=7
    #[arg(long, value_name = "SPEC")]
    pub(crate) fault: Option<String>,

    /// From A to B only; what is said here replaces what is said for both
    #[arg(long, value_name = "SPEC")]
    pub(crate) a_to_b: Option<String>,

    /// From B to A only
    #[arg(long, value_name = "SPEC")]
    pub(crate) b_to_a: Option<String>,

    /// MTU of interfaces that are made
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(68..=65521))]
    pub(crate) interface_mtu: u32,

    /// The counters at the end as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// No counters at the end
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// A program to run while the wire stands; its end is the end of the wire, its exit code is ours
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// The words of a fault, as options of their own.
#[derive(Debug, Default, Args)]
pub(crate) struct Settings {
    /// How long a packet takes one way: 20ms
    #[arg(long, value_name = "TIME")]
    delay: Option<String>,

    /// The delay varies by up to this much both ways; order is kept: 5ms
    #[arg(long, value_name = "TIME")]
    jitter: Option<String>,

    /// Packets that are lost: 1%, gilbert:5%:25%, nth:10, list:3+7
    #[arg(long, value_name = "SHARE")]
    loss: Option<String>,

    /// Bits per second of IP packets: 100mbit
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,

    /// What may wait for the rate: 1bdp, 50ms, 64k, 100p; default 1000p
    #[arg(long, value_name = "SIZE")]
    queue: Option<String>,

    /// Packets that are overtaken, and perhaps how late they are: 1%, 1%:10ms
    #[arg(long, value_name = "SHARE")]
    reorder: Option<String>,

    /// Packets that arrive twice: 1%
    #[arg(long, value_name = "SHARE")]
    duplicate: Option<String>,

    /// Packets of which a bit is flipped: 0.1%
    #[arg(long, value_name = "SHARE")]
    corrupt: Option<String>,

    /// Larger packets vanish without a word: 1400
    #[arg(long, value_name = "BYTES")]
    mtu: Option<String>,

    /// How the queue drops: codel, codel:5ms:100ms; default: when it is full
    #[arg(long, value_name = "KIND")]
    aqm: Option<String>,

    /// Congestion is marked instead of dropped where senders understand: on (with codel), or what finds 20p, 30k waiting
    #[arg(long, value_name = "WHEN", num_args = 0..=1, default_missing_value = "on")]
    ecn: Option<String>,

    /// The seed of chance; the direction from B to A takes the next one
    #[arg(long, value_name = "NUMBER")]
    seed: Option<String>,
}

impl Settings {
    fn words(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("loss", &self.loss),
            ("rate", &self.rate),
            ("queue", &self.queue),
            ("reorder", &self.reorder),
            ("duplicate", &self.duplicate),
            ("corrupt", &self.corrupt),
            ("mtu", &self.mtu),
            ("aqm", &self.aqm),
            ("ecn", &self.ecn),
            ("seed", &self.seed),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// The wire as it was described: from A to B, and back.
pub(crate) fn impairments(args: &LinkArgs) -> Result<[Impairment; 2], String> {
    let mut both = Spec::default();
    for (name, value) in args.settings.words() {
        // Checked alone, so that the message tells where it is.
        let alone = Spec(vec![(name.to_owned(), value.to_owned())]);
        alone.read().map_err(|error| format!("--{name}: {error}"))?;
        both.0.extend(alone.0);
    }
    let fault = Spec::checked("--fault", args.fault.as_deref())?;
    if let Some((name, _)) = fault.0.iter().find(|(name, _)| both.get(name).is_some()) {
        return Err(format!("--fault and --{name} both set {name}; say it once"));
    }
    both.0.extend(fault.0);
    let own = Spec::checked("--a-to-b", args.a_to_b.as_deref())?;
    let to = both.with(own).read().map_err(|error| error.to_string())?;
    let own = Spec::checked("--b-to-a", args.b_to_a.as_deref())?;
    let has_seed = own.get("seed").is_some();
    let mut back = both.with(own).read().map_err(|error| error.to_string())?;
    if !has_seed {
        // The same chance would strike both ways at once.
        back.seed = back.seed.wrapping_add(1);
    }
    let round_trip = to.delay.saturating_add(back.delay);
    let wires = [to, back].map(|wire| {
        if matches!(wire.queue, Some(Queue::Time(_) | Queue::Bdp(_))) && wire.rate.is_none() {
            return Err("a queue in bdp or in time needs a rate: without one nothing ever waits");
        }
        Ok(wire.resolve(round_trip))
    });
    let [to, back] = wires;
    Ok([to?, back?])
}

/// Settings by name, before they are understood.
#[derive(Clone, Default)]
struct Spec(Vec<(String, String)>);

impl Spec {
    /// What an option says, each word understood.
    fn checked(option: &str, text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let wrong = |error: SpecError| format!("{option}: {error}");
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let mut words = Vec::new();
        for word in text.split(',') {
            let Some((name, value)) = word.split_once('=') else {
                // The parser says what is missing, and where.
                text.parse::<Impairment>().map_err(wrong)?;
                continue;
            };
            words.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        text.parse::<Impairment>().map_err(wrong)?;
        Ok(Self(words))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// These, and the others instead where both say something.
    fn with(&self, others: Self) -> Self {
        let kept = self.0.iter().filter(|(name, _)| others.get(name).is_none());
        Self(kept.cloned().chain(others.0.iter().cloned()).collect())
    }

    fn read(&self) -> Result<Impairment, SpecError> {
        if self.0.is_empty() {
            return Ok(Impairment::new());
        }
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        words.join(",").parse()
    }
}

const LINK_HELP: &str = "\
An end is [NETNS:]INTERFACE[=ADDRESS/LENGTH[,…]]. NETNS is a name of `ip netns`, the number of a process,
or the path of a namespace. An interface that does not exist is made (a TAP device), with the addresses
given, and goes when the wire goes. One that exists must be Ethernet, without addresses of its own: usually an end of
a veth pair, whose other end is the host; the wire takes what arrives there.

  transom link ns1:eth0=10.0.0.1/24 ns2:eth0=10.0.0.2/24 --delay 20ms --loss 1%
  transom link veth1 veth2 --rate 100mbit --delay 10ms --queue 1bdp
  transom link ns1:eth0 ns2:eth0 --delay 5ms --a-to-b loss=1% --b-to-a delay=40ms
  transom link ns1:e0=10.0.0.1/24 ns2:e0=10.0.0.2/24 --delay 5ms -- ip netns exec ns1 ping -c3 10.0.0.2

Everything is per direction: --delay 20ms makes a round trip of 40 ms. 1bdp is what the rate sends during a round
trip without queues. Sizes are those of IP packets. A line on stdout tells that the wire stands. Ctrl-C or
SIGTERM ends it, SIGUSR1 prints the counters.

Needs root (CAP_NET_ADMIN and CAP_NET_RAW in the namespaces).
Exit codes: the program's own; 0 ended by a signal; 125 the wire could not be made, or broke.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn wire(options: &[&str]) -> Result<[String; 2], String> {
        let words = ["transom", "link", "a", "b"].iter().chain(options);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Link(args) => impairments(&args).map(|both| both.map(|one| one.to_string())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn directions_differ_where_they_are_told_to() {
        let both = wire(&["--delay", "20ms", "--fault", "loss=1%,seed=7"]).unwrap();
        assert_eq!(
            both,
            ["loss=1%,delay=20ms,seed=7", "loss=1%,delay=20ms,seed=8"]
        );
        let options = [
            "--delay",
            "20ms",
            "--a-to-b",
            "loss=1%",
            "--b-to-a",
            "delay=5ms,seed=3",
        ];
        assert_eq!(
            wire(&options).unwrap(),
            ["loss=1%,delay=20ms", "delay=5ms,seed=3"]
        );
        assert_eq!(wire(&[]).unwrap(), ["none", "seed=1"]);
    }

    #[test]
    fn a_queue_of_round_trips_knows_both_delays() {
        let options = [
            "--rate",
            "10mbit",
            "--queue",
            "0.5bdp",
            "--delay",
            "10ms",
            "--b-to-a",
            "delay=50ms",
        ];
        let both = wire(&options).unwrap();
        assert_eq!(both[0], "delay=10ms,rate=10mbit,queue=30ms");
        assert_eq!(both[1], "delay=50ms,rate=10mbit,queue=30ms,seed=1");
        assert!(wire(&["--queue", "1bdp"]).is_err());
        assert!(wire(&["--queue", "10ms", "--a-to-b", "rate=1mbit"]).is_err());
    }
}
