//! How long a connection was busy, and what held it back, as `tcp_info` counts it.

use std::time::Duration;

use transom_stack::tcp::{ConnectionInfo, Instant};

/// Times of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Something was not acknowledged.
    pub(super) busy: Duration,
    /// The peer's window held back what was written.
    pub(super) window: Duration,
    /// The send buffer held back a writer, and the network had room.
    pub(super) buffer: Duration,
    /// What holds since `since`.
    state: Held,
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Idle,
    Busy,
    Window,
    Buffer,
}

impl Limits {
    /// The connection is like this from `now` on.
    pub(super) fn note(&mut self, now: Instant, info: &ConnectionInfo, no_space: bool) {
        *self = self.until(now);
        self.since = Some(now);
        let mss = u64::from(info.eff_snd_mss.max(1));
        let used = info.snd_nxt.since(info.snd_una);
        let usable = u64::from(info.snd_wnd.saturating_sub(used));
        let unsent = info.unsent as u64;
        let has_room = info.cwnd >= info.pipe.saturating_add(mss);
        self.state = if info.send_queue == 0 && used == 0 {
            Held::Idle
        } else if unsent > 0 && usable < unsent.min(mss) && has_room {
            Held::Window
        } else if unsent == 0 && no_space && has_room {
            Held::Buffer
        } else {
            Held::Busy
        };
    }

    /// The times at `now`.
    pub(super) fn until(mut self, now: Instant) -> Self {
        let passed = self
            .since
            .map_or(Duration::ZERO, |since| now.duration_since(since));
        match self.state {
            Held::Idle => {}
            Held::Busy => self.busy += passed,
            Held::Window => self.window += passed,
            Held::Buffer => self.buffer += passed,
        }
        if matches!(self.state, Held::Window | Held::Buffer) {
            self.busy += passed;
        }
        self.since = Some(now);
        self
    }
}
