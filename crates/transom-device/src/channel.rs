//! What TUN and packet sockets share: one frame per read and write, perhaps behind a vnet header.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use transom_wire::HeaderBuf;
use transom_wire::frame::{Medium, Payload, Pieces, RxChecksum, RxFrame, TxFrame, TxOffload};

use crate::DeviceCounters;
use crate::buffer::{BUFFER_SIZE, Buffers};
use crate::complete::separate;
use crate::error::failed;
use crate::merge::{Merger, copy, sum};
use crate::sys::ring::{Ring, Slot};
use crate::{sys, vnet};

/// A packet with more data is not copied to be written, only summed.
const COPY_UP_TO: usize = 16 * 1024;

/// Pieces of a frame given to the kernel at once; a frame of more pieces is joined first.
const MAX_PIECES: usize = 16;

/// After so many octets `recv` gives the turn back: what is read should be used before it leaves the second-level
/// cache, and its buffers be the next to be read into. With 64 frames of 64 KiB a turn, half of the time went into misses.
const MAX_OCTETS: usize = 256 * 1024;

/// Frames that the kernel refused in a row before `send` gives the turn back.
pub(crate) const MAX_REFUSED: usize = 256;

/// A descriptor that carries one frame per call, and what goes with it.
pub(crate) struct Channel {
    /// Reading and writing a descriptor needs no more than a file.
    file: File,
    /// What the device is called in errors.
    name: String,
    vnet: bool,
    /// The medium, if datagrams that came as one frame are to be cut apart.
    separating: Option<Medium>,
    /// The interface that frames are sent through, where that is not the one the descriptor is bound to.
    send_through: Option<i32>,
    /// Where a packet socket's frames arrive, if it has one; else they wait in the socket.
    ring: Option<Ring>,
    buffers: Buffers,
    /// Does in software what a device without a vnet header cannot be asked for.
    software: Option<Box<Software>>,
    /// Datagrams of one sending that came as one frame and are still to be handed out.
    separated: VecDeque<RxFrame>,
    /// The last reading ended because there was nothing more.
    drained: bool,
    counters: DeviceCounters,
}

/// Segmentation and checksums in software.
struct Software {
    merger: Merger,
    /// The packet to be sent.
    packet: Box<[u8]>,
}

/// What a failed call means.
pub(crate) enum Failure {
    /// Try later.
    Blocked,
    /// This frame cannot pass; the next may.
    Frame,
    /// The device is gone.
    Device(io::Error),
}

impl Channel {
    /// A channel over a non-blocking descriptor; `vnet` says whether frames carry a vnet header.
    pub(crate) fn new(fd: OwnedFd, name: String, vnet: bool) -> Self {
        Self {
            file: File::from(fd),
            name,
            vnet,
            separating: None,
            send_through: None,
            ring: None,
            buffers: Buffers::new(),
            software: None,
            separated: VecDeque::new(),
            drained: false,
            counters: DeviceCounters::default(),
        }
    }

    /// Sends frames of a packet socket through the interface of this index.
    pub(crate) fn send_through(mut self, index: i32) -> Self {
        self.send_through = Some(index);
        self
    }

    /// Cuts apart what a kernel that cannot be asked to do so hands over as one frame: the datagrams
    /// of one sending.
    pub(crate) fn separate_datagrams(mut self, medium: Medium) -> Self {
        self.separating = Some(medium);
        self
    }

