//! The fields that a filter may name: those of Wireshark, and our own terms for connections.

use crate::verdict::CATALOGUE;

/// What a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// A frame, and known as soon as it was read.
    Frame,
    /// A connection, and known only at its end.
    Connection,
}

/// What values a field has, and so what it may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A layer or a mark: it is there or it is not.
    Presence,
    /// A whole number.
    Number,
    /// A number of bytes.
    Size,
    /// Yes or no.
    Bool,
    /// A duration, in seconds where no unit is given.
    Duration,
    /// An IPv4 address, or a network of them.
    V4,
    /// An IPv6 address, or a network of them.
    V6,
    /// An address of either version, or a network.
    Address,
    /// Text.
    Text,
    /// One of a fixed set of words.
    Word(&'static [&'static str]),
    /// A state of RFC 9293.
    State,
    /// `fine`, `note` or `problem`, in this order.
    Severity,
    /// Bytes of the packet.
    Octets,
}

impl Kind {
    /// Whether values have an order.
    pub(super) const fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Number
                | Self::Size
                | Self::Duration
                | Self::V4
                | Self::V6
                | Self::Address
                | Self::Severity
        )
    }

    /// What may stand to the right of an operator, for messages.
    pub(super) const fn expectation(self) -> &'static str {
        match self {
            Self::Presence => "nothing: it is there or it is not",
            Self::Number => "a whole number",
            Self::Size => "a number of bytes such as 1500, 64KiB or 1.5MB",
            Self::Bool => "1, 0, true or false",
            Self::Duration => "a duration such as 0.2, 200ms or 1.5s",
            Self::V4 => "an IPv4 address or a network such as 10.0.0.0/8",
            Self::V6 => "an IPv6 address or a network such as 2001:db8::/32",
            Self::Address => "an IP address or a network such as 10.0.0.0/8",
            Self::Text => "text such as \"example.com\"",
            Self::Word(_) => "one of its words",
            Self::State => "a state such as CLOSE-WAIT",
            Self::Severity => "fine, note or problem",
            Self::Octets => "text such as \"GET /\"",
        }
    }
}

/// A field of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Field {
    /// As it is written.
    pub name: &'static str,
    /// What it belongs to.
    pub scope: Scope,
    /// What values it has.
    pub kind: Kind,
    /// What it means, in a few words.
    pub about: &'static str,
    pub(super) id: Id,
}

impl Field {
    /// The field of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }
}

macro_rules! fields {
    ($($scope:ident { $($id:ident $name:literal $kind:expr, $about:literal;)* })*) => {
        /// Which field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Id { $($($id,)*)* }

        /// Every field of the language, those of frames first.
        pub const FIELDS: &[Field] = &[$($(Field {
            name: $name,
            scope: Scope::$scope,
            kind: $kind,
            about: $about,
            id: Id::$id,
        },)*)*];
    };
}

/// The identifiers of all findings.
#[expect(
    clippy::indexing_slicing,
    reason = "worked out by the compiler, which would refuse an index beyond the end"
)]
const FINDINGS: [&str; CATALOGUE.len()] = {
    let mut ids = [""; CATALOGUE.len()];
    let mut at = 0;
    while at < ids.len() {
        ids[at] = CATALOGUE[at].id;
        at += 1;
    }
    ids
};

const CONN_STATES: &[&str] = &[
    "S0", "S1", "S2", "S3", "SF", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH",
];
const LIMITS: &[&str] = &["application", "receiver_window", "loss", "network"];
const CAUSES: &[&str] = &[
    "timeout",
    "fast_retransmit",
    "tail_loss_probe",
    "already_acknowledged",
    "unknown",
];

const CLOSED_BY: &[&str] = &[
    "client",
    "server",
    "both",
    "fin",
    "reset",
    "vanished",
    "client_fin",
    "server_fin",
    "both_fin",
    "client_reset",
    "server_reset",
    "refused",
    "unanswered",
    "unreachable",
    "still_open",
    "client_vanished",
    "server_vanished",
];

