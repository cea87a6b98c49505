//! The list of connections: in which order, which one is chosen, and its lines.

use std::cmp::Reverse;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use transom_draw::text::{Ink, Options, Piece, list};
use transom_flow::{Severity, Summary};

use super::pager::{Move, Needle, marked};
use super::paint::Palette;

/// What the list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Worst,
    Number,
    Duration,
    Bytes,
    Retransmitted,
    Server,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Worst => Self::Number,
            Self::Number => Self::Duration,
            Self::Duration => Self::Bytes,
            Self::Bytes => Self::Retransmitted,
            Self::Retransmitted => Self::Server,
            Self::Server => Self::Worst,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Worst => "worst first",
            Self::Number => "by number",
            Self::Duration => "longest first",
            Self::Bytes => "most bytes first",
            Self::Retransmitted => "most retransmitted first",
            Self::Server => "by server",
        }
    }
}

/// The list as it is shown.
#[derive(Debug)]
pub(super) struct Listing {
    connections: Vec<Summary>,
    order: Order,
    is_reversed: bool,
    /// The place of the chosen one.
    at: usize,
    top: usize,
    height: usize,
    /// The head and the lines, as drawn for this width.
    drawn: Option<(usize, Vec<String>)>,
}

impl Listing {
    pub(super) const fn new(connections: Vec<Summary>) -> Self {
        Self {
            connections,
            order: Order::Worst,
            is_reversed: false,
            at: 0,
            top: 0,
            height: 0,
            drawn: None,
        }
    }

    /// Takes other connections, and keeps the order and, where it is still there, the chosen one.
    pub(super) fn replace(&mut self, connections: Vec<Summary>) {
        let chosen = self.chosen().map(|chosen| chosen.number);
        self.connections = connections;
        self.sort(chosen);
    }

    pub(super) const fn len(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn chosen(&self) -> Option<&Summary> {
        self.connections.get(self.at)
    }

    pub(super) fn order(&self) -> String {
        let reversed = if self.is_reversed { ", reversed" } else { "" };
        format!("{}{reversed}", self.order.words())
    }

    /// The place of the chosen one, counted from 1.
    pub(super) fn place(&self) -> String {
        match self.len() {
            0 => String::new(),
            len => format!("{}/{len}", self.at + 1),
        }
    }

    pub(super) fn next_order(&mut self) {
        self.order = self.order.next();
        self.is_reversed = false;
        self.sort(None);
    }

    pub(super) fn reverse(&mut self) {
        self.is_reversed = !self.is_reversed;
        self.sort(None);
    }

    /// Sorts, and goes to the one with this number, or to the start.
    fn sort(&mut self, chosen: Option<u64>) {
        let all = &mut self.connections;
        match self.order {
            Order::Worst => all.sort_by_key(|c| Reverse(c.weight)),
            Order::Number => all.sort_by_key(|c| c.number),
            Order::Duration => all.sort_by_key(|c| (Reverse(c.duration), c.number)),
            Order::Bytes => {
                all.sort_by_key(|c| (Reverse(c.bytes.client + c.bytes.server), c.number));
            }
            Order::Retransmitted => all.sort_by_key(|c| {
                let retransmitted = c.retransmitted.client + c.retransmitted.server;
                (Reverse(retransmitted), c.number)
            }),
            Order::Server => {
                all.sort_by_cached_key(|c| (c.endpoints.server.label(), c.number));
            }
        }
        if self.is_reversed {
            all.reverse();
        }
        self.drawn = None;
        let found = all.iter().position(|c| Some(c.number) == chosen);
        self.at = found.unwrap_or(0);
        self.top = 0;
    }

    pub(super) fn go(&mut self, to: Move) {
        let last = self.len().saturating_sub(1);
        self.at = to.from(self.at, last, self.height).min(last);
    }

    /// Chooses what is in this line of the screen, counted from the first connection's. Whether it was
    /// chosen already.
    pub(super) fn point(&mut self, line: usize) -> Option<bool> {
        let at = self.top + line;
        if line >= self.height || at >= self.len() {
            return None;
        }
        let was_chosen = self.at == at;
        self.at = at;
        Some(was_chosen)
    }

    /// Goes to the next connection, or the one before, whose line or finding holds the text.
    pub(super) fn search(&mut self, needle: &Needle, backwards: bool) -> bool {
        let holds = |at: &usize| {
            let Some(connection) = self.connections.get(*at) else {
                return false;
            };
            let line = self.drawn.as_ref().and_then(|(_, lines)| lines.get(at + 1));
            line.is_some_and(|line| needle.is_in(line)) || needle.is_in(&haystack(connection))
        };
        let found = if backwards {
            (0..self.at).rev().find(holds)
        } else {
            (self.at + 1..self.len()).find(holds)
        };
        if let Some(found) = found {
            self.at = found;
        }
        found.is_some()
    }

    pub(super) fn draw(
        &mut self,
        area: Rect,
        buffer: &mut Buffer,
        options: &Options,
        palette: &Palette,
        needle: Option<&Needle>,
    ) {
        let width = usize::from(area.width);
        if self.drawn.as_ref().is_none_or(|(drawn, _)| *drawn != width) {
            let mut options = options.color(false);
            options.width = width;
            let text = list(&self.connections, &options);
            self.drawn = Some((width, text.lines().map(str::to_owned).collect()));
        }
        let lines: &[String] = self.drawn.as_ref().map_or(&[], |(_, lines)| lines);
        self.height = usize::from(area.height.saturating_sub(1));
        self.top = self
            .top
            .min(self.at)
            .max((self.at + 1).saturating_sub(self.height.max(1)))
            .min(self.connections.len().saturating_sub(self.height));
        let mut rows = area.rows();
        if let (Some(row), Some(head)) = (rows.next(), lines.first()) {
            let head = [Piece::new(head, Ink::Faint)];
            let head = marked(&head, None, false, palette);
            buffer.set_line(row.x, row.y, &head, row.width);
        }
        let shown = lines.iter().skip(1).zip(&self.connections).enumerate();
        for (row, (at, (line, connection))) in rows.zip(shown.skip(self.top)) {
            let ink = match connection.severity() {
                Severity::Problem => Ink::Bad,
                _ => Ink::Plain,
            };
            let line = [Piece::new(line, ink)];
            let line = marked(&line, needle, false, palette);
            buffer.set_line(row.x, row.y, &line, row.width);
            if at == self.at {
                buffer.set_style(row, palette.bar());
            }
        }
    }
}

/// What of a connection can be searched for besides its line.
fn haystack(connection: &Summary) -> String {
    let ends = &connection.endpoints;
    format!(
        "{} {} {} {} {} {} {}",
        ends.client.addr,
        ends.client.label(),
        ends.server.addr,
        ends.server.label(),
        connection.headline,
        connection.ending,
        connection.sentence.as_deref().unwrap_or_default(),
    )
}
