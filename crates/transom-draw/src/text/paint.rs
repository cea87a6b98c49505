//! Glyphs and colours.

use super::Options;

/// The characters that drawings are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyphs {
    pub(super) line: char,
    pub(super) dashed: char,
    pub(super) right: char,
    pub(super) left: char,
    pub(super) lost: char,
    pub(super) dot: char,
    pub(super) to: &'static str,
    pub(super) more: &'static str,
    /// A path down the screen: on its way, crossed by an arrow, and its corners.
    pub(super) down: char,
    pub(super) cross: char,
    pub(super) down_from_left: char,
    pub(super) down_from_right: char,
    pub(super) right_from_above: char,
    pub(super) left_from_above: char,
    /// An end that waits.
    pub(super) life: char,
    /// A bar, filled and empty.
    pub(super) full: char,
    pub(super) empty: char,
    /// Between the first number and the one after the last.
    pub(super) range: &'static str,
}

impl Glyphs {
    pub(super) const fn of(options: &Options) -> Self {
        if options.unicode {
            Self::UNICODE
        } else {
            Self::ASCII
        }
    }

    const UNICODE: Self = Self {
        line: '─',
        dashed: '┄',
        right: '▶',
        left: '◀',
        lost: '✕',
        dot: '·',
        to: "→",
        more: "…",
        down: '│',
        cross: '┼',
        down_from_left: '╮',
        down_from_right: '╭',
        right_from_above: '╰',
        left_from_above: '╯',
        life: '┊',
        full: '█',
        empty: '░',
        range: "–",
    };

    const ASCII: Self = Self {
        line: '-',
        dashed: '.',
        right: '>',
        left: '<',
        lost: 'x',
        dot: '*',
        to: "->",
        more: "..",
        down: '|',
        cross: '+',
        down_from_left: '+',
        down_from_right: '+',
        right_from_above: '+',
        left_from_above: '+',
        life: ':',
        full: '#',
        empty: '.',
        range: "-",
    };
}

/// What a piece of text is. The colours (cyan, yellow, bold magenta) differ in brightness and on the
/// blue-yellow axis, so that people who cannot tell red from green can tell them apart; and nothing
/// is told by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ink {
    /// Nothing special.
    Plain,
    /// The name of what follows (bold).
    Title,
    /// Less important than the rest.
    Faint,
    /// Opens or closes the connection.
    Control,
    /// Sent again.
    Again,
    /// Lost, reset, or gone wrong.
    Bad,
}

/// Text in one ink.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece {
    /// What it says.
    pub text: String,
    /// What it is.
    pub ink: Ink,
}

impl Piece {
    /// A text in an ink.
    #[must_use]
    pub fn new(text: impl Into<String>, ink: Ink) -> Self {
        Self {
            text: text.into(),
            ink,
        }
    }
}

impl Ink {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Title => Some("1"),
            Self::Faint => Some("2"),
            Self::Control => Some("36"),
            Self::Again => Some("33"),
            Self::Bad => Some("1;35"),
        }
    }

    /// Appends `text` in this ink; blank text stays bare.
    pub(super) fn write(self, out: &mut String, text: &str, options: &Options) {
        match self
            .code()
            .filter(|_| options.color && !text.trim().is_empty())
        {
            Some(code) => {
                out.push_str("\x1b[");
                out.push_str(code);
                out.push('m');
                out.push_str(text);
                out.push_str("\x1b[0m");
            }
            None => out.push_str(text),
        }
    }
}
