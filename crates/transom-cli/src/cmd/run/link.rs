//! A point-to-point Ethernet link as a device for bare IP packets.
//!
//! Our end of the veth pair speaks with one interface that does no neighbour discovery, so the
//! Ethernet header says nothing. It is taken off what comes and put before what goes; stack,
//! capture and report then see IP packets, as they do on a TUN device.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use transom_device::{Device, DeviceCounters, Readiness};
use transom_wire::frame::{Capabilities, HeaderBuf, Medium, RxFrame, TxFrame, TxOffload};

/// Length of an Ethernet header without a tag.
const HEADER: usize = 14;
/// [`HEADER`] as offload requests count.
const SHIFT: u16 = 14;
/// Frames handed down at once; those that do not fit are handed back.
const BATCH: usize = 64;

/// An Ethernet device with a single, known neighbour.
pub(crate) struct PointToPoint<D> {
    device: D,
    /// Destination and source address, as they begin each frame sent.
    addresses: [u8; 12],
    on_the_way: VecDeque<TxFrame>,
}

impl<D: Device> PointToPoint<D> {
    /// The link from `ours` to `theirs`.
    pub(crate) fn new(device: D, ours: [u8; 6], theirs: [u8; 6]) -> Self {
        let mut addresses = [0; 12];
        addresses[..6].copy_from_slice(&theirs);
        addresses[6..].copy_from_slice(&ours);
        Self {
            device,
            addresses,
            on_the_way: VecDeque::with_capacity(BATCH),
        }
    }

    /// Puts the link header before a packet; None if there is no room for it.
    fn wrap(&self, packet: &TxFrame) -> Option<TxFrame> {
        let kind: [u8; 2] = match packet.headers.first()? >> 4 {
            6 => [0x86, 0xdd],
            _ => [0x08, 0x00],
        };
        let mut headers = HeaderBuf::new();
        let fits = headers.extend(&self.addresses)
            && headers.extend(&kind)
            && headers.extend(&packet.headers);
        let offload = match packet.offload {
            TxOffload::None => TxOffload::None,
            TxOffload::Checksum { start, offset } => TxOffload::Checksum {
                start: start + SHIFT,
                offset,
            },
            TxOffload::Segment {
                ipv6,
                gso_size,
                header_len,
                checksum_start,
                checksum_offset,
            } => TxOffload::Segment {
                ipv6,
                gso_size,
                header_len: header_len + SHIFT,
                checksum_start: checksum_start + SHIFT,
                checksum_offset,
            },
        };
        fits.then(|| TxFrame {
            headers,
            payload: packet.payload.clone(),
            offload,
        })
    }
}

impl<D: Device> Device for PointToPoint<D> {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            medium: Medium::Ip,
            ..self.device.capabilities()
        }
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        let before = out.len();
        // Until there is a packet among the frames, or no frame: zero would say neither.
        while out.len() == before {
            self.device.recv(out, max)?;
            let mut at = before;
            while let Some(frame) = out.get_mut(at) {
                let kind = frame.data.get(12..HEADER);
                if matches!(kind, Some([0x08, 0x00] | [0x86, 0xdd])) {
                    frame.data = frame.data.slice(HEADER..);
                    at += 1;
                } else {
                    // Neither IPv4 nor IPv6: nothing that the stack could answer.
                    out.remove(at);
                }
            }
        }
        Ok(out.len() - before)
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        let mut sent = 0;
        while !frames.is_empty() {
            let batch = frames.len().min(BATCH);
            for packet in frames.iter().take(batch) {
                // A packet that cannot be wrapped is dropped, as one that the device refuses.
                self.on_the_way
                    .push_back(self.wrap(packet).unwrap_or_default());
            }
            let result = self.device.send(&mut self.on_the_way);
            let left = self.on_the_way.len();
            self.on_the_way.clear();
            let taken = batch.saturating_sub(left);
            frames.drain(..taken);
            sent += taken;
            if left > 0 || taken == 0 {
                return match result {
                    Err(error) if sent == 0 || error.kind() != io::ErrorKind::WouldBlock => {
                        Err(error)
                    }
                    _ => Ok(sent),
                };
            }
        }
        Ok(sent)
    }

    fn readiness(&self) -> Readiness<'_> {
        self.device.readiness()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.device.next_deadline()
    }

    fn counters(&self) -> DeviceCounters {
        self.device.counters()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use transom_device::memory;

    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

    #[test]
    fn the_header_goes_on_and_comes_off_in_both_families() {
        let (near, far) = memory::pair(Capabilities::ethernet(1500));
        let mut near = PointToPoint::new(near, OURS, THEIRS);
        let mut far = PointToPoint::new(far, THEIRS, OURS);
        assert_eq!(near.capabilities().medium, Medium::Ip);
        let packet = |first: u8| {
            let mut headers = HeaderBuf::new();
            headers.extend(&[first; 20]);
            TxFrame {
                headers,
                payload: Bytes::from_static(b"data").into(),
                offload: TxOffload::None,
            }
        };
        let mut frames: VecDeque<_> = [packet(0x45), packet(0x60)].into();
        assert_eq!(near.send(&mut frames).unwrap(), 2);
        let mut received = Vec::new();
        assert_eq!(far.recv(&mut received, 10).unwrap(), 2);
        assert_eq!(received[0].data[..], packet(0x45).to_vec()[..]);
        assert_eq!(received[1].data[..], packet(0x60).to_vec()[..]);
    }

    #[test]
    fn offload_requests_move_with_the_header() {
        let (near, _far) = memory::pair(Capabilities::ethernet(1500));
        let link = PointToPoint::new(near, OURS, THEIRS);
        let mut headers = HeaderBuf::new();
        headers.extend(&[0x45; 40]);
        let offload = TxOffload::Segment {
            ipv6: false,
            gso_size: 1448,
            header_len: 40,
            checksum_start: 20,
            checksum_offset: 16,
        };
        let wrapped = link
            .wrap(&TxFrame {
                headers,
                offload,
                ..TxFrame::default()
            })
            .unwrap();
        assert_eq!(
            wrapped.headers[..14],
            [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]
        );
        let TxOffload::Segment {
            header_len,
            checksum_start,
            checksum_offset,
            ..
        } = wrapped.offload
        else {
            panic!("no longer cut: {:?}", wrapped.offload)
        };
        assert_eq!((header_len, checksum_start, checksum_offset), (54, 34, 16));
    }
}
