//! SYNs with data, or with a cookie, at a listener.

use core::time::Duration;
use std::collections::VecDeque;

use transom_tcp::{CloseReason, Connection, Event, Instant};
use transom_wire::tcp::FastOpen;

use super::FastOpenKeys;
use super::cookies::Found;
use crate::arrivals::Arrival;
use crate::endpoint::SharedConfig;
use crate::observer::Dropped;
use crate::slab::SlabKey;
use crate::stack::Stack;

/// How long a connection that was reset before its handshake was complete still counts.
// RFC 7413 §5.1, as Linux.
const RESET_COUNTS: Duration = Duration::from_secs(60);

/// How a listener takes data in SYNs.
///
/// **What such data asks for may be done twice**: the network may deliver a SYN again when the connection that it opened
/// is over, and then it opens another one. For services whose requests may be repeated.
// RFC 7413 §2.1, §6.1, TFO-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FastOpenListen {
    /// Most connections opened by data in a SYN whose handshake is not complete. Beyond it, data in SYNs is not taken.
    pub pending: usize,
    /// Take data from whoever sends it, cookie or not. Default false. For networks in which nobody forges addresses.
    pub without_cookie: bool,
    /// Keys of the cookies; default those of the stack.
    pub keys: Option<FastOpenKeys>,
}

impl FastOpenListen {
    /// Takes data of SYNs with a valid cookie, for up to `pending` unfinished handshakes.
    #[must_use]
    pub const fn new(pending: usize) -> Self {
        Self {
            pending,
            without_cookie: false,
            keys: None,
        }
    }

    /// Sets [`FastOpenListen::without_cookie`].
    #[must_use]
    pub const fn without_cookie(mut self, without_cookie: bool) -> Self {
        self.without_cookie = without_cookie;
        self
    }

    /// Sets [`FastOpenListen::keys`].
    #[must_use]
    pub const fn keys(mut self, keys: FastOpenKeys) -> Self {
        self.keys = Some(keys);
        self
    }
}

/// How many fast openings a listener has under way.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    /// Handshakes that are not complete.
    pending: usize,
    /// Until when those count that were reset.
    reset: VecDeque<Instant>,
}

impl Limit {
    /// Whether there is room for another.
    // RFC 7413 §5.1, TFO-5, SEC-TFO-1.
    fn has_room(&mut self, most: usize, now: Instant) -> bool {
        while self.reset.front().is_some_and(|until| *until <= now) {
            self.reset.pop_front();
        }
        self.pending + self.reset.len() < most
    }
}

/// What is to be done with a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// A connection is made at once, with the data. The peer gets this cookie if there is one.
    Open(Option<FastOpen>),
    /// Only the SYN counts. The peer gets this cookie if there is one.
    Ordinary(Option<FastOpen>),
}

impl Stack {
    /// Whether, and how, a listener takes data in SYNs from now on. False when the handle is stale.
    ///
    /// Listeners that withhold the SYN-ACK ([`ListenOptions::manual`](crate::ListenOptions::manual)) never do.
    pub fn tcp_set_fast_open(
        &mut self,
        id: crate::ListenerId,
        fast_open: Option<FastOpenListen>,
    ) -> bool {
        let listener = self.endpoints.listeners.get_mut(id.0);
        listener.is_some_and(|listener| {
            listener.fast_open = fast_open.map(Box::new);
            true
        })
    }

    /// The keys of the cookies that listeners give out; `None` for keys derived from the stack's secret, which change
    /// every [`StackConfig::fast_open_key_lifetime`](crate::StackConfig::fast_open_key_lifetime).
    pub const fn set_fast_open_keys(&mut self, keys: Option<FastOpenKeys>) {
        self.endpoints.fast_opens.cookies.set_keys(keys);
    }

