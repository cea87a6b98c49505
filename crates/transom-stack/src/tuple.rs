//! The 4-tuple that names a connection on a host.

use core::net::{IpAddr, SocketAddr};

use transom_wire::tcp::TcpView;

use crate::secret::Key;

/// Local and remote address and port; half the size of two `SocketAddr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Tuple {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local: local.ip(),
            remote: remote.ip(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// Of a segment that was received.
    #[inline]
    pub(crate) const fn of(view: &TcpView<'_>, src: IpAddr, dst: IpAddr) -> Self {
        Self {
            local: dst,
            remote: src,
            local_port: view.dst_port(),
            remote_port: view.src_port(),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }

    /// Calls `f` with the tuple as bytes (12 for IPv4, 36 for IPv6), without allocation.
    pub(crate) fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let [lp0, lp1] = self.local_port.to_be_bytes();
        let [rp0, rp1] = self.remote_port.to_be_bytes();
        match (self.local, self.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                let ([l0, l1, l2, l3], [r0, r1, r2, r3]) = (local.octets(), remote.octets());
                f(&[l0, l1, l2, l3, r0, r1, r2, r3, lp0, lp1, rp0, rp1])
            }
            (local, remote) => {
                let mut bytes = [0; 36];
                let (head, ports) = bytes.split_at_mut(32);
                let (first, second) = head.split_at_mut(16);
                first.copy_from_slice(&octets16(local));
                second.copy_from_slice(&octets16(remote));
                ports.copy_from_slice(&[lp0, lp1, rp0, rp1]);
                f(&bytes)
            }
        }
    }

    /// The hash of the tuple in the demultiplexing table.
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.with_bytes(|bytes| key.hash(bytes))
    }
}

/// The sixteen octets of an address, an IPv4 one in its mapped form.
pub(crate) fn octets16(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::secret::Purpose;

    #[test]
    fn req_sec_res_2_tuples_chosen_to_collide_spread_under_the_key() {
        // A hash that adds, or exclusive-ors, the fields puts all of these in one place.
        let tuples: Vec<_> = (0..1 << 16)
            .map(|n: u32| {
                let [_, _, high, low] = n.to_be_bytes();
                let local = [10, 0, high, low];
                let remote = [20, 0, !high, !low];
                Tuple::new((local, 80).into(), (remote, 4711).into())
            })
            .collect();
        let sum = |tuple: &Tuple| {
            let sixteen = |address| u128::from_be_bytes(octets16(address)) & 0xffff_ffff;
            sixteen(tuple.local) + sixteen(tuple.remote)
        };
        assert_eq!(tuples.iter().map(sum).collect::<HashSet<_>>().len(), 1);
        for secret in 0..4 {
            let key = Key::derive(&[secret; 32], Purpose::Demux);
            // A table of as many places as tuples: the places hit, and the fullest one, are those of chance.
            let mut places = vec![0_u8; tuples.len()];
            for tuple in &tuples {
                let place = tuple.hash(&key) as usize % places.len();
                places[place] = places[place].saturating_add(1);
            }
            let hit = places.iter().filter(|count| **count > 0).count();
            let expected = places.len() as f64 * (1.0 - (-1.0_f64).exp());
            assert!((hit as f64 - expected).abs() < 1000.0, "{hit} places");
            assert!(places.iter().max() <= Some(&12));
        }
        // And which tuples share a place is nothing that one stack tells about another.
        let low =
            |secret, tuple: &Tuple| tuple.hash(&Key::derive(&[secret; 32], Purpose::Demux)) % 1024;
        let (a, b) = (&tuples[0], &tuples[1..]);
        let with = |secret| {
            let place = low(secret, a);
            let together = b.iter().filter(|tuple| low(secret, tuple) == place);
            together.map(|tuple| tuple.local).collect::<HashSet<_>>()
        };
        let (one, two) = (with(1), with(2));
        assert!(one.intersection(&two).count() < one.len() / 8);
    }
}
