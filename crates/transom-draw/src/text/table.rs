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
/// Columns of a finding, or of who closed, that are cut.
const FINDING_MIN: usize = 10;

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
/// ids and blanks, then the client's column and the middle of names and addresses, and at last
/// counts.
#[must_use]
pub fn table(connections: &[&Connection], options: &Options) -> String {
    let connections: Vec<Summary> = connections.iter().copied().map(Summary::from).collect();
    draw(&connections, None, options)
}

/// Draws a list: the [`table`] of many connections, with the identifier of the gravest finding, and a
/// mark: `!` where something went wrong, `*` where something is worth knowing.
#[must_use]
pub fn list(connections: &[Summary], options: &Options) -> String {
    draw(connections, Some(FINDING), options)
}

/// Heads of the columns with findings, and with numbers and marks.
const FINDING: &str = "finding";
const NUMBER_AND_MARK: &str = "#  ";

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

/// The columns while they are made to fit, and the blanks between them.
struct Fitting<'a> {
    columns: Vec<Column>,
    gap: usize,
    connections: &'a [Summary],
    room: usize,
    more: &'static str,
}

impl Fitting<'_> {
    fn excess(&self) -> usize {
        let widths: usize = self.columns.iter().map(Column::width).sum();
        let gaps = self.gap * self.columns.len().saturating_sub(1);
        (1 + widths + gaps).saturating_sub(self.room)
    }

    fn fits(&self) -> bool {
        self.excess() == 0
    }

    fn replace(&mut self, head: &'static str, cell: impl Fn(&Summary) -> String) {
        if let Some(column) = self.columns.iter_mut().find(|column| column.head == head) {
            *column = Column::new(head, column.is_number, self.connections, cell);
        }
    }

    fn drop(&mut self, head: &str) {
        self.columns.retain(|column| column.head != head);
    }

    /// Cuts a column as far as need be, but not below `least` columns.
    fn cut(&mut self, head: &str, least: usize) {
        let (excess, more) = (self.excess(), self.more);
        if let Some(column) = self.columns.iter_mut().find(|column| column.head == head) {
            column.narrow(excess, least, more);
        }
    }
}

/// The columns, narrowed until they fit as far as they can, and the blanks between them.
fn fitted(
    connections: &[Summary],
    finding: Option<&'static str>,
    options: &Options,
    glyphs: &Glyphs,
) -> (Vec<Column>, usize) {
    let ascii = !options.unicode;
    let is_list = finding.is_some();
    let mut columns = all(connections, options, glyphs);
    if let Some(head) = finding {
        if let Some(number) = columns.first_mut() {
            *number = Column::new(NUMBER_AND_MARK, true, connections, |c| {
                format!("{} {}", c.number, mark(c))
            });
        }
        columns.push(Column::new(head, false, connections, |c| c.headline.into()));
    }
    let mut fitting = Fitting {
        columns,
        gap: GAP,
        connections,
        room: options.columns(),
        more: glyphs.more,
    };
    // One after another, as long as the table is too wide.
    type Economy<'e> = &'e dyn Fn(&mut Fitting<'_>);
    let economies: [Economy<'_>; 13] = [
        // A list would rather be tight than lose a column.
        &|fitting| fitting.gap = if is_list { 1 } else { GAP },
        &|fitting| fitting.replace("from", |c| format!(":{}", c.endpoints.client.addr.port())),
        &|fitting| {
            fitting.replace("process", |connection| {
                process(connection)
                    .map_or_else(|| "-".into(), |p| escaped(&p.name, ascii).into_owned())
            });
        },
        &|fitting| fitting.gap = 1,
        &|fitting| fitting.drop("from"),
        // The finding says more than the state.
        &|fitting| {
            if is_list {
                fitting.drop("state");
            }
        },
        &|fitting| fitting.cut("to", TO_MIN),
        &|fitting| fitting.cut("process", PROCESS_MIN),
        &|fitting| fitting.drop("retr"),
        &|fitting| {
            fitting.drop("recv");
            fitting.drop("sent");
        },
        &|fitting| fitting.drop(if is_list { "closed by" } else { "state" }),
        &|fitting| fitting.drop("process"),
        &|fitting| fitting.cut(if is_list { FINDING } else { "closed by" }, FINDING_MIN),
    ];
    for economy in economies {
        if fitting.fits() {
            break;
        }
        economy(&mut fitting);
    }
    // What was cut before a column was dropped may have room again.
    fitting.replace("to", |c| to(c, options, glyphs));
    fitting.cut("to", TO_MIN);
    (fitting.columns, fitting.gap)
}

/// A mark for those who look down the list: something went wrong, or is worth knowing.
const fn mark(connection: &Summary) -> char {
    match connection.severity() {
        Severity::Problem => '!',
        Severity::Note => '*',
        Severity::Fine => ' ',
    }
}

/// The server, by name where it has one.
fn to(connection: &Summary, options: &Options, glyphs: &Glyphs) -> String {
    let label = connection.endpoints.server.label();
    format!("{} {}", glyphs.to, escaped(&label, !options.unicode))
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
        Column::new("to", false, connections, |c| to(c, options, glyphs)),
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
