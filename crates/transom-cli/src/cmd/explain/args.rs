//! What was typed after `transom explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::ColorChoice;

/// `transom explain`
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_HELP)]
pub(crate) struct ExplainArgs {
    /// Captures (pcap or pcapng, gzipped or not; "-" is standard input); several are merged by time
    #[arg(required_unless_present = "findings", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Only connections that have a frame for which this holds, such as 'tcp.port == 443 and retrans > 3'
    #[arg(short, long, value_name = "EXPRESSION")]
    pub(crate) filter: Option<String>,

    /// Only the connection with this number, counted from 0 as in the list and in Wireshark's tcp.stream;
    /// may be repeated
    #[arg(short, long, value_name = "N")]
    pub(crate) stream: Vec<u64>,

    /// Browse on the terminal: the list, diagrams and details, with the keys of less and vim
    #[arg(long, group = "printed", conflicts_with_all = ["svg", "html", "annotate", "findings"])]
    pub(crate) browse: bool,

    /// Which connections to draw
    #[arg(long, value_enum, default_value_t = DrawChoice::Auto, value_name = "WHICH")]
    pub(crate) diagram: DrawChoice,

    /// Draw every segment, where otherwise runs of data are counted
    #[arg(long)]
    pub(crate) unfold: bool,

    /// Lines of the list, and connections drawn, at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,

    /// Everything as JSON, each connection as soon as it is over
    #[arg(long, group = "printed")]
    pub(crate) json: bool,

    /// With --json: no steps, only what is said of each connection
    #[arg(long, requires = "json")]
    pub(crate) brief: bool,

    /// Lines as in Zeek's conn.log
    #[arg(long, group = "printed")]
    pub(crate) conn_log: bool,

    /// Diagrams in Mermaid's language, for Markdown
    #[arg(long, group = "printed")]
    pub(crate) mermaid: bool,

    /// Also write diagrams and graphs as SVG files into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,

    /// Also write one HTML page that holds everything and opens offline
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Also write a copy of the capture with our findings as packet comments, for Wireshark
    #[arg(long, value_name = "FILE")]
    pub(crate) annotate: Option<PathBuf>,

    /// List every finding there is, with what it means and what to do
    #[arg(long)]
    pub(crate) findings: bool,

    /// Draw with ASCII characters only
    #[arg(long)]
    pub(crate) ascii: bool,

    /// Colours in the report
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
}

/// Which connections of a capture are drawn as diagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrawChoice {
    /// The worst ten; every one where there are three or fewer
    Auto,
    /// Every one in the list
    All,
    /// No diagrams, only the list
    None,
}

const EXPLAIN_HELP: &str = "\
The list has the worst first: problems, then what is worth knowing, then the rest.

Filters are those of Wireshark for frames (tcp.port, ip.addr, tcp.flags.reset, frame.time_relative,
tcp.analysis.retransmission, ...) with our own terms for connections (state, closed_by, retrans, bytes,
duration, finding, severity, ...). A connection is shown if one of its frames fits.

  transom explain web.pcapng -f 'tcp.port == 11699'
  transom explain web.pcapng -f 'closed_by == reset and server.bytes == 0'
  tcpdump -i eth0 -w - tcp | transom explain -

Needs no privileges. Exit codes: 0 every capture was read to its end; 1 a capture is broken or ends
within a packet (what could be read is shown); 125 nothing could be explained.";
