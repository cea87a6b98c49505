//! Drawings for a terminal: fixed width, Unicode or ASCII, colour only where asked.

pub(crate) mod cell;
mod diagram;
pub(crate) mod label;
mod layout;
mod paint;
mod plan;
mod span;
mod table;

pub use cell::{cut, escaped, width, wrapped};
pub use diagram::{diagram, diagram_lines};
pub use paint::{Ink, Piece};
pub use table::{list, table};

/// Text from outside as a drawing shows it: what could harm a terminal is escaped.
#[must_use]
pub fn visible(text: &str, options: &Options) -> String {
    escaped(text, !options.unicode).into_owned()
}

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
    /// How time is drawn in a diagram. Default compressed.
    pub scale: Scale,
    /// Whether a diagram tells the number of each frame in the capture. Default false.
    pub frames: bool,
    /// Whether arrows tell sequence numbers: `seq 1–1449` of data, `ack 1449` of an acknowledgement.
    /// Default false.
    pub sequence: bool,
    /// Whether arrows have a bar of the window that their sender advertises. Default false.
    pub windows: bool,
    /// Whether a diagram ends with a line that explains how its states are known. Default true.
    pub legend: bool,
}

/// How time is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// A row a step, and one for a pause.
    #[default]
    Compressed,
    /// Rows between steps in proportion to the time between them.
    Linear,
}

impl Options {
    /// The narrowest drawing.
    pub const MIN_WIDTH: usize = 40;
    /// Up to this width the states of a diagram stand below the arrows, not beside them.
    pub const NARROW: usize = 64;

    /// For a terminal of this width.
    #[must_use]
    pub const fn new(width: usize) -> Self {
        Self {
            width,
            unicode: true,
            color: false,
            fold: true,
            scale: Scale::Compressed,
            frames: false,
            sequence: false,
            windows: false,
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

    /// Time to scale, or with pauses compressed.
    #[must_use]
    pub const fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// With the numbers of frames, or not.
    #[must_use]
    pub const fn frames(mut self, frames: bool) -> Self {
        self.frames = frames;
        self
    }

    /// With sequence numbers, or not.
    #[must_use]
    pub const fn sequence(mut self, sequence: bool) -> Self {
        self.sequence = sequence;
        self
    }

    /// With bars of the windows, or not.
    #[must_use]
    pub const fn windows(mut self, windows: bool) -> Self {
        self.windows = windows;
        self
    }

    /// With the line that explains how states are known, or not.
    #[must_use]
    pub const fn legend(mut self, legend: bool) -> Self {
        self.legend = legend;
        self
    }

    pub(crate) const fn is_narrow(&self) -> bool {
        self.width <= Self::NARROW
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