fields! {
    Frame {
        Frame "frame" Kind::Octets, "the whole frame as captured";
        FrameNumber "frame.number" Kind::Number, "number of the frame, from 1";
        FrameTimeRelative "frame.time_relative" Kind::Duration, "time since the first frame";
        FrameTimeEpoch "frame.time_epoch" Kind::Duration, "time since 1970 UTC";
        FrameTimeDelta "frame.time_delta" Kind::Duration, "time since the frame before";
        FrameLen "frame.len" Kind::Size, "length on the wire";
        FrameCapLen "frame.cap_len" Kind::Size, "length that was captured";
        Ip "ip" Kind::Presence, "an IPv4 packet";
        IpAddr "ip.addr" Kind::V4, "source or destination";
        IpSrc "ip.src" Kind::V4, "source";
        IpDst "ip.dst" Kind::V4, "destination";
        IpTtl "ip.ttl" Kind::Number, "time to live";
        IpLen "ip.len" Kind::Size, "total length";
        IpIdentification "ip.id" Kind::Number, "identification";
        IpDf "ip.flags.df" Kind::Bool, "do not fragment";
        IpDscp "ip.dsfield.dscp" Kind::Number, "differentiated services code point";
        IpEcn "ip.dsfield.ecn" Kind::Number, "explicit congestion notification, 0 to 3";
        IpProto "ip.proto" Kind::Number, "protocol";
        Ipv6 "ipv6" Kind::Presence, "an IPv6 packet";
        Ipv6Addr "ipv6.addr" Kind::V6, "source or destination";
        Ipv6Src "ipv6.src" Kind::V6, "source";
        Ipv6Dst "ipv6.dst" Kind::V6, "destination";
        Ipv6Hlim "ipv6.hlim" Kind::Number, "hop limit";
        Ipv6Plen "ipv6.plen" Kind::Size, "payload length";
        Icmp "icmp" Kind::Presence, "an ICMP error about a connection";
        Icmpv6 "icmpv6" Kind::Presence, "an ICMPv6 error about a connection";
        Tcp "tcp" Kind::Octets, "a TCP segment, header and data";
        TcpPort "tcp.port" Kind::Number, "source or destination port";
        TcpSrcPort "tcp.srcport" Kind::Number, "source port";
        TcpDstPort "tcp.dstport" Kind::Number, "destination port";
        TcpStream "tcp.stream" Kind::Number, "number of the connection, from 0";
        TcpLen "tcp.len" Kind::Size, "bytes of data";
        TcpSeq "tcp.seq" Kind::Number, "sequence number, relative";
        TcpSeqRaw "tcp.seq_raw" Kind::Number, "sequence number on the wire";
        TcpAck "tcp.ack" Kind::Number, "acknowledgement number, relative";
        TcpAckRaw "tcp.ack_raw" Kind::Number, "acknowledgement number on the wire";
        TcpHdrLen "tcp.hdr_len" Kind::Size, "length of the header";
        TcpFlags "tcp.flags" Kind::Number, "all control bits";
        TcpFlagsFin "tcp.flags.fin" Kind::Bool, "FIN";
        TcpFlagsSyn "tcp.flags.syn" Kind::Bool, "SYN";
        TcpFlagsReset "tcp.flags.reset" Kind::Bool, "RST";
        TcpFlagsPush "tcp.flags.push" Kind::Bool, "PSH";
        TcpFlagsAck "tcp.flags.ack" Kind::Bool, "ACK";
        TcpFlagsUrg "tcp.flags.urg" Kind::Bool, "URG";
        TcpFlagsEce "tcp.flags.ece" Kind::Bool, "ECE";
        TcpFlagsCwr "tcp.flags.cwr" Kind::Bool, "CWR";
        TcpFlagsAe "tcp.flags.ae" Kind::Bool, "AE";
        TcpWindowSize "tcp.window_size" Kind::Size, "window, scaled";
        TcpWindowValue "tcp.window_size_value" Kind::Number, "window as on the wire";
        TcpUrgent "tcp.urgent_pointer" Kind::Number, "urgent pointer";
        TcpPayload "tcp.payload" Kind::Octets, "the data";
        TcpMss "tcp.options.mss_val" Kind::Size, "maximum segment size option";
        TcpWscale "tcp.options.wscale.shift" Kind::Number, "window scale option";
        TcpSackPerm "tcp.options.sack_perm" Kind::Presence, "SACK permitted option";
        TcpSack "tcp.options.sack" Kind::Presence, "SACK blocks";
        TcpSackCount "tcp.options.sack.count" Kind::Number, "number of SACK blocks";
        TcpTimestamps "tcp.options.timestamp" Kind::Presence, "timestamps option";
        TcpTsval "tcp.options.timestamp.tsval" Kind::Number, "timestamp value";
        TcpTsecr "tcp.options.timestamp.tsecr" Kind::Number, "timestamp echo reply";
        AnalysisFlags "tcp.analysis.flags" Kind::Presence, "anything unusual, of those below";
        AnalysisRetransmission "tcp.analysis.retransmission" Kind::Presence, "sent again, for whatever cause";
        AnalysisFast "tcp.analysis.fast_retransmission" Kind::Presence, "sent again after duplicate ACKs or SACK";
        AnalysisSpurious "tcp.analysis.spurious_retransmission" Kind::Presence, "sent again though acknowledged";
        AnalysisOutOfOrder "tcp.analysis.out_of_order" Kind::Presence, "behind segments sent after it";
        AnalysisLost "tcp.analysis.lost_segment" Kind::Presence, "after a gap";
        AnalysisDuplicateAck "tcp.analysis.duplicate_ack" Kind::Presence, "a duplicate acknowledgement";
        AnalysisDuplicateAckNum "tcp.analysis.duplicate_ack_num" Kind::Number, "its position in a row of such";
        AnalysisZeroWindow "tcp.analysis.zero_window" Kind::Presence, "the window is closed";
        AnalysisZeroWindowProbe "tcp.analysis.zero_window_probe" Kind::Presence, "a probe of a closed window";
        AnalysisZeroWindowProbeAck "tcp.analysis.zero_window_probe_ack" Kind::Presence, "the answer to such a probe";
        AnalysisWindowFull "tcp.analysis.window_full" Kind::Presence, "data that fills the window";
        AnalysisWindowUpdate "tcp.analysis.window_update" Kind::Presence, "the window opened further";
        AnalysisKeepAlive "tcp.analysis.keep_alive" Kind::Presence, "a probe of an idle connection";
        AnalysisKeepAliveAck "tcp.analysis.keep_alive_ack" Kind::Presence, "the answer to a keep-alive";
        Meaning "meaning" Kind::Text, "what the segment is for, as in the JSON";
        Cause "cause" Kind::Word(CAUSES), "why it was sent again, as in the JSON";
    }
    Connection {
        State "state" Kind::State, "of either end at the end, and the one in the list";
        ClientState "client.state" Kind::State, "of the client at the end";
        ServerState "server.state" Kind::State, "of the server at the end";
        ClosedBy "closed_by" Kind::Word(CLOSED_BY), "who ended it, and how";
        Duration "duration" Kind::Duration, "from the first segment to the last";
        Handshake "handshake" Kind::Duration, "from the SYN to the ACK that ends the handshake";
        Bytes "bytes" Kind::Size, "data of both ends, each byte once";
        ClientBytes "client.bytes" Kind::Size, "data sent by the client";
        ServerBytes "server.bytes" Kind::Size, "data sent by the server";
        Segments "segments" Kind::Number, "segments of both ends";
        Frames "frames" Kind::Number, "frames of both ends";
        Retrans "retrans" Kind::Number, "segments sent again by both ends";
        ClientRetrans "client.retrans" Kind::Number, "segments sent again by the client";
        ServerRetrans "server.retrans" Kind::Number, "segments sent again by the server";
        OutOfOrder "out_of_order" Kind::Number, "segments that came out of order";
        DuplicateAcks "duplicate_acks" Kind::Number, "duplicate acknowledgements";
        ZeroWindows "zero_windows" Kind::Number, "times that a window was closed";
        KeepAlives "keep_alives" Kind::Number, "keep-alive probes";
        Resets "resets" Kind::Number, "resets";
        Gaps "gaps" Kind::Number, "times that segments are missing from the capture";
        Severity "severity" Kind::Severity, "of the gravest finding";
        Finding "finding" Kind::Word(&FINDINGS), "identifiers of all findings, see --findings";
        Rtt "rtt" Kind::Duration, "mean round trip from the capture point to either end";
        ClientRtt "client.rtt" Kind::Duration, "mean round trip from the capture point to the client";
        ServerRtt "server.rtt" Kind::Duration, "mean round trip from the capture point to the server";
        Limit "limited_by" Kind::Word(LIMITS), "what chiefly held a sender back";
        ConnState "conn_state" Kind::Word(CONN_STATES), "as in Zeek's conn.log: SF, S0, REJ, …";
        History "history" Kind::Text, "as in Zeek's conn.log";
        App "app" Kind::Text, "what the first bytes look like: http, tls, … and in words";
        Host "host" Kind::Text, "names of both ends, where the capture has them";
        Process "process" Kind::Text, "names of the programs, where the capture has them";
        Pid "pid" Kind::Number, "numbers of the processes";
        Client "client.addr" Kind::Address, "address of the client";
        Server "server.addr" Kind::Address, "address of the server";
        ClientPort "client.port" Kind::Number, "port of the client";
        ServerPort "server.port" Kind::Number, "port of the server";
    }
}

