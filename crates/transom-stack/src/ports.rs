//! Ephemeral ports (RFC 6056 §3.3.4, the double-hash algorithm).
//!
//! A keyed hash of the destination says where in the range the search begins; a large table of
//! counters, indexed by a second hash, moves that point on with every port taken. Destinations share
//! neither, so ports used towards one tell nothing about those used towards another.

use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use crate::secret::{Key, Purpose, Random};
use crate::tuple::octets16;

/// Counters of the second hash.
const TABLE: usize = 1 << 16;

/// Ports that are looked at before one whose TIME-WAIT may be cut short will do. Where half of the range is free, one of so
/// many is all but surely; where nothing is, a search must not go through the whole range each time to find that out.
const PREFERRED: u32 = 16;

/// Who has a port, towards the destination in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Free,
    /// A TIME-WAIT that may be cut short.
    Reusable,
    Taken,
}

/// Chooses local ports.
#[derive(Debug)]
pub(crate) struct Ports {
    range: RangeInclusive<u16>,
    offset: Key,
    table: Key,
    counters: Vec<u16>,
}

impl Ports {
    pub(crate) fn new(secret: &[u8; 32], range: RangeInclusive<u16>) -> Self {
        Self {
            range,
            offset: Key::derive(secret, Purpose::PortOffset),
            table: Key::derive(secret, Purpose::PortTable),
            counters: Vec::new(),
        }
    }

    /// A port that is free, or at least reusable; `None` after the whole range was tried once.
    // PORT-3, TW-11.
    pub(crate) fn choose(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        random: &mut Random,
        mut look: impl FnMut(u16) -> Use,
    ) -> Option<u16> {
        if self.range.is_empty() {
            return None;
        }
        if self.counters.is_empty() {
            self.counters = vec![0; TABLE];
        }
        let mut destination = [0; 34];
        let (addresses, port) = destination.split_at_mut(32);
        let (first, second) = addresses.split_at_mut(16);
        first.copy_from_slice(&octets16(local));
        second.copy_from_slice(&octets16(remote.ip()));
        port.copy_from_slice(&remote.port().to_be_bytes());

        let count = u32::from(self.range.end() - self.range.start()) + 1;
        let offset = self.offset.mac(&destination) as u32 % count;
        let row = self.table.mac(&destination) as usize % TABLE;
        let counter = self.counters.get_mut(row)?;
        let start = offset + u32::from(*counter);
        let port = |tried| {
            self.range
                .start()
                .wrapping_add(((start + tried) % count) as u16)
        };
        let mut reusable = None;
        let mut free = None;
        for tried in 0..count {
            if tried >= PREFERRED && reusable.is_some() {
                break;
            }
            match look(port(tried)) {
                Use::Free => {
                    free = Some(tried);
                    break;
                }
                Use::Reusable => reusable = reusable.or(Some(tried)),
                Use::Taken => {}
            }
        }
        let tried = free.or(reusable)?;
        let port = port(tried);
        // Several steps at a time, by chance: the distance between two ports must not count the connections made in
        // between.
        let steps = tried + 1 + random.below(8);
        *counter = counter.wrapping_add(steps as u16);
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::new("10.0.0.2".parse().unwrap(), port)
    }

    fn free_if(is_free: bool) -> Use {
        if is_free { Use::Free } else { Use::Taken }
    }

    #[test]
    fn req_port_1_choice_stays_in_range_and_depends_on_the_secret() {
        let mut firsts = HashSet::new();
        for secret in 0..64 {
            let mut ports = Ports::new(&[secret; 32], 1024..=65535);
            let mut random = Random::new(&[secret; 32]);
            let port = ports
                .choose(LOCAL, remote(80), &mut random, |_| Use::Free)
                .unwrap();
            assert!(port >= 1024);
            firsts.insert(port);
        }
        assert!(firsts.len() > 60);
    }

