//! Why a segment was not processed to its end. Nothing is dropped silently (invariant 5).

use core::fmt;

use crate::pack::{Number, packed_number};

macro_rules! discards {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// The reason for which a segment, or an ICMP error, was discarded in whole or in part.
        ///
        /// Every early return of the engine has a variant of its own, which is counted, shown and
        /// asserted on in tests.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Discard { $($(#[doc = $doc])+ $variant,)+ }

        impl Discard {
            /// Every reason, in declaration order: `ALL[d as usize] == d`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// A short stable name in snake case, for counters and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

discards! {
    /// CLOSED or LISTEN: a reset needs no answer (RFC 9293 §3.10.7.1, §3.10.7.2).
    ResetWithoutConnection => "reset_without_connection",
    /// LISTEN: neither SYN, ACK nor RST (RFC 9293 §3.10.7.2, fourth).
    ListenWithoutSyn => "listen_without_syn",
    /// LISTEN: an acknowledgement for nothing that was sent; a reset answers it.
    ListenUnexpectedAck => "listen_unexpected_ack",
    /// LISTEN: SYN and FIN in one segment, as only scanners send it.
    SynWithFin => "syn_with_fin",
    /// SYN-SENT: the ACK does not cover our SYN; a reset answers it (RFC 9293 §3.10.7.3, first).
    SynSentUnacceptableAck => "syn_sent_unacceptable_ack",
    /// SYN-SENT: a reset that does not acknowledge our SYN (RFC 9293 §3.10.7.3, second).
    SynSentBlindReset => "syn_sent_blind_reset",
    /// SYN-SENT: neither SYN nor RST (RFC 9293 §3.10.7.3, fifth).
    SynSentWithoutSyn => "syn_sent_without_syn",
    /// The timestamp is older than one already seen (RFC 7323 §5).
    PawsRejected => "paws_rejected",
    /// Timestamps were negotiated and the segment has none (RFC 7323 §3.2).
    TimestampMissing => "timestamp_missing",
    /// No part of the segment lies in the receive window (RFC 9293 §3.10.7.4, first).
    OutOfWindow => "out_of_window",
    /// The whole segment was received before (RFC 9293 §3.10.7.4, first).
    OldDuplicate => "old_duplicate",
    /// The peer asks whether we are alive: one octet or none just left of the window.
    KeepAliveProbe => "keep_alive_probe",
    /// The receive window is closed and the segment wants room: a zero-window probe.
    ZeroWindow => "zero_window",
    /// A reset outside the window (RFC 5961 §3.2).
    ResetOutOfWindow => "reset_out_of_window",
    /// A reset in the window but not at RCV.NXT; a challenge ACK answers it (RFC 5961 §3.2).
    ResetChallenged => "reset_challenged",
    /// A reset during TIME-WAIT (RFC 1337: ignored).
    ResetInTimeWait => "reset_in_time_wait",
    /// A SYN in a synchronized state; a challenge ACK answers it (RFC 5961 §4.2).
    SynChallenged => "syn_challenged",
    /// The peer's SYN again, while its acknowledgement is awaited; SYN-ACK is sent again.
    SynRetransmitted => "syn_retransmitted",
    /// The peer asks for classic and for accurate ECN in one handshake; a reset answers it (RFC 9768 §3.1.5).
    EcnModesMixed => "ecn_modes_mixed",
    /// Neither SYN nor RST nor ACK in a synchronized state (RFC 9293 §3.10.7.4, fifth).
    AckMissing => "ack_missing",
    /// The acknowledgement is older than the largest window (RFC 5961 §5.2).
    AckTooOld => "ack_too_old",
    /// The acknowledgement is for data never sent.
    AckOfUnsentData => "ack_of_unsent_data",
    /// SYN-RECEIVED: the acknowledgement does not cover our SYN; a reset answers it.
    SynReceivedUnacceptableAck => "syn_received_unacceptable_ack",
    /// A segment that carries nothing but an acknowledgement of what was acknowledged before.
    StaleAck => "stale_ack",
    /// Data after the peer's own FIN.
    DataAfterFin => "data_after_fin",
    /// Data for an application that has closed; a reset answers it (RFC 9293 §3.6.1 SHLD-3).
    DataAfterClose => "data_after_close",
    /// Data for an application that will read no more; acknowledged and thrown away.
    DataAfterShutdown => "data_after_shutdown",
    /// No memory is left for data out of order.
    OutOfOrderMemory => "out_of_order_memory",
    /// TIME-WAIT: a SYN that may be an old duplicate (RFC 6191 §2).
    TimeWaitOldSyn => "time_wait_old_syn",
    /// TIME-WAIT: anything but a FIN of the old connection or an acceptable SYN.
    TimeWaitOldSegment => "time_wait_old_segment",
    /// An ICMP error that quotes data which is not in flight (RFC 5927 §4.1).
    PathErrorNotInFlight => "path_error_not_in_flight",
    /// A packet-too-big message that would not lower the path MTU (RFC 8201 §4).
    PathMtuNotLower => "path_mtu_not_lower",
    /// The connection has ended; what comes is for no connection.
    ConnectionClosed => "connection_closed",
}

impl Number for Discard {
    const OCTETS: usize = 1;

    fn number(self) -> u64 {
        u64::from(self as u8)
    }

    fn of(number: u64) -> Self {
        let number = usize::of(number);
        Self::ALL.get(number).copied().unwrap_or(Self::OldDuplicate)
    }
}

packed_number!(rare Discard);

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl core::error::Error for Discard {}
