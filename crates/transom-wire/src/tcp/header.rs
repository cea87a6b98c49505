//! Writing a TCP header.

use super::{Flags, MIN_HEADER_LEN, Options, TcpView};
use crate::checksum;
use crate::frame::HeaderBuf;
use crate::seq::Seq;
use core::net::IpAddr;

/// A TCP header as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; written as 0 without the ACK bit.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field, already scaled down.
    pub window: u16,
    /// The urgent pointer; written as 0 without the URG bit.
    pub urgent: u16,
    /// Options; MSS, window scale and SACK-permitted are written only with SYN, SACK blocks only without.
    pub options: Options,
}

impl Header {
    /// The options that are written with these flags.
    fn emitted_options(&self) -> Options {
        self.options.allowed_in(self.flags.contains(Flags::SYN))
    }

    /// Length in bytes of the header with its options: a multiple of 4, 20 to 60.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        MIN_HEADER_LEN + self.emitted_options().emitted_len()
    }

    /// Writes the header with a checksum field of 0 and returns its length.
    ///
    /// Writes nothing and returns 0 if `out` is shorter than [`header_len`](Self::header_len).
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let options = self.emitted_options();
        let len = MIN_HEADER_LEN + options.emitted_len();
        let Some((fixed, rest)) = out
            .get_mut(..len)
            .and_then(|out| out.split_first_chunk_mut::<MIN_HEADER_LEN>())
        else {
            debug_assert!(false, "buffer shorter than header_len()");
            return 0;
        };
        *fixed = self.fixed(len);
        options.emit(rest);
        len
    }

    /// Appends the header with a checksum field of 0 and returns its length; `None`, and nothing appended, if there is no
    /// room for it.
    #[inline]
    pub fn append(&self, headers: &mut HeaderBuf) -> Option<usize> {
        const LEN: usize = MIN_HEADER_LEN + Options::TIMESTAMPS_LEN;
        let Some(timestamps) = self.options.only_timestamps() else {
            let len = self.header_len();
            self.emit(headers.grow(len)?);
            return Some(len);
        };
        let (fixed, options) = headers.grow(LEN)?.split_first_chunk_mut()?;
        *fixed = self.fixed(LEN);
        *options.first_chunk_mut()? = timestamps.aligned();
        Some(LEN)
    }

    /// What every header of `len` bytes begins with.
    #[inline]
    fn fixed(&self, len: usize) -> [u8; MIN_HEADER_LEN] {
        let ack = if self.flags.contains(Flags::ACK) {
            self.ack.raw()
        } else {
            0
        };
        let urgent = if self.flags.contains(Flags::URG) {
            self.urgent
        } else {
            0
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most 60 / 4 = 15")]
        let data_offset = (len / 4) as u16;
        let [sp0, sp1] = self.src_port.to_be_bytes();
        let [dp0, dp1] = self.dst_port.to_be_bytes();
        let [s0, s1, s2, s3] = self.seq.raw().to_be_bytes();
        let [a0, a1, a2, a3] = ack.to_be_bytes();
        let [f0, f1] = (data_offset << 12 | self.flags.bits()).to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = urgent.to_be_bytes();
        [
            sp0, sp1, dp0, dp1, s0, s1, s2, s3, a0, a1, a2, a3, f0, f1, w0, w1, 0, 0, u0, u1,
        ]
    }

    /// Writes the header with the folded sum of the pseudo-header in the checksum field, as
    /// [`TxOffload`](crate::frame::TxOffload) wants it, for `payload_len` bytes of data; returns its length.
    ///
    /// Writes nothing and returns 0 if `out` is too short.
    pub fn emit_partial(
        &self,
        out: &mut [u8],
        src: IpAddr,
        dst: IpAddr,
        payload_len: usize,
    ) -> usize {
        let len = self.emit(out);
        if let Some(field) = out.get_mut(16..18).filter(|_| len > 0) {
            let total = u32::try_from(len + payload_len).unwrap_or(u32::MAX);
            let sum = checksum::pseudo_header(src, dst, 6, total);
            field.copy_from_slice(&sum.partial().to_be_bytes());
        }
        len
    }

    /// Writes the header and fills the checksum over it and `payload`; returns the header's length.
    ///
    /// Writes nothing and returns 0 if `out` is too short.
    pub fn emit_with_checksum(
        &self,
        out: &mut [u8],
        src: IpAddr,
        dst: IpAddr,
        payload: &[u8],
    ) -> usize {
        let len = self.emit(out);
        let Some(header) = out.get_mut(..len).filter(|header| !header.is_empty()) else {
            return 0;
        };
        let total = u32::try_from(len + payload.len()).unwrap_or(u32::MAX);
        // RFC 9293 §3.1 MUST-2: the sender computes the checksum over pseudo-header, header and data.
        let mut sum = checksum::pseudo_header(src, dst, 6, total);
        sum.add_bytes(header);
        sum.add_bytes(payload);
        if let Some(field) = header.get_mut(16..18) {
            field.copy_from_slice(&sum.finish().to_be_bytes());
        }
        len
    }

    /// The header that a segment carries.
    #[must_use]
    pub fn from_view(view: &TcpView<'_>) -> Self {
        Self {
            src_port: view.src_port(),
            dst_port: view.dst_port(),
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            options: view.options().0,
        }
    }
}
