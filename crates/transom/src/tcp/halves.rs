//! What both kinds of halves do, borrowed and owned: the calls of the stream that belong to their direction.
//!
//! They differ in how they come into being, how they close and what dropping them does; that is in their files.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, Interest, ReadBuf, Ready};

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

macro_rules! read_half {
    ($half:ty) => {
        impl $half {
            fn stream(&self) -> &TcpStream {
                &self.0
            }

            /// As [`TcpStream::recv_chunk`]. Cancel safe.
            ///
            /// # Errors
            /// As there.
            pub async fn recv_chunk(&self, max: usize) -> io::Result<Bytes> {
                self.stream().recv_chunk(max).await
            }

            /// As [`TcpStream::poll_recv_chunk`].
            ///
            /// # Errors
            /// As there.
            pub fn poll_recv_chunk(
                &self,
                cx: &mut Context<'_>,
                max: usize,
            ) -> Poll<io::Result<Bytes>> {
                self.stream().poll_recv_chunk(cx, max)
            }

            /// As [`TcpStream::try_recv_chunk`].
            ///
            /// # Errors
            /// As there.
            pub fn try_recv_chunk(&self, max: usize) -> io::Result<Bytes> {
                self.stream().try_recv_chunk(max)
            }

            /// As [`TcpStream::peek`]. Cancel safe.
            ///
            /// # Errors
            /// As there.
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream().peek(buf).await
            }

            /// As [`TcpStream::poll_peek`].
            ///
            /// # Errors
            /// As there.
            pub fn poll_peek(
                &mut self,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<usize>> {
                self.stream().poll_peek(cx, buf)
            }

            /// As [`TcpStream::ready`]. Cancel safe.
            ///
            /// # Errors
            /// As there.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream().ready(interest).await
            }

            /// As [`TcpStream::readable`]. Cancel safe.
            ///
            /// # Errors
            /// As there.
            pub async fn readable(&self) -> io::Result<()> {
                self.stream().readable().await
            }

            /// As [`TcpStream::try_read`].
            ///
            /// # Errors
            /// As there.
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.stream().try_read(buf)
            }

            /// As [`TcpStream::try_read_buf`].
            ///
            /// # Errors
            /// As there.
            pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
                self.stream().try_read_buf(buf)
            }

            /// As [`TcpStream::try_read_vectored`].
            ///
            /// # Errors
            /// As there.
            pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.stream().try_read_vectored(bufs)
            }

            /// As [`TcpStream::local_addr`].
            ///
            /// # Errors
            /// As there.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.stream().local_addr()
            }

            /// As [`TcpStream::peer_addr`].
            ///
            /// # Errors
            /// As there.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.stream().peer_addr()
            }
        }

        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.stream().poll_read_into(cx, buf)
            }
        }
    };
}

macro_rules! write_half {
    ($half:ty) => {
        impl $half {
            fn stream(&self) -> &TcpStream {
                &self.0
            }

            /// As [`TcpStream::send_bytes`].
            ///
            /// # Errors
            /// As there.
            pub async fn send_bytes(&self, data: Bytes) -> io::Result<()> {
                self.stream().send_bytes(data).await
            }

            /// As [`TcpStream::poll_send_bytes`].
            ///
            /// # Errors
            /// As there.
            pub fn poll_send_bytes(
                &self,
                cx: &mut Context<'_>,
                data: &mut Bytes,
            ) -> Poll<io::Result<usize>> {
                self.stream().poll_send_bytes(cx, data)
            }

            /// As [`TcpStream::try_send_bytes`].
            ///
            /// # Errors
            /// As there.
            pub fn try_send_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
                self.stream().try_send_bytes(data)
            }

            /// As [`TcpStream::ready`]. Cancel safe.
            ///
            /// # Errors
            /// As there.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.stream().ready(interest).await
            }

            /// As [`TcpStream::writable`]. Cancel safe.
            ///
            /// # Errors
            /// As there.
            pub async fn writable(&self) -> io::Result<()> {
                self.stream().writable().await
            }

            /// As [`TcpStream::try_write`].
            ///
            /// # Errors
            /// As there.
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.stream().try_write(buf)
            }

            /// As [`TcpStream::try_write_vectored`].
            ///
            /// # Errors
            /// As there.
            pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.stream().try_write_vectored(bufs)
            }

            /// As [`TcpStream::local_addr`].
            ///
            /// # Errors
            /// As there.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                self.stream().local_addr()
            }

            /// As [`TcpStream::peer_addr`].
            ///
            /// # Errors
            /// As there.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                self.stream().peer_addr()
            }
        }
    };
}

read_half!(ReadHalf<'_>);
read_half!(OwnedReadHalf);
write_half!(WriteHalf<'_>);
write_half!(OwnedWriteHalf);
