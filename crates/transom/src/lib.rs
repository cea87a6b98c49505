//! **Transom: TCP in user space that you can see through.** This crate gives the stack the sockets of
//! `tokio::net`.
//!
//! A [`Stack`] is a host of its own: it has addresses and routes, and behind it a device that carries
//! IP packets, such as a TUN interface or a link in memory. On it there are [`TcpListener`], [`TcpStream`]
//! and [`UdpSocket`], with the names and the behaviour that tokio's have. Beyond those it can be asked
//! for what a kernel does not give:
//!
//! - [`Stack::incoming`]: connection attempts to *any* address and port, each undecided until it is accepted,
//!   refused, declared unreachable, or ignored;
//! - [`Stack::udp_flows`]: datagrams to any address and port, answered from any;
//! - [`relay()`]: two connections joined into one, without changing how either of them ends;
//! - [`TcpStream::recv_chunk`] and [`TcpStream::send_bytes`]: data without copying it;
//! - [`TcpStream::info`], [`TcpStream::state`], [`Stack::connections`], [`Recorder`]: everything that goes on.
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use transom::{Capabilities, Stack, TcpListener, TcpStream, memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! // Two hosts on one wire.
//! let (left, right) = memory::pair(Capabilities::ip(1500));
//! let server = Stack::builder().address("10.0.0.1/24").device(left).spawn()?;
//! let client = Stack::builder().address("10.0.0.2/24").device(right).spawn()?;
//!
//! let listener = TcpListener::bind(&server, "10.0.0.1:7").await?;
//! tokio::spawn(async move {
//!     let (mut stream, _peer) = listener.accept().await?;
//!     let (mut read, mut write) = stream.split();
//!     tokio::io::copy(&mut read, &mut write).await?;
//!     write.shutdown().await
//! });
//!
//! let mut stream = TcpStream::connect(&client, "10.0.0.1:7").await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?;
//! let mut echoed = String::new();
//! stream.read_to_string(&mut echoed).await?;
//! assert_eq!(echoed, "hello");
//! # Ok(()) }
//! ```
//!
//! The [`manual`] says how the parts are used together, and why the defaults are what they are.
#![forbid(unsafe_code)]

/// The examples of the project's README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod address;
mod builder;
mod busy_poll;
mod catch_up;
mod clock;
mod defer;
mod driver;
mod echo;
mod error;
mod host;
mod inbox;
mod lend;
pub mod manual;
mod mutex;
mod port;
mod relay;
mod shared;
mod stack;
mod table;
mod tcp;
mod udp;
mod wait;
mod waiters;

pub use address::ToSocketAddr;
pub use builder::{Builder, ToCidr, ToIp};
pub use echo::{EchoRequest, EchoRequests};
pub use relay::{
    DirectionEnd, DirectionOutcome, RelayCounters, RelayEnd, RelayFailure, RelayOutcome,
    RelayQueue, Side, relay, relay_ends,
};
pub use stack::{ConnectionEntry, HandedOver, Stack};
pub use tcp::{
    Incoming, IncomingStream, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener,
    TcpStream, WriteHalf,
};
pub use udp::{Datagram, UdpFlows, UdpSocket};

pub use transom_device as device;
pub use transom_device::memory;
pub use transom_stack as stack_engine;
pub use transom_stack::tcp::{CloseReason, Config, ConnectionInfo, FastOpenUse, KeepAlive, State};
pub use transom_stack::wire::{Capabilities, Cidr};
pub use transom_stack::{
    ConnId, ConnectOptions, Counters, EchoMode, FastOpenKeys, FastOpenListen, ListenOn,
    ListenOptions, Recorder, RouteTarget, StackConfig, SynInfo, Unreachable,
};
