//! What was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use transom_sim::Impairment;

use crate::cmd::drill::args::DrillArgs;
use crate::cmd::explain::args::ExplainArgs;
use crate::cmd::link::args::LinkArgs;
use crate::cmd::ss::args::SsArgs;
use crate::cmd::watch::args::WatchArgs;

/// TCP in user space that you can see through.
#[derive(Debug, Parser)]
#[command(name = "transom", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One verb each.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a program over our own TCP and show every connection that it made
    Run(Box<RunArgs>),
    /// Say what happened on the connections of a capture: who closed, why it was reset, slow or stuck
    Explain(Box<ExplainArgs>),
    /// Say what happens on the connections of an interface, while it happens
    Watch(Box<WatchArgs>),
    /// Play a textbook case with two of our own stacks in virtual time, and draw it
    Demo(DemoArgs),
    /// Play packet scripts against our own stack, in virtual time
    Drill(Box<DrillArgs>),
    /// Lay a bad wire between two interfaces: delay, loss, rate, queue, reordering
    Link(Box<LinkArgs>),
    /// List sockets and their states, as ss does
    Ss(Box<SsArgs>),
}

/// `transom demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The case to play, or "all"; without one the cases are listed
    #[arg(value_name = "CASE")]
    pub(crate) case: Option<String>,

    /// The connection as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// The drawing as a picture (SVG)
    #[arg(long, conflicts_with = "json")]
    pub(crate) svg: bool,

    /// The drawing and graphs as a page (HTML) that needs nothing else
    #[arg(long, conflicts_with_all = ["json", "svg"])]
    pub(crate) html: bool,

    /// The drawing as text for Mermaid
    #[arg(long, conflicts_with_all = ["json", "svg", "html"])]
    pub(crate) mermaid: bool,

    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,

    /// Colours in the drawing
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

/// `transom run`
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArgs {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,

    /// Publish a port of the program on the host; may be repeated
    #[arg(short, long = "publish", value_name = "[ADDR:]HOST[:PORT]")]
    pub(crate) publish: Vec<String>,

    /// Write every packet to a pcapng file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,

    /// Put the program's TLS secrets into the file of -w: whoever has it can read what was encrypted
    #[arg(long, requires = "write")]
    pub(crate) tls_keys: bool,

    /// Write the report to a file instead of stderr ("-" is stdout)
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Report as JSON, with everything that is known
    #[arg(long)]
    pub(crate) json: bool,

    /// No report
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Which connections to draw
    #[arg(long, value_enum, default_value_t = DiagramChoice::Auto, value_name = "WHICH")]
    pub(crate) diagram: DiagramChoice,

    /// Colours in the report
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,

    /// The kind of network device that the program gets
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto, value_name = "KIND")]
    pub(crate) device: DeviceChoice,

    /// MTU of the program's device; default: that of the host's default route
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1280..=65535))]
    pub(crate) mtu: Option<u32>,

    /// A bad link between the program and transom, such as loss=1%,delay=20ms,seed=7
    #[arg(long, value_name = "SPEC")]
    pub(crate) fault: Option<Impairment>,

    /// Leave when the program ends, even if processes that it started still use the network
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// Which connections are drawn as diagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiagramChoice {
    /// The first few, and those where something went wrong
    Auto,
    /// Every one
    All,
    /// No diagrams, only the table
    None,
}

/// When the report is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Which device carries the program's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceChoice {
    /// TUN, or veth where /dev/net/tun is closed to us
    Auto,
    /// A TUN device with segmentation offload
    Tun,
    /// A veth pair and a packet socket
    Veth,
}

const RUN_HELP: &str = "\
The program's stdin, stdout, stderr, terminal, signals and exit code are those of a plain run.
Inside, the host's own loopback services are at host.transom.internal (10.0.2.2 unless the host
uses that network itself); every other address leads where it would lead outside.

Exit codes: the program's own; 125 transom failed; 126 the program cannot be executed;
127 the program was not found. A program killed by a signal makes transom die by the same signal.";
