//! What the keeper tells the parent while it sets up: a SEQPACKET socket, one message a packet,
//! its first byte the kind, the rest text; descriptors travel beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    recvmsg, sendmsg, socketpair,
};

use crate::sys;

/// One message of the keeper.
#[derive(Debug)]
pub(crate) enum Message {
    /// The network stands; beside it the device's descriptor and the sock_diag sockets.
    Network {
        /// "tun" or "veth".
        kind: String,
        /// The device's descriptor.
        device: OwnedFd,
        /// Two NETLINK_SOCK_DIAG sockets of the inside.
        diags: [OwnedFd; 2],
    },
    /// Something is missing inside that the user should know of; the run goes on.
    Notice(String),
    /// The program's process exists and waits for the word to start.
    Program(i32),
    /// It cannot be done, and why.
    Failed(String),
}

/// One end of the conversation.
pub(crate) struct Control(OwnedFd);

const NETWORK: u8 = b'N';
const NOTICE: u8 = b'W';
const PROGRAM: u8 = b'P';
const FAILED: u8 = b'F';
/// The parent's only word: all is over, leave without killing anyone.
const DISMISS: u8 = b'D';
/// Longest message, bytes.
const LONGEST: usize = 4096;

impl Control {
    /// Both ends, closed on exec.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (one, two) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        Ok((Self(one), Self(two)))
    }

    /// The descriptor's number.
    pub(crate) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// Keeper: the network stands.
    pub(crate) fn tell_network(
        &self,
        kind: &str,
        device: BorrowedFd<'_>,
        diags: [BorrowedFd<'_>; 2],
    ) -> io::Result<()> {
        let [one, two] = diags.map(|diag| diag.as_raw_fd());
        self.tell(NETWORK, kind, &[device.as_raw_fd(), one, two])
    }

    /// Keeper: something is missing inside.
    pub(crate) fn tell_notice(&self, text: &str) -> io::Result<()> {
        self.tell(NOTICE, text, &[])
    }

    /// Keeper: the program waits.
    pub(crate) fn tell_program(&self, pid: i32) -> io::Result<()> {
        self.tell(PROGRAM, &pid.to_string(), &[])
    }

    /// Keeper: it cannot be done.
    pub(crate) fn tell_failed(&self, why: &str) -> io::Result<()> {
        self.tell(FAILED, why, &[])
    }

    /// Parent: all is over.
    pub(crate) fn dismiss(&self) {
        // A keeper that has gone already needs no dismissal.
        let _ = self.tell(DISMISS, "", &[]);
    }

    fn tell(&self, kind: u8, text: &str, descriptors: &[i32]) -> io::Result<()> {
        let text = text.as_bytes();
        let text = text.get(..LONGEST - 1).unwrap_or(text);
        let rights = [ControlMessage::ScmRights(descriptors)];
        let beside = if descriptors.is_empty() {
            &rights[..0]
        } else {
            &rights[..]
        };
        sendmsg::<UnixAddr>(
            self.fd(),
            &[IoSlice::new(&[kind]), IoSlice::new(text)],
            beside,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        Ok(())
    }

    /// Parent: waits for the keeper's next message; None when the keeper has gone.
    pub(crate) fn hear(&self) -> io::Result<Option<Message>> {
        let mut bytes = [0; LONGEST];
        let mut beside = cmsg_space!([i32; 3]);
        let (length, descriptors) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<UnixAddr>(self.fd(), &mut parts, Some(&mut beside), flags) {
                Ok(message) => {
                    let mut descriptors = Vec::new();
                    for part in message.cmsgs()? {
                        if let ControlMessageOwned::ScmRights(numbers) = part {
                            descriptors.extend(numbers.into_iter().map(sys::adopt));
                        }
                    }
                    break (message.bytes, descriptors);
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let Some((kind, text)) = bytes.get(..length).and_then(<[u8]>::split_first) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let mut descriptors = descriptors.into_iter();
        Ok(Some(match (*kind, [(); 3].map(|()| descriptors.next())) {
            (NETWORK, [Some(device), Some(one), Some(two)]) => Message::Network {
                kind: text,
                device,
                diags: [one, two],
            },
            (NOTICE, ..) => Message::Notice(text),
            (PROGRAM, ..) => Message::Program(text.parse().map_err(io::Error::other)?),
            _ => Message::Failed(text),
        }))
    }

    /// Keeper: waits until the parent dismisses it (true) or has died (false).
    pub(crate) fn wait_for_end(&self) -> bool {
        let mut byte = [0; 1];
        loop {
            match nix::sys::socket::recv(self.fd(), &mut byte, MsgFlags::empty()) {
                Ok(length) => return length == 1 && byte == [DISMISS],
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}
