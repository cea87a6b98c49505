//! A socket of the kernel as the end of a relay.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{RelayEnd, RelayQueue};

impl RelayEnd for TcpStream {
    fn poll_recv(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        loop {
            // Readiness first: an idle connection is not worth a buffer.
            ready!(self.poll_read_ready(cx))?;
            match queue.read_with(|slices| self.try_read_vectored(slices)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, queue: &mut RelayQueue) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            let written = match queue.only() {
                Some(piece) => self.try_write(piece),
                None => {
                    let mut slices = Vec::<IoSlice<'_>>::with_capacity(RelayQueue::SLICES);
                    queue.slices(&mut slices);
                    self.try_write_vectored(&slices)
                }
            };
            match written {
                Ok(count) => {
                    queue.advance(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn finish(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    async fn failed(&self) -> io::Error {
        loop {
            if let Err(error) = self.ready(Interest::ERROR).await {
                return error;
            }
            // EPOLLERR comes at once, whether or not anybody reads. When a read or a write has
            // fetched the error before, it is known there, and this one goes on waiting.
            let fetched = self.try_io(Interest::ERROR, || {
                self.take_error()?
                    .ok_or_else(|| ErrorKind::WouldBlock.into())
            });
            match fetched {
                Ok(error) => return error,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return error,
            }
        }
    }

    fn reset(&self) {
        // The reset itself goes out when the socket is closed. This can only fail on a socket that
        // is gone already.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}
