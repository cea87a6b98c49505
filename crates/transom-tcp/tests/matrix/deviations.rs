//! Where the engine differs from the letter of the RFCs, on purpose.

use std::collections::BTreeSet;

macro_rules! deviations {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Where the engine differs from the letter of the RFCs, on purpose. docs/DEVIATIONS.md has
        /// the same list, by these names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Deviation { $($(#[doc = $doc])+ $name,)+ }

        impl Deviation {
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

deviations! {
    /// RFC 9293 §3.10.7.2: FIN with SYN would be kept for later; the segment is dropped.
    SynWithFinDropped,
    /// RFC 9293 §3.10.7.2, .3: text (and FIN) with a SYN that cannot be acknowledged yet would be
    /// kept; it is left to the peer to send it again.
    TextWithSynLeft,
    /// RFC 9293 §3.10.7.3, second: SEG.SEQ = RCV.NXT cannot be asked for, RCV.NXT is unknown.
    ResetInSynSentByAck,
    /// RFC 9293 §3.10.7.3, first: after the reset that answers a bad ACK the SYN is sent again.
    SynAfterReset,
    /// RFC 7323 §3.2: a SYN without timestamps is not dropped silently but challenged (RFC 5961 §4).
    SynWithoutTimestampChallenged,
    /// RFC 7323 §5.3 R3: TS.Recent is taken over after the ACK check, not before it.
    TsRecentAfterAck,
    /// RFC 7323 §5.3 R3: in TIME-WAIT no timestamp is taken over any more; nothing more is expected.
    TsRecentStaysInTimeWait,
    /// RFC 9293 §3.10.7.4, first: the peer's SYN again in SYN-RECEIVED brings the SYN-ACK again.
    SynAgainAnswered,
    /// RFC 9293 §3.10.7.4, first: the SYN-ACK of a simultaneous open lies left of the window, and
    /// is taken.
    SimultaneousSynAckTaken,
    /// RFC 9293 §3.10.7.4, Table 6: overlooks a segment that begins before the window and ends
    /// beyond it; §4 ("window") calls what overlaps the window acceptable, and so it is.
    CoveringSegmentTaken,
    /// RFC 9293 §3.10.7.4, first: FIN takes no room, so one at the right edge is taken when the text
    /// before it fits, and one at RCV.NXT when the window is closed.
    FinNeedsNoRoom,
    /// RFC 9293 §3.10.7.4, first, and A.2: the ACK field of a segment that ends at RCV.NXT or one
    /// before counts.
    AckAtTheEdgeCounts,
    /// RFC 9293 §3.10.7.4, Table 6: a segment without length at the right edge is taken: its sender has filled the window.
    AckAtTheRightEdgeTaken,
    /// RFC 9293 §3.10.7.4, fourth: a SYN in the window does not return a passive connection to
    /// LISTEN; it is challenged as in the other states.
    SynInSynReceivedChallenged,
    /// RFC 9293 §3.10.7.4, fifth: in SYN-RECEIVED every unacceptable ACK brings a reset, also those
    /// that the range of RFC 5961 §5 would challenge.
    UnacceptableAckReset,
    /// RFC 9293 §3.10.7.4, fifth: a segment sent again brings its old number and a new window; the
    /// window of every ACK that advances SND.UNA is taken, whatever SND.WL1 says.
    WindowOfNewAckTaken,
    /// RFC 9293 §3.10.7.4, seventh: text after the peer's FIN is ignored, and told so.
    TextAfterFinAnswered,
    /// RFC 9293 §3.10.7.4, eighth: RCV.NXT never moves over a second FIN.
    SecondFinIgnored,
    /// RFC 9293 §3.10.7.4, second: a reset in TIME-WAIT is ignored (RFC 1337 §3).
    ResetInTimeWaitIgnored,
    /// RFC 9293 §3.10.7.4, fourth: a new SYN does not reopen a connection in TIME-WAIT whose
    /// application has not read everything.
    TimeWaitHeld,
}

/// The deviations that were needed.
pub type Used = BTreeSet<Deviation>;
