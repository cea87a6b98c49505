//! Halves of a stream for two tasks.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::TcpStream;

/// The reading half of a [`TcpStream`]; see [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(pub(super) Arc<TcpStream>);

/// The writing half of a [`TcpStream`]; see [`TcpStream::into_split`].
///
/// Dropping it sends FIN, unless it was [forgotten](Self::forget). The connection is closed when both
/// halves are gone.
#[derive(Debug)]
pub struct OwnedWriteHalf(pub(super) Arc<TcpStream>, FinOnDrop);

/// Sends FIN when it is dropped, if that is still to be done.
#[derive(Debug)]
struct FinOnDrop(Option<Arc<TcpStream>>);

impl Drop for FinOnDrop {
    fn drop(&mut self) {
        if let Some(stream) = self.0.take() {
            // If the connection has failed, there is nobody to send it to.
            let _ = stream.shutdown_write();
        }
    }
}

/// Two halves that do not belong to the same stream.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl std::fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tried to reunite halves that are not from the same socket")
    }
}

impl std::error::Error for ReuniteError {}

pub(super) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    let fin = FinOnDrop(Some(Arc::clone(&stream)));
    (
        OwnedReadHalf(Arc::clone(&stream)),
        OwnedWriteHalf(stream, fin),
    )
}

fn reunite(read: OwnedReadHalf, write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
    if !Arc::ptr_eq(&read.0, &write.0) {
        return Err(ReuniteError(read, write));
    }
    drop(read);
    let OwnedWriteHalf(stream, mut fin) = write;
    fin.0 = None;
    match Arc::try_unwrap(stream) {
        Ok(stream) => Ok(stream),
        // Nobody else can hold the stream; but if somebody did, both halves would still work.
        Err(stream) => {
            let fin = FinOnDrop(Some(Arc::clone(&stream)));
            let read = OwnedReadHalf(Arc::clone(&stream));
            Err(ReuniteError(read, OwnedWriteHalf(stream, fin)))
        }
    }
}

impl OwnedReadHalf {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// The halves are from different streams.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }
}

impl OwnedWriteHalf {
    /// Puts the stream together again.
    ///
    /// # Errors
    /// The halves are from different streams.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without sending FIN.
    pub fn forget(mut self) {
        self.1.0 = None;
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_slice(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_slices(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.0.shutdown_write();
        if result.is_ok() {
            self.1.0 = None;
        }
        Poll::Ready(result)
    }
}
