//! A line that is typed: something to search for, or a filter.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use transom_flow::filter::{self, Filter};

/// Characters of a line at most.
const LONGEST: usize = 1000;

/// What a line is typed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Search,
    Filter,
}

/// What came of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The line is still being typed.
    More,
    /// It is complete.
    Done,
    /// It is given up.
    Left,
}

/// The line so far.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) purpose: Purpose,
    before: Vec<char>,
    after: Vec<char>,
    /// What is wrong with the filter.
    pub(super) error: Option<filter::Error>,
    /// What may be meant otherwise.
    pub(super) remark: Option<String>,
}

impl Prompt {
    pub(super) fn new(purpose: Purpose, text: &str) -> Self {
        let mut prompt = Self {
            purpose,
            before: text.chars().collect(),
            after: Vec::new(),
            error: None,
            remark: None,
        };
        prompt.check();
        prompt
    }

    pub(super) fn text(&self) -> String {
        self.before.iter().chain(&self.after).collect()
    }

    /// What stands before the cursor.
    pub(super) fn before(&self) -> String {
        self.before.iter().collect()
    }

    pub(super) const fn lead(&self) -> &'static str {
        match self.purpose {
            Purpose::Search => "/",
            Purpose::Filter => "filter: ",
        }
    }

    /// Looks at the filter while it is typed.
    fn check(&mut self) {
        if self.purpose == Purpose::Search {
            return;
        }
        let text = self.text();
        (self.error, self.remark) = match Filter::parse(&text) {
            _ if text.trim().is_empty() => (None, None),
            Ok(filter) => (None, filter.remarks().first().cloned()),
            Err(error) => (Some(error), None),
        };
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Typed {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter if self.error.is_none() => return Typed::Done,
            KeyCode::Esc => return Typed::Left,
            KeyCode::Char('c' | 'g') if is_control => return Typed::Left,
            KeyCode::Backspace => return self.backspace(),
            KeyCode::Char('h') if is_control => return self.backspace(),
            KeyCode::Delete => drop(self.after.splice(..self.after.len().min(1), None)),
            KeyCode::Left => self.after.splice(0..0, self.before.pop()).for_each(drop),
            KeyCode::Right => self.right(),
            KeyCode::Home => self.home(),
            KeyCode::End => self.before.append(&mut self.after),
            KeyCode::Char('a') if is_control => self.home(),
            KeyCode::Char('e') if is_control => self.before.append(&mut self.after),
            KeyCode::Char('u') if is_control => self.before.clear(),
            KeyCode::Char('k') if is_control => self.after.clear(),
            KeyCode::Char('w') if is_control => self.drop_word(),
            KeyCode::Char(_) if is_control => {}
            KeyCode::Char(c) if !c.is_control() && self.has_room() => self.before.push(c),
            _ => {}
        }
        self.check();
        Typed::More
    }

    const fn has_room(&self) -> bool {
        self.before.len() + self.after.len() < LONGEST
    }

    /// As in vim, one too many leaves.
    fn backspace(&mut self) -> Typed {
        if self.before.pop().is_none() && self.after.is_empty() {
            return Typed::Left;
        }
        self.check();
        Typed::More
    }

    fn right(&mut self) {
        if !self.after.is_empty() {
            self.before.push(self.after.remove(0));
        }
    }

    fn home(&mut self) {
        self.before.append(&mut self.after);
        std::mem::swap(&mut self.before, &mut self.after);
    }

    fn drop_word(&mut self) {
        while self.before.pop_if(|c| c.is_whitespace()).is_some() {}
        while self.before.pop_if(|c| !c.is_whitespace()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(prompt: &mut Prompt, keys: &str) {
        for c in keys.chars() {
            prompt.key(KeyCode::Char(c).into());
        }
    }

    #[test]
    fn lines_are_typed_as_in_a_shell() {
        let mut prompt = Prompt::new(Purpose::Search, "");
        press(&mut prompt, "one two");
        prompt.key(KeyCode::Left.into());
        prompt.key(KeyCode::Backspace.into());
        assert_eq!(prompt.text(), "one to");
        prompt.key(KeyCode::Home.into());
        prompt.key(KeyCode::Delete.into());
        assert_eq!(prompt.text(), "ne to");
        prompt.key(KeyCode::Right.into());
        assert_eq!(prompt.before(), "n");
        prompt.key(KeyCode::End.into());
        let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
        prompt.key(control('w'));
        assert_eq!(prompt.text(), "ne ");
        prompt.key(control('u'));
        assert_eq!(prompt.text(), "");
        assert_eq!(prompt.key(KeyCode::Backspace.into()), Typed::Left);
    }

    #[test]
    fn a_wrong_filter_cannot_be_entered() {
        let mut prompt = Prompt::new(Purpose::Filter, "");
        press(&mut prompt, "tcp.prot == 80");
        assert_eq!(prompt.error.as_ref().map(|error| error.position), Some(0));
        assert_eq!(prompt.key(KeyCode::Enter.into()), Typed::More);
        let mut prompt = Prompt::new(Purpose::Filter, "tcp.port == 8");
        press(&mut prompt, "0");
        assert_eq!(prompt.key(KeyCode::Enter.into()), Typed::Done);
    }
}
