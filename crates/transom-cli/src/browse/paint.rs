//! Colours of the screen: those of the drawings, and bold, dim and reversed type where there is no colour.

use ratatui::style::{Color, Modifier, Style};
use transom_draw::text::Ink;

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    has_color: bool,
}

impl Palette {
    pub(super) const fn new(has_color: bool) -> Self {
        Self { has_color }
    }

    fn colored(self, style: Style, color: Color) -> Style {
        if self.has_color {
            style.fg(color)
        } else {
            style
        }
    }

    /// The same as in the drawings of the command line.
    pub(super) fn style(self, ink: Ink) -> Style {
        let plain = Style::new();
        match ink {
            Ink::Title => plain.add_modifier(Modifier::BOLD),
            Ink::Faint => plain.add_modifier(Modifier::DIM),
            Ink::Control => self.colored(plain, Color::Cyan),
            Ink::Again => self.colored(plain, Color::Yellow),
            Ink::Bad => self.colored(plain.add_modifier(Modifier::BOLD), Color::Magenta),
            _ => plain,
        }
    }

    /// What was searched for; the place that was found last stands out.
    pub(super) fn mark(self, is_found: bool) -> Style {
        let mark = Style::new().add_modifier(Modifier::REVERSED);
        if is_found {
            mark.add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        } else {
            mark
        }
    }

    /// The lines at the top and the bottom.
    pub(super) fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
