//! Several stacks that are one host together.
//!
//! Each has the same addresses, routes and secret, and connections of its own: a function of a connection's two
//! sockets says to which it belongs, always to the same one. Nothing is shared between them then, and yet nothing of TCP's
//! memory is divided: the TIME-WAIT of two sockets is where their next SYN comes to, initial sequence numbers
//! and timestamps of two sockets go on rising because key and clock are the same, and a SYN cookie is checked by who
//! made it. What counts connections, bytes or messages is divided by the number of stacks.
//!
//! Datagrams, fragments and echo requests belong to the first, so that identifications of packets that may be
//! fragmented are given out in one place.

use core::fmt;
use core::net::SocketAddr;
use std::sync::Arc;

use crate::config::StackConfig;
use crate::counters::Counters;
use crate::rate::RateLimit;
use crate::secret::{Key, Purpose};
use crate::stack::Stack;
use crate::tuple::Tuple;

/// Says of a local and a remote socket whether a connection between them belongs to this stack.
pub type Owns = Arc<dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync>;

/// A key for whoever divides connections among the stacks that get this secret.
#[must_use]
pub fn division_key(secret: &[u8; 32]) -> [u8; 8] {
    Key::derive(secret, Purpose::Division)
        .mac(&[])
        .to_ne_bytes()
}

/// Which connections belong to this stack; all, unless it is one of several.
#[derive(Clone, Default)]
pub(crate) struct Share(Option<Owns>);

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Share").field(&self.0.is_some()).finish()
    }
}

impl Share {
    pub(crate) fn has(&self, tuple: &Tuple) -> bool {
        self.0
            .as_ref()
            .is_none_or(|owns| owns(tuple.local(), tuple.remote()))
    }
}

impl Stack {
    /// Makes this stack number `index` of several that are one host: it opens only connections that are its own, as
    /// `owns` says. To be called before anything else. The caller sees to it that each frame comes to the stack that
    /// it belongs to.
    ///
    /// All stacks get the same secret, and each a share of the limits, see [`StackConfig::divided`].
    pub fn set_shard(&mut self, index: u32, owns: Owns) {
        self.host.share = Share(Some(owns));
        // What is drawn by chance is drawn from a part of the sequence that nobody else gets to.
        self.host.random.branch(index);
    }
}

impl StackConfig {
    /// The choices for each of `stacks` that are one host together: limits on numbers of things, on bytes and on messages a
    /// second are divided and rounded up. Limits of one connection or socket stay.
    #[must_use]
    pub fn divided(self, stacks: usize) -> Self {
        let stacks = stacks.max(1);
        let part = |limit: usize| limit.div_ceil(stacks);
        let rate = |limit: RateLimit| {
            let by = u32::try_from(stacks).unwrap_or(u32::MAX);
            RateLimit::new(limit.per_second.div_ceil(by), limit.burst.div_ceil(by))
        };
        Self {
            max_connections: part(self.max_connections),
            max_time_wait: part(self.max_time_wait),
            max_orphans: part(self.max_orphans),
            max_embryos: part(self.max_embryos),
            max_out_of_order_bytes: part(self.max_out_of_order_bytes),
            max_send_bytes: part(self.max_send_bytes),
            max_incoming: part(self.max_incoming),
            max_path_mtus: part(self.max_path_mtus),
            max_fast_open_servers: part(self.max_fast_open_servers),
            icmp_limit: rate(self.icmp_limit),
            icmp_limit_each: rate(self.icmp_limit_each),
            reset_limit: rate(self.reset_limit),
            reset_limit_each: rate(self.reset_limit_each),
            ..self
        }
    }
}

impl Counters {
    /// Adds what another stack has counted.
    pub fn add(&mut self, other: &Self) {
        let mine = self.numbers();
        for (mine, theirs) in mine.into_iter().zip(other.clone().numbers()) {
            *mine += *theirs;
        }
        self.add_discards(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_divided_and_never_become_none() {
        let config = StackConfig::default()
            .max_connections(5)
            .max_incoming(1)
            .reset_limit(RateLimit::new(7, 3));
        let part = config.divided(2);
        assert_eq!((part.max_connections, part.max_incoming), (3, 1));
        assert_eq!(part.reset_limit, RateLimit::new(4, 2));
        assert_eq!(part.ephemeral_ports, StackConfig::default().ephemeral_ports);
        assert_eq!(StackConfig::default().divided(0).max_connections, 1 << 20);
    }

    #[test]
    fn counters_add_up_field_by_field() {
        let mut sum = Counters::new();
        let mut one = Counters::new();
        for (number, place) in one.numbers().into_iter().zip(1..) {
            *number = place;
        }
        one.discard(crate::Discard::ArpMalformed);
        sum.add(&one);
        sum.add(&one);
        let doubled: Vec<u64> = one.numbers().into_iter().map(|n| *n * 2).collect();
        assert_eq!(
            sum.numbers().into_iter().map(|n| *n).collect::<Vec<_>>(),
            doubled
        );
        assert_eq!(sum.discarded(crate::Discard::ArpMalformed), 2);
    }
}
