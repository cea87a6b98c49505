//! # Sockets
//!
//! [`TcpListener`], [`TcpStream`] and [`UdpSocket`] have the names, the signatures and the behaviour of
//! their namesakes in `tokio::net`. To port a program, change the `use` lines, and give `bind` and
//! `connect` the [`Stack`] that they are to happen on as first argument. What differs:
//!
//! | | tokio::net | here |
//! |---|---|---|
//! | addresses | names are resolved | IP addresses only: which resolver serves the stack's network, its user knows |
//! | loopback | 127.0.0.1 | none: a connection to an own address has no route |
//! | `set_linger(Some(t))` | `drop` blocks for up to `t` | `drop` never blocks; the peer gets a reset when delivery takes longer than `t` |
//! | `take_error` | clears the error | tells it each time |
//! | process exit | the kernel goes on delivering | nothing goes on: await [`Stack::idle`] first |
//!
//! # Copies
//!
//! `AsyncRead` copies once, from the frame that was received into the caller's buffer; `AsyncWrite` copies
//! once, from the caller's buffer into memory that is kept until it is acknowledged.
//! [`TcpStream::recv_chunk`] and [`TcpStream::send_bytes`] do not copy: a chunk *is* a part of the
//! received frame, and `Bytes` are kept, not copied, until they are acknowledged.
//!
//! ```no_run
//! # async fn echo(stream: transom::TcpStream) -> std::io::Result<()> {
//! loop {
//!     let chunk = stream.recv_chunk(usize::MAX).await?;
//!     if chunk.is_empty() {
//!         return stream.shutdown_write();
//!     }
//!     stream.send_bytes(chunk).await?;
//! }
//! # }
//! ```
//!
//! # When is it on the wire?
//!
//! When `write` returns, as far as congestion window, receive window and Nagle's algorithm let it be: a
//! write sends for itself and does not wait for another task to be scheduled. There is nothing to flush.
//!
//! # Data in the SYN
//!
//! TCP Fast Open (RFC 7413) saves a round trip where a client speaks first and comes again: the server gives it a cookie at
//! the first connection, and later ones carry the request in the SYN. Both ends have to want it, because **such a request
//! may arrive twice**: it is for what may be repeated, and for protocols that find out.
//!
//! ```no_run
//! # use transom::{FastOpenListen, Stack, TcpListener, TcpStream};
//! # async fn both(server: Stack, client: Stack) -> std::io::Result<()> {
//! // Up to 64 connections may be open whose clients have not shown yet that they are there.
//! let listener = TcpListener::bind(&server, "10.0.0.1:80").await?;
//! listener.set_fastopen(Some(FastOpenListen::new(64)));
//!
//! let stream = TcpStream::connect_with_data(&client, "10.0.0.1:80", b"GET / HTTP/1.0\r\n\r\n").await?;
//! // Whether it went with the SYN.
//! let early = stream.info().is_some_and(|info| info.syn_data_acked > 0);
//! # let _ = early; Ok(()) }
//! ```
//!
//! # Closing
//!
//! A connection has two directions, and each ends on its own.
//!
//! - `shutdown().await`, or [`TcpStream::shutdown_write`], ends ours: FIN follows the data written. Reading
//!   goes on for as long as the peer likes.
//! - A read of 0 bytes is the end of the peer's direction. Writing goes on for as long as we like.
//! - Dropping the stream ends both. If data was received that nobody read, or more comes, the peer gets a
//!   reset: it is told that its data was lost. Otherwise what was written is delivered in the
//!   background, followed by FIN.
//! - Dropping an [`OwnedWriteHalf`] sends FIN; a borrowed [`WriteHalf`] does not.
//! - [`TcpStream::abort`] resets at once.
//! - [`TcpStream::closed`] waits for the end, whichever it is, without reading.
//!
//! # Errors
//!
//! Each has the `ErrorKind` that the kernel's sockets give for the same thing, and says in words what
//! happened: `ConnectionRefused`, `ConnectionReset`, `BrokenPipe` (written after `shutdown`), `TimedOut`,
//! `HostUnreachable`, `NetworkUnreachable`, `AddrInUse`, `AddrNotAvailable`, `NotConnected`. Data received
//! before a reset is read before the reset is reported. One kind is ours: `NetworkDown`, when the device
//! below the stack has failed or the runtime that drove it has ended.
//!
//! # Cancellation
//!
//! Every future may be dropped at any time. Those whose documentation says *cancel safe* have then done
//! nothing; so it is safe to use them in `select!`. `connect` and [`Incoming::accept`] give the attempt
//! up. `send_bytes`, like `write_all`, may have sent a part; `try_send_bytes` and `write` tell which.
//!
//! # Threads
//!
//! A stack is driven by one task on the runtime that [`Builder::spawn`] was called on, and its sockets
//! may be used from any task of any runtime. They share one lock, held for the time of a queue
//! operation, never during a system call or a copy of more than 4 KiB.
//!
//! [`Builder::spawn`]: crate::Builder::spawn
//! [`Incoming::accept`]: crate::Incoming::accept
//! [`OwnedWriteHalf`]: crate::OwnedWriteHalf
//! [`Stack`]: crate::Stack
//! [`Stack::idle`]: crate::Stack::idle
//! [`TcpListener`]: crate::TcpListener
//! [`TcpStream`]: crate::TcpStream
//! [`TcpStream::abort`]: crate::TcpStream::abort
//! [`TcpStream::closed`]: crate::TcpStream::closed
//! [`TcpStream::recv_chunk`]: crate::TcpStream::recv_chunk
//! [`TcpStream::send_bytes`]: crate::TcpStream::send_bytes
//! [`TcpStream::shutdown_write`]: crate::TcpStream::shutdown_write
//! [`UdpSocket`]: crate::UdpSocket
//! [`WriteHalf`]: crate::WriteHalf
