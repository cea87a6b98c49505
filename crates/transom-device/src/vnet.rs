//! The header that carries offload between a process and the kernel (`struct virtio_net_hdr`).
//!
//! Ten bytes, numbers in the byte order of the machine:
//! flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
//! Source: the Virtual I/O Device specification (network device, 5.1.6) and Linux's
//! `include/uapi/linux/virtio_net.h`.

use transom_wire::frame::{RxChecksum, TxFrame, TxOffload};

/// Length in bytes.
pub(crate) const LEN: usize = 10;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the checksum is still to be filled in.
const NEEDS_CSUM: u8 = 1;
/// `VIRTIO_NET_HDR_F_DATA_VALID`: the checksum has been checked.
const DATA_VALID: u8 = 2;

/// `VIRTIO_NET_HDR_GSO_TCPV4`.
pub(crate) const GSO_TCPV4: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_UDP`: one datagram, to be sent in IP fragments of this size.
const GSO_UDP: u8 = 3;
/// `VIRTIO_NET_HDR_GSO_TCPV6`.
pub(crate) const GSO_TCPV6: u8 = 4;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`: several datagrams.
pub(crate) const GSO_UDP_L4: u8 = 5;
/// `VIRTIO_NET_HDR_GSO_ECN`: the first segment carries CWR, the others do not (RFC 3168 §6.1.2).
pub(crate) const GSO_ECN: u8 = 0x80;

/// Where the numbers are.
pub(crate) const HEADER_LEN: usize = 2;
pub(crate) const GSO_SIZE: usize = 4;
pub(crate) const CHECKSUM_START: usize = 6;
pub(crate) const CHECKSUM_OFFSET: usize = 8;

/// One of the numbers of a header.
pub(crate) fn number(header: &[u8; LEN], at: usize) -> u16 {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u16::from_ne_bytes(*bytes))
}

/// Whether the checksum is still to be filled in.
pub(crate) fn needs_checksum(header: &[u8; LEN]) -> bool {
    header[0] & NEEDS_CSUM != 0
}

/// Says how long the headers before the data of a super-segment are.
pub(crate) fn set_header_len(header: &mut [u8; LEN], len: usize) {
    let len = u16::try_from(len).unwrap_or(0);
    header[HEADER_LEN..GSO_SIZE].copy_from_slice(&len.to_ne_bytes());
}

/// Says of a frame that it is one segment, whose checksum is still to be filled in.
pub(crate) fn set_single(header: &mut [u8; LEN]) {
    header[1..CHECKSUM_START].fill(0);
}

/// What the kernel says about a received frame: the state of its checksum and the size of the
/// segments that were merged (0 for a single one).
pub(crate) fn decode(header: &[u8; LEN]) -> (RxChecksum, u16) {
    let [flags, gso_type, _, _, gso_low, gso_high, ..] = *header;
    let checksum = if flags & (NEEDS_CSUM | DATA_VALID) != 0 {
        RxChecksum::Valid
    } else {
        RxChecksum::Unverified
    };
    let gso_size = if matches!(gso_type & !GSO_ECN, 0 | GSO_UDP) {
        0
    } else {
        u16::from_ne_bytes([gso_low, gso_high])
    };
    (checksum, gso_size)
}

/// The header for a frame to send.
pub(crate) fn encode(frame: &TxFrame) -> [u8; LEN] {
    let (gso_type, header_len, gso_size, start, offset) = match frame.offload {
        TxOffload::None => return [0; LEN],
        TxOffload::Checksum { start, offset } => (0, 0, 0, start, offset),
        TxOffload::Segment {
            ipv6,
            gso_size,
            header_len,
            checksum_start,
            checksum_offset,
        } => {
            let family = if ipv6 { GSO_TCPV6 } else { GSO_TCPV4 };
            let ecn = if carries_cwr(frame, checksum_start) {
                GSO_ECN
            } else {
                0
            };
            (
                family | ecn,
                header_len,
                gso_size,
                checksum_start,
                checksum_offset,
            )
        }
    };
    let [header_low, header_high] = header_len.to_ne_bytes();
    let [gso_low, gso_high] = gso_size.to_ne_bytes();
    let [start_low, start_high] = start.to_ne_bytes();
    let [offset_low, offset_high] = offset.to_ne_bytes();
    [
        NEEDS_CSUM,
        gso_type,
        header_low,
        header_high,
        gso_low,
        gso_high,
        start_low,
        start_high,
        offset_low,
        offset_high,
    ]
}

/// Whether the TCP header at `tcp` has the flag CWR set.
fn carries_cwr(frame: &TxFrame, tcp: u16) -> bool {
    const FLAGS: usize = 13;
    const CWR: u8 = 0x80;
    frame
        .headers
        .get(usize::from(tcp) + FLAGS)
        .is_some_and(|flags| flags & CWR != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use transom_wire::frame::HeaderBuf;

    fn tcp_frame(flags: u8, offload: TxOffload) -> TxFrame {
        let mut headers = HeaderBuf::zeroed(40).unwrap();
        headers.as_mut_slice()[33] = flags;
        TxFrame {
            headers,
            offload,
            ..TxFrame::default()
        }
    }

    #[test]
    fn checksum_request() {
        let frame = tcp_frame(
            0,
            TxOffload::Checksum {
                start: 20,
                offset: 16,
            },
        );
        let header = encode(&frame);
        assert_eq!(header[..2], [1, 0]);
        assert_eq!(
            header[6..],
            [20_u16.to_ne_bytes(), 16_u16.to_ne_bytes()].concat()
        );
        assert_eq!(decode(&header), (RxChecksum::Valid, 0));
    }

    #[test]
    fn segmentation_request() {
        let segment = |ipv6| TxOffload::Segment {
            ipv6,
            gso_size: 1448,
            header_len: 52,
            checksum_start: 20,
            checksum_offset: 16,
        };
        let header = encode(&tcp_frame(0x10, segment(false)));
        assert_eq!(header[..2], [1, 1]);
        assert_eq!(header[2..4], 52_u16.to_ne_bytes());
        assert_eq!(decode(&header), (RxChecksum::Valid, 1448));
        assert_eq!(encode(&tcp_frame(0x10, segment(true)))[1], 4);
        let cwr = encode(&tcp_frame(0x90, segment(false)));
        assert_eq!(cwr[1], 0x81);
        assert_eq!(decode(&cwr), (RxChecksum::Valid, 1448));
    }

    #[test]
    fn plain_frames() {
        assert_eq!(encode(&tcp_frame(0, TxOffload::None)), [0; LEN]);
        assert_eq!(decode(&[0; LEN]), (RxChecksum::Unverified, 0));
        let mut checked = [0; LEN];
        checked[0] = DATA_VALID;
        // A segment size without a type means nothing.
        checked[4] = 7;
        assert_eq!(decode(&checked), (RxChecksum::Valid, 0));
        // What is to be cut into fragments is one datagram all the same.
        checked[1] = GSO_UDP;
        assert_eq!(decode(&checked), (RxChecksum::Valid, 0));
    }
}
