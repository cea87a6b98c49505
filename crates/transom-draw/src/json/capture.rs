//! What is said of a capture as a whole.

use super::connection::{Remark, remark};
use super::seconds;
use core::time::Duration;
use serde::Serialize;
use transom_flow::{Counters, Finding};

/// A capture as a whole, as far as it is known. Whoever read it fills it in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Capture<'a> {
    /// Where it came from: a file's name, or an interface.
    pub source: Option<&'a str>,
    /// Its format, such as `pcapng`.
    pub format: Option<&'a str>,
    /// Frames read.
    pub frames: u64,
    /// Bytes read, after decompression.
    pub bytes: Option<u64>,
    /// Time of the first frame, since the Unix epoch.
    pub first: Option<Duration>,
    /// Time of the last frame, since the Unix epoch.
    pub last: Option<Duration>,
    /// What the tracker counted.
    pub counters: Option<Counters>,
    /// Where the file could not be read further.
    pub broken: Option<Broken>,
    /// What is to be said about more than one connection.
    pub findings: &'a [Finding],
}

/// Where and why a file could not be read further. Everything before it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Bytes from the start of the (uncompressed) file.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

/// As written.
#[derive(Debug, Serialize)]
pub(super) struct View<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
    frames: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<CountersView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'a Broken>,
    findings: Vec<Remark>,
}

#[derive(Debug, Serialize)]
struct CountersView {
    connections: u64,
    segments: u64,
    icmp: u64,
    not_ip: u64,
    not_tcp: u64,
    fragments: u64,
    malformed: u64,
    icmp_unknown: u64,
    evicted: u64,
}

impl Capture<'_> {
    pub(super) fn view(&self) -> View<'_> {
        View {
            source: self.source,
            format: self.format,
            frames: self.frames,
            bytes: self.bytes,
            first: self.first.map(seconds),
            last: self.last.map(seconds),
            counters: self.counters.map(counters),
            broken: self.broken.as_ref(),
            findings: self.findings.iter().map(remark).collect(),
        }
    }
}

const fn counters(counters: Counters) -> CountersView {
    CountersView {
        connections: counters.connections,
        segments: counters.segments,
        icmp: counters.icmp,
        not_ip: counters.not_ip,
        not_tcp: counters.not_tcp,
        fragments: counters.fragments,
        malformed: counters.malformed,
        icmp_unknown: counters.icmp_unknown,
        evicted: counters.evicted,
    }
}
