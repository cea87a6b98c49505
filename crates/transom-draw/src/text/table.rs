//! The table of connections: one line each, in the columns of `ss` and of the question "who closed it".

use super::Options;
use super::cell::{cut, cut_middle, escaped, left, right, width};
use super::paint::{Glyphs, Ink};
use transom_flow::words::{bytes_narrow, duration, thousands};
use transom_flow::{Basis, ClosedBy, Connection, End, Process, Severity, Summary};

/// Blanks between columns where there is room; otherwise one.
const GAP: usize = 2;
/// Columns of a host or program that is cut.
const TO_MIN: usize = 12;
const PROCESS_MIN: usize = 8;

/// One column of the table.
struct Column {
    head: &'static str,
    is_number: bool,
    cells: Vec<String>,
}

impl Column {
    fn new(
        head: &'static str,
        is_number: bool,
        connections: &[Summary],
        cell: impl Fn(&Summary) -> String,
    ) -> Self {
        let cells = connections.iter().map(cell).collect();
        Self {
            head,
            is_number,
            cells,
        }
    }

    fn width(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| width(cell))
            .fold(width(self.head), usize::max)
    }

    /// Cuts cells in the middle to save up to `excess` columns, but not below `least`.
    fn narrow(&mut self, excess: usize, least: usize, more: &str) {
        let columns = self.width().saturating_sub(excess).max(least);
        for cell in &mut self.cells {
            *cell = cut_middle(cell, columns, more);
        }
    }
}

/// Draws the table. `sent` and `recv` are the client's view: bytes of data in each direction.
///
/// A table too wide for the screen first loses the client's address (its port stays), then process
/// ids and blanks, then the client's column, and at last the middle of names and addresses.
#[must_use]
pub fn table(connections: &[&Connection], options: &Options) -> String {
    let connections: Vec<Summary> = connections.iter().copied().map(Summary::from).collect();
    draw(&connections, None, options)
}

/// Draws a list: the [`table`] of many connections, with a mark before those where something went wrong, and
/// the identifier of the gravest finding where there is room for it.
#[must_use]
pub fn list(connections: &[Summary], options: &Options) -> String {
    draw(connections, Some(FINDING), options)
}

/// Head of the column with findings.
const FINDING: &str = "finding";

fn draw(connections: &[Summary], finding: Option<&'static str>, options: &Options) -> String {
    let glyphs = Glyphs::of(options);
    let (columns, gap) = fitted(connections, finding, options, &glyphs);
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let mut out = String::new();
    let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
    write(
        &mut out,
        &columns,
        &widths,
        gap,
        &heads,
        Ink::Faint,
        options,
        &glyphs,
    );
    for (at, connection) in connections.iter().enumerate() {
        let is_bad = match finding {
            Some(_) => connection.severity() == Severity::Problem,
            None => !matches!(
                connection.closed_by,
                ClosedBy::Fin(_) | ClosedBy::BothFin | ClosedBy::StillOpen
            ),
        };
        let ink = if is_bad { Ink::Bad } else { Ink::Plain };
        let row: Vec<&str> = columns
            .iter()
            .map(|column| column.cells.get(at).map_or("", String::as_str))
            .collect();
        write(
            &mut out, &columns, &widths, gap, &row, ink, options, &glyphs,
        );
    }
    out
}

fn process(connection: &Summary) -> Option<&Process> {
    End::BOTH
        .into_iter()
        .find_map(|end| connection.endpoints[end].process.as_ref())
}

