//! What each key does: as in less and vim, where they have one for it.

use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::app::{App, Busy, Effect, Page};
use super::pager::Move;
use super::prompt::{Purpose, Typed};

/// Lines of a turn of the mouse's wheel.
const WHEEL: isize = 3;

impl App {
    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Effect {
        if key.kind == KeyEventKind::Release {
            return Effect::Nothing;
        }
        self.message = None;
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if let (true, KeyCode::Char(c)) = (is_control, key.code) {
            match c {
                'z' => return Effect::Suspend,
                'l' => return Effect::Redraw,
                _ => {}
            }
        }
        if let Some(mut prompt) = self.prompt.take() {
            match prompt.key(key) {
                Typed::More => self.prompt = Some(prompt),
                Typed::Left => {}
                Typed::Done => return self.entered(&prompt),
            }
            return Effect::Nothing;
        }
        if is_control && key.code == KeyCode::Char('c') || key.code == KeyCode::Char('Q') {
            return Effect::Leave;
        }
        if self.busy.is_some() {
            return self.key_while_busy(key);
        }
        if let Some(to) = movement(key) {
            self.go(to);
            return Effect::Nothing;
        }
        if is_control {
            return Effect::Nothing;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => self.back(key.code),
            KeyCode::Char('/') => self.asked(Purpose::Search),
            KeyCode::Char('f') => self.asked(Purpose::Filter),
            KeyCode::Char('n') => self.searched(false),
            KeyCode::Char('N') => self.searched(true),
            KeyCode::Char('?') | KeyCode::F(1) => self.aside(Page::Help),
            KeyCode::Char('o') => self.aside(Page::Capture),
            _ => match self.page {
                Page::List => self.list_key(key.code),
                Page::Diagram | Page::Details => self.connection_key(key.code),
                Page::Capture | Page::Help => match key.code {
                    KeyCode::Char('h') | KeyCode::Left => self.back(key.code),
                    code => self.pager_key(code),
                },
            },
        }
    }

