//! The screen: a line that says where we are, the page, and a line for messages and typing.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use transom_draw::text::{Ink, cut, escaped, width, wrapped};
use transom_flow::Severity;
use transom_flow::verdict::CATALOGUE;

use super::app::{App, Busy, Page};
use super::pager::Needle;
use super::prompt::Prompt;
use crate::cmd::explain::{output, progress};

/// Rows from which on the list leaves room for what is said of the chosen connection.
const ROOMY: u16 = 14;
/// Rows of that room, with the line above it.
const SAYING: u16 = 4;

impl App {
    /// Draws everything.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.is_empty() {
            return;
        }
        let below = self.prompt.as_ref().map_or(1, |prompt| {
            let has_more = prompt.error.is_some() || prompt.remark.is_some();
            if has_more { 3 } else { 1 }
        });
        let below = below.min(area.height);
        let above = u16::from(area.height > below + 2);
        let body = Rect {
            y: area.y + above,
            height: area.height - above - below,
            ..area
        };
        let foot = Rect {
            y: body.bottom(),
            height: below,
            ..area
        };
        self.body = body;
        self.refresh(usize::from(body.width));
        let buffer = frame.buffer_mut();
        if above > 0 {
            self.bar(Rect { height: 1, ..area }, buffer);
        }
        self.page(body, buffer);
        match &self.prompt {
            Some(prompt) => {
                let cursor = self.typing(prompt, foot, buffer);
                frame.set_cursor_position(cursor);
            }
            None => self.foot(foot, buffer),
        }
    }

    const fn more(&self) -> &'static str {
        if self.options.unicode { "…" } else { ".." }
    }

    /// Writes text that is safe, cut to the room that there is.
    fn write(&self, at: Rect, text: &str, style: Style, buffer: &mut Buffer) {
        let text = cut(text, usize::from(at.width), self.more());
        buffer.set_stringn(at.x, at.y, text, usize::from(at.width), style);
    }

    fn bar(&self, area: Rect, buffer: &mut Buffer) {
        let style = self.palette.bar();
        buffer.set_style(area, style);
        let mut text = format!(" {}", self.name);
        if !self.filter.is_empty() {
            let filter = escaped(&self.filter, !self.options.unicode);
            text.push_str(&format!("  [{filter}]"));
        }
        if let Some(explained) = &self.explained {
            text.push_str("  ");
            text.push_str(&output::text::tally(&explained.counts));
        }
        self.write(area, &text, style, buffer);
    }

    fn page(&mut self, area: Rect, buffer: &mut Buffer) {
        // What is being typed is looked for when it is complete.
        let needle = self.needle.clone();
        let needle = needle.as_ref();
        let palette = self.palette;
        match self.page {
            Page::List => self.list(area, needle, buffer),
            Page::Diagram => self.diagram.draw(area, buffer, &palette, needle),
            Page::Details => self.details.draw(area, buffer, &palette, needle),
            Page::Capture | Page::Help => self.other.draw(area, buffer, &palette, needle),
        }
    }

    fn list(&mut self, area: Rect, needle: Option<&Needle>, buffer: &mut Buffer) {
        let Some(explained) = &self.explained else {
            let text = format!("reading {}", self.name);
            let line = Rect { height: 1, ..area };
            return self.write(line, &text, Style::new(), buffer);
        };
        if self.listing.len() == 0 {
            let text = output::text::tally(&explained.counts);
            let mut texts = vec![text];
            texts.extend(output::capture::sentences(explained));
            let width = usize::from(area.width);
            let lines = texts
                .iter()
                .flat_map(|text| wrapped(&escaped(text, !self.options.unicode), width));
            for (row, text) in area.rows().zip(lines) {
                self.write(row, &text, Style::new(), buffer);
            }
            return;
        }
        let saying = if area.height >= ROOMY { SAYING } else { 0 };
        let list = Rect {
            height: area.height - saying,
            ..area
        };
        let palette = self.palette;
        self.listing
            .draw(list, buffer, &self.options, &palette, needle);
        if saying > 0 {
            let area = Rect {
                y: list.bottom(),
                height: saying,
                ..area
            };
            self.saying(area, buffer);
        }
    }

    /// What is said of the chosen connection.
    fn saying(&self, area: Rect, buffer: &mut Buffer) {
        let Some(chosen) = self.listing.chosen() else {
            return;
        };
        let mut rows = area.rows();
        if let Some(row) = rows.next() {
            let line = if self.options.unicode { "─" } else { "-" };
            let rule = line.repeat(usize::from(row.width));
            self.write(row, &rule, self.palette.style(Ink::Faint), buffer);
        }
        let (mark, ink) = match chosen.severity() {
            Severity::Problem => ("!", Ink::Bad),
            Severity::Note => ("*", Ink::Plain),
            Severity::Fine => ("", Ink::Plain),
        };
        let known = CATALOGUE.iter().find(|known| known.id == chosen.headline);
        let says = chosen
            .sentence
            .as_deref()
            .or_else(|| known.map(|known| known.means))
            .unwrap_or_default();
        let text = format!("{mark} {}: {says}", chosen.headline);
        let text = escaped(text.trim(), !self.options.unicode);
        let lines = wrapped(&text, usize::from(area.width.saturating_sub(2)).max(8));
        for (row, text) in rows.zip(lines) {
            self.write(row, &format!(" {text}"), self.palette.style(ink), buffer);
        }
    }

    /// The last line: a message, how far a reading is, or what the most useful keys do.
    fn foot(&self, area: Rect, buffer: &mut Buffer) {
        let style = self.palette.bar();
        buffer.set_style(area, style);
        let right = match self.page {
            Page::List => format!("{} {}", self.listing.order(), self.listing.place()),
            Page::Diagram => self.diagram.place(),
            Page::Details => self.details.place(),
            Page::Capture | Page::Help => self.other.place(),
        };
        let left = match (self.busy, &self.message) {
            (Some(busy), _) => self.reading(busy),
            (None, Some(message)) => {
                let message = escaped(message, !self.options.unicode).into_owned();
                let columns = usize::from(area.width);
                return self.write(
                    area,
                    &format!(" {}", cut(&message, columns, "")),
                    style,
                    buffer,
                );
            }
            (None, None) => self.hint().to_owned(),
        };
        self.write(area, &format!(" {left}"), style, buffer);
        let columns = u16::try_from(width(&right)).unwrap_or(u16::MAX);
        let is_roomy = usize::from(columns) * 2 < usize::from(area.width);
        if !right.is_empty() && is_roomy && self.explained.is_some() {
            let at = Rect {
                x: area.right().saturating_sub(columns.saturating_add(2)),
                width: columns + 2,
                ..area
            };
            self.write(at, &format!(" {right} "), style, buffer);
        }
    }

    fn reading(&self, busy: Busy) -> String {
        let what = match busy {
            Busy::Many => "reading".to_owned(),
            Busy::One(number, _) => format!("reading #{number}"),
        };
        let way_out = if self.explained.is_some() {
            "q gives up"
        } else {
            "q leaves"
        };
        match self.progress {
            Some((frames, (read, total))) => {
                let far = progress::share(frames, read, total);
                format!("{what}: {far}; {way_out}")
            }
            None => format!("{what}; {way_out}"),
        }
    }

    const fn hint(&self) -> &'static str {
        match self.page {
            Page::List => "? help  Enter diagram  Tab details  / search  f filter  s sort  q leave",
            Page::Diagram => {
                "? help  Tab details  z unfold  s seq  w windows  t time  ] next  q back"
            }
            Page::Details => "? help  Tab diagram  / search  ] next  q back",
            Page::Capture | Page::Help => "/ search  q back",
        }
    }

    /// The line that is typed, and below it what is wrong with it. Returns where the cursor belongs.
    fn typing(&self, prompt: &Prompt, area: Rect, buffer: &mut Buffer) -> Position {
        let lead = prompt.lead();
        let room = usize::from(area.width)
            .saturating_sub(width(lead) + 1)
            .max(1);
        let (before, text) = (prompt.before(), prompt.text());
        // A line longer than the screen is shown around the cursor.
        let skipped = skip(&before, room);
        let shown: String = text.chars().skip(skipped).collect();
        let shown = escaped(&shown, false);
        let at = width(lead) + width_of(&before, skipped);
        let mut rows = area.rows();
        if let Some(row) = rows.next() {
            self.write(row, &format!("{lead}{shown}"), Style::new(), buffer);
        }
        if let Some(error) = &prompt.error {
            let place = text.get(..error.position).unwrap_or(&text);
            let lead = width(lead) + width_of(place, skipped);
            let meant = text.get(error.position..error.position + error.len);
            let carets = meant.map_or(1, width).clamp(1, room);
            if let Some(row) = rows.next() {
                let carets = format!("{}{}", " ".repeat(lead), "^".repeat(carets));
                let carets = cut(&carets, usize::from(row.width), "").into_owned();
                self.write(row, &carets, self.palette.style(Ink::Again), buffer);
            }
            if let Some(row) = rows.next() {
                let what = error.to_string();
                let what = escaped(&what, !self.options.unicode);
                self.write(row, &what, self.palette.style(Ink::Bad), buffer);
            }
        } else if let Some(remark) = &prompt.remark {
            let remark = escaped(remark, !self.options.unicode);
            let lines = wrapped(&remark, usize::from(area.width));
            for (row, line) in rows.zip(lines) {
                self.write(row, &line, self.palette.style(Ink::Again), buffer);
            }
        }
        let x = u16::try_from(at).unwrap_or(u16::MAX);
        Position {
            x: area.x.saturating_add(x).min(area.right().saturating_sub(1)),
            y: area.y,
        }
    }
}

/// How many characters at the start do not fit, so that the last one does.
fn skip(before: &str, room: usize) -> usize {
    let mut skipped = 0;
    while width_of(before, skipped) > room {
        skipped += 1;
    }
    skipped
}

/// Columns of a text without so many characters at its start.
fn width_of(text: &str, skipped: usize) -> usize {
    text.chars()
        .skip(skipped)
        .map(|c| width(c.encode_utf8(&mut [0; 4])))
        .sum()
}
