//! Addresses as they are given to `bind` and `connect`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What can be turned into the address of a socket: as `tokio::net::ToSocketAddrs`, but for names.
///
/// Names are not resolved here. A stack is a host of its own on a network of its own, and which
/// resolver serves that network only its user knows.
pub trait ToSocketAddr {
    /// The address.
    ///
    /// # Errors
    /// `InvalidInput` for text that is not an IP address and a port.
    fn to_socket_addr(&self) -> io::Result<SocketAddr>;
}

impl ToSocketAddr for str {
    fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        self.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{self:?} is not an IP address and a port (names are not resolved)"),
            )
        })
    }
}

impl ToSocketAddr for String {
    fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        self.as_str().to_socket_addr()
    }
}

impl<T: ToSocketAddr + ?Sized> ToSocketAddr for &T {
    fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        (**self).to_socket_addr()
    }
}

impl ToSocketAddr for (&str, u16) {
    fn to_socket_addr(&self) -> io::Result<SocketAddr> {
        let address: IpAddr = self.0.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{:?} is not an IP address (names are not resolved)", self.0),
            )
        })?;
        Ok((address, self.1).into())
    }
}

macro_rules! infallible {
    ($($type:ty),+) => {
        $(impl ToSocketAddr for $type {
            fn to_socket_addr(&self) -> io::Result<SocketAddr> {
                Ok((*self).into())
            }
        })+
    };
}

infallible!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_pairs_are_addresses_and_names_are_refused() {
        let expected = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 80));
        assert_eq!("10.0.0.1:80".to_socket_addr().unwrap(), expected);
        assert_eq!(("10.0.0.1", 80).to_socket_addr().unwrap(), expected);
        assert_eq!(
            (Ipv4Addr::new(10, 0, 0, 1), 80).to_socket_addr().unwrap(),
            expected
        );
        let error = "localhost:80".to_socket_addr().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("localhost"));
    }
}