    #[test]
    fn req_port_2_and_sec_port_1_and_cve_12_and_cve_28_no_quick_reuse_and_destinations_are_independent()
     {
        let mut ports = Ports::new(&[5; 32], 32768..=60999);
        let mut random = Random::new(&[5; 32]);
        let mut last_use: HashMap<u16, u32> = HashMap::new();
        for turn in 0..4000u32 {
            let port = ports
                .choose(LOCAL, remote(80), &mut random, |_| Use::Free)
                .unwrap();
            assert!(
                last_use.insert(port, turn).is_none(),
                "port reused after {turn} choices"
            );
        }
        let mut distances = HashSet::new();
        for destination in 1..100 {
            let a = ports
                .choose(LOCAL, remote(destination), &mut random, |_| Use::Free)
                .unwrap();
            let b = ports
                .choose(LOCAL, remote(destination + 1000), &mut random, |_| {
                    Use::Free
                })
                .unwrap();
            distances.insert(a.wrapping_sub(b));
        }
        assert!(distances.len() > 90);
    }

    #[test]
    fn req_port_2_and_sec_port_1_and_cve_12_table_has_at_least_65536_rows() {
        let mut ports = Ports::new(&[5; 32], 1..=10);
        let mut random = Random::new(&[5; 32]);
        ports.choose(LOCAL, remote(80), &mut random, |_| Use::Free);
        assert!(ports.counters.len() >= 1 << 16);
    }

    #[test]
    fn req_port_3_never_a_port_that_is_taken() {
        let mut ports = Ports::new(&[5; 32], 100..=109);
        let mut random = Random::new(&[5; 32]);
        for _ in 0..50 {
            assert_eq!(
                ports.choose(LOCAL, remote(80), &mut random, |port| free_if(port == 104)),
                Some(104)
            );
        }
    }

    #[test]
    fn req_port_4_exhaustion_is_found_in_one_pass() {
        let mut ports = Ports::new(&[5; 32], 32768..=60999);
        let mut random = Random::new(&[5; 32]);
        let tried = core::cell::Cell::new(0u32);
        let choice = ports.choose(LOCAL, remote(80), &mut random, |_| {
            tried.set(tried.get() + 1);
            Use::Taken
        });
        assert_eq!(choice, None);
        assert_eq!(tried.get(), 60999 - 32768 + 1);
    }

    #[test]
    fn req_port_3_the_only_port_left_is_found_wherever_the_search_begins() {
        let mut ports = Ports::new(&[5; 32], 32768..=60999);
        let mut random = Random::new(&[5; 32]);
        // Each search moves the counter on by half of the range, through all that it can be.
        for turn in 0..40_u32 {
            let only = 32768 + (turn % 2 * 14_000) as u16;
            for wanted in [Use::Free, Use::Reusable] {
                let look = |port| if port == only { wanted } else { Use::Taken };
                let choice = ports.choose(LOCAL, remote(80), &mut random, look);
                assert_eq!(choice, Some(only), "turn {turn}, {wanted:?}");
            }
        }
    }

    #[test]
    fn req_port_3_what_is_free_is_preferred_and_what_is_reusable_is_found_soon() {
        let mut ports = Ports::new(&[5; 32], 32768..=60999);
        let mut random = Random::new(&[5; 32]);
        let tried = core::cell::Cell::new(0);
        for _ in 0..1000 {
            let choice = ports.choose(LOCAL, remote(80), &mut random, |port| match port % 4 {
                0 => Use::Free,
                _ => Use::Reusable,
            });
            assert_eq!(choice.unwrap() % 4, 0);
            tried.set(0);
            let choice = ports.choose(LOCAL, remote(80), &mut random, |port| {
                tried.set(tried.get() + 1);
                match port % 8 {
                    7 => Use::Reusable,
                    _ => Use::Taken,
                }
            });
            assert_eq!(choice.unwrap() % 8, 7);
            assert_eq!(tried.get(), PREFERRED);
        }
    }
}
