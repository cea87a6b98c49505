//! One conversation with the kernel over netlink: a request, its answers, done.
//!
//! A conversation waits for no more than the kernel's answer, and nothing is kept of it: whoever asks
//! gets each answer's bytes while they are in the buffer. [`News`] wait for what the kernel does later.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recv, send};
use socket2::{Domain, Protocol, Socket, Type};

/// As large as the kernel's largest answer datagram (32 KiB in a dump).
const BUFFER: usize = 64 * 1024;
/// nlmsghdr: length, type, flags, sequence number, port.
const HEADER: usize = 16;

// include/uapi/linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const FIRST_OWN: u16 = 16;
/// Every request has it.
const NLM_F_REQUEST: u16 = 1;
/// An answer that says "done" is wanted.
pub(crate) const NLM_F_ACK: u16 = 4;
/// Everything, not one.
pub(crate) const NLM_F_DUMP: u16 = 0x300;

/// One answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// What it is.
    pub(crate) kind: u16,
    /// What it says.
    pub(crate) payload: &'a [u8],
}

/// A netlink socket.
pub(crate) struct Conversation {
    socket: OwnedFd,
    sequence: u32,
    /// The last request.
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Conversation {
    /// With a part of the kernel (`NETLINK_…`), in the current network namespace.
    pub(crate) fn open(protocol: libc::c_int) -> io::Result<Self> {
        let domain = Domain::from(libc::AF_NETLINK);
        let kind = Type::DGRAM.cloexec();
        let socket = Socket::new(domain, kind, Some(Protocol::from(protocol)))?;
        Ok(Self::over(socket.into()))
    }

    /// Over a netlink socket that somebody else opened.
    pub(crate) fn over(socket: OwnedFd) -> Self {
        Self {
            socket,
            sequence: 0,
            request: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Sends one request and hands over its answers until the kernel says that it has finished, or
    /// after the first where the request asks neither for a dump nor for an acknowledgement.
    ///
    /// Fails with the kernel's error, or with that of `each`.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut each: impl FnMut(Message<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        request(&mut self.request, kind, flags, self.sequence, payload)?;
        send(self.socket.as_raw_fd(), &self.request, MsgFlags::empty())?;
        let ends_with_first = flags & (NLM_F_DUMP | NLM_F_ACK) == 0;
        loop {
            let length = receive(&self.socket, &mut self.buffer)?;
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            let mut answered = false;
            while let Some((header, payload, behind)) = split(rest) {
                rest = behind;
                if header.sequence != self.sequence {
                    continue;
                }
                match header.kind {
                    NLMSG_DONE | NLMSG_ERROR => return error_in(payload),
                    FIRST_OWN.. => {
                        answered = true;
                        each(Message {
                            kind: header.kind,
                            payload,
                        })?;
                    }
                    _ => {}
                }
            }
            if ends_with_first && answered {
                return Ok(());
            }
        }
    }
}

/// What the kernel says of its own accord, to whoever waits for something to change.
pub(crate) struct News {
    socket: OwnedFd,
}

impl News {
    /// Of a part of the kernel (`NETLINK_…`), from some of its groups (a mask of `RTMGRP_…`), from now on.
    pub(crate) fn listen(protocol: libc::c_int, groups: u32) -> io::Result<Self> {
        let domain = Domain::from(libc::AF_NETLINK);
        let kind = Type::DGRAM.cloexec().nonblocking();
        let socket = Socket::new(domain, kind, Some(Protocol::from(protocol)))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self {
            socket: socket.into(),
        })
    }

    /// Waits until there are some, which are thrown away; false when `until` has come first.
    pub(crate) fn wait(&self, until: Instant) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sockets, left) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // One that did not fit, or was lost, is news as well.
        while let Ok(_) | Err(Errno::ENOBUFS) =
            recv(self.socket.as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT)
        {}
        Ok(true)
    }
}

fn request(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &[u8],
) -> io::Result<()> {
    let length = HEADER + payload.len();
    let length = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    bytes.clear();
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    // The kernel knows who asks.
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    Ok(())
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => {}
            Ok(length) if length > buffer.len() => {
                return Err(io::Error::other(
                    "the kernel's answer is longer than any known",
                ));
            }
            Ok(length) => return Ok(length),
            Err(error) => return Err(error.into()),
        }
    }
}

struct Header {
    kind: u16,
    sequence: u32,
}

/// The first message, and what is behind it; None at the end, and for bytes that are no message.
fn split(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (_flags, rest) = rest.split_first_chunk::<2>()?;
    let sequence = rest.first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let payload = bytes.get(HEADER..length)?;
    let behind = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    let header = Header {
        kind: u16::from_ne_bytes(*kind),
        sequence: u32::from_ne_bytes(*sequence),
    };
    Some((header, payload, behind))
}

/// An acknowledgement is an error of number zero, and the end of a dump may carry one.
fn error_in(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().copied().map(i32::from_ne_bytes) {
        Some(number) if number < 0 => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        _ => Ok(()),
    }
}

/// Attributes, as type and value, in the order in which they stand.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let kind = behind.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_kernel_is_the_answer() {
        let mut talk = Conversation::open(libc::NETLINK_ROUTE).unwrap();
        let unknown = talk.ask(0x7fff, NLM_F_ACK, &[], |_| Ok(()));
        assert_eq!(unknown.unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    }

    #[test]
    fn broken_messages_and_attributes_end_the_reading() {
        assert!(split(&[]).is_none());
        assert!(split(&[200, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(split(&[3, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        let two = [5, 0, 1, 0, 9, 0, 0, 0, 4, 0, 2, 0];
        let all: Vec<_> = attributes(&two).collect();
        assert_eq!(all, [(1, &[9][..]), (2, &[][..])]);
    }
}
