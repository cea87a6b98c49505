//! Connections that rest are folded up, so that a host can have a million of them.
//!
//! Folding and unfolding take a fifth of a microsecond together, beside what is waited for memory, so those that rested last stay
//! whole. They stand in a queue; who is first when it is too long is folded up, or goes to its end once more if something has happened to it since. So what is
//! in use stays whole, however much that is, each step of a queue is paid for by a connection that comes to rest, and no
//! clock is needed.
//!
//! One that had been folded up and was woken for a single packet would push one out that the processor's caches have
//! forgotten. So it stands in a short queue of its own first, and is folded up again while it is at hand, unless something
//! more has happened to it. Every eighth is believed at once, so that what has become busy finds its way.

use core::ops::Deref;
use std::collections::VecDeque;

use transom_tcp::{Connection, Dormant, Instant, State};

use crate::endpoint::{Endpoints, Slot};
use crate::memory::Shares;
use crate::recorder::Metrics;
use crate::slab::SlabKey;

/// A connection in its place.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Whole),
    Dormant(Dormant),
}

/// A connection that is not folded up, and what is known of it meanwhile.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) connection: Box<Connection>,
    /// What the stack knows that it holds.
    pub(crate) shares: Shares,
    /// What a recorder that wants metrics was told last.
    pub(crate) told: Option<Box<Metrics>>,
    /// It was folded up, and has not shown since that it is in use.
    woken: bool,
}

impl Whole {
    pub(crate) fn new(connection: Box<Connection>) -> Self {
        Self {
            connection,
            shares: Shares::default(),
            told: None,
            woken: false,
        }
    }
}

impl Body {
    /// The connection, if it is not folded up. One that is has no events, owes nothing and waits for nothing but its
    /// keep-alive time.
    pub(crate) const fn whole(&self) -> Option<&Whole> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Dormant(_) => None,
        }
    }

    /// As [`whole`](Self::whole).
    pub(crate) const fn whole_mut(&mut self) -> Option<&mut Whole> {
        match self {
            Self::Whole(whole) => Some(whole),
            Self::Dormant(_) => None,
        }
    }

    /// The connection, unfolded.
    #[inline]
    pub(crate) fn wake(&mut self) -> &mut Whole {
        if let Self::Dormant(_) = self {
            self.unfold(&mut Spares::default());
        }
        match self {
            Self::Whole(whole) => whole,
            Self::Dormant(_) => unreachable!("it was unfolded"),
        }
    }

    /// Unfolds the connection, in memory that may be at hand.
    #[inline]
    pub(crate) fn unfold(&mut self, spares: &mut Spares) {
        if let Self::Dormant(_) = self {
            self.unfold_dormant(spares);
        }
    }

    #[cold]
    fn unfold_dormant(&mut self, spares: &mut Spares) {
        if let Self::Dormant(dormant) = self {
            let connection = spares.unfold(dormant);
            let whole = Whole {
                woken: true,
                ..Whole::new(connection)
            };
            if let Self::Dormant(dormant) = core::mem::replace(self, Self::Whole(whole)) {
                spares.keep_form(dormant);
            }
        }
    }

    /// The connection, to look at.
    pub(crate) fn look(&self) -> ConnectionRef<'_> {
        match self {
            Self::Whole(whole) => ConnectionRef(Look::Whole(&whole.connection)),
            Self::Dormant(dormant) => ConnectionRef(Look::Unfolded(Box::new(dormant.wake()))),
        }
    }

    /// Something of each line of memory that [`wake`](Self::wake) needs.
    pub(crate) fn read_ahead(&self) -> u64 {
        match self {
            Self::Whole(whole) => u64::from(whole.connection.poll_timeout().is_some()),
            Self::Dormant(dormant) => dormant.read_ahead(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self {
            Self::Whole(whole) => whole.connection.state(),
            Self::Dormant(dormant) => dormant.state(),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Whole(whole) => whole.connection.poll_timeout(),
            Self::Dormant(dormant) => dormant.poll_timeout(),
        }
    }

    /// What the stack knows that the connection holds.
    pub(crate) fn shares(&self) -> Shares {
        self.whole().map(|whole| whole.shares).unwrap_or_default()
    }

    /// Folds the connection up if it rests.
    fn fold(&mut self, spares: &mut Spares) {
        if let Self::Whole(whole) = self
            && whole.shares.are_empty()
            && let Some(dormant) = spares.fold(&mut whole.connection)
            && let Self::Whole(whole) = core::mem::replace(self, Self::Dormant(dormant))
        {
            spares.keep(whole.connection);
        }
    }
}

/// So much memory of connections that were folded up is kept, and of the small forms of those that were unfolded: for as many as one
/// batch of frames may wake.
const SPARES: usize = 128 + WOKEN;

/// Memory of connections that were folded up, what they were still in it, for those that are woken next, and of small forms for those
/// that are folded up next: an allocator looks long for pieces of this size, and in memory that is in no cache.
#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "the boxes are what is kept, and given out again"
)]
pub(crate) struct Spares {
    places: Vec<Box<Connection>>,
    forms: Vec<Dormant>,
}