    /// Cuts, joins and fills checksums in software: for IP packets of at most `mtu` bytes without a vnet header.
    pub(crate) fn in_software(mut self, mtu: usize) -> Self {
        self.software = Some(Box::new(Software {
            merger: Merger::new(mtu),
            packet: vec![0; BUFFER_SIZE].into_boxed_slice(),
        }));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Gives a packet socket a ring to receive into.
    pub(crate) fn set_ring(&mut self) -> io::Result<()> {
        let socket = OwnedFd::from(self.file.try_clone()?);
        self.ring = Some(Ring::map(&socket)?);
        Ok(())
    }

    pub(crate) fn has_ring(&self) -> bool {
        self.ring.is_some()
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        let fd = OwnedFd::from(self.file);
        if let Some(ring) = self.ring {
            // It cannot fail for a ring that is no longer mapped.
            let _ = ring.remove(&fd);
        }
        fd
    }

    pub(crate) fn counters(&self) -> DeviceCounters {
        self.counters
    }

    /// See [`Device::recv`](crate::Device::recv).
    pub(crate) fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        let mut count = 0;
        self.drained = false;
        let start = out.len();
        // A frame that is refused also takes its turn, so that the loop is bounded.
        let mut octets = 0;
        for _ in 0..max {
            if octets >= MAX_OCTETS {
                break;
            }
            match self.next_frames(out) {
                Ok(len) => {
                    self.counters.received += 1;
                    count += 1;
                    octets += len;
                }
                Err(Failure::Blocked) => {
                    self.drained = true;
                    break;
                }
                Err(Failure::Frame) => self.counters.recv_refused += 1,
                Err(Failure::Device(_)) if count > 0 => break,
                Err(Failure::Device(error)) => {
                    return Err(failed(
                        format_args!("cannot read from {}", self.name),
                        &error,
                        "",
                    ));
                }
            }
        }
        if let Some(software) = &mut self.software {
            software.merger.flush(&mut self.buffers, out);
        }
        // Only an empty device may say so: after refused frames there may be more, and nobody would
        // be told of them.
        if count == 0 && self.drained {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(out.len() - start)
    }

    /// See [`Device::is_drained`](crate::Device::is_drained).
    pub(crate) fn is_drained(&self) -> bool {
        self.drained
    }

    /// See [`Device::send`](crate::Device::send).
    pub(crate) fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let mut taken = 0;
        let mut refused = 0;
        while let Some(frame) = frames.front()
            && refused < MAX_REFUSED
        {
            let is_whole = self.software.is_none() || frame.offload == TxOffload::None;
            let result = if is_whole {
                self.write_frame(frame)
            } else {
                self.write_pieces(frames)
            };
            match result {
                Ok(()) => self.counters.sent += 1,
                Err(Failure::Frame) => {
                    self.counters.send_refused += 1;
                    refused += 1;
                }
                Err(Failure::Blocked) if taken == 0 => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(Failure::Blocked) => break,
                Err(Failure::Device(_)) if taken > 0 => break,
                Err(Failure::Device(error)) => {
                    return Err(failed(
                        format_args!("cannot write to {}", self.name),
                        &error,
                        "",
                    ));
                }
            }
            frames.pop_front();
            taken += 1;
        }
        Ok(taken)
    }

    /// The next frame to hand out.
    fn next_frame(&mut self) -> Result<RxFrame, Failure> {
        if let Some(datagram) = self.separated.pop_front() {
            return Ok(datagram);
        }
        let frame = self.read_frame()?;
        let medium = self.separating;
        match medium.and_then(|medium| separate(&frame, medium)) {
            Some(datagrams) => {
                self.separated.extend(datagrams);
                self.separated.pop_front().ok_or(Failure::Frame)
            }
            None => Ok(frame),
        }
    }

    /// The next frame to hand out; with software that joins them, it may be held until more have come.
    fn next_frames(&mut self, out: &mut Vec<RxFrame>) -> Result<usize, Failure> {
        if self.software.is_some() {
            return self.read_and_join(out);
        }
        let frame = self.next_frame()?;
        let len = frame.data.len();
        out.push(frame);
        Ok(len)
    }

    /// Reads a packet to where its data belongs if it goes on with what was read before.
    fn read_and_join(&mut self, out: &mut Vec<RxFrame>) -> Result<usize, Failure> {
        let Some(software) = &mut self.software else {
            return Err(Failure::Frame);
        };
        let file = &self.file;
        let read = |place: &mut [u8]| {
            retry(|| {
                let mut file = file;
                file.read(place)
            })
        };
        let len = software
            .merger
            .read(&mut self.buffers, out, read)
            .map_err(receive_failure)?;
        // A read of nothing would otherwise look like an endless row of empty frames.
        if len == 0 {
            return Err(Failure::Frame);
        }
        Ok(len)
    }

