//! What was typed after `transom watch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::ColorChoice;

/// `transom watch`
#[derive(Debug, Args)]
#[command(after_help = WATCH_HELP)]
pub(crate) struct WatchArgs {
    /// The interface to listen on; "any" is all of them
    #[arg(short, long, value_name = "IFACE", default_value = "any")]
    pub(crate) interface: String,

    /// A capture in place of an interface, which may grow meanwhile; "-" is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["interface", "write", "ring", "snaplen"])]
    pub(crate) read: Option<PathBuf>,

    /// Only connections that have a frame for which this holds, as in explain
    #[arg(short, long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,

    /// Write the frames to a pcapng file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,

    /// With -w: keep the last frames in memory, and write only those at the end
    #[arg(long, value_name = "MIB", requires = "write", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(crate) ring: Option<u64>,

    /// Stop once a connection for which this holds is over, such as 'severity == problem'
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) until: Option<String>,

    /// Stop after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) lasting: Option<Duration>,

    /// Bytes of each frame that are kept; default: all with -w, else 512
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(96..=262_144))]
    pub(crate) snaplen: Option<u32>,

    /// Which connections to draw at the end
    #[arg(long, value_enum, default_value_t = DrawAtEnd::Auto, value_name = "WHICH")]
    pub(crate) diagram: DrawAtEnd,

    /// A line of JSON for each event, and the connection with its verdict when it is over
    #[arg(long)]
    pub(crate) json: bool,

    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,

    /// Colours
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

/// Which connections are drawn at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrawAtEnd {
    /// The worst three where something went wrong
    Auto,
    /// The fifty worst
    All,
    /// None
    None,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is expected, such as 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "not a time that can be waited".to_owned())
}

const WATCH_HELP: &str = "\
A line is printed when a connection is opened, when it is over, and when something goes wrong on it;
Ctrl-C ends the watch with a report like that of explain; so does the end of a pipe. A file that is read may grow for ever.

  transom watch -i eth0 -f 'tcp.port == 443'
  tcpdump -i eth0 -U -w - | transom watch -r -
  transom watch -i any --ring 64 -w last.pcapng --until 'finding == \"refused\"'

An interface needs CAP_NET_RAW: root, or once `setcap cap_net_raw+ep` on the program.
Exit codes: 0 it ended as asked for; 125 it could not listen, or could not write.";
