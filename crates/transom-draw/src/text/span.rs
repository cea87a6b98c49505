//! The space between both ends on one row: a fixed number of columns, into which arrows, labels and
//! the paths of segments under way are drawn.

use super::cell::{char_width, cut, width};
use super::label::Label;
use super::paint::Glyphs;
use core::ops::Range;

/// Columns before the label, where there is room, and at least after it.
const LEAD: usize = 4;
const LEAD_NARROW: usize = 1;
const TAIL: usize = 1;
/// Arrows below this many columns are narrow.
const NARROW: usize = 34;
/// Columns that a lost segment does not get across.
const LOST_GAP: usize = 6;
/// A label is not cut below this to keep it clear of a path that crosses.
const LABEL_MIN: usize = 8;
/// Stands behind a character of two columns.
const COVERED: char = '\0';

/// How an arrow ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It arrives.
    Arrives,
    /// It does not.
    Lost,
    /// It seems not to: it was sent again.
    Doubtful,
    /// It arrives on a later row.
    Turns,
}

/// One arrow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrow<'a> {
    pub(super) label: &'a Label,
    pub(super) to_right: bool,
    pub(super) head: Head,
    /// It stands for many.
    pub(super) is_dashed: bool,
}

/// A row's columns.
#[derive(Debug)]
pub(super) struct Span {
    cells: Vec<char>,
}

impl Span {
    pub(super) fn new(columns: usize) -> Self {
        Self {
            cells: vec![' '; columns],
        }
    }

    /// Writes a text from a column on; what does not fit is left out.
    pub(super) fn write(&mut self, at: usize, text: &str) {
        let mut at = at;
        for c in text.chars() {
            let columns = char_width(c);
            if columns == 0 || at + columns > self.cells.len() {
                continue;
            }
            self.put(at, c);
            if columns > 1 {
                self.put(at + 1, COVERED);
            }
            at += columns;
        }
    }

    pub(super) fn put(&mut self, at: usize, c: char) {
        if let Some(cell) = self.cells.get_mut(at) {
            *cell = c;
        }
    }

    fn fill(&mut self, columns: Range<usize>, c: char) {
        for cell in self.cells.get_mut(columns).into_iter().flatten() {
            *cell = c;
        }
    }

    /// Draws an arrow over these columns, across what is under way in others.
    pub(super) fn arrow(
        &mut self,
        arrow: &Arrow<'_>,
        columns: Range<usize>,
        under_way: &[usize],
        glyphs: &Glyphs,
    ) {
        let gap = match arrow.head {
            Head::Lost | Head::Doubtful => LOST_GAP.min(columns.len() / 6),
            Head::Arrives | Head::Turns => 0,
        };
        let Range { mut start, mut end } = columns;
        if arrow.to_right {
            end = end.saturating_sub(gap);
        } else {
            start += gap;
        }
        if start >= end {
            return;
        }
        let line = if arrow.is_dashed {
            glyphs.dashed
        } else {
            glyphs.line
        };
        self.fill(start..end, line);
        let head = match (arrow.head, arrow.to_right) {
            (Head::Lost | Head::Doubtful, _) => glyphs.lost,
            (Head::Turns, true) => glyphs.down_from_left,
            (Head::Turns, false) => glyphs.down_from_right,
            (Head::Arrives, true) => glyphs.right,
            (Head::Arrives, false) => glyphs.left,
        };
        let tip = if arrow.to_right { end - 1 } else { start };
        self.put(tip, head);
        if arrow.head == Head::Doubtful {
            self.put(tip + 1, '?');
        }
        let lead = if self.cells.len() < NARROW {
            LEAD_NARROW + usize::from(arrow.head == Head::Doubtful && !arrow.to_right)
        } else {
            LEAD
        };
        // The head, and two blanks around the label.
        let room = (end - start).saturating_sub(lead + TAIL + 3);
        let label_start = start + lead + 1;
        let clear = under_way
            .iter()
            .filter_map(|column| column.checked_sub(label_start + 1))
            .filter(|room| *room >= LABEL_MIN)
            .fold(room, usize::min);
        let label = arrow.label.fitted(clear, glyphs.more);
        if !label.is_empty() {
            self.write(start + lead, &format!(" {label} "));
        }
        for column in under_way {
            self.pass(*column, glyphs);
        }
    }

    /// Draws the end of a path that came down at `from` and arrives at an edge.
    pub(super) fn land(&mut self, from: usize, to_right: bool, glyphs: &Glyphs) {
        let last = self.cells.len().saturating_sub(1);
        if to_right {
            self.fill(from..last, glyphs.line);
            self.put(from, glyphs.right_from_above);
            self.put(last, glyphs.right);
        } else {
            self.fill(1..from, glyphs.line);
            self.put(from, glyphs.left_from_above);
            self.put(0, glyphs.left);
        }
    }

    /// Lets a path go down through the row, behind text and across lines.
    pub(super) fn pass(&mut self, at: usize, glyphs: &Glyphs) {
        if let Some(cell) = self.cells.get_mut(at) {
            if *cell == ' ' {
                *cell = glyphs.down;
            } else if *cell == glyphs.line || *cell == glyphs.dashed {
                *cell = glyphs.cross;
            }
        }
    }

    /// Writes a text in the middle, between the lines of life of both ends.
    pub(super) fn pause(&mut self, text: &str, glyphs: &Glyphs) {
        self.put(0, glyphs.life);
        self.put(self.cells.len().saturating_sub(1), glyphs.life);
        let text = cut(text, self.cells.len().saturating_sub(4), glyphs.more);
        self.write(self.cells.len().saturating_sub(width(&text)) / 2, &text);
    }

    /// The row as text, all columns.
    pub(super) fn text(&self) -> String {
        self.cells.iter().filter(|c| **c != COVERED).collect()
    }
}
