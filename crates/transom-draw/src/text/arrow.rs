//! One arrow: a line with a label, from left to right or back, whole, dashed or cut off.

use super::cell;
use super::paint::Glyphs;

/// Columns before the label, where there is room, and at least after it.
const LEAD: usize = 4;
const LEAD_NARROW: usize = 1;
const TAIL: usize = 1;
/// Arrows below this many columns are narrow.
const NARROW: usize = 30;
/// Columns that a lost segment does not get across.
const LOST_GAP: usize = 6;

/// How the line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It arrives.
    Whole,
    /// It does not.
    Lost,
    /// It stands for many.
    Dashed,
}

/// Draws an arrow of exactly `columns` columns.
pub(super) fn arrow(
    label: &str,
    to_right: bool,
    line: Line,
    columns: usize,
    glyphs: &Glyphs,
) -> String {
    let dash = if line == Line::Dashed {
        glyphs.dashed
    } else {
        glyphs.line
    };
    let gap = if line == Line::Lost { LOST_GAP } else { 0 };
    let head = match (line, to_right) {
        (Line::Lost, _) => glyphs.lost,
        (_, true) => glyphs.right,
        (_, false) => glyphs.left,
    };
    // The head, and two blanks around the label.
    let lead = if columns < NARROW { LEAD_NARROW } else { LEAD };
    let room = columns.saturating_sub(lead + TAIL + gap + 3);
    let label = cell::cut(label, room, glyphs.more);
    let used = lead + 1 + cell::width(&label) + 1 + 1 + gap;
    let rest = columns.saturating_sub(used);
    let repeated = |n: usize| std::iter::repeat_n(dash, n);
    let mut drawn = String::new();
    if to_right {
        drawn.extend(repeated(lead));
        drawn.push(' ');
        drawn.push_str(&label);
        drawn.push(' ');
        drawn.extend(repeated(rest));
        drawn.push(head);
        drawn.extend(std::iter::repeat_n(' ', gap));
    } else {
        drawn.extend(std::iter::repeat_n(' ', gap));
        drawn.push(head);
        drawn.extend(repeated(lead - 1));
        drawn.push(' ');
        drawn.push_str(&label);
        drawn.push(' ');
        drawn.extend(repeated(rest + 1));
    }
    drawn
}
