//! The files that are written beside the report.

use std::fs;
use std::path::Path;

use transom_draw::{html, svg};
use transom_flow::{Connection, End, Summary};

use super::annotations::Annotations;
use super::whole;
use crate::cmd::explain::args::ExplainArgs;
use crate::cmd::explain::model::Explained;
use crate::cmd::explain::source::is_stdin;
use crate::failure::Failure;

/// Looks whether the files that are asked for can be written at all, before any work is done.
pub(super) fn check(args: &ExplainArgs) -> Result<(), Failure> {
    if let Some(directory) = &args.svg {
        fs::create_dir_all(directory).map_err(|error| {
            Failure::new(format!(
                "cannot make the directory {}: {error}",
                directory.display()
            ))
        })?;
    }
    for file in [&args.html, &args.annotate].into_iter().flatten() {
        whole::check(file)?;
    }
    let Some(annotated) = &args.annotate else {
        return Ok(());
    };
    let [from] = args.files.as_slice() else {
        return Err(Failure::new(
            "--annotate copies one capture; merge several first, with mergecap",
        ));
    };
    if is_stdin(from) || !from.is_file() {
        return Err(Failure::new(
            "--annotate reads the capture twice, and needs a file rather than a pipe",
        ));
    }
    if fs::canonicalize(annotated)
        .is_ok_and(|to| fs::canonicalize(from).is_ok_and(|from| from == to))
    {
        return Err(Failure::new(format!(
            "--annotate would write over the capture itself, {}; choose another name",
            from.display()
        )));
    }
    Ok(())
}

/// Writes what was asked for.
pub(super) fn write(
    args: &ExplainArgs,
    explained: &Explained,
    drawn: &[&Connection],
    annotations: Option<&Annotations>,
) -> Result<(), Failure> {
    if let Some(directory) = &args.svg {
        let options = svg::Options::default().unfold(args.unfold);
        for connection in drawn {
            pictures(directory, connection, &options)?;
        }
    }
    if let Some(path) = &args.html {
        whole::write(path, &page(explained, drawn))?;
    }
    if let (Some(annotations), Some(to), [from]) =
        (annotations, &args.annotate, args.files.as_slice())
    {
        annotations.write(from, to)?;
    }
    Ok(())
}

/// `connection-7.svg` and its graphs, such as `connection-7-round-trips.svg`.
fn pictures(
    directory: &Path,
    connection: &Connection,
    options: &svg::Options,
) -> Result<(), Failure> {
    let write = |what: &str, picture: Option<String>| match picture {
        Some(picture) => {
            let name = format!("connection-{}{what}.svg", connection.number());
            whole::write(&directory.join(name), &picture)
        }
        // There is nothing to draw, such as round trips of what was never answered.
        None => Ok(()),
    };
    write("", Some(svg::diagram(connection, options)))?;
    for from in End::BOTH {
        let sequence = svg::sequence_graph(connection, from, options);
        write(&format!("-sequence-{from}"), sequence)?;
        let window = svg::window_graph(connection, from, options);
        write(&format!("-window-{from}"), window)?;
    }
    write("-round-trips", svg::rtt_graph(connection, options))?;
    write("-throughput", svg::throughput_graph(connection, options))
}

fn page(explained: &Explained, drawn: &[&Connection]) -> String {
    let sources = explained.capture.sources.join(", ");
    let is_drawn = |summary: &&Summary| {
        drawn
            .iter()
            .any(|connection| connection.number() == summary.number)
    };
    let others: Vec<html::Line> = explained
        .listed
        .iter()
        .filter(|summary| !is_drawn(summary))
        .map(line)
        .collect();
    let shown = (others.len() + drawn.len()) as u64;
    let page = html::Page::new("What happened", &sources, drawn)
        .others(&others)
        .findings(&explained.overview)
        .left_out(explained.counts.chosen.saturating_sub(shown));
    html::page(&page)
}

fn line(summary: &Summary) -> html::Line {
    let ends = &summary.endpoints;
    let mut line = html::Line::new(summary.number, ends.client.label(), ends.server.label());
    line.start = summary.start;
    line.duration = summary.duration;
    line.state = summary
        .state
        .state
        .map_or_else(String::new, |state| state.name().into());
    line.closed_by = summary.closed_by.to_string();
    line.sent = summary.bytes.client;
    line.received = summary.bytes.server;
    line.retransmitted = summary.retransmitted.client + summary.retransmitted.server;
    line.severity = summary.severity();
    line.sentence = summary.sentence.as_deref().unwrap_or_default().into();
    line
}
