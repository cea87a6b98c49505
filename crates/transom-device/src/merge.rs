//! Segments of one flow that follow each other become one large frame, as a network card's receive offload would make
//! it: what is done once for a frame is then done once for up to 64 KiB.
//!
//! Invariants
//! - Merging changes nothing but where frames begin: octets, order and what the headers say stay.
//! - Only what verified is merged; what did not goes on alone, for the stack to judge. A large segment that stays alone is
//!   verified here too, where the machine's vector instructions are.
//! - Nothing waits: who receives a batch flushes at its end.

use transom_wire::checksum::{Sum, checksum, pseudo_header};
use transom_wire::frame::{RxChecksum, RxFrame};
use transom_wire::ip::Protocol;
use transom_wire::ip::{ipv4, ipv6};
use transom_wire::tcp::{Flags, MIN_HEADER_LEN};

use crate::buffer::{BUFFER_SIZE, Buffers};

#[cfg(target_os = "linux")]
pub(crate) use crate::sys::sum::{copy, sum};
#[cfg(not(target_os = "linux"))]
pub(crate) use transom_wire::checksum::{copy, sum};

/// Longest headers of a segment that is merged: IPv6 and the longest TCP header.
pub(crate) const MAX_HEADERS: usize = 100;
/// Longest packet that IPv4 can express.
const MAX_PACKET: usize = 65_535;

const ACK: u8 = Flags::ACK.bits() as u8;
const PSH: u8 = Flags::PSH.bits() as u8;

/// A frame that others may be joined to. It lies at the beginning of the current buffer.
#[derive(Clone, Copy, Debug)]
struct Open {
    headers: Headers,
    /// Octets in the buffer.
    len: usize,
    /// The sequence number that comes next.
    next: u32,
    /// Octets of data of each segment.
    size: usize,
    pieces: usize,
    /// The sums of what the headers of all segments share.
    shared: Shared,
}

/// Sums of headers without what is each segment's own.
#[derive(Clone, Copy, Debug)]
struct Shared {
    /// The IPv4 header, without length, identification and checksum.
    ip: Sum,
    /// Pseudo-header and TCP header, without length, sequence number, control bits and checksum.
    tcp: Sum,
}

/// Where the layers of a segment begin.
#[derive(Clone, Copy, Debug)]
struct Headers {
    tcp_at: usize,
    len: usize,
    /// Whether others may be joined to it.
    joins: bool,
}

/// Joins segments.
#[derive(Debug)]
pub(crate) struct Merger {
    open: Option<Open>,
    /// The largest packet that may come: room for it is kept.
    largest: usize,
}

impl Merger {
    /// For packets of at most `largest` bytes.
    pub(crate) fn new(largest: usize) -> Self {
        Self {
            open: None,
            largest,
        }
    }

    /// Takes an IP packet, and hands out what is finished. A small one that was just written is read from the first-level
    /// cache here while its data is copied and added up at once: less time than [`read`](Self::read), which adds up what
    /// is on its way to the second.
    pub(crate) fn push(&mut self, buffers: &mut Buffers, packet: &[u8], out: &mut Vec<RxFrame>) {
        if let Some(open) = self.open {
            let (headers, data) = packet.split_at(open.headers.len.min(packet.len()));
            let buffer = buffers.current();
            let (before, place) = buffer.split_at_mut(open.len.min(buffer.len()));
            if open.continues(before, headers, data.len()) {
                let sum = copy(place, data);
                if open.is_valid(headers, data.len(), sum) {
                    let size = data.len();
                    return self.extend(buffers, headers, size, out);
                }
            }
            self.flush(buffers, out);
        }
        let open = data_segment(packet).and_then(|headers| {
            let (header, data) = packet.split_at(headers.len);
            let (place, rest) = buffers.current().split_at_mut(headers.len);
            let sum = copy(rest, data);
            place.copy_from_slice(header);
            Open::first(header, headers, data.len(), sum)
        });
        match open {
            Some(open) => self.begin(buffers, open, out),
            None => out.push(buffers.copy(packet).into()),
        }
    }

