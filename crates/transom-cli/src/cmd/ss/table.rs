//! Lines in columns.
//!
//! In a pipe the columns have fixed widths and each line is written when it is known, so that a
//! million sockets need no memory. On a terminal columns are as wide as what stands in them.

use std::io::{self, Write};

use super::line::{CELLS, Line};

/// Titles of the columns; addresses and ports share theirs.
const TITLES: [&str; CELLS] = [
    "Netid",
    "State",
    "Recv-Q",
    "Send-Q",
    "Local Address",
    "Port",
    "Peer Address",
    "Port",
];
/// In a pipe. Longer cells push what follows to the right.
const FIXED: [usize; CELLS] = [5, 10, 6, 6, 25, 5, 25, 5];
/// Columns of which the text stands at the right edge, before the colon.
const RIGHT: [bool; CELLS] = [false, false, false, false, true, false, true, false];

/// What the table looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Whether there is a column for the protocol, and one for the state.
    pub(crate) netid: bool,
    pub(crate) state: bool,
    pub(crate) header: bool,
    /// Everything of a socket on one line.
    pub(crate) oneline: bool,
    /// A terminal's width; None in a pipe.
    pub(crate) terminal: Option<usize>,
    /// Colours.
    pub(crate) color: bool,
    /// Whether there is a column in words.
    pub(crate) words: bool,
}

/// A table on its way to a stream.
pub(crate) struct Table<W: Write> {
    look: Look,
    out: W,
    kept: Vec<Line>,
    any: bool,
}

impl<W: Write> Table<W> {
    pub(crate) fn new(look: Look, out: W) -> Self {
        Self {
            look,
            out,
            kept: Vec::new(),
            any: false,
        }
    }

    /// Adds a line; it is empty afterwards.
    pub(crate) fn push(&mut self, line: &mut Line) -> io::Result<()> {
        if self.look.terminal.is_some() {
            self.kept.push(std::mem::take(line));
            return Ok(());
        }
        if !self.any {
            self.header(&FIXED)?;
        }
        self.line(line, &FIXED)?;
        line.clear();
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let kept = std::mem::take(&mut self.kept);
        if self.look.terminal.is_some() {
            let widths = self.measure(&kept);
            self.header(&widths)?;
            for line in &kept {
                self.line(line, &widths)?;
            }
        } else if !self.any {
            self.header(&FIXED)?;
        }
        self.out.flush()
    }

    fn measure(&self, lines: &[Line]) -> [usize; CELLS] {
        let mut widths = [0; CELLS];
        if self.look.header {
            widths = TITLES.map(str::len);
        }
        for line in lines {
            for (width, cell) in widths.iter_mut().zip(&line.cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    fn header(&mut self, widths: &[usize; CELLS]) -> io::Result<()> {
        self.any = true;
        if !self.look.header {
            return Ok(());
        }
        let mut line = Line {
            cells: TITLES.map(str::to_owned),
            behind: " Process".to_owned(),
            ..Line::default()
        };
        if self.look.words {
            line.behind.push_str("  What it means");
        }
        self.cells(&line, widths, false)?;
        self.out.write_all(line.behind.as_bytes())?;
        self.out.write_all(b"\n")
    }

    fn line(&mut self, line: &Line, widths: &[usize; CELLS]) -> io::Result<()> {
        let width = self.cells(line, widths, self.look.color)?;
        self.out.write_all(line.behind.as_bytes())?;
        if !line.second.is_empty() {
            if !self.look.oneline {
                self.out.write_all(b"\n\t")?;
            }
            self.out.write_all(line.second.as_bytes())?;
        }
        if !line.words.is_empty() {
            let used = width + line.behind.chars().count() + 2 + line.words.chars().count();
            // Beside the socket where there is room, below it where not.
            let below = !self.look.oneline
                && (!line.second.is_empty()
                    || self.look.terminal.is_some_and(|columns| used > columns));
            self.out.write_all(if below { b"\n    " } else { b"  " })?;
            let (on, off) = self.paint("\x1b[3m");
            write!(self.out, "{on}{}{off}", line.words)?;
        }
        self.out.write_all(b"\n")
    }

    fn paint(&self, on: &'static str) -> (&'static str, &'static str) {
        if self.look.color {
            (on, "\x1b[0m")
        } else {
            ("", "")
        }
    }

    /// Writes the cells and returns how wide they were.
    fn cells(&mut self, line: &Line, widths: &[usize; CELLS], color: bool) -> io::Result<usize> {
        const SPACES: &[u8] = &[b' '; 64];
        let mut used = 0;
        for (column, ((cell, &width), right)) in
            line.cells.iter().zip(widths).zip(RIGHT).enumerate()
        {
            if column == 0 && !self.look.netid || column == 1 && !self.look.state {
                continue;
            }
            let length = cell.chars().count();
            let pad = SPACES.get(..width.saturating_sub(length)).unwrap_or(SPACES);
            if right {
                self.out.write_all(pad)?;
            }
            match color.then(|| state_color(cell)).flatten() {
                Some(on) if column == 1 => write!(self.out, "{on}{cell}\x1b[0m")?,
                _ => self.out.write_all(cell.as_bytes())?,
            }
            if !right {
                self.out.write_all(pad)?;
            }
            // A colon joins an address with its port.
            self.out.write_all(if right { b":" } else { b" " })?;
            used += length.max(width) + 1;
        }
        Ok(used)
    }
}

/// Colours that are told apart without red and green: what listens is blue, what is open plain, what
/// begins or ends yellow, what waits for this machine's program bold yellow.
fn state_color(state: &str) -> Option<&'static str> {
    Some(match state {
        "LISTEN" => "\x1b[34m",
        "CLOSE-WAIT" => "\x1b[1;33m",
        "ESTAB" | "UNCONN" => return None,
        "TIME-WAIT" => "\x1b[2m",
        _ => "\x1b[33m",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(terminal: Option<usize>, words: &str) -> String {
        let look = Look {
            netid: false,
            state: true,
            header: true,
            oneline: false,
            terminal,
            color: false,
            words: true,
        };
        let mut out = Vec::new();
        let mut table = Table::new(look, &mut out);
        let cells = ["tcp", "ESTAB", "0", "7", "10.0.0.1", "22", "[::1]", "5000"];
        let mut line = Line {
            cells: cells.map(str::to_owned),
            behind: " users:((\"x\",pid=1,fd=2))".to_owned(),
            words: words.to_owned(),
            ..Line::default()
        };
        table.push(&mut line).unwrap();
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_terminal_gets_columns_as_wide_as_needed() {
        assert_eq!(
            table(Some(120), "words"),
            "State Recv-Q Send-Q Local Address:Port Peer Address:Port  Process  What it means\n\
             ESTAB 0      7           10.0.0.1:22          [::1]:5000  users:((\"x\",pid=1,fd=2))  words\n"
        );
    }

    #[test]
    fn words_without_room_stand_below() {
        let text = table(Some(90), "one two three four");
        assert_eq!(text.lines().last(), Some("    one two three four"));
    }

    #[test]
    fn a_pipe_gets_the_same_columns_whatever_stands_in_them() {
        let text = table(None, "");
        let colons: Vec<usize> = text.lines().map(|line| line.find(':').unwrap()).collect();
        assert_eq!(colons[0], colons[1]);
        assert!(text.lines().all(|line| !line.ends_with("  ")));
    }
}
