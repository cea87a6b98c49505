//! Drawings for a terminal: fixed width, Unicode or ASCII, colour only where asked.

mod arrow;
pub(crate) mod cell;
mod diagram;
pub(crate) mod label;
mod paint;
mod table;

pub use diagram::diagram;
pub use table::{list, table};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Columns to fill at most; below [`MIN_WIDTH`](Self::MIN_WIDTH) counts as that. Default 80.
    pub width: usize,
    /// Whether characters outside ASCII may be drawn. Text that comes from outside, such as the
    /// first line of a request, follows the same rule. Default true.
    pub unicode: bool,
    /// Whether to use colours and bold type (ANSI escape sequences). Default false.
    pub color: bool,
    /// Whether runs of bulk data are drawn as counts. Default true.
    pub fold: bool,
    /// Whether a diagram ends with a line that explains how its states are known. Default true.
    pub legend: bool,
}

impl Options {
    /// The narrowest drawing.
    pub const MIN_WIDTH: usize = 60;

    /// For a terminal of this width.
    #[must_use]
    pub const fn new(width: usize) -> Self {
        Self {
            width,
            unicode: true,
            color: false,
            fold: true,
            legend: true,
        }
    }

    /// Only ASCII, or not.
    #[must_use]
    pub const fn ascii(mut self, ascii: bool) -> Self {
        self.unicode = !ascii;
        self
    }

    /// With colour, or not.
    #[must_use]
    pub const fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// Every step on its own row, or bulk data as counts.
    #[must_use]
    pub const fn fold(mut self, fold: bool) -> Self {
        self.fold = fold;
        self
    }

    /// With the line that explains how states are known, or not.
    #[must_use]
    pub const fn legend(mut self, legend: bool) -> Self {
        self.legend = legend;
        self
    }

    pub(crate) fn columns(&self) -> usize {
        self.width.max(Self::MIN_WIDTH)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new(80)
    }
}
