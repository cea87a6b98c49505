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
}

impl Glyphs {
    pub(super) const fn of(options: &Options) -> Self {
        if options.unicode {
            Self {
                line: '─',
                dashed: '┄',
                right: '▶',
                left: '◀',
                lost: '✕',
                dot: '·',
                to: "→",
                more: "…",
            }
        } else {
            Self {
                line: '-',
                dashed: '.',
                right: '>',
                left: '<',
                lost: 'x',
                dot: '*',
                to: "->",
                more: "..",
            }
        }
    }
}

/// What a piece of text is. Colours are chosen so that they can be told apart without red and
/// green, and nothing is told by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Title,
    Faint,
    /// Sent again.
    Again,
    /// Lost, reset, or gone wrong.
    Bad,
}

impl Ink {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Title => Some("1"),
            Self::Faint => Some("2"),
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
