//! The 4-tuple that names a connection on a host.

use core::net::{IpAddr, SocketAddr};

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