    /// Has an IP packet read to where its data need not be copied if it goes on with what was read before, takes it, and
    /// hands out what is finished. `read` gives its length, and leaves its place alone when it fails.
    pub(crate) fn read<E>(
        &mut self,
        buffers: &mut Buffers,
        out: &mut Vec<RxFrame>,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let (header_len, at) = self
            .open
            .map_or((0, 0), |open| (open.headers.len, open.len));
        let place = buffers
            .current()
            .get_mut(at.saturating_sub(header_len)..)
            .unwrap_or_default();
        // Its headers come to lie on the last of the data before it, which is put back.
        let mut data = [0; MAX_HEADERS];
        let mut headers = [0; MAX_HEADERS];
        let (data, headers) = match (data.get_mut(..header_len), headers.get_mut(..header_len)) {
            (Some(data), Some(headers)) if header_len <= place.len() => (data, headers),
            _ => (&mut [][..], &mut [][..]),
        };
        data.copy_from_slice(place.split_at(data.len()).0);
        let len = read(place)?;
        let (overlap, _) = place.split_at_mut(data.len());
        headers.copy_from_slice(overlap);
        overlap.copy_from_slice(data);
        if len > 0 {
            self.placed(buffers, headers, len, out);
        }
        Ok(len)
    }

    /// Takes a packet of `len` octets, of which `headers` has the first; the rest lies behind what was joined.
    fn placed(
        &mut self,
        buffers: &mut Buffers,
        headers: &[u8],
        len: usize,
        out: &mut Vec<RxFrame>,
    ) {
        let Some(open) = self.open else {
            return self.first_placed(buffers, len, out);
        };
        let headers = headers.get(..open.headers.len.min(len)).unwrap_or_default();
        let buffer = buffers.current();
        let (before, rest) = buffer.split_at_mut(open.len.min(buffer.len()));
        let data = rest.get(..len - headers.len()).unwrap_or_default();
        if open.continues(before, headers, data.len())
            && open.is_valid(headers, data.len(), sum(data))
        {
            let size = data.len();
            return self.extend(buffers, headers, size, out);
        }
        // It is another's: it has to go to the beginning of a buffer.
        let mut packet = Vec::with_capacity(len);
        packet.extend_from_slice(headers);
        packet.extend_from_slice(data);
        self.flush(buffers, out);
        if let Some(start) = buffers.current().get_mut(..packet.len()) {
            start.copy_from_slice(&packet);
            self.first_placed(buffers, packet.len(), out);
        }
    }

    /// A packet lies at the beginning of the current buffer.
    fn first_placed(&mut self, buffers: &mut Buffers, len: usize, out: &mut Vec<RxFrame>) {
        let packet = buffers.current().get(..len).unwrap_or_default();
        let open = data_segment(packet).and_then(|headers| {
            let (header, data) = packet.split_at(headers.len);
            Open::first(header, headers, data.len(), sum(data))
        });
        match open {
            Some(open) => self.begin(buffers, open, out),
            None => out.push(buffers.take(len).into()),
        }
    }

    /// The packet at the beginning of the buffer is valid, and others may be joined to it if it joins.
    fn begin(&mut self, buffers: &mut Buffers, open: Open, out: &mut Vec<RxFrame>) {
        self.open = Some(open);
        if !open.headers.joins || open.len + self.largest > MAX_PACKET {
            self.flush(buffers, out);
        }
    }

    /// Hands out what was joined.
    pub(crate) fn flush(&mut self, buffers: &mut Buffers, out: &mut Vec<RxFrame>) {
        let Some(open) = self.open.take() else { return };
        if open.pieces > 1
            && let Some(ip) = buffers.current().get_mut(..open.headers.tcp_at)
        {
            set_length(ip, open.len);
        }
        out.push(RxFrame {
            data: buffers.take(open.len),
            checksum: RxChecksum::Valid,
            gso_size: if open.pieces > 1 {
                u16::try_from(open.size).unwrap_or(0)
            } else {
                0
            },
        });
    }

    /// The data of the next segment lies behind what was joined.
    fn extend(
        &mut self,
        buffers: &mut Buffers,
        headers: &[u8],
        size: usize,
        out: &mut Vec<RxFrame>,
    ) {
        let Some(open) = &mut self.open else { return };
        open.len += size;
        open.next = open.next.wrapping_add(octets(size));
        open.pieces += 1;
        let at = open.headers.tcp_at + 13;
        let pushes = headers.get(at).is_some_and(|flags| flags & PSH != 0);
        let is_last = pushes || size < open.size || open.len + self.largest > MAX_PACKET;
        if pushes && let Some(flags) = buffers.current().get_mut(at) {
            *flags |= PSH;
        }
        if is_last {
            self.flush(buffers, out);
        }
    }
}

