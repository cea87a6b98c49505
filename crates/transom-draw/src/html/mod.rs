//! A page of connections: one file that opens without a network.
//!
//! The list comes worst first, with a filter and columns to sort by; below it stands each connection
//! with its verdict, its diagram, its graphs and both ends' numbers. Style and script are in the page,
//! and its own policy (`Content-Security-Policy`) forbids it to fetch anything. Without script
//! everything can still be read.
//!
//! The page is bounded: pictures are drawn until [`Page::budget`] bytes are full, and the page says
//! how many connections are listed without one, or not at all.

mod list;
mod section;

pub use list::Line;

use crate::svg::markup::Text;
use crate::svg::palette;
use std::fmt::Write as _;
use transom_flow::words::thousands;
use transom_flow::{Connection, Finding, Severity};

/// What goes into a page.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Page<'a> {
    /// The heading.
    pub title: &'a str,
    /// Where the connections come from, such as the name of a capture.
    pub source: &'a str,
    /// The connections to draw.
    pub connections: &'a [&'a Connection],
    /// Connections to list only.
    pub others: &'a [Line],
    /// What can be said about all of them together.
    pub findings: &'a [Finding],
    /// Connections that are not even listed.
    pub left_out: u64,
    /// Bytes of the page from which on no more pictures are drawn. Default 24 MiB.
    pub budget: usize,
}

impl<'a> Page<'a> {
    /// A page of these connections.
    #[must_use]
    pub const fn new(title: &'a str, source: &'a str, connections: &'a [&'a Connection]) -> Self {
        Self {
            title,
            source,
            connections,
            others: &[],
            findings: &[],
            left_out: 0,
            budget: 24 << 20,
        }
    }

    /// With these connections in the list, but without pictures.
    #[must_use]
    pub const fn others(mut self, others: &'a [Line]) -> Self {
        self.others = others;
        self
    }

    /// With what can be said about the whole capture.
    #[must_use]
    pub const fn findings(mut self, findings: &'a [Finding]) -> Self {
        self.findings = findings;
        self
    }

    /// With this count of connections that are not listed.
    #[must_use]
    pub const fn left_out(mut self, left_out: u64) -> Self {
        self.left_out = left_out;
        self
    }

    /// With another bound on pictures, in bytes of the page.
    #[must_use]
    pub const fn budget(mut self, budget: usize) -> Self {
        self.budget = budget;
        self
    }
}

/// Writes the page.
#[must_use]
pub fn page(page: &Page<'_>) -> String {
    let mut ordered: Vec<&Connection> = page.connections.to_vec();
    // Worst first, otherwise in the order given.
    ordered.sort_by_key(|connection| core::cmp::Reverse(connection.verdict().severity()));
    let mut sections = String::new();
    let mut lines = Vec::with_capacity(ordered.len() + page.others.len());
    let mut without_picture = 0;
    for (at, connection) in ordered.iter().enumerate() {
        let mut line = Line::from(*connection);
        if sections.len() < page.budget {
            // Numbers may repeat when several captures go into one page.
            let id = format!("c{at}");
            section::section(&mut sections, connection, &id, at == 0);
            line.id = Some(id);
        } else {
            without_picture += 1;
        }
        lines.push(line);
    }
    lines.extend(page.others.iter().cloned());
    lines.sort_by_key(|line| core::cmp::Reverse(line.severity));
    without_picture += page.others.len();
    let mut out = String::with_capacity(sections.len() + lines.len() * 512 + 32_768);
    head(&mut out, page);
    out.push_str("<main>");
    if lines.len() > 1 {
        list::list(&mut out, &lines);
    }
    limits(&mut out, without_picture, page.left_out);
    out.push_str("<div id=\"connections\">");
    out.push_str(&sections);
    out.push_str("</div></main>");
    let _ = writeln!(
        out,
        "<footer>Drawn by Transom. Keys: / filter, j and k move, Enter opens, Esc goes back to the list.</footer><script>{}</script></body></html>",
        include_str!("page.js")
    );
    out
}

fn head(out: &mut String, page: &Page<'_>) {
    let title = Text(page.title);
    let _ = write!(
        out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/><title>{title}</title><style>{}{}</style></head><body>",
        palette::sheet(),
        include_str!("page.css")
    );
    let _ = write!(
        out,
        "<header><h1>{title}</h1><p class=\"source\">{}</p>",
        Text(page.source)
    );
    if !page.findings.is_empty() {
        section::findings(out, page.findings.iter());
    }
    out.push_str("</header>");
}

/// Says what is not there.
fn limits(out: &mut String, without_picture: usize, left_out: u64) {
    let mut said = Vec::new();
    if without_picture > 0 {
        let n = u64::try_from(without_picture).unwrap_or(u64::MAX);
        said.push(format!(
            "{} of these connections are listed without a picture.",
            thousands(n)
        ));
    }
    if left_out > 0 {
        said.push(format!(
            "{} connections more are not listed.",
            thousands(left_out)
        ));
    }
    if !said.is_empty() {
        let _ = write!(
            out,
            "<p class=\"limits\">{} Name them with a filter to see them.</p>",
            said.join(" ")
        );
    }
}

/// The word and the class of a severity.
pub(crate) const fn severity(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Fine => ("fine", "fine"),
        Severity::Note => ("note", "note"),
        Severity::Problem => ("problem", "problem"),
    }
}

/// A severity as a small picture, with its word for those who do not see it.
pub(crate) fn badge(out: &mut String, of: Severity) {
    let (word, class) = severity(of);
    let _ = write!(
        out,
        "<svg class=\"transom badge\" viewBox=\"-8 -8 16 16\" width=\"14\" height=\"14\" role=\"img\" aria-label=\"{word}\"><title>{class}</title>"
    );
    crate::svg::mark(out, of, (0.0, 0.0));
    out.push_str("</svg>");
}