    fn read_frame(&mut self) -> Result<RxFrame, Failure> {
        if let Some(ring) = &mut self.ring {
            let buffers = &mut self.buffers;
            let read = ring.read(|Slot { vnet, frame }| {
                let (checksum, gso_size) = vnet::decode(vnet);
                RxFrame {
                    data: buffers.copy(frame),
                    checksum,
                    gso_size,
                }
            });
            if let Some(frame) = read {
                return frame.ok_or(Failure::Frame);
            }
            // The queue is empty too, but knows when the interface is gone.
        }
        // In one piece, of which the kernel need not be told where the parts go.
        let header_len = if self.vnet { vnet::LEN } else { 0 };
        let buffer = self.buffers.current_behind(header_len);
        let read = retry(|| (&self.file).read(buffer));
        let len = read.map_err(receive_failure)?;
        let header = buffer.first_chunk().copied().unwrap_or_default();
        // A read of nothing would otherwise look like an endless row of empty frames.
        let len = len
            .checked_sub(header_len)
            .filter(|&len| len > 0)
            .ok_or(Failure::Frame)?;
        let data = self.buffers.take(len);
        let (checksum, gso_size) = if self.vnet {
            vnet::decode(&header)
        } else {
            (RxChecksum::Unverified, 0)
        };
        Ok(RxFrame {
            data,
            checksum,
            gso_size,
        })
    }

    /// Sends the pieces of the first frame, and leaves in its place what did not fit.
    fn write_pieces(&mut self, frames: &mut VecDeque<TxFrame>) -> Result<(), Failure> {
        if let Some(frame) = frames.front_mut()
            && frame.payload.len() > COPY_UP_TO
            && frame.fill_checksum_by(sum)
        {
            return self.write_frame(frame);
        }
        let (Some(software), Some(frame)) = (&mut self.software, frames.pop_front()) else {
            return Err(Failure::Frame);
        };
        let header_len = frame.headers.len();
        let mut pieces = Pieces::new(frame);
        let mut result = Ok(());
        while pieces.next_len().is_some() {
            let written = pieces.write_next(&mut software.packet, copy);
            let Some(packet) = written.and_then(|len| software.packet.get(..len)) else {
                result = Err(Failure::Frame);
                break;
            };
            match retry(|| (&self.file).write(packet)).map_err(send_failure) {
                Ok(_) => {}
                Err(Failure::Blocked) => {
                    if let Some(rest) = pieces.into_rest() {
                        frames.push_front(rest);
                    }
                    frames.push_front(complete_frame(packet, header_len));
                    return Err(Failure::Blocked);
                }
                // Lost, as on a wire; so are those behind it if the device is gone.
                Err(Failure::Frame) => result = Err(Failure::Frame),
                Err(gone) => {
                    result = Err(gone);
                    break;
                }
            }
        }
        // The caller takes the frame out.
        frames.push_front(TxFrame::default());
        result
    }

    fn write_frame(&self, frame: &TxFrame) -> Result<(), Failure> {
        if !self.vnet && frame.offload != TxOffload::None {
            return Err(Failure::Frame);
        }
        // What the kernel is told of a frame and its headers are one piece.
        let mut start = [0; vnet::LEN + HeaderBuf::CAPACITY];
        let vnet_len = if self.vnet { vnet::LEN } else { 0 };
        let header = vnet::encode(frame);
        let headers = frame.headers.as_slice();
        let start_len = vnet_len + headers.len();
        if let Some((place, rest)) = start.split_at_mut_checked(vnet_len)
            && let Some(rest) = rest.get_mut(..headers.len())
        {
            place.copy_from_slice(header.get(..vnet_len).unwrap_or_default());
            rest.copy_from_slice(headers);
        }
        let start = start.get(..start_len).unwrap_or_default();
        let mut pieces = [IoSlice::new(start); MAX_PIECES];
        let mut used = 1;
        let fits = frame.payload.chunks().all(|chunk| {
            let place = pieces.get_mut(used);
            used += 1;
            place.map(|place| *place = IoSlice::new(chunk)).is_some()
        });
        let result = if fits {
            let pieces = pieces.get(..used).unwrap_or_default();
            self.write(pieces)
        } else {
            let joined = frame.to_vec();
            let header = header.get(..vnet_len).unwrap_or_default();
            self.write(&[IoSlice::new(header), IoSlice::new(&joined)])
        };
        result.map(drop).map_err(send_failure)
    }