/// Names that people try, and what they should try.
const INSTEAD: &[(&str, &str)] = &[
    ("tcp.flags.rst", "tcp.flags.reset"),
    ("tcp.flags.psh", "tcp.flags.push"),
    ("tcp.port_src", "tcp.srcport"),
    ("tcp.sport", "tcp.srcport"),
    ("tcp.dport", "tcp.dstport"),
    ("port", "tcp.port"),
    ("src", "ip.src"),
    ("dst", "ip.dst"),
    ("addr", "ip.addr"),
    ("ip.host", "host"),
    ("stream", "tcp.stream"),
    ("tcp.analysis.initial_rtt", "handshake"),
    ("tcp.analysis.ack_rtt", "rtt"),
    (
        "tcp.analysis.tcp_retransmission",
        "tcp.analysis.retransmission",
    ),
    ("retransmissions", "retrans"),
    ("findings", "finding"),
    ("verdict", "finding"),
    ("client", "client.addr"),
    ("server", "server.addr"),
    ("time", "frame.time_relative"),
    ("frame.time", "frame.time_epoch"),
    ("size", "bytes"),
];

/// The field that somebody who wrote `name` may have meant.
pub(super) fn suggestion(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, instead)) = INSTEAD.iter().find(|(wrong, _)| *wrong == lower) {
        return Some(instead);
    }
    nearest(&lower, FIELDS.iter().map(|field| field.name))
}

/// The candidate that differs from `word` in fewest letters, if it is near enough to be meant.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let most = 1 + word.len() / 4;
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // Nobody means a name that is so much shorter or longer.
    if a.len() > 64 || a.len().abs_diff(b.len()) > 8 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            *cell = left;
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, field) in FIELDS.iter().enumerate() {
            let twin = FIELDS.iter().skip(at + 1).find(|f| f.name == field.name);
            assert_eq!(twin, None);
        }
    }

    #[test]
    fn what_is_suggested_exists() {
        for (_, instead) in INSTEAD {
            assert!(Field::named(instead).is_some(), "{instead}");
        }
    }

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(suggestion("tcp.prot"), Some("tcp.port"));
        assert_eq!(suggestion("tcp.flags.rst"), Some("tcp.flags.reset"));
        assert_eq!(suggestion("TCP.port"), Some("tcp.port"));
        assert_eq!(suggestion("quic.version"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