impl Open {
    /// A frame of one segment so far, if it is valid. `data` is the sum of its data.
    fn first(header: &[u8], headers: Headers, size: usize, data: Sum) -> Option<Self> {
        let (ip, tcp) = header.split_at_checked(headers.tcp_at)?;
        let (own, options) = tcp.split_first_chunk::<MIN_HEADER_LEN>()?;
        let mut blank = *own;
        blank[4..8].fill(0);
        blank[12..14].fill(0);
        blank[16..18].fill(0);
        let mut shared = Shared::of_ip(ip)?;
        shared.tcp.add_bytes(&blank);
        shared.tcp.add_bytes(options);
        let seq = u32::from_be_bytes([own[4], own[5], own[6], own[7]]);
        let open = Self {
            headers,
            len: headers.len + size,
            next: seq,
            size,
            pieces: 1,
            shared,
        };
        let next = seq.wrapping_add(octets(size));
        open.is_valid(header, size, data)
            .then_some(Self { next, ..open })
    }

    /// Whether the checksums are right of a segment at `next` that differs in nothing that is not its own. `data` is the
    /// sum of its data.
    fn is_valid(&self, headers: &[u8], size: usize, data: Sum) -> bool {
        let Some((ip, tcp)) = headers.split_at_checked(self.headers.tcp_at) else {
            return false;
        };
        let Some(tcp) = tcp.first_chunk::<MIN_HEADER_LEN>() else {
            return false;
        };
        let mut sum = self.shared.tcp;
        sum.add_u32(octets(self.headers.len - self.headers.tcp_at + size));
        sum.add_u32(self.next);
        sum.add_u16(u16::from_be_bytes([tcp[12], tcp[13]]));
        sum.add_u16(u16::from_be_bytes([tcp[16], tcp[17]]));
        sum.combine(data);
        sum.is_valid() && self.shared.is_valid_ip(ip)
    }

    /// Whether a segment is the next of the flow, and differs in nothing that is not its own.
    fn continues(&self, first: &[u8], headers: &[u8], size: usize) -> bool {
        let Headers { tcp_at, len, .. } = self.headers;
        let (Some((ip, tcp)), Some((own_ip, own_tcp))) = (
            first
                .get(..len)
                .and_then(|all| all.split_at_checked(tcp_at)),
            headers
                .get(..len)
                .and_then(|all| all.split_at_checked(tcp_at)),
        ) else {
            return false;
        };
        let fits = size > 0 && size <= self.size && self.len + size <= MAX_PACKET;
        fits && same_ip(ip, own_ip, len + size) && self.same_tcp(tcp, own_tcp)
    }

    fn same_tcp(&self, first: &[u8], own: &[u8]) -> bool {
        let (Some((first, options)), Some((own, own_options))) = (
            first.split_first_chunk::<MIN_HEADER_LEN>(),
            own.split_first_chunk::<MIN_HEADER_LEN>(),
        ) else {
            return false;
        };
        // Ports and acknowledgement, offset and reserved bits, window, urgent pointer, options.
        first[..4] == own[..4]
            && own[4..8] == self.next.to_be_bytes()
            && first[8..13] == own[8..13]
            && own[13] & !PSH == ACK
            && first[14..16] == own[14..16]
            && first[18..] == own[18..]
            && options == own_options
    }
}

/// Whether two IP headers differ in nothing but length, identification and checksum, and the length is right.
fn same_ip(first: &[u8], own: &[u8], len: usize) -> bool {
    if let (Some(first), Some(own)) = (
        first.first_chunk::<{ ipv6::HEADER_LEN }>(),
        own.first_chunk::<{ ipv6::HEADER_LEN }>(),
    ) {
        let length = usize::from(u16::from_be_bytes([own[4], own[5]]));
        return first[..4] == own[..4] && first[6..] == own[6..] && length + own.len() == len;
    }
    let (Some(first), Some(own)) = (
        first.first_chunk::<{ ipv4::MIN_HEADER_LEN }>(),
        own.first_chunk::<{ ipv4::MIN_HEADER_LEN }>(),
    ) else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([own[2], own[3]]));
    first[..2] == own[..2]
        && first[6..10] == own[6..10]
        && first[12..] == own[12..]
        && length == len
}

