//! Which columns of a diagram hold what.

use super::Options;
use core::time::Duration;

/// Columns of the time, right-aligned: `9999.999 ms`, or `999.9 ms` on a narrow screen.
const TIME: usize = 11;
const TIME_NARROW: usize = 8;
/// Columns of a state: `SYN-RECEIVED`, and the mark of an inferred one.
pub(super) const STATE: usize = 13;
/// Blanks between columns.
const GAP: usize = 2;
/// Frame numbers are left out where the arrow would have fewer columns than this.
const SPAN_MIN: usize = 24;
/// Paths down the screen that are drawn beside each other, in each direction.
pub(super) const CHANNELS: usize = 2;

/// The columns.
///
/// ```text
/// wide:    frame  time  state  arrow  state
/// narrow:  frame  time  arrow, and below it both states
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) is_narrow: bool,
    /// Columns of a frame's number; 0 if none is told.
    pub(super) frame: usize,
    pub(super) time: usize,
    /// Columns of the arrow.
    pub(super) span: usize,
}

impl Layout {
    /// For a connection whose frames have numbers up to `last_frame`.
    pub(super) fn new(options: &Options, last_frame: u64) -> Self {
        let is_narrow = options.is_narrow();
        let digits = last_frame.to_string().len();
        let frame = match (options.frames, is_narrow) {
            (false, _) => 0,
            (true, true) => digits,
            (true, false) => digits.max("frame".len()),
        };
        let time = if is_narrow { TIME_NARROW } else { TIME };
        let states = if is_narrow {
            0
        } else {
            STATE + 1 + GAP + STATE
        };
        let mut layout = Self {
            is_narrow,
            frame,
            time,
            span: 0,
        };
        let span = |layout: &Self| options.columns().saturating_sub(layout.lead() + states);
        if span(&layout) < SPAN_MIN {
            layout.frame = 0;
        }
        layout.span = span(&layout);
        layout
    }

    /// Columns of frame and time, with the blanks behind them.
    pub(super) const fn lead(&self) -> usize {
        let frame = if self.frame > 0 { self.frame + GAP } else { 0 };
        frame + self.time + GAP
    }

    /// Columns before the arrow.
    pub(super) const fn indent(&self) -> usize {
        let state = if self.is_narrow { 0 } else { STATE + 1 };
        self.lead() + state
    }

    /// The column of a path to the right or to the left.
    pub(super) const fn channel(&self, to_right: bool, channel: usize) -> usize {
        let from_edge = 3 + 3 * channel;
        if to_right {
            self.span.saturating_sub(1 + from_edge)
        } else {
            from_edge
        }
    }

    /// A time since the connection's start, as it fits.
    pub(super) fn clock(&self, since: Duration) -> String {
        let (millis, seconds) = (since.as_secs_f64() * 1e3, since.as_secs_f64());
        if self.is_narrow {
            return match since.as_secs() {
                0 => format!("{millis:.1} ms"),
                1..10 => format!("{seconds:.3} s"),
                10..1000 => format!("{seconds:.1} s"),
                _ => format!("{seconds:.0} s"),
            };
        }
        if since < Duration::from_secs(10) {
            format!("{millis:.3} ms")
        } else {
            format!("{seconds:.3} s")
        }
    }
}
