//! The report for people.

use transom_draw::text::{Options, diagram, list};
use transom_flow::words::{count, thousands};
use transom_flow::{Connection, Severity};

use super::capture;
use crate::cmd::explain::model::{Counts, Explained};
use crate::terminal;

/// The list, the diagrams, and what is said of the whole.
pub(crate) fn report(explained: &Explained, drawn: &[&Connection], options: &Options) -> String {
    let mut out = String::from("\n");
    let counts = &explained.counts;
    if counts.chosen > 0 {
        out.push_str(&list(&explained.listed, options));
        let more = counts.chosen - explained.listed.len() as u64;
        if more > 0 {
            let what = count(more, "connection");
            paragraph(
                &mut out,
                &format!("… and {what} more; --limit N lists more."),
                options,
            );
        }
    }
    for connection in drawn {
        out.push('\n');
        out.push_str(&diagram(connection, options));
    }
    if counts.chosen > 0 {
        out.push('\n');
    }
    for finding in &explained.overview {
        let mark = match finding.severity {
            Severity::Problem => "!",
            _ => "·",
        };
        paragraph(&mut out, &format!("{mark} {}", finding.text), options);
    }
    paragraph(&mut out, &tally(counts), options);
    for sentence in capture::sentences(explained) {
        paragraph(&mut out, &sentence, options);
    }
    out
}

/// How many connections there are, and of what kinds.
pub(crate) fn tally(counts: &Counts) -> String {
    let connections = count(counts.connections, "TCP connection");
    if counts.connections == 0 {
        return "No TCP connection.".into();
    }
    let fine = counts.chosen - counts.problems - counts.notes;
    let of = if counts.chosen == counts.connections {
        connections
    } else if counts.chosen == 0 {
        return format!("None of {connections} is asked for.");
    } else {
        format!("{} of {connections}", thousands(counts.chosen))
    };
    let parts = [
        (counts.problems, "with a problem"),
        (counts.notes, "with something worth knowing"),
        (fine, "as it should be"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", thousands(n)))
        .collect();
    format!("{of}: {}.", parts.join(", "))
}

fn paragraph(out: &mut String, text: &str, options: &Options) {
    for line in terminal::wrapped(text, options.width.saturating_sub(2)) {
        out.push(' ');
        out.push_str(&line);
        out.push('\n');
    }
}
