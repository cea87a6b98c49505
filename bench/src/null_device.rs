//! The null TCP behind a device of the library: what such a device carries when nobody does anything with it.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use transom_device::{Device, Readiness};
use transom_stack::wire::{HeaderBuf, RxFrame, TxFrame, TxOffload};

use crate::net::{self, Roles, STACK};
use crate::null::{HEADERS, Link, Null};
use crate::sys::{self, VNET_HEADER};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Where the kernel finds us.
const OUR_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Frames in and out at a time.
const TURN: usize = 64;
/// Where there is no offload: least is lost, which costs a null TCP more than any other, and most is carried.
const WINDOW: u32 = 512 << 10;

/// An Ethernet device with frames that it has not taken yet.
pub(crate) struct NullDevice {
    device: Box<dyn Device>,
    /// For frames to the kernel, once it has sent one.
    ethernet: [u8; ETHERNET],
    tx: VecDeque<TxFrame>,
    /// All data is zero.
    zeros: Bytes,
}

/// Serves behind an Ethernet device that reaches the kernel's end of the pair.
pub(crate) fn serve(device: Box<dyn Device>, roles: &Roles) -> io::Result<()> {
    let [a, b, c, d, e, f] = OUR_ADDRESS;
    let address = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    net::ip(&[
        "neigh",
        "replace",
        STACK,
        "lladdr",
        &address,
        "dev",
        &roles.device,
        "nud",
        "permanent",
    ])?;
    net::ready();
    let link = NullDevice {
        device,
        ethernet: [0; ETHERNET],
        tx: VecDeque::new(),
        zeros: Bytes::from(vec![0; 65_536]),
    };
    let mut null = Null::new(link, roles.vnet, roles.mtu - HEADERS);
    if !roles.vnet {
        null.window = WINDOW;
    }
    let mut frames = Vec::with_capacity(TURN);
    loop {
        match null.link.device.recv(&mut frames, TURN) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let received = frames.len();
        for RxFrame { data, .. } in frames.drain(..) {
            let Some((ethernet, packet)) = data.split_first_chunk::<ETHERNET>() else {
                continue;
            };
            let own = &mut null.link.ethernet;
            own[..6].copy_from_slice(&ethernet[6..12]);
            own[6..12].copy_from_slice(&OUR_ADDRESS);
            own[12..].copy_from_slice(&ethernet[12..]);
            let heard = null.handle(packet);
            null.owe(heard.closer);
        }
        null.settle();
        let sent = null.send();
        null.link.flush();
        if received == 0 && sent == 0 {
            let Readiness::Fd(fd) = null.link.device.readiness() else {
                return Err(io::Error::other("the device has no descriptor"));
            };
            sys::wait_readable(&fd, 1_000);
        }
    }
}

impl NullDevice {
    fn flush(&mut self) {
        // What does not fit waits.
        let _ = self.device.send(&mut self.tx);
    }
}

impl Link for NullDevice {
    /// All that the packet has behind its headers is zero.
    fn write(&mut self, packet: &[u8]) -> bool {
        if self.tx.len() >= TURN {
            self.flush();
        }
        if self.tx.len() >= TURN {
            return false;
        }
        let (vnet, packet) = match packet.split_first_chunk::<VNET_HEADER>() {
            Some((vnet, packet)) if self.device.capabilities().has_gso() => (Some(vnet), packet),
            _ => (None, packet),
        };
        let header_len = 20
            + packet
                .get(32)
                .map_or(0, |offset| usize::from(offset >> 4) * 4);
        let (head, data) = packet.split_at(header_len.min(packet.len()));
        let mut headers = HeaderBuf::new();
        let fits = headers.extend(&self.ethernet) && headers.extend(head);
        debug_assert!(fits, "headers are short");
        let size = |vnet: &[u8; VNET_HEADER]| u16::from_ne_bytes([vnet[4], vnet[5]]);
        let (start, offset) = (34, 16);
        let offload = match vnet.map(size) {
            None => TxOffload::None,
            Some(0) => TxOffload::Checksum { start, offset },
            Some(gso_size) => TxOffload::Segment {
                ipv6: false,
                gso_size,
                header_len: headers.as_slice().len() as u16,
                checksum_start: start,
                checksum_offset: offset,
            },
        };
        self.tx.push_back(TxFrame {
            headers,
            payload: self.zeros.slice(..data.len()).into(),
            offload,
        });
        true
    }
}