    /// Gives the kernel one frame in pieces.
    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| match (self.send_through, pieces) {
            (None, [whole]) => (&self.file).write(whole),
            (None, _) => (&self.file).write_vectored(pieces),
            (Some(index), _) => sys::packet::send(self.file.as_fd(), pieces, index),
        })
    }
}

/// A packet that leaves nothing to be done.
fn complete_frame(packet: &[u8], header_len: usize) -> TxFrame {
    let (headers, payload) = packet.split_at(header_len.min(packet.len()));
    let mut frame = TxFrame {
        headers: HeaderBuf::new(),
        payload: Payload::from(Bytes::copy_from_slice(payload)),
        offload: TxOffload::None,
    };
    frame.headers.extend(headers);
    frame
}

/// Repeats a call that a signal interrupted.
pub(crate) fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub(crate) fn receive_failure(error: io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Failure::Blocked,
        // A packet socket: a frame whose offload the vnet header cannot express, which is gone by now.
        Some(libc::EINVAL) => Failure::Frame,
        _ => Failure::Device(error),
    }
}

pub(crate) fn send_failure(error: io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Failure::Blocked,
        // Malformed for the kernel, too large, no memory or no room in its queue, interface down (TUN
        // says EIO, a packet socket ENETDOWN): a wire would lose the frame.
        Some(
            libc::EINVAL
            | libc::EMSGSIZE
            | libc::ENOMEM
            | libc::ENOBUFS
            | libc::EIO
            | libc::ENETDOWN,
        ) => Failure::Frame,
        _ => Failure::Device(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use transom_wire::ip::{Packet, Protocol, ipv4};
    use transom_wire::udp;

    const SRC: [u8; 4] = [10, 0, 0, 1];
    const DST: [u8; 4] = [10, 0, 0, 2];

    /// What the kernel hands over for a sending with `UDP_SEGMENT`: behind the vnet header one packet
    /// with everything, its checksum not filled in.
    fn sending(payload: &[u8], size: u16) -> Vec<u8> {
        let mut bytes = vec![0; vnet::LEN + 28];
        // NEEDS_CSUM, VIRTIO_NET_HDR_GSO_UDP_L4, hdr_len, gso_size, csum_start, csum_offset.
        bytes[..2].copy_from_slice(&[1, 5]);
        for (at, number) in [(2, 28), (4, size), (6, 20), (8, 6)] {
            bytes[at..at + 2].copy_from_slice(&number.to_ne_bytes());
        }
        let ip = ipv4::Header::new(SRC.into(), DST.into(), Protocol::UDP);
        ip.emit(&mut bytes[vnet::LEN..], 8 + payload.len());
        let ports = udp::Header {
            src_port: 1000,
            dst_port: 443,
        };
        ports.emit(&mut bytes[vnet::LEN + 20..], payload.len());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn datagrams_of_one_sending_come_one_by_one() {
        let (kernel, ours) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut channel =
            Channel::new(ours.into(), "a test".to_owned(), true).separate_datagrams(Medium::Ip);
        let payload: Vec<u8> = (0..6100_u32).map(|n| n as u8).collect();
        kernel.send(&sending(&payload, 1200)).unwrap();
        let mut frames = Vec::new();
        // No call gives more than it is asked for, and none says "empty" before all are out.
        assert_eq!(channel.recv(&mut frames, 4).unwrap(), 4);
        assert!(!channel.is_drained());
        assert_eq!(channel.recv(&mut frames, 4).unwrap(), 2);
        assert!(channel.is_drained());
        let error = channel.recv(&mut frames, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(channel.counters().received, 6);
        for (frame, expected) in frames.iter().zip(payload.chunks(1200)) {
            assert_eq!(frame.gso_size, 0);
            let packet = Packet::new(&frame.data).unwrap();
            let datagram = udp::View::new(packet.payload()).unwrap();
            assert_eq!((datagram.src_port(), datagram.dst_port()), (1000, 443));
            assert_eq!(datagram.payload(), expected);
            assert!(datagram.verify_checksum(packet.src(), packet.dst()));
        }
        assert_eq!(frames.len(), 6);
    }
}
