//! An end of a wire.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frame::RawFrame;
use crate::buffer::Buffers;
use crate::channel::{Failure, receive_failure, retry, send_failure};
use crate::error::failed;
use crate::sys::packet::Capture;
use crate::{sys, vnet};

/// Wanted size of a packet socket's buffers in bytes: what comes in while this process does not run, at 10 Gbit/s
/// for 20 ms.
const SOCKET_BUFFER: i32 = 32 << 20;

/// How [`Port::create`] makes its interface.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PortOptions {
    /// Name of the interface, at most 15 bytes.
    pub name: String,
    /// Largest IP packet in bytes.
    pub mtu: usize,
}

impl PortOptions {
    /// An interface of this name and of MTU 1500.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mtu: 1500,
        }
    }

    /// Sets [`PortOptions::mtu`].
    #[must_use]
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }
}

/// An Ethernet interface whose frames are taken and given, with offload in both directions.
pub struct Port {
    file: File,
    name: String,
    is_socket: bool,
    buffers: Buffers,
    /// Frames for which the socket had no room; counted once for all clones.
    overrun: Arc<AtomicU64>,
}

impl Port {
    /// Takes the frames that arrive at an interface of the current network namespace, such as one end of a veth
    /// pair, and sends through it.
    ///
    /// # Errors
    /// When there is no such interface, it is not Ethernet, or the socket cannot be made; the text says what is missing.
    pub fn attach(interface: &str) -> io::Result<Self> {
        let index = sys::interface::index(interface)?;
        if !sys::interface::is_ethernet(interface)? {
            let text =
                format!("{interface} cannot be an end of a wire: it carries no Ethernet frames");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let fd = sys::packet::open(interface, index, Capture::Arriving)?;
        sys::packet::set_buffers(&fd, SOCKET_BUFFER).map_err(|error| {
            failed(
                format_args!("cannot enlarge the buffers on {interface}"),
                &error,
                "",
            )
        })?;
        Ok(Self::new(fd, interface.to_owned(), true))
    }

    /// Makes a TAP interface in the current network namespace and switches it on. What the kernel sends through it
    /// is taken, and what is given arrives there. It has no addresses, and disappears with the port and its clones.
    ///
    /// # Errors
    /// When `/dev/net/tun` cannot be opened, or the interface cannot be made; the text says what is missing.
    pub fn create(options: &PortOptions) -> io::Result<Self> {
        let (fd, name) = sys::tun::create(&options.name, sys::tun::Layer::Ethernet, true)?;
        sys::tun::enable_offload(&fd, &name, true)?;
        sys::interface::set_mtu(&name, options.mtu)?;
        sys::interface::set_up(&name)?;
        Ok(Self::new(fd, name, false))
    }

    fn new(fd: OwnedFd, name: String, is_socket: bool) -> Self {
        Self {
            file: File::from(fd),
            name,
            is_socket,
            buffers: Buffers::new(),
            overrun: Arc::default(),
        }
    }

    /// The same port once more: one for each direction.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            name: self.name.clone(),
            is_socket: self.is_socket,
            buffers: Buffers::new(),
            overrun: Arc::clone(&self.overrun),
        })
    }

    /// Name of the interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next frame that waits.
    pub(super) fn recv(&mut self) -> io::Result<Option<RawFrame>> {
        // A frame that the vnet header cannot express is lost; the next one may not be.
        loop {
            let buffer = self.buffers.current_behind(vnet::LEN);
            let read = retry(|| (&self.file).read(buffer)).map_err(receive_failure);
            match read {
                Ok(len) if len > vnet::LEN => {
                    let header = buffer.first_chunk().copied().unwrap_or_default();
                    let data = self.buffers.take(len - vnet::LEN);
                    return Ok(Some(RawFrame { vnet: header, data }));
                }
                Ok(_) | Err(Failure::Frame) => {}
                Err(Failure::Blocked) => return Ok(None),
                // The socket says once that its interface was switched off; it may be switched on again.
                Err(Failure::Device(error))
                    if error.raw_os_error() == Some(libc::ENETDOWN) && self.exists() =>
                {
                    return Ok(None);
                }
                Err(Failure::Device(error)) => return Err(self.broken("read from", &error)),
            }
        }
    }

    /// Gives a frame; tells whether the kernel took it.
    pub(super) fn send(&self, vnet: &[u8; vnet::LEN], data: &[u8]) -> io::Result<bool> {
        self.write(&[IoSlice::new(vnet), IoSlice::new(data)])
    }

    /// Gives a frame in two pieces; tells whether the kernel took it.
    pub(super) fn send_pieces(
        &self,
        vnet: &[u8; vnet::LEN],
        headers: &[u8],
        payload: &[u8],
    ) -> io::Result<bool> {
        self.write(&[
            IoSlice::new(vnet),
            IoSlice::new(headers),
            IoSlice::new(payload),
        ])
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<bool> {
        match retry(|| (&self.file).write_vectored(pieces)).map_err(send_failure) {
            Ok(_) => Ok(true),
            Err(Failure::Frame | Failure::Blocked) => Ok(false),
            Err(Failure::Device(error)) => Err(self.broken("write to", &error)),
        }
    }

    fn exists(&self) -> bool {
        sys::interface::index_beside(&self.file, &self.name).is_ok()
    }

    fn broken(&self, what: &str, error: &io::Error) -> io::Error {
        failed(format_args!("cannot {what} {}", self.name), error, "")
    }

    /// Frames lost because nobody took them in time, as far as the kernel tells.
    pub(super) fn overrun(&self) -> u64 {
        if !self.is_socket {
            return 0;
        }
        // The kernel counts since the last question.
        let new = sys::packet::take_drops(&self.file, &self.name).unwrap_or(0);
        self.overrun.fetch_add(new, Ordering::Relaxed) + new
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
