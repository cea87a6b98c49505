//! What a tracker is given and may keep, and what it counts.

use crate::dissect::Ignored;
use crate::step::Fate;
use core::time::Duration;
use transom_wire::Medium;

/// What a tracker may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Steps of each connection kept in full from its start. Default 64.
    pub first_steps: usize,
    /// Steps of each connection kept in full up to its end. Default 64.
    pub last_steps: usize,
    /// Connections followed at once; beyond that the longest followed one is let go. Default 65,536.
    pub open: usize,
    /// Closed connections followed at once for segments that come late; beyond that the one that closed
    /// first is let go. Default 8,192.
    pub lingering: usize,
    /// Connections kept after they were let go; beyond that the oldest is forgotten. Default 16,384.
    pub closed: usize,
    /// Host names kept for connections to come. Default 16,384.
    pub names: usize,
    /// How long a closed connection is followed for segments that come late. Default 4 minutes
    /// (2 MSL, RFC 9293 §3.4.2).
    pub linger: Duration,
    /// Points kept of each connection and direction for graphs; 0 keeps none. Default 0.
    pub series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_steps: 64,
            last_steps: 64,
            open: 65_536,
            lingering: 8_192,
            closed: 16_384,
            names: 16_384,
            linger: Duration::from_secs(240),
            series: 0,
        }
    }
}

/// What is known about the TCP checksum of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It was not checked, or not all that it covers was captured.
    #[default]
    Unknown,
    /// It is right.
    Right,
    /// The sending host left it to its network card: nothing is wrong.
    Offloaded,
    /// It is wrong: the segment was damaged, and its receiver drops it.
    Wrong,
}

/// A frame as captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its number in the capture, from 1; `None` to count the frames as they are given.
    pub number: Option<u64>,
    /// When it passed, since an origin of the caller's choice.
    pub time: Duration,
    /// What the bytes start with.
    pub medium: Medium,
    /// The bytes.
    pub data: &'a [u8],
    /// Data bytes of each segment of a super-packet; 0 if it is one segment, or unknown.
    pub gso_size: u16,
    /// Whether it arrives, if that is known.
    pub fate: Fate,
    /// Bytes that there were on the wire, padding of the link included; 0 if all are in `data`. It counts
    /// where the IP header states no length.
    pub wire_len: u32,
    /// What is known about its TCP checksum.
    pub checksum: Checksum,
}

impl<'a> Frame<'a> {
    /// A frame of one segment, of which nothing more is known.
    #[must_use]
    pub const fn new(time: Duration, medium: Medium, data: &'a [u8]) -> Self {
        Self {
            number: None,
            time,
            medium,
            data,
            gso_size: 0,
            fate: Fate::Unknown,
            wire_len: 0,
            checksum: Checksum::Unknown,
        }
    }

    /// The same with these bytes.
    #[must_use]
    pub const fn with_data<'b>(&self, data: &'b [u8]) -> Frame<'b> {
        Frame {
            number: self.number,
            time: self.time,
            medium: self.medium,
            data,
            gso_size: self.gso_size,
            fate: self.fate,
            wire_len: self.wire_len,
            checksum: self.checksum,
        }
    }
}

/// Where a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tracked {
    /// Its number in the capture, from 1; the steps refer to it.
    pub frame: u64,
    /// Number of its connection, from 1; 0 for an ICMP error about a connection that is not followed.
    pub connection: u64,
    pub(crate) slot: u32,
}

/// What a tracker has seen, followed, and left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames given.
    pub frames: u64,
    /// Frames that carried TCP of a connection.
    pub segments: u64,
    /// ICMP errors about a connection.
    pub icmp: u64,
    /// Frames that were not IP.
    pub not_ip: u64,
    /// Frames that were neither TCP nor an ICMP error about TCP.
    pub not_tcp: u64,
    /// Fragments, which are not followed.
    pub fragments: u64,
    /// Frames whose headers cannot be read.
    pub malformed: u64,
    /// ICMP errors about connections that are not followed.
    pub icmp_unknown: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections let go while open, because too many were.
    pub evicted: u64,
    /// Connections forgotten after their end, because too many were kept.
    pub forgotten: u64,
    /// Truths about connections of which no frame came in time.
    pub unmatched_truths: u64,
}

impl Counters {
    /// Counts a frame that is not followed.
    pub(crate) const fn ignore(&mut self, ignored: Ignored) {
        match ignored {
            Ignored::NotIp => self.not_ip += 1,
            Ignored::NotTcp => self.not_tcp += 1,
            Ignored::Fragment => self.fragments += 1,
            Ignored::Malformed(_) => self.malformed += 1,
        }
    }

    /// Adds what another tracker has seen.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.segments += other.segments;
        self.icmp += other.icmp;
        self.not_ip += other.not_ip;
        self.not_tcp += other.not_tcp;
        self.fragments += other.fragments;
        self.malformed += other.malformed;
        self.icmp_unknown += other.icmp_unknown;
        self.connections += other.connections;
        self.evicted += other.evicted;
        self.forgotten += other.forgotten;
        self.unmatched_truths += other.unmatched_truths;
    }
}