    /// Judges a SYN that a listener would queue.
    pub(crate) fn judge_fast_open(
        &mut self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
    ) -> Judgement {
        let (tuple, syn) = (&arrival.tuple, &arrival.segment);
        let option = syn.options.fast_open;
        let Some(found) = self.endpoints.listeners.get_mut(listener) else {
            return Judgement::Ordinary(None);
        };
        let Some(wanted) = found.fast_open.as_deref().copied() else {
            return Judgement::Ordinary(None);
        };
        if option.is_none() && syn.payload.is_empty() {
            return Judgement::Ordinary(None);
        }
        let counters = &mut self.observer.counters;
        // Before the cookie is looked at, so that a flood costs little (as Linux).
        if !found.fast_open_limit.has_room(wanted.pending, now) {
            counters.fast_open_overflows += 1;
            return Judgement::Ordinary(None);
        }
        if wanted.without_cookie {
            return Judgement::Open(None);
        }
        let Some(option) = option else {
            return Judgement::Ordinary(None);
        };
        let cookies = &self.endpoints.fast_opens.cookies;
        let give = || {
            let cookie = cookies.give(wanted.keys, tuple, now)?;
            Some(cookie.experimental(option.is_experimental()))
        };
        if option.is_request() {
            // RFC 7413 §4.2.1.
            counters.fast_open_cookies_out += 1;
            return Judgement::Ordinary(give());
        }
        match cookies.find(wanted.keys, tuple, option.cookie(), now) {
            Found::Current => Judgement::Open(None),
            Found::Outdated => Judgement::Open(give()),
            Found::Unknown => {
                // RFC 7413 §4.2.2, TFO-4: the data is dropped, and the peer learns a better cookie.
                counters.fast_open_refusals += 1;
                Judgement::Ordinary(give())
            }
        }
    }

    /// Makes the connection for a SYN with a valid cookie; it may be accepted at once.
    // RFC 7413 §4.2.2, TFO-3.
    pub(crate) fn open_fast(
        &mut self,
        now: Instant,
        listener: SlabKey,
        arrival: &Arrival,
        config: SharedConfig,
        (identity, renewed): (transom_tcp::Identity, Option<FastOpen>),
    ) -> Result<(), Dropped> {
        let tuple = arrival.tuple;
        let path = self.host.path(tuple.remote);
        let syn = &arrival.segment;
        let connection = Connection::accept_fast_open(config, path, identity, syn, renewed, now)
            .map_err(|reason| arrival.dropped(reason))?;
        let counters = &mut self.observer.counters;
        counters.passive_opens += 1;
        counters.fast_opens_in += 1;
        self.handshake_complete(now, listener, arrival, Box::new(connection), Ok(()))?;
        let Some(found) = self.endpoints.listeners.get_mut(listener) else {
            return Ok(());
        };
        if let Some(key) = found.ready.back() {
            found.fast_open_limit.pending += 1;
            self.endpoints.fast_opens.pending.insert(*key, listener);
        }
        Ok(())
    }

    /// The handshake of a connection that was opened by data is complete, or will never be.
    pub(crate) fn fast_open_over(&mut self, now: Instant, key: SlabKey, event: &Event) {
        let pending = &mut self.endpoints.fast_opens.pending;
        if pending.is_empty() {
            // Nearly always, and a key need not be hashed.
            return;
        }
        let Some(listener) = pending.remove(&key) else {
            return;
        };
        let Some(found) = self.endpoints.listeners.get_mut(listener) else {
            return;
        };
        let limit = &mut found.fast_open_limit;
        limit.pending = limit.pending.saturating_sub(1);
        // TFO-5: whose address was forged resets what it never asked for. That makes no room for more of the same.
        if *event == Event::Closed(CloseReason::ResetByPeer) {
            limit.reset.push_back(now + RESET_COUNTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_tfo_5_a_reset_makes_room_only_after_a_minute() {
        let at = |secs| Instant::from_origin(Duration::from_secs(secs));
        let mut limit = Limit::default();
        assert!(limit.has_room(2, at(0)));
        limit.pending = 1;
        limit.reset.push_back(at(0) + RESET_COUNTS);
        assert!(!limit.has_room(2, at(0)));
        assert!(!limit.has_room(2, at(59)));
        assert!(limit.has_room(2, at(60)));
        limit.pending = 2;
        assert!(!limit.has_room(2, at(60)));
        assert!(!Limit::default().has_room(0, at(0)));
    }
}
