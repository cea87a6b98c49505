//! Path MTUs learnt from ICMP, by destination (RFC 1191, RFC 8201).

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use transom_tcp::Instant;

use crate::secret::{Key, Map};

/// How long a lowered MTU is kept before larger packets are tried again.
// RFC 1191 §6.3, RFC 8201 §4 (PMTU-5): not before 5 minutes; 10 recommended.
const LIFETIME: Duration = Duration::from_secs(600);

/// Smallest MTU believed of an IPv4 path. A forged smaller one would make every segment tiny.
// PMTU-2: the rule allows 68; 552 is what Linux accepts (min_pmtu).
pub(crate) const IPV4_FLOOR: usize = 552;

/// Smallest MTU of an IPv6 link.
// RFC 8200 §5: every link carries 1280 octets.
pub(crate) const IPV6_FLOOR: usize = 1280;

/// RFC 1191 §7.1, table 7-1: sizes that links really have, for routers that do not say theirs.
const PLATEAUS: [usize; 11] = [
    65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68,
];

#[derive(Clone, Copy, Debug)]
struct Entry {
    mtu: usize,
    learnt: Instant,
}

/// What is known about paths narrower than the link.
#[derive(Debug)]
pub(crate) struct PathMtus {
    entries: Map<IpAddr, Entry>,
    /// In the order learnt: the front expires, and goes first when the table is full.
    order: VecDeque<(Instant, IpAddr)>,
    capacity: usize,
}

impl PathMtus {
    pub(crate) fn new(capacity: usize, key: Key) -> Self {
        Self {
            entries: Map::with_hasher(key),
            order: VecDeque::new(),
            capacity,
        }
    }

    pub(crate) fn get(&self, destination: IpAddr) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries.get(&destination).map(|entry| entry.mtu)
    }

    /// Records a smaller MTU. False when it is not smaller than what is known.
    // ICMPA-5: a message from the network never raises an MTU.
    pub(crate) fn lower(&mut self, destination: IpAddr, mtu: usize, now: Instant) -> bool {
        if self
            .entries
            .get(&destination)
            .is_some_and(|entry| entry.mtu <= mtu)
        {
            return false;
        }
        while self.entries.len() >= self.capacity && !self.entries.contains_key(&destination) {
            let Some((learnt, oldest)) = self.order.pop_front() else {
                return false;
            };
            self.forget(oldest, learnt);
        }
        self.entries.insert(destination, Entry { mtu, learnt: now });
        self.order.push_back((now, destination));
        if self.order.len() > 64 + 2 * self.capacity {
            let entries = &self.entries;
            self.order.retain(|(learnt, to)| {
                entries.get(to).is_some_and(|entry| entry.learnt == *learnt)
            });
        }
        true
    }

    /// Packets of this size have arrived, which is more than what was known to.
    pub(crate) fn raise(&mut self, destination: IpAddr, mtu: usize) {
        if let Some(entry) = self.entries.get_mut(&destination) {
            entry.mtu = entry.mtu.max(mtu);
        }
    }

    /// Forgets what is older than the lifetime. True when something was.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let mut expired = false;
        while let Some(&(learnt, destination)) = self.order.front() {
            if learnt + LIFETIME > now {
                break;
            }
            self.order.pop_front();
            expired |= self.forget(destination, learnt);
        }
        expired
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.order.front().map(|(learnt, _)| *learnt + LIFETIME)
    }

    fn forget(&mut self, destination: IpAddr, learnt: Instant) -> bool {
        if self
            .entries
            .get(&destination)
            .is_some_and(|entry| entry.learnt == learnt)
        {
            self.entries.remove(&destination);
            return true;
        }
        false
    }
}

/// The MTU to believe when a message reports `claimed` about a packet of `quoted_len` bytes, or `None`
/// when the message makes no sense.
pub(crate) fn believed(claimed: usize, quoted_len: usize, ipv4: bool) -> Option<usize> {
    let mtu = if claimed == 0 && ipv4 {
        // RFC 1191 §5 (PMTU-3): an old router does not say its MTU; take the next plateau below.
        PLATEAUS
            .into_iter()
            .find(|plateau| *plateau < quoted_len)?
            .max(IPV4_FLOOR)
    } else {
        claimed
    };
    // PMTU-7: a packet that was not larger than the MTU cannot have been too big.
    if mtu >= quoted_len {
        return None;
    }
    // PMTU-2: below the floor it is an attack or a broken router.
    let floor = if ipv4 { IPV4_FLOOR } else { IPV6_FLOOR };
    (mtu >= floor).then_some(mtu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(capacity: usize) -> PathMtus {
        PathMtus::new(
            capacity,
            Key::derive(&[0; 32], crate::secret::Purpose::Demux),
        )
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, last))
    }

    fn at(secs: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(secs))
    }

    #[test]
    fn req_pmtu_2_floors() {
        assert_eq!(believed(551, 1500, true), None);
        assert_eq!(believed(552, 1500, true), Some(552));
        assert_eq!(believed(1279, 1500, false), None);
        assert_eq!(believed(1280, 1500, false), Some(1280));
        assert_eq!(believed(0, 1500, false), None);
    }

    #[test]
    fn what_has_arrived_raises_what_is_known() {
        let mut known = cache(2);
        known.raise(ip(1), 1500);
        assert_eq!(known.get(ip(1)), None);
        assert!(known.lower(ip(1), 1024, at(0)));
        known.raise(ip(1), 1400);
        known.raise(ip(1), 1300);
        assert_eq!(known.get(ip(1)), Some(1400));
        // It is forgotten when it would have been.
        assert!(known.expire(at(600)));
    }

    #[test]
    fn req_pmtu_3_plateaus_when_the_router_does_not_say() {
        assert_eq!(believed(0, 1500, true), Some(1492));
        assert_eq!(believed(0, 1492, true), Some(1006));
        assert_eq!(believed(0, 9000, true), Some(8166));
        assert_eq!(believed(0, 600, true), Some(552));
        assert_eq!(believed(0, 552, true), None);
    }

    #[test]
    fn req_pmtu_5_not_raised_within_ten_minutes() {
        let mut cache = cache(8);
        assert!(cache.lower(ip(1), 1400, at(0)));
        assert!(!cache.expire(at(599)));
        assert_eq!(cache.get(ip(1)), Some(1400));
        assert!(cache.expire(at(600)));
        assert_eq!(cache.get(ip(1)), None);
    }

    #[test]
    fn req_pmtu_7_larger_than_the_quoted_packet_is_ignored() {
        assert_eq!(believed(1500, 1500, true), None);
        assert_eq!(believed(1400, 1300, true), None);
    }

    #[test]
    fn req_icmpa_5_never_raised() {
        let mut cache = cache(8);
        assert!(cache.lower(ip(1), 1400, at(0)));
        assert!(!cache.lower(ip(1), 1450, at(1)));
        assert_eq!(cache.get(ip(1)), Some(1400));
    }

    #[test]
    fn req_sec_res_1_path_mtu_cache_is_bounded() {
        let mut cache = cache(4);
        for last in 0..100 {
            cache.lower(ip(last), 1400, at(u64::from(last)));
        }
        assert_eq!(cache.entries.len(), 4);
        assert!(cache.order.len() <= 5);
        assert_eq!(cache.get(ip(99)), Some(1400));
        assert_eq!(cache.get(ip(0)), None);
    }
}
