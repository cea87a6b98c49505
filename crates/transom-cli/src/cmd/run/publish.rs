//! `-p [ADDR:]HOST[:PORT]`: a port of the program, published on the host.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use transom::{ConnectOptions, Stack};

use super::activity::Counted;
use super::legs::Legs;
use crate::failure::Failure;

/// One published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// Where the host listens.
    pub(crate) on: SocketAddr,
    /// The program's port.
    pub(crate) port: u16,
}

impl Published {
    /// Reads what was typed: `8080`, `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`.
    ///
    /// Without an address the host's loopback listens, so that nothing is shown to a network by
    /// accident; 0.0.0.0 or `::` shows it to everybody.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(format!(
                "cannot publish '{text}': write [ADDR:]HOST[:PORT], such as -p 8080:80"
            ))
        };
        let (address, ports) = if let Some(rest) = text.strip_prefix('[') {
            let (address, ports) = rest.split_once("]:").ok_or_else(wrong)?;
            (address.parse().map_err(|_| wrong())?, ports)
        } else {
            match text.split_once(':') {
                Some((address, ports)) if address.contains('.') => {
                    (address.parse().map_err(|_| wrong())?, ports)
                }
                _ => (IpAddr::V4(Ipv4Addr::LOCALHOST), text),
            }
        };
        let (host, port) = ports.split_once(':').unwrap_or((ports, ports));
        let number = |digits: &str| digits.parse::<u16>().ok().filter(|&port| port > 0);
        let host = number(host).ok_or_else(wrong)?;
        let port = number(port).ok_or_else(wrong)?;
        Ok(Self {
            on: SocketAddr::new(address, host),
            port,
        })
    }
}

/// The host's end of a published port, listening.
pub(crate) struct Door {
    listener: TcpListener,
    port: u16,
}

impl Door {
    /// Listens on the host.
    ///
    /// Fails with the reason and the way out when the address is taken or forbidden.
    pub(crate) async fn open(published: Published) -> Result<Self, Failure> {
        let on = published.on;
        let listener = TcpListener::bind(on).await.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "choose another with -p HOST:PORT",
                io::ErrorKind::PermissionDenied => "choose a port from 1024 on with -p HOST:PORT",
                io::ErrorKind::AddrNotAvailable => "choose an address of this host",
                _ => "choose another with -p ADDR:HOST:PORT",
            };
            Failure::new(format!("cannot publish on {on}: {error}; {hint}"))
        })?;
        Ok(Self {
            listener,
            port: published.port,
        })
    }

    /// Lets clients in until the run is over.
    pub(crate) async fn serve(self, stack: Stack, legs: Legs) {
        loop {
            match self.listener.accept().await {
                Ok((client, from)) => {
                    let counted = legs.activity.begin();
                    let (stack, legs) = (stack.clone(), legs.clone());
                    tokio::spawn(let_in(stack, legs, client, from, self.port, counted));
                }
                // Out of descriptors, most likely; some will be closed.
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        }
    }
}

/// Pause after an accept that failed.
const BREATH: Duration = Duration::from_millis(100);

/// Joins a client of the host with the program's port.
async fn let_in(
    stack: Stack,
    legs: Legs,
    client: TcpStream,
    from: SocketAddr,
    port: u16,
    counted: Counted,
) {
    let seen_from = legs.destinations.inwards(from);
    let Some(program) = legs.destinations.program(seen_from.ip()) else {
        return;
    };
    let to = SocketAddr::new(program, port);
    // The program sees who connects, down to the port.
    let options = ConnectOptions::new(to).local(seen_from);
    match transom::TcpStream::connect_with(&stack, options).await {
        Ok(server) => legs.join_published(client, server, from, counted).await,
        // The host's kernel has taken the connection already; a reset is the nearest to a refusal.
        Err(_) => {
            let _ = client.set_zero_linger();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_help_names_is_understood() {
        let parsed = |text| {
            let published = Published::parse(text).unwrap();
            (published.on.to_string(), published.port)
        };
        assert_eq!(parsed("8080"), ("127.0.0.1:8080".to_owned(), 8080));
        assert_eq!(parsed("8080:80"), ("127.0.0.1:8080".to_owned(), 80));
        assert_eq!(parsed("0.0.0.0:8080:80"), ("0.0.0.0:8080".to_owned(), 80));
        assert_eq!(
            parsed("192.0.2.1:8080"),
            ("192.0.2.1:8080".to_owned(), 8080)
        );
        assert_eq!(parsed("[::1]:8080:80"), ("[::1]:8080".to_owned(), 80));
    }

    #[test]
    fn what_is_no_port_is_refused_with_an_example() {
        for text in [
            "",
            "x",
            "0",
            "70000",
            "80:0",
            "1.2.3:80:80",
            "[::1]",
            "[::1]:",
            "1:2:3",
        ] {
            assert!(
                Published::parse(text)
                    .unwrap_err()
                    .message
                    .contains("-p 8080:80"),
                "{text}"
            );
        }
    }
}