impl Shared {
    /// What the segments of this IP header share, with nothing of TCP's header yet.
    fn of_ip(ip: &[u8]) -> Option<Self> {
        let protocol = Protocol::TCP.raw();
        if let Some(ip) = ip.first_chunk::<{ ipv6::HEADER_LEN }>() {
            let mut tcp = Sum::ZERO;
            tcp.add_bytes(&ip[8..]);
            tcp.add_u16(u16::from(protocol));
            return Some(Self { ip: Sum::ZERO, tcp });
        }
        let mut ip = *ip.first_chunk::<{ ipv4::MIN_HEADER_LEN }>()?;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = ip;
        let tcp = pseudo_header(
            [s0, s1, s2, s3].into(),
            [d0, d1, d2, d3].into(),
            protocol,
            0,
        );
        ip[2..6].fill(0);
        ip[10..12].fill(0);
        let mut sum = Sum::ZERO;
        sum.add_bytes(&ip);
        Some(Self { ip: sum, tcp })
    }

    /// Whether the checksum is right of an IP header that differs in nothing that is not its own.
    fn is_valid_ip(&self, ip: &[u8]) -> bool {
        if ip.len() == ipv6::HEADER_LEN {
            return true;
        }
        let Some(ip) = ip.first_chunk::<{ ipv4::MIN_HEADER_LEN }>() else {
            return false;
        };
        let mut sum = self.ip;
        sum.add_u16(u16::from_be_bytes([ip[2], ip[3]]));
        sum.add_u16(u16::from_be_bytes([ip[4], ip[5]]));
        sum.add_u16(u16::from_be_bytes([ip[10], ip[11]]));
        sum.is_valid()
    }
}

/// The headers of a plain data segment in a whole packet. Others may be joined to it unless it asks to be handed on at
/// once, or is large enough as it is.
fn data_segment(packet: &[u8]) -> Option<Headers> {
    let tcp_at = match packet.first()? {
        0x45 => {
            let ip = packet.first_chunk::<{ ipv4::MIN_HEADER_LEN }>()?;
            let is_whole = usize::from(u16::from_be_bytes([ip[2], ip[3]])) == packet.len();
            // Neither more fragments nor an offset.
            let is_fragment = ip[6] & 0x3f != 0 || ip[7] != 0;
            let plain = is_whole && !is_fragment && ip[9] == Protocol::TCP.raw();
            plain.then_some(ip.len())
        }
        first if first >> 4 == 6 => {
            let ip = packet.first_chunk::<{ ipv6::HEADER_LEN }>()?;
            let len = usize::from(u16::from_be_bytes([ip[4], ip[5]])) + ip.len();
            (len == packet.len() && ip[6] == Protocol::TCP.raw()).then_some(ip.len())
        }
        _ => None,
    }?;
    let tcp = packet.get(tcp_at..)?.first_chunk::<MIN_HEADER_LEN>()?;
    let len = tcp_at + usize::from(tcp[12] >> 4) * 4;
    let plain = tcp[13] & !PSH == ACK && tcp[12] & 0x0f == 0 && tcp[12] >> 4 >= 5;
    // What comes next is read to the end of the data, with its headers on the last of it.
    let fits = len * 2 <= packet.len() && len <= MAX_HEADERS;
    let joins = tcp[13] == ACK && packet.len() < BUFFER_SIZE / 2;
    (plain && fits).then_some(Headers { tcp_at, len, joins })
}

/// Writes the length of a packet into its IP header.
fn set_length(ip: &mut [u8], len: usize) {
    if let Some(ip) = ip.first_chunk_mut::<{ ipv6::HEADER_LEN }>() {
        let len = u16::try_from(len - ip.len()).unwrap_or(u16::MAX);
        [ip[4], ip[5]] = len.to_be_bytes();
    } else if let Some(ip) = ip.first_chunk_mut::<{ ipv4::MIN_HEADER_LEN }>() {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        [ip[2], ip[3]] = len.to_be_bytes();
        [ip[10], ip[11]] = [0; 2];
        let sum = checksum(ip);
        [ip[10], ip[11]] = sum.to_be_bytes();
    }
}

/// A length below 64 KiB.
#[expect(clippy::cast_possible_truncation, reason = "a frame is below 64 KiB")]
const fn octets(len: usize) -> u32 {
    len as u32
}

#[cfg(test)]
mod tests;
