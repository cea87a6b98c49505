//! The table and the timeline on a terminal: each picture is written at once over the one before, so
//! that nothing flickers.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use unicode_width::UnicodeWidthChar;

use super::changes::{Change, Row, Sockets};
use crate::cmd::ss::line::CELLS;
use crate::cmd::ss::plan::Plan;

/// Changes kept for the timeline.
pub(crate) const TIMELINE: usize = 200;
/// How long a row is marked after a change.
const RECENT: Duration = Duration::from_secs(5);

/// A terminal that shows pictures until it is dropped.
pub(crate) struct Screen {
    out: io::Stdout,
    color: bool,
}

impl Screen {
    /// Takes the terminal: another screen, no cursor.
    pub(crate) fn open(color: bool) -> io::Result<Self> {
        let mut out = io::stdout();
        out.write_all(b"\x1b[?1049h\x1b[?25l")?;
        out.flush()?;
        Ok(Self { out, color })
    }

    /// Draws what is there now and what changed lately.
    pub(crate) fn draw(
        &mut self,
        (columns, rows): (usize, usize),
        now: Duration,
        sockets: &Sockets,
        timeline: &VecDeque<Change>,
        plan: &Plan,
    ) -> io::Result<()> {
        let lines = picture((columns, rows), now, sockets, timeline, plan, self.color);
        // Between these two a terminal that can shows nothing half done.
        let mut text = String::from("\x1b[?2026h\x1b[H");
        for (number, line) in lines.iter().take(rows).enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[0m\x1b[K");
        }
        text.push_str("\x1b[J\x1b[?2026l");
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.out.write_all(b"\x1b[?25h\x1b[?1049l");
        let _ = self.out.flush();
    }
}

/// The lines of a picture; colours aside none is wider than the terminal.
fn picture(
    (columns, rows): (usize, usize),
    now: Duration,
    sockets: &Sockets,
    timeline: &VecDeque<Change>,
    plan: &Plan,
    color: bool,
) -> Vec<String> {
    let mut shown: Vec<&Row> = sockets
        .rows
        .values()
        .filter(|row| plan.states.has(row.state))
        .collect();
    shown.sort_unstable_by_key(|row| row.order);
    let below = (rows / 3).min(timeline.len() + 1);
    let room = rows.saturating_sub(below + 2);
    let count = shown.len();
    if count > room {
        // What changed last is worth the place.
        shown.sort_by_key(|row| std::cmp::Reverse(row.since));
        shown.truncate(room.saturating_sub(1));
    }
    let widths = widths(&shown);
    let title = format!(
        "{} · {} · Ctrl-C ends",
        transom_flow::words::count(count as u64, "socket"),
        clock(now)
    );
    let mut lines = vec![cut(&title, columns)];
    for row in &shown {
        let mut text = cut(&row_text(row, &widths, now), columns);
        if color
            && row
                .since
                .is_some_and(|since| now.saturating_sub(since) < RECENT)
        {
            text.insert_str(0, "\x1b[1m");
        }
        lines.push(text);
    }
    if shown.len() < count {
        lines.push(cut(&format!("… and {} more", count - shown.len()), columns));
    }
    if below > 0 && !timeline.is_empty() {
        lines.push(cut("── what changed ──", columns));
        for change in timeline.iter().take(below - 1) {
            let mut text = cut(&text_of(change), columns);
            if color {
                text.insert_str(0, hue(change));
            }
            lines.push(text);
        }
    }
    lines
}

/// Blue comes, yellow changes, grey goes: told apart without red and green.
fn hue(change: &Change) -> &'static str {
    match (change.from, change.to) {
        (None, _) => "\x1b[34m",
        (_, None) => "\x1b[2m",
        _ => "\x1b[33m",
    }
}

/// A change as a line.
pub(crate) fn text_of(change: &Change) -> String {
    format!(
        "{:>12}  {:<24} {}",
        clock(change.at),
        change.states(),
        change.who
    )
}

/// Time since the start of the watch.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "{hours:02}:{minutes:02}:{seconds:02}.{:03}",
        time.subsec_millis()
    )
}

fn widths(rows: &[&Row]) -> [usize; CELLS] {
    let mut widths = [0; CELLS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(&row.line.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn row_text(row: &Row, widths: &[usize; CELLS], now: Duration) -> String {
    let mut text = String::new();
    for (column, (cell, &width)) in row.line.cells.iter().zip(widths).enumerate() {
        // Addresses stand at the right, before the colon and their port.
        if matches!(column, 4 | 6) {
            text.push_str(&format!("{cell:>width$}:"));
        } else {
            text.push_str(&format!("{cell:<width$} "));
        }
    }
    text.push_str(&row.line.behind);
    if !row.line.words.is_empty() {
        text.push_str("  ");
        text.push_str(&row.line.words);
    } else if let Some(since) = row.since {
        let age = crate::cmd::ss::explain::age(now.saturating_sub(since));
        text.push_str(&format!("  for {age}"));
    }
    text
}

/// As much as fits into so many columns.
fn cut(text: &str, columns: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|&c| {
            used += c.width().unwrap_or(0);
            used <= columns
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("ab", 5), "ab");
        assert_eq!(cut("日本語", 5), "日本");
        assert_eq!(cut("a日", 2), "a");
    }
}
