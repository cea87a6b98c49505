//! Pictures: the sequence diagram of a connection, and graphs of its data over time, as SVG.
//!
//! A picture is one file without anything from elsewhere: system fonts, no script, no link. Text is
//! measured with the widths of a wide font before it is placed, so that labels do not overlap in
//! narrower ones. Colours can be told apart by colour-blind people, and nothing is told by colour
//! alone. All text that comes from outside goes through `markup::Text`, which lets nothing through
//! that XML or a reader could take for anything but text.

pub(crate) mod font;
mod graph;
mod ladder;
pub(crate) mod markup;
pub(crate) mod palette;
#[cfg(test)]
mod tests;

pub use graph::{Curve, Unit, curves, rtt_graph, sequence_graph, throughput_graph, window_graph};
pub(crate) use ladder::mark;

use markup::{N, Text};
use std::fmt::Write as _;
use transom_flow::Connection;

/// The colours of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Theme {
    /// Light, or dark where the viewer asks for it (`prefers-color-scheme`).
    #[default]
    Auto,
    /// Dark ink on white.
    Light,
    /// Light ink on black.
    Dark,
}

/// How time goes down the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scale {
    /// In order, with room for every label; long silences are cut and marked.
    #[default]
    Compressed,
    /// To scale: equal times are equal lengths. Labels without room are left out.
    Linear,
}

/// How to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Colours. Default [`Theme::Auto`].
    pub theme: Theme,
    /// Width in pixels, between [`MIN_WIDTH`](Self::MIN_WIDTH) and [`MAX_WIDTH`](Self::MAX_WIDTH).
    /// Default 960.
    pub width: u32,
    /// How time goes down. Default [`Scale::Compressed`].
    pub scale: Scale,
    /// Whether runs of bulk data are drawn segment by segment instead of as counts, as far as the
    /// connection still has them. Default false.
    pub unfold: bool,
    /// The heading instead of the connection's number and addresses.
    pub title: Option<String>,
    /// Whether the picture is part of a page that has the style sheet already.
    pub(crate) embedded: bool,
}

impl Options {
    /// The narrowest picture.
    pub const MIN_WIDTH: u32 = 640;
    /// The widest picture.
    pub const MAX_WIDTH: u32 = 4096;

    /// With these colours.
    #[must_use]
    pub const fn theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// So many pixels wide.
    #[must_use]
    pub const fn width(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// With time to scale, or compressed.
    #[must_use]
    pub const fn scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// Every segment, or bulk data as counts.
    #[must_use]
    pub const fn unfold(mut self, unfold: bool) -> Self {
        self.unfold = unfold;
        self
    }

    /// With this heading.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    pub(crate) const fn embedded(mut self) -> Self {
        self.embedded = true;
        self
    }

    fn pixels(&self) -> f64 {
        f64::from(self.width.clamp(Self::MIN_WIDTH, Self::MAX_WIDTH))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            theme: Theme::Auto,
            width: 960,
            scale: Scale::Compressed,
            unfold: false,
            title: None,
            embedded: false,
        }
    }
}

/// What is drawn, before it becomes a file.
pub(crate) struct Picture {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) body: String,
    /// For those who hear the picture.
    pub(crate) title: String,
    pub(crate) description: String,
}

impl Picture {
    /// The file.
    fn svg(&self, options: &Options) -> String {
        let mut out = String::with_capacity(self.body.len() + 4096);
        let (width, height) = (N(self.width), N(self.height));
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"transom\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
            Text(&self.title)
        );
        if !options.embedded {
            let _ = write!(
                out,
                "<title>{}</title><desc>{}</desc><style>{}</style>",
                Text(&self.title),
                Text(&self.description),
                palette::style(options.theme)
            );
        }
        let _ = write!(
            out,
            "<rect class=\"bg\" width=\"{width}\" height=\"{height}\"/>"
        );
        out.push_str(&self.body);
        out.push_str("</svg>\n");
        out
    }
}

/// Draws the sequence diagram of a connection: both ends' lifelines with their states, an arrow for
/// every segment, and the verdict below.
///
/// Arrows slant: down the page is time, and a segment takes time on its way. Where the arrival is
/// known (a simulated link) it is drawn as it was; otherwise the way from the capture point to each
/// end is estimated as half of the shortest answer time seen, so that segments which crossed on the
/// way cross in the picture too.
#[must_use]
pub fn diagram(connection: &Connection, options: &Options) -> String {
    ladder::draw(connection, options).svg(options)
}
