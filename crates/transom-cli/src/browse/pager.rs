//! Text longer and wider than the screen, as less shows it: scrolled, and searched.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use transom_draw::text::{Ink, Piece};

use super::paint::Palette;

/// Lines of text, and which of them are seen.
#[derive(Debug, Default)]
pub(super) struct Pager {
    lines: Vec<Vec<Piece>>,
    /// The first line on the screen.
    top: usize,
    /// The first column on the screen.
    side: usize,
    /// Lines on the screen when it was drawn last.
    height: usize,
    /// The line that a search found last.
    found: Option<usize>,
}

/// How to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// So many lines down, or up.
    Lines(isize),
    /// So many half screens.
    Halves(isize),
    /// So many screens.
    Pages(isize),
    /// To the start.
    Start,
    /// To the end.
    End,
}

impl Move {
    /// Where it leads from a line, of so many, on a screen of this height. Not limited yet.
    pub(super) fn from(self, at: usize, count: usize, height: usize) -> usize {
        let by = |n: isize, size: usize| {
            at.saturating_add_signed(n.saturating_mul(isize::try_from(size).unwrap_or(1)))
        };
        match self {
            Self::Lines(n) => by(n, 1),
            Self::Halves(n) => by(n, (height / 2).max(1)),
            // Two lines stay, so that the eye finds its place again.
            Self::Pages(n) => by(n, height.saturating_sub(2).max(1)),
            Self::Start => 0,
            Self::End => count,
        }
    }
}

/// Columns that a key moves sideways.
const SIDEWAYS: usize = 8;

impl Pager {
    pub(super) fn new(lines: Vec<Vec<Piece>>) -> Self {
        Self {
            lines,
            ..Self::default()
        }
    }

    /// Takes other lines, and stays at about the same place.
    pub(super) fn replace(&mut self, lines: Vec<Vec<Piece>>) {
        let before = self.lines.len().max(1);
        self.top = self.top.saturating_mul(lines.len()) / before;
        self.lines = lines;
        self.found = None;
        self.limit();
    }

    pub(super) fn go(&mut self, to: Move) {
        self.top = to.from(self.top, self.lines.len(), self.height);
        self.limit();
    }

    pub(super) fn sideways(&mut self, to_right: bool) {
        let widest = self.lines.iter().map(|line| width(line)).max();
        self.side = if to_right {
            (self.side + SIDEWAYS).min(widest.unwrap_or(0).saturating_sub(SIDEWAYS))
        } else {
            self.side.saturating_sub(SIDEWAYS)
        };
    }

    fn limit(&mut self) {
        self.top = self
            .top
            .min(self.lines.len().saturating_sub(self.height.max(1)));
    }

    /// Goes to the next line, or the one before, that holds the text. Whether there is one.
    pub(super) fn search(&mut self, needle: &Needle, backwards: bool) -> bool {
        let seen = self.top..self.top.saturating_add(self.height.max(1));
        let last = self.found.filter(|found| seen.contains(found));
        let holds = |at: usize| {
            let line = self.lines.get(at);
            line.is_some_and(|line| needle.is_in(&text(line)))
        };
        let count = self.lines.len();
        let found = if backwards {
            let end = last.unwrap_or(self.top).min(count);
            (0..end).rev().find(|at| holds(*at))
        } else {
            let start = last.map_or(self.top, |last| last + 1);
            (start..count).find(|at| holds(*at))
        };
        let Some(found) = found else { return false };
        self.found = Some(found);
        if !seen.contains(&found) {
            self.top = found.saturating_sub(self.height / 3);
            self.limit();
        }
        true
    }

    pub(super) fn draw(
        &mut self,
        area: Rect,
        buffer: &mut Buffer,
        palette: &Palette,
        needle: Option<&Needle>,
    ) {
        self.height = usize::from(area.height);
        self.limit();
        let rows = self.lines.iter().enumerate().skip(self.top);
        for (y, (at, line)) in (area.top()..area.bottom()).zip(rows) {
            let is_found = needle.is_some() && self.found == Some(at);
            let line = marked(line, needle, is_found, palette);
            let line = shifted(line, self.side);
            buffer.set_line(area.x, y, &line, area.width);
        }
    }

    /// Where we are, as less tells it: the last line on the screen, and how many there are.
    pub(super) fn place(&self) -> String {
        let last = (self.top + self.height).min(self.lines.len());
        let count = self.lines.len();
        if self.top == 0 && last == count {
            return String::new();
        }
        format!("{last}/{count} {}%", last * 100 / count.max(1))
    }
}

/// What is searched for: in any case of letters, unless it has a capital one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needle {
    pub(super) text: String,
    is_exact: bool,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_exact: text.chars().any(char::is_uppercase),
        }
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.find(text, 0).is_some()
    }

    /// The first place from this byte on, in bytes.
    fn find(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        let rest = text.get(from..)?;
        let at = if self.is_exact {
            rest.find(&self.text)
        } else {
            // ASCII only: the places stay what they are.
            rest.to_ascii_lowercase()
                .find(&self.text.to_ascii_lowercase())
        }?;
        Some((from + at, from + at + self.text.len()))
    }
}