impl Spares {
    /// The connection, unfolded. What is left of the small form is memory for another one.
    fn unfold(&mut self, dormant: &mut Dormant) -> Box<Connection> {
        match self.places.pop() {
            Some(mut place) => {
                dormant.wake_in(&mut place);
                place
            }
            None => Box::new(dormant.wake()),
        }
    }

    /// The small form, if the connection rests. What is left of it is memory for another one.
    fn fold(&mut self, connection: &mut Connection) -> Option<Dormant> {
        let Some(mut form) = self.forms.pop() else {
            return connection.to_dormant();
        };
        if connection.rest_in(&mut form) {
            return Some(form);
        }
        self.forms.push(form);
        None
    }

    fn keep(&mut self, place: Box<Connection>) {
        if self.places.len() < SPARES {
            self.places.push(place);
        }
    }

    fn keep_form(&mut self, form: Dormant) {
        if self.forms.len() < SPARES {
            self.forms.push(form);
        }
    }
}

/// A connection to look at.
///
/// One that has been idle for long is folded up, and what is seen here is made for the purpose.
#[derive(Debug)]
pub struct ConnectionRef<'a>(Look<'a>);

#[derive(Debug)]
enum Look<'a> {
    Whole(&'a Connection),
    Unfolded(Box<Connection>),
}

impl Deref for ConnectionRef<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.0 {
            Look::Whole(connection) => connection,
            Look::Unfolded(connection) => connection,
        }
    }
}

/// Whether a connection stands in the queue of those that rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rests {
    #[default]
    No,
    Queued,
    /// Something has happened to it since.
    Stirred,
}

/// Connections that were woken, and rest again, before they are folded up.
const WOKEN: usize = 32;
/// So many of those that were woken are taken for idle until they show otherwise; the next is not.
const DOUBTED: u32 = 7;

/// Connections that came to rest and are still whole, the longest at rest first; may hold stale keys.
#[derive(Debug)]
pub(crate) struct Resting {
    queue: VecDeque<SlabKey>,
    most: usize,
    /// Those that were woken.
    woken: VecDeque<SlabKey>,
    /// How many of those came one after the other.
    doubted: u32,
    pub(crate) spares: Spares,
}

impl Resting {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            most,
            woken: VecDeque::new(),
            doubted: 0,
            spares: Spares::default(),
        }
    }

    /// Whether a connection that was woken stands among those first.
    fn doubts(&mut self) -> bool {
        let doubts = self.queue.len() >= self.most && self.doubted < DOUBTED;
        self.doubted = if doubts { self.doubted + 1 } else { 0 };
        doubts
    }
}

impl Endpoints {
    /// A connection owes nothing more; if it rests, it may be folded up.
    pub(crate) fn rest(&mut self, key: SlabKey) {
        let slots = &mut self.tenants.connections;
        let Some(slot) = slots.get_mut(key) else {
            return;
        };
        let is_woken = match (slot.rests, slot.body.whole()) {
            (Rests::No, Some(whole)) if whole.connection.is_at_rest() => whole.woken,
            (Rests::Queued, Some(_)) => {
                slot.rests = Rests::Stirred;
                return;
            }
            _ => return,
        };
        slot.rests = Rests::Queued;
        if is_woken && self.resting.doubts() {
            self.resting.woken.push_back(key);
            self.shorten_woken();
        } else {
            self.keep(key);
        }
    }

    fn shorten_woken(&mut self) {
        let Resting {
            woken,
            most,
            spares,
            ..
        } = &mut self.resting;
        if woken.len() <= WOKEN.min(*most) {
            return;
        }
        let Some(first) = woken.pop_front() else {
            return;
        };
        match self.tenants.connections.get_mut(first) {
            Some(slot) if slot.rests == Rests::Stirred => {
                slot.rests = Rests::Queued;
                self.keep(first);
            }
            Some(slot) => slot.fold(spares),
            None => {}
        }
    }

    /// A connection stays whole, for as long as there is room or it is in use.
    fn keep(&mut self, key: SlabKey) {
        let slots = &mut self.tenants.connections;
        let slot = slots.get_mut(key);
        if let Some(whole) = slot.and_then(|slot| slot.body.whole_mut()) {
            whole.woken = false;
        }
        let Resting {
            queue,
            most,
            spares,
            ..
        } = &mut self.resting;
        queue.push_back(key);
        // One has come, and up to two may go: the queue shrinks when it was too long.
        for _ in 0..2 {
            if queue.len() <= *most {
                break;
            }
            let Some(first) = queue.pop_front() else {
                break;
            };
            match slots.get_mut(first) {
                Some(slot) if slot.rests == Rests::Stirred => {
                    slot.rests = Rests::Queued;
                    queue.push_back(first);
                }
                Some(slot) => slot.fold(spares),
                None => {}
            }
        }
    }
}

impl Slot {
    /// The connection has something to tell: to the application, or of Fast Open.
    pub(crate) fn has_news(&self) -> bool {
        self.body.whole().is_some_and(|whole| {
            whole.connection.has_events() || whole.connection.has_fast_open_news()
        })
    }

    /// Folds the connection up if it rests still.
    fn fold(&mut self, spares: &mut Spares) {
        self.rests = Rests::No;
        self.body.fold(spares);
    }
}
