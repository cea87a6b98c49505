//! Identifications of IP packets that may be fragmented.

use core::net::IpAddr;

use crate::secret::{Key, Purpose, Random};
use crate::tuple::octets16;

const ROWS: usize = 2048;

/// Counters by source, destination and protocol, started and advanced by chance: unique for a pair for
/// as long as the field allows, and of no use to count packets sent to somebody else.
#[derive(Debug)]
pub(crate) struct Identifications {
    key: Key,
    counters: Vec<u32>,
}

impl Identifications {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            key: Key::derive(secret, Purpose::Identification),
            counters: Vec::new(),
        }
    }

    /// The next identification from `source` to `destination`.
    // RFC 6864 §4.3: unique within the lifetime of a non-atomic datagram per source, destination, protocol.
    pub(crate) fn next(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        random: &mut Random,
    ) -> u32 {
        if self.counters.is_empty() {
            self.counters = (0..ROWS).map(|_| random.next_u64() as u32).collect();
        }
        let mut bytes = [0; 33];
        let (addresses, last) = bytes.split_at_mut(32);
        let (first, second) = addresses.split_at_mut(16);
        first.copy_from_slice(&octets16(source));
        second.copy_from_slice(&octets16(destination));
        last.copy_from_slice(&[protocol]);
        let mac = self.key.mac(&bytes);
        let row = (mac >> 32) as usize % ROWS;
        let Some(counter) = self.counters.get_mut(row) else {
            return mac as u32;
        };
        *counter = counter.wrapping_add(1);
        counter.wrapping_add(mac as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn req_ip4_6_and_sec_id_1_and_cve_28_unique_for_a_pair_and_not_global() {
        let mut random = Random::new(&[4; 32]);
        let mut ids = Identifications::new(&[4; 32]);
        let address = |last| IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, last));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..60_000 {
            assert!(seen.insert(ids.next(address(1), address(2), 17, &mut random) as u16));
        }
        let before = ids.next(address(1), address(3), 17, &mut random);
        for _ in 0..10 {
            ids.next(address(1), address(4), 17, &mut random);
        }
        let after = ids.next(address(1), address(3), 17, &mut random);
        assert_eq!(
            after.wrapping_sub(before),
            1,
            "traffic to others shows in the identification"
        );
    }
}