/// The columns, narrowed until they fit as far as they can, and the blanks between them.
fn fitted(
    connections: &[Summary],
    finding: Option<&'static str>,
    options: &Options,
    glyphs: &Glyphs,
) -> (Vec<Column>, usize) {
    let ascii = !options.unicode;
    let total = |columns: &[Column], gap: usize| {
        let widths: usize = columns.iter().map(Column::width).sum();
        1 + widths + gap * columns.len().saturating_sub(1)
    };
    let fits = |columns: &[Column], gap| total(columns, gap) <= options.columns();
    let mut columns = all(connections, options, glyphs);
    columns
        .extend(finding.map(|head| Column::new(head, false, connections, |c| c.headline.into())));
    // A list would rather be tight than lose a column.
    let gaps: &[usize] = if finding.is_some() { &[GAP, 1] } else { &[GAP] };
    for &gap in gaps {
        if fits(&columns, gap) {
            return (columns, gap);
        }
    }
    let replace = |columns: &mut [Column], head: &str, with: Column| {
        if let Some(column) = columns.iter_mut().find(|column| column.head == head) {
            *column = with;
        }
    };
    let port = Column::new("from", false, connections, |connection| {
        format!(":{}", connection.endpoints.client.addr.port())
    });
    replace(&mut columns, "from", port);
    if fits(&columns, GAP) {
        return (columns, GAP);
    }
    let name = Column::new("process", false, connections, |connection| {
        process(connection).map_or_else(|| "-".into(), |p| escaped(&p.name, ascii).into_owned())
    });
    replace(&mut columns, "process", name);
    for gap in [GAP, 1] {
        if fits(&columns, gap) {
            return (columns, gap);
        }
    }
    columns.retain(|column| column.head != "from");
    if fits(&columns, 1) {
        return (columns, 1);
    }
    if finding.is_some() {
        // The finding says more than these.
        columns.retain(|column| column.head != "state");
    }
    for (head, least) in [("to", TO_MIN), ("process", PROCESS_MIN)] {
        let excess = total(&columns, 1).saturating_sub(options.columns());
        if let Some(column) = columns.iter_mut().find(|column| column.head == head) {
            column.narrow(excess, least, glyphs.more);
        }
    }
    (columns, 1)
}

/// All columns in full.
fn all(connections: &[Summary], options: &Options, glyphs: &Glyphs) -> Vec<Column> {
    let ascii = !options.unicode;
    let mut columns = vec![Column::new("#", true, connections, |c| {
        c.number.to_string()
    })];
    if connections
        .iter()
        .any(|connection| process(connection).is_some())
    {
        columns.push(Column::new("process", false, connections, |connection| {
            process(connection).map_or_else(
                || "-".into(),
                |p| escaped(&p.to_string(), ascii).into_owned(),
            )
        }));
    }
    let sent = |end: End| move |c: &Summary| bytes_narrow(c.bytes[end]);
    columns.extend([
        Column::new("from", false, connections, |c| {
            escaped(&c.endpoints.client.label(), ascii).into_owned()
        }),
        Column::new("to", false, connections, |c| {
            format!(
                "{} {}",
                glyphs.to,
                escaped(&c.endpoints.server.label(), ascii)
            )
        }),
        Column::new("state", false, connections, state),
        Column::new("time", true, connections, |c| {
            let time = duration(c.duration);
            if ascii { time.replace('µ', "u") } else { time }
        }),
        Column::new("sent", true, connections, sent(End::Client)),
        Column::new("recv", true, connections, sent(End::Server)),
        Column::new("retr", true, connections, |c| {
            thousands(c.retransmitted.client + c.retransmitted.server)
        }),
        Column::new("closed by", false, connections, |c| c.closed_by.to_string()),
    ]);
    columns
}

/// The state, with a `?` where it was inferred though other states of the connection were observed.
fn state(connection: &Summary) -> String {
    let summary = connection.state;
    let states = connection.states;
    let is_mixed = End::BOTH
        .iter()
        .any(|end| states[*end].basis == Basis::Observed);
    match summary.state {
        Some(state) if is_mixed && summary.basis == Basis::Inferred => format!("{state}?"),
        Some(state) => state.to_string(),
        None => "?".into(),
    }
}

#[expect(clippy::too_many_arguments, reason = "one row of one table")]
fn write(
    out: &mut String,
    columns: &[Column],
    widths: &[usize],
    gap: usize,
    row: &[&str],
    ink: Ink,
    options: &Options,
    glyphs: &Glyphs,
) {
    let mut line = String::from(" ");
    for (at, ((cell, width), column)) in row.iter().zip(widths).zip(columns).enumerate() {
        if at > 0 {
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line.push_str(&if column.is_number {
            right(cell, *width)
        } else {
            left(cell, *width)
        });
    }
    let line = cut(line.trim_end(), options.columns(), glyphs.more).into_owned();
    ink.write(out, &line, options);
    out.push('\n');
}
