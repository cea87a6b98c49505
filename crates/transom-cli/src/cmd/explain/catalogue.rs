//! `--findings`: every finding there is.

use std::fmt::Write as _;
use std::io;

use transom_flow::verdict::{CATALOGUE, Kind};

use super::args::ExplainArgs;
use crate::terminal;

/// The list, for reading.
pub(super) fn text(args: &ExplainArgs) -> String {
    let width = terminal::options(Some(&io::stdout()), args.color).width;
    let mut text = String::new();
    for (kind, title) in [
        (Kind::Ending, "How a connection ended, or where it stands"),
        (Kind::Remark, "What else may be said of a connection"),
        (Kind::Capture, "What many connections show together"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{title}:\n");
        for known in CATALOGUE.iter().filter(|known| known.kind == kind) {
            let _ = writeln!(text, "  {} ({})", known.id, known.severity.id());
            for sentence in [known.means, known.advice, known.rfc] {
                for line in terminal::wrapped(sentence, width.saturating_sub(6)) {
                    let _ = writeln!(text, "      {line}");
                }
            }
        }
        text.push('\n');
    }
    text
}
