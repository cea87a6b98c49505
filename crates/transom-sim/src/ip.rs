//! The few things that routers and links must know of bare IP packets.

/// What an acknowledgement without data says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PureAck {
    /// Stands for addresses and ports.
    pub flow: u64,
    /// The acknowledgement number.
    pub ack: u32,
    /// It carries options besides timestamps (SACK blocks): a later one does not replace it.
    pub is_special: bool,
}

impl PureAck {
    /// Whether nothing is lost when this one arrives and the older one does not.
    #[must_use]
    pub fn supersedes(&self, older: &Self) -> bool {
        let ahead = self.ack.wrapping_sub(older.ack);
        self.flow == older.flow && !older.is_special && ahead > 0 && ahead < 1 << 31
    }
}

/// Which IP version the octets are a whole packet of.
pub(crate) fn version(packet: &[u8]) -> Option<u8> {
    match packet.first()? >> 4 {
        4 => {
            let total = be16(packet, 2)?;
            (packet.len() >= 20 && usize::from(total) == packet.len()).then_some(4)
        }
        6 => {
            let payload = be16(packet, 4)?;
            (usize::from(payload) + 40 == packet.len()).then_some(6)
        }
        _ => None,
    }
}

pub(crate) fn be16(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]))
}

/// The Internet checksum over parts of even length (the last may be odd).
pub(crate) fn checksum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            let high = pair.first().copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([high, low]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !(sum as u16)
}

/// Computes the checksum of an IPv4 header anew.
pub(crate) fn fill_checksum(packet: &mut [u8]) {
    let length = usize::from(packet.first().copied().unwrap_or(0) & 15) * 4;
    let Some(header) = packet.get_mut(..length).filter(|header| header.len() >= 20) else {
        return;
    };
    header[10..12].fill(0);
    let sum = checksum([&*header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Sets "congestion experienced" (RFC 3168) in a bare IP packet whose sender understands it, and keeps
/// the header's checksum right. Says whether the packet is marked now.
pub fn mark_congestion(packet: &mut [u8]) -> bool {
    version(packet).is_some() && mark_header(packet)
}

/// The same in what a packet begins with, its header at least.
pub fn mark_header(packet: &mut [u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 => match packet[1] & 3 {
            0 => false,
            3 => true,
            _ => {
                packet[1] |= 3;
                fill_checksum(packet);
                true
            }
        },
        // The traffic class straddles the first two octets; ECN is its low end.
        Some(6) if packet.len() >= 40 => match packet[1] >> 4 & 3 {
            0 => false,
            _ => {
                packet[1] |= 0x30;
                true
            }
        },
        _ => false,
    }
}

/// Reads a bare IP packet that is an acknowledgement and nothing else.
#[must_use]
pub fn pure_ack(packet: &[u8]) -> Option<PureAck> {
    let (header, protocol, addresses) = match version(packet)? {
        4 if be16(packet, 6)? & 0x3fff == 0 => (
            usize::from(packet[0] & 15) * 4,
            packet[9],
            packet.get(12..20)?,
        ),
        6 => (40, packet[6], packet.get(8..40)?),
        _ => return None,
    };
    let tcp = packet.get(header..).filter(|_| protocol == 6)?;
    let offset = usize::from(tcp.get(12)? >> 4) * 4;
    // ACK alone; the flags of ECN may stand beside it.
    if tcp.get(13)? & 0x3f != 0x10 || tcp.len() != offset || offset < 20 {
        return None;
    }
    let ack = u32::from_be_bytes([tcp[8], tcp[9], tcp[10], tcp[11]]);
    let mut flow: u64 = 0xcbf2_9ce4_8422_2325;
    for octet in addresses.iter().chain(tcp.get(..4)?) {
        flow = (flow ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    }
    let options = tcp.get(20..)?;
    // NOP, NOP, timestamps is what every sender writes.
    let is_special =
        !(options.is_empty() || options.starts_with(&[1, 1, 8, 10]) && options.len() == 12);
    Some(PureAck {
        flow,
        ack,
        is_special,
    })
}