fn text(line: &[Piece]) -> String {
    line.iter().map(|piece| piece.text.as_str()).collect()
}

fn width(line: &[Piece]) -> usize {
    line.iter()
        .map(|piece| transom_draw::text::width(&piece.text))
        .sum()
}

/// A line with its colours, and what was searched for in it marked.
pub(super) fn marked(
    line: &[Piece],
    needle: Option<&Needle>,
    is_found: bool,
    palette: &Palette,
) -> Line<'static> {
    let whole = text(line);
    let mut marks: Vec<(usize, usize)> = Vec::new();
    if let Some(needle) = needle.filter(|needle| !needle.text.is_empty()) {
        let mut from = 0;
        while let Some((start, end)) = needle.find(&whole, from) {
            marks.push((start, end));
            from = end;
        }
    }
    let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default().to_owned();
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut start = 0;
    for piece in line {
        let end = start + piece.text.len();
        let style = palette.style(piece.ink);
        let mut at = start;
        for (from, to) in marks
            .iter()
            .map(|(from, to)| (*from.max(&start), *to.min(&end)))
            .filter(|(from, to)| from < to)
        {
            spans.push(Span::styled(part(at, from), style));
            let mark = palette.mark(is_found);
            spans.push(Span::styled(part(from, to), mark));
            at = to;
        }
        spans.push(Span::styled(part(at, end), style));
        start = end;
    }
    spans.retain(|span| !span.content.is_empty());
    Line::from(spans)
}

/// A line without its first columns.
fn shifted(line: Line<'static>, mut columns: usize) -> Line<'static> {
    if columns == 0 {
        return line;
    }
    let mut spans = Vec::new();
    for span in line.spans {
        let mut rest = String::new();
        for c in span.content.chars() {
            let width = transom_draw::text::width(c.encode_utf8(&mut [0; 4]));
            if columns == 0 {
                rest.push(c);
            } else if width > columns {
                // Half of a wide character is a blank.
                rest.push(' ');
                columns = 0;
            } else {
                columns -= width;
            }
        }
        spans.push(Span::styled(rest, span.style));
    }
    Line::from(spans)
}

/// A line in one ink.
pub(super) fn line(text: impl Into<String>, ink: Ink) -> Vec<Piece> {
    vec![Piece::new(text, ink)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pager(count: usize, height: usize) -> Pager {
        let lines = (0..count).map(|n| line(format!("line {n}"), Ink::Plain));
        let mut pager = Pager::new(lines.collect());
        let area = Rect::new(0, 0, 20, u16::try_from(height).unwrap_or(1));
        let mut buffer = Buffer::empty(area);
        pager.draw(area, &mut buffer, &Palette::new(false), None);
        pager
    }

    #[test]
    fn moves_stay_within_the_text() {
        let mut pager = pager(100, 10);
        for (to, top) in [
            (Move::Lines(-1), 0),
            (Move::Lines(3), 3),
            (Move::Halves(1), 8),
            (Move::Pages(1), 16),
            (Move::End, 90),
            (Move::Lines(1), 90),
            (Move::Pages(-1), 82),
            (Move::Start, 0),
        ] {
            pager.go(to);
            assert_eq!(pager.top, top, "{to:?}");
        }
    }

    #[test]
    fn a_search_goes_on_from_what_it_found() {
        let mut pager = pager(100, 10);
        let needle = Needle::new("LINE 5");
        assert!(!pager.search(&needle, false), "a capital letter is meant");
        let needle = Needle::new("line 5");
        assert!(pager.search(&needle, false));
        assert_eq!((pager.found, pager.top), (Some(5), 0));
        assert!(pager.search(&needle, false));
        assert_eq!((pager.found, pager.top), (Some(50), 47));
        assert!(pager.search(&needle, true));
        assert_eq!(pager.found, Some(5));
        assert!(!pager.search(&needle, true));
    }

    #[test]
    fn what_is_searched_for_is_marked_across_colours() {
        let pieces = vec![
            Piece::new("a 状態 re", Ink::Plain),
            Piece::new("set b", Ink::Bad),
        ];
        let palette = Palette::new(true);
        let line = marked(&pieces, Some(&Needle::new("reset")), false, &palette);
        let texts: Vec<&str> = line.spans.iter().map(|span| &*span.content).collect();
        assert_eq!(texts, ["a 状態 ", "re", "set", " b"]);
        let line = shifted(line, 3);
        let texts: Vec<&str> = line.spans.iter().map(|span| &*span.content).collect();
        assert_eq!(texts, [" 態 ", "re", "set", " b"]);
    }
}
