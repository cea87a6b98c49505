//! `transom demo`: the textbook's cases, played by two of our own stacks in virtual time.
//!
//! No privilege, no network, no waiting: the stacks are those that `transom run` uses, the link is the simulator's,
//! and the drawing is the one of every other command.

mod cases;
mod stage;

use std::fmt::Write as _;
use std::io;

use transom_draw::text::{Options, diagram};
use transom_flow::Tracker;

use self::cases::{CASES, Case};
use crate::args::DemoArgs;
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Plays one case, or lists them.
pub(crate) fn demo(args: &DemoArgs) -> Result<Outcome, Failure> {
    let Some(name) = &args.case else {
        terminal::print(&list())?;
        return Ok(Outcome::Exited(0));
    };
    let chosen: Vec<&Case> = CASES
        .iter()
        .filter(|case| name == "all" || case.name == name)
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(format!(
            "there is no case «{name}»; the cases are\n{}",
            list()
        )));
    }
    let options = terminal::options(Some(&io::stdout()), args.color);
    let options = if args.ascii {
        options.ascii(true)
    } else {
        options
    };
    for case in chosen {
        let tracker = (case.play)()?.tracker();
        let text = if args.json {
            json(&tracker)?
        } else if args.svg {
            svg(case, &tracker)
        } else if args.mermaid {
            mermaid(&tracker)
        } else if args.html {
            html(case, &tracker)
        } else {
            text(case, &tracker, &options)
        };
        terminal::print(&text)?;
    }
    Ok(Outcome::Exited(0))
}

fn list() -> String {
    let mut text = String::new();
    for case in CASES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<20} {}", case.name, case.title);
    }
    text
}

fn text(case: &Case, tracker: &Tracker, options: &Options) -> String {
    let mut text = String::from("\n");
    for line in terminal::wrapped(&format!("{}: {}", case.name, case.title), options.width) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
    for line in terminal::wrapped(case.about, options.width.saturating_sub(2)) {
        let _ = writeln!(text, "  {line}");
    }
    for connection in tracker.connections() {
        text.push('\n');
        text.push_str(&diagram(connection, options));
    }
    text
}

fn json(tracker: &Tracker) -> Result<String, Failure> {
    let connections: Vec<_> = tracker.connections().collect();
    let mut text = serde_json::to_string_pretty(&transom_draw::json::report(&connections))
        .map_err(|error| Failure::doing("write JSON", error))?;
    text.push('\n');
    Ok(text)
}

fn svg(case: &Case, tracker: &Tracker) -> String {
    let options = transom_draw::svg::Options::default().title(case.title);
    tracker
        .connections()
        .map(|connection| transom_draw::svg::diagram(connection, &options))
        .collect()
}

fn mermaid(tracker: &Tracker) -> String {
    let options = transom_draw::mermaid::Options::default();
    tracker
        .connections()
        .map(|connection| transom_draw::mermaid::diagram(connection, &options))
        .collect()
}

fn html(case: &Case, tracker: &Tracker) -> String {
    let connections: Vec<_> = tracker.connections().collect();
    let page = transom_draw::html::Page::new(case.title, case.about, &connections);
    transom_draw::html::page(&page)
}
