//! The first bytes of each direction, put together across segments and read once.
//!
//! Invariants
//! - At most [`FIRST_MAX`] bytes of a direction are held, and none once it is known what they are.

use super::{Application, Spoken, read};
use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::model::{End, Ends};
use transom_wire::Seq;
use transom_wire::tcp::Flags;

/// Bytes of a direction that are looked at: a ClientHello with post-quantum keys has some 1,700.
pub(crate) const FIRST_MAX: usize = 2048;

/// The first bytes of one direction.
#[derive(Clone, Debug, Default)]
struct First {
    /// The number that comes next.
    next: Option<Seq>,
    held: Vec<u8>,
    is_done: bool,
}

/// What the first bytes of both directions say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    first: Ends<First>,
    application: Option<Box<Application>>,
}

/// What bytes read so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They say this.
    Spoken(Spoken),
    /// They may say something once there are more of them.
    More,
    /// They say nothing.
    Nothing,
}

impl Reading {
    pub(crate) fn application(&self) -> Option<&Application> {
        self.application.as_deref()
    }

    /// Whether nothing more is to be read from an end.
    pub(crate) fn is_done(&self, from: End) -> bool {
        self.first[from].is_done
    }

    /// Takes data of an end that starts at `seq`. `is_whole` tells that all of it was captured.
    fn data(&mut self, from: End, seq: Seq, data: &[u8], is_whole: bool, port: u16) {
        let is_first_to_speak = !self.first[from.other()].has_spoken();
        let first = &mut self.first[from];
        let next = *first.next.get_or_insert(seq);
        // What overlaps is taken from the first copy; what comes after a gap is waited for.
        let Some(skip) = next
            .offset_from(seq)
            .try_into()
            .ok()
            .filter(|skip: &usize| *skip < data.len())
        else {
            return;
        };
        let fresh = data.get(skip..).unwrap_or(&[]);
        let fresh = fresh
            .get(..FIRST_MAX.saturating_sub(first.held.len()))
            .unwrap_or(fresh);
        first.next = Some(next + u32::try_from(fresh.len()).unwrap_or(0));
        let is_last = !is_whole || first.held.len() + fresh.len() >= FIRST_MAX;
        let outcome = if first.held.is_empty() {
            read::read(from, fresh, is_last, is_first_to_speak, port)
        } else {
            first.held.extend_from_slice(fresh);
            read::read(from, &first.held, is_last, is_first_to_speak, port)
        };
        match outcome {
            Outcome::More if first.held.is_empty() => first.held = fresh.to_vec(),
            Outcome::More => {}
            Outcome::Spoken(spoken) => {
                first.finish();
                Application::merge(&mut self.application, spoken);
            }
            Outcome::Nothing => first.finish(),
        }
    }
}

impl First {
    const fn has_spoken(&self) -> bool {
        self.next.is_some()
    }

    fn finish(&mut self) {
        self.is_done = true;
        self.held = Vec::new();
    }
}

impl Connection {
    /// What the first bytes of each direction say of the protocol above TCP.
    #[must_use]
    pub fn application(&self) -> Option<&Application> {
        self.reading.application()
    }

    /// Reads data that may be among the first of its direction.
    pub(crate) fn read_first(&mut self, from: End, segment: &Dissected<'_>) {
        if segment.data.is_empty() || self.reading.is_done(from) {
            return;
        }
        let seq = segment.seq + u32::from(segment.flags.contains(Flags::SYN));
        // A direction that was heard from its SYN starts there, whatever is seen first.
        let lane = &self.lanes[from];
        if lane.has_syn
            && let Some(base) = lane.base
        {
            self.reading.first[from].next.get_or_insert(base + 1);
        }
        let is_whole = segment.captured >= segment.len;
        let port = self.endpoints.server.addr.port();
        self.reading.data(from, seq, segment.data, is_whole, port);
    }
}