    /// While something is being read, it can be given up.
    fn key_while_busy(&mut self, key: KeyEvent) -> Effect {
        if !matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
            return Effect::Nothing;
        }
        if self.explained.is_none() {
            return Effect::Leave;
        }
        if let Some(Busy::One(..)) = self.busy.take() {
            // What is kept of it is shown as it is.
            self.options.fold = true;
        }
        self.progress = None;
        self.message = Some("given up".to_owned());
        Effect::Cancel
    }

    fn go(&mut self, to: Move) {
        match self.pager() {
            Some(pager) => pager.go(to),
            None => self.listing.go(to),
        }
    }

    fn asked(&mut self, purpose: Purpose) -> Effect {
        self.ask(purpose);
        Effect::Nothing
    }

    fn searched(&mut self, backwards: bool) -> Effect {
        self.search(backwards);
        Effect::Nothing
    }

    /// Shows a page beside the way.
    fn aside(&mut self, page: Page) -> Effect {
        if self.page == page {
            return self.back(KeyCode::Esc);
        }
        if !matches!(self.page, Page::Help | Page::Capture) {
            self.behind = self.page;
        }
        self.page = page;
        Effect::Nothing
    }

    fn back(&mut self, code: KeyCode) -> Effect {
        match self.page {
            Page::List if code == KeyCode::Char('q') => return Effect::Leave,
            // Esc takes away the marks of the search.
            Page::List => self.needle = None,
            Page::Diagram | Page::Details => self.page = Page::List,
            Page::Capture | Page::Help => self.page = self.behind,
        }
        Effect::Nothing
    }

    fn list_key(&mut self, code: KeyCode) -> Effect {
        match code {
            KeyCode::Enter | KeyCode::Char('l') | KeyCode::Right => self.open(Page::Diagram),
            KeyCode::Tab => self.open(Page::Details),
            KeyCode::Char('s') => {
                self.listing.next_order();
                Effect::Nothing
            }
            KeyCode::Char('r') => {
                self.listing.reverse();
                Effect::Nothing
            }
            _ => self.unknown(code),
        }
    }

    fn connection_key(&mut self, code: KeyCode) -> Effect {
        match code {
            KeyCode::Char('h') | KeyCode::Left => match self.page {
                Page::Details => self.page = Page::Diagram,
                _ => self.page = Page::List,
            },
            KeyCode::Char('l') | KeyCode::Right => self.page = Page::Details,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Enter => {
                self.page = match self.page {
                    Page::Diagram => Page::Details,
                    _ => Page::Diagram,
                };
            }
            KeyCode::Char('J' | ']') => return self.neighbour(1),
            KeyCode::Char('K' | '[') => return self.neighbour(-1),
            code if self.page == Page::Details => return self.pager_key(code),
            KeyCode::Char('z') => return self.toggle_fold(),
            KeyCode::Char('s') => self.options.sequence = !self.options.sequence,
            KeyCode::Char('w') => self.options.windows = !self.options.windows,
            KeyCode::Char('t') => self.toggle_scale(),
            code => return self.pager_key(code),
        }
        Effect::Nothing
    }

    fn pager_key(&mut self, code: KeyCode) -> Effect {
        let to_right = match code {
            KeyCode::Char('>') | KeyCode::Right => true,
            KeyCode::Char('<') => false,
            _ => return self.unknown(code),
        };
        if let Some(pager) = self.pager() {
            pager.sideways(to_right);
        }
        Effect::Nothing
    }

    fn unknown(&mut self, code: KeyCode) -> Effect {
        if let KeyCode::Char(_) = code {
            self.message = Some("? shows what the keys do".to_owned());
        }
        Effect::Nothing
    }

    /// Shows the next connection of the list, or the one before, on the same page.
    fn neighbour(&mut self, by: isize) -> Effect {
        self.listing.go(Move::Lines(by));
        self.open(self.page)
    }

    /// The mouse was used.
    pub(super) fn mouse(&mut self, mouse: MouseEvent) -> Effect {
        if self.prompt.is_some() || self.busy.is_some() {
            return Effect::Nothing;
        }
        match mouse.kind {
            MouseEventKind::ScrollDown => self.go(Move::Lines(WHEEL)),
            MouseEventKind::ScrollUp => self.go(Move::Lines(-WHEEL)),
            MouseEventKind::Down(MouseButton::Left) if self.page == Page::List => {
                // The first line of the list is its head.
                let line = mouse.row.checked_sub(self.body.y.saturating_add(1));
                let was_chosen = line.and_then(|line| self.listing.point(usize::from(line)));
                if was_chosen == Some(true) {
                    return self.open(Page::Diagram);
                }
            }
            _ => {}
        }
        Effect::Nothing
    }
}

/// How a key moves, if it does.
fn movement(key: KeyEvent) -> Option<Move> {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    let to = match (key.code, is_control) {
        (KeyCode::Char('j'), false)
        | (KeyCode::Down, _)
        | (KeyCode::Char('e' | 'n' | 'j'), true) => Move::Lines(1),
        (KeyCode::Char('k'), false) | (KeyCode::Up, _) | (KeyCode::Char('y' | 'p' | 'k'), true) => {
            Move::Lines(-1)
        }
        (KeyCode::Char('d'), _) => Move::Halves(1),
        (KeyCode::Char('u'), _) => Move::Halves(-1),
        (KeyCode::Char(' '), false) | (KeyCode::PageDown, _) | (KeyCode::Char('f'), true) => {
            Move::Pages(1)
        }
        (KeyCode::Char('b'), _) | (KeyCode::PageUp, _) => Move::Pages(-1),
        (KeyCode::Char('g'), false) | (KeyCode::Home, _) => Move::Start,
        (KeyCode::Char('G'), false) | (KeyCode::End, _) => Move::End,
        _ => return None,
    };
    Some(to)
}
