//! # Incoming
//!
//! A VPN, a sandbox or a transparent proxy stands at the far end of a device, and the programs behind it
//! connect to whatever address and port they like. [`Stack::incoming`] gives each such attempt to the
//! application *before it is answered*.
//!
//! ```no_run
//! use std::io::ErrorKind;
//! use transom::{Incoming, Stack, Unreachable, relay};
//!
//! # async fn serve(stack: Stack) -> std::io::Result<()> {
//! let mut incoming = stack.incoming()?;
//! while let Some(attempt) = incoming.next().await {
//!     tokio::spawn(forward(attempt));
//! }
//! # Ok(()) }
//!
//! async fn forward(attempt: Incoming) {
//!     match tokio::net::TcpStream::connect(attempt.local_addr()).await {
//!         Ok(server) => {
//!             if let Ok(client) = attempt.accept().await {
//!                 relay(client, server).await;
//!             }
//!         }
//!         Err(error) if error.kind() == ErrorKind::ConnectionRefused => attempt.refuse(),
//!         Err(error) if error.kind() == ErrorKind::TimedOut => attempt.ignore(),
//!         Err(_) => attempt.unreachable(Unreachable::Host),
//!     }
//! }
//! ```
//!
//! Why the order matters: a proxy that accepts first and connects afterwards tells its client that it is
//! connected when it is not. A program that tries IPv6 first, and IPv4 when that fails, then never
//! tries the second; a port scanner finds every port open; and "connection refused" becomes
//! "connection reset", which programs treat differently.
//!
//! | [`Incoming`] | on the wire | the client sees |
//! |---|---|---|
//! | undecided | nothing; its SYN comes again after a second | that it is waiting |
//! | [`accept`](crate::Incoming::accept) | SYN,ACK | the connection |
//! | [`refuse`](crate::Incoming::refuse), or dropped | RST,ACK | `ECONNREFUSED` |
//! | [`unreachable`](crate::Incoming::unreachable) | ICMP | `EHOSTUNREACH`, `ENETUNREACH`, … |
//! | [`ignore`](crate::Incoming::ignore) | nothing, and forgotten | a new attempt after a second, in the end `ETIMEDOUT` |
//!
//! While it is undecided, a SYN that comes again is the same attempt. The number of undecided attempts
//! is bounded by [`StackConfig::max_incoming`](crate::StackConfig), and each for 180 s in time. Who works for one
//! that is given up can stop when [`gone`](crate::Incoming::gone) says so.
//!
//! Which addresses are meant? Those of the stack; with [`Builder::any_address`](crate::Builder::any_address),
//! all. A [`TcpListener`](crate::TcpListener) on a port goes before it. [`Stack::udp_flows`] is the same for UDP
//! and [`Stack::echo_requests`] for pings.
//!
//! [`Incoming`]: crate::Incoming
//! [`Stack::incoming`]: crate::Stack::incoming
//! [`Stack::udp_flows`]: crate::Stack::udp_flows
//! [`Stack::echo_requests`]: crate::Stack::echo_requests
