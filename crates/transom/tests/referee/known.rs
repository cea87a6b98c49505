//! Differences that are meant; docs/DEVIATIONS.md gives the reasons by these names.

use transom::stack_engine::wire::tcp::Flags;

use crate::dialogue::{Answer, Call, Context, Dialogue, Seen, Step};
use crate::packets::{Out, Seg};

macro_rules! known {
    ($($(#[doc = $doc:literal])+ $name:ident => $rule:expr,)+) => {
        /// A difference from Linux that is meant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Known { $($(#[doc = $doc])+ $name,)+ }

        impl Known {
            /// The names.
            const NAMES: &'static [&'static str] = &[$(stringify!($name),)+];

            /// Every one, with how it is recognized.
            const RULES: &'static [(Self, fn(&Case<'_>) -> bool)] = &[$((Self::$name, $rule),)+];
        }
    };
}

/// One step in which the two differ.
struct Case<'a> {
    context: &'a Context,
    /// The steps before it, with what was known before each.
    before: Vec<(Seg, &'a Context)>,
    timestamps: bool,
    seg: Option<Seg>,
    call: Option<Call>,
    ours: &'a Seen,
    theirs: &'a Seen,
}

impl Case<'_> {
    /// Whether this segment, or one before it whose effect could not be seen at once, is of the kind.
    fn any(&self, kind: impl Fn(&Seg, &Context) -> bool) -> bool {
        self.before.iter().any(|(seg, context)| kind(seg, context))
            || self.seg.is_some_and(|seg| kind(&seg, self.context))
    }

    fn both(&self, state: &str) -> bool {
        self.ours.state == state && self.theirs.state == state
    }
}

/// The peer says FIN, and sends octets beyond it, in whichever order.
fn contradicts(case: &Case<'_>) -> bool {
    let mut segments: Vec<Seg> = case.before.iter().map(|(seg, _)| *seg).collect();
    segments.extend(case.seg);
    let end = |seg: &Seg| seg.seq.wrapping_add(seg.len as u32);
    let fins: Vec<u32> = segments
        .iter()
        .filter(|seg| seg.has(Flags::FIN) && seg.has(Flags::ACK))
        .map(end)
        .collect();
    fins.iter().any(|fin| *fin != fins[0])
        || fins.iter().any(|fin| {
            segments
                .iter()
                .any(|seg| seg.len > 0 && end(seg).wrapping_sub(*fin).wrapping_sub(1) < 1 << 20)
        })
}

known! {
    /// The machine was so slow that Linux sent its SYN or SYN-ACK again.
    SentAgain => |case| {
        let without_syn: Vec<&Out> = case
            .theirs
            .sent
            .iter()
            .filter(|out| !out.flags.contains(Flags::SYN))
            .collect();
        without_syn.len() < case.theirs.sent.len() && without_syn.iter().copied().eq(&case.ours.sent)
    },
    /// Linux sends the acknowledgement on its own before the FIN that was due.
    AckWithFin => |case| {
        case.theirs.sent.len() > 1
            && case.theirs.sent[0].is_bare_ack()
            && case.ours.sent[..] == case.theirs.sent[1..]
    },
    /// Linux takes an acknowledgement of its ISS for too old when it was opened by the peer.
    AckOfTheIss => |case| {
        case.seg.is_some_and(|seg| seg.has(Flags::ACK) && seg.ack == 0 && !seg.has(Flags::SYN))
            && case.theirs.sent.iter().all(Out::is_bare_ack)
            && case.theirs.sent.len() == 1
    },
    /// Linux answers the peer's SYN in SYN-RECEIVED with an ACK when its clock goes back.
    SynAgainAnswered => |case| {
        case.both("SYN-RECEIVED") && case.seg.is_some_and(|seg| seg.has(Flags::SYN))
    },
    /// Linux's fast path takes text whose acknowledgement is too old.
    OldAckWithText => |case| {
        case.seg.is_some_and(|seg| {
            seg.len > 0 && case.context.una.wrapping_sub(seg.ack).wrapping_sub(1) < 1 << 30
        }) && case.ours.sent.iter().all(Out::is_bare_ack)
            && case.theirs.sent.iter().all(Out::is_bare_ack)
    },
    /// Linux takes segments without timestamps on a connection that uses them.
    TimestampMissing => |case| {
        case.timestamps
            && case.any(|seg, _| seg.ts.is_none() && !seg.has(Flags::RST) && !seg.has(Flags::SYN))
    },
    /// Linux takes the ACK field of a segment that ends at RCV.NXT, we also of one that ends before it.
    AckAtTheEdgeCounts => |case| {
        case.any(|seg, context| {
            let left = context.expected.wrapping_sub(seg.seq);
            seg.has(Flags::ACK) && !seg.has(Flags::RST) && seg.seq != 0 && left == 1
                || seg.has(Flags::ACK) && !seg.has(Flags::SYN) && left == 1
        })
    },
    /// The peer contradicts itself: octets beyond its FIN.
    TextBeyondFin => contradicts,
    /// Linux believes no echo but that of its SYN-ACK.
    EchoInSynReceived => |case| {
        case.timestamps && case.context.state == "SYN-RECEIVED" && case.theirs.state == "SYN-RECEIVED"
            && case.ours.state != "SYN-RECEIVED"
    },
    /// Linux looks at the ACK of a SYN-RECEIVED connection before its sequence number.
    AckBeforeSequence => |case| {
        case.both("SYN-RECEIVED") && case.theirs.is_reset() && case.ours.sent.iter().all(Out::is_bare_ack)
    },
    /// Linux ends a handshake for a SYN in its window.
    SynInSynReceived => |case| {
        case.context.state == "SYN-RECEIVED"
            && case.seg.is_some_and(|seg| seg.has(Flags::SYN))
            && case.theirs.is_reset()
    },
    /// Linux answers all in TIME-WAIT that is not at RCV.NXT.
    TimeWaitInWindow => |case| case.both("TIME-WAIT") && case.ours.sent.is_empty(),
    /// A connection in TIME-WAIT is no longer the application's: nothing is there to abort.
    TimeWaitAbort => |case| case.call == Some(Call::Abort) && case.context.state == "TIME-WAIT",
    /// Linux takes a reset one before RCV.NXT when the peer has sent FIN, as some send it.
    ResetBeforeFin => |case| {
        case.seg.is_some_and(|seg| {
            seg.has(Flags::RST) && case.context.expected.wrapping_sub(seg.seq) == 1
        }) && case.theirs.state == "CLOSED"
    },
    /// Linux challenges a reset with text of which any part lies in the window.
    ResetWithText => |case| {
        case.seg.is_some_and(|seg| seg.has(Flags::RST) && seg.len > 0) && case.ours.sent.is_empty()
    },
    /// Linux takes no text that comes with a SYN-ACK.
    TextWithSynAck => |case| {
        case.context.state == "SYN-SENT" && case.seg.is_some_and(|seg| seg.len > 0 || seg.has(Flags::FIN))
    },
    /// Linux drops what has no ACK before it looks at the sequence number.
    NoAckAnswered => |case| {
        case.seg.is_some_and(|seg| !seg.has(Flags::ACK) && !seg.has(Flags::RST) && !seg.has(Flags::SYN))
            && case.theirs.sent.is_empty()
            && case.ours.sent.iter().all(Out::is_bare_ack)
    },
    /// Linux says nothing to an acknowledgement from the past of the peer's clock.
    OldTimestampAnswered => |case| {
        case.seg.is_some_and(|seg| seg.ts.is_some())
            && case.theirs.sent.is_empty()
            && case.ours.sent.len() == 1
            && case.ours.sent.iter().all(Out::is_bare_ack)
            && case.ours.state == case.theirs.state
            && case.seg.is_some_and(|seg| seg.len == 0)
    },
    /// Linux takes no timestamp from a segment with an old acknowledgement.
    TimestampOfOldAck => |case| {
        let strip = |seen: &Seen| -> Vec<Out> {
            seen.sent.iter().map(|out| Out { ecr: None, ..out.clone() }).collect()
        };
        case.timestamps && strip(case.ours) == strip(case.theirs) && case.ours.state == case.theirs.state
    },
    /// Linux reports a FIN beyond a gap in its SACK blocks, we the data before it.
    FinNotSacked => |case| {
        let strip = |seen: &Seen| -> Vec<Out> {
            seen.sent
                .iter()
                .map(|out| Out { sack: Vec::new(), ecr: None, ..out.clone() })
                .collect()
        };
        strip(case.ours) == strip(case.theirs)
            && case.ours.state == case.theirs.state
            && case.ours.sent != case.theirs.sent
    },
    /// Linux waits for a tick before it sends its SYN again.
    SynAfterReset => |case| {
        case.context.state == "SYN-SENT"
            && case.ours.sent.len() == 2
            && case.ours.sent[1].flags == Flags::SYN
            && case.ours.sent[..1] == case.theirs.sent[..]
    },
    /// Linux resets with the number that the segment acknowledges, we with SND.NXT.
    ResetForDataAfterClose => |case| {
        case.context.orphan && case.theirs.state == "CLOSED" && case.theirs.is_reset()
    },
    /// Linux resets, or says nothing, where text or FIN follow the peer's FIN.
    TextAfterFinAnswered => |case| {
        let finished = ["CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT"];
        finished.contains(&case.context.state.as_str())
            && case.seg.is_some_and(|seg| seg.len > 0 || seg.has(Flags::FIN))
    },
    /// The error of a connection is told once by Linux, always by us.
    ErrorToldAgain => |case| {
        case.call == Some(Call::Receive)
            && case.ours.sent == case.theirs.sent
            && [case.ours.answer, case.theirs.answer].contains(&Answer::Failed)
    },
    /// Linux counts its congestion window in packets, we in octets.
    WindowInPackets => |case| {
        matches!(case.call, Some(Call::Send(_) | Call::ShutdownWrite))
            && case.ours.sent.starts_with(&case.theirs.sent)
            && case.ours.state == case.theirs.state
            && !case.ours.sent.is_empty()
    },
    /// Linux takes the octet before the urgent pointer out of the stream.
    UrgentInLine => |case| {
        case.call == Some(Call::Receive) && case.any(|seg, _| seg.has(Flags::URG))
    },
    /// Linux resets also where the peer has finished and the FIN was sent.
    UnreadAtTheEnd => |case| {
        matches!(case.call, Some(Call::Close | Call::Abort))
            && ["LAST-ACK", "CLOSING"].contains(&case.context.state.as_str())
            && case.theirs.is_reset()
    },
    /// Shutting down twice is no error for Linux.
    ShutDownTwice => |case| {
        case.call == Some(Call::ShutdownWrite) && case.ours.sent == case.theirs.sent
    },
}

impl Seg {
    fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }
}

impl Out {
    fn is_bare_ack(&self) -> bool {
        self.flags == Flags::ACK && self.len == 0
    }
}

impl Seen {
    fn is_reset(&self) -> bool {
        self.sent.len() == 1 && self.sent[0].flags.contains(Flags::RST)
    }
}

impl Known {
    /// The name of a difference, if it is a known one.
    pub(crate) fn of(dialogue: &Dialogue, at: usize, ours: &Seen, theirs: &Seen) -> Option<Self> {
        let case = Case {
            context: &dialogue.contexts[at],
            before: dialogue.steps[..at]
                .iter()
                .zip(&dialogue.contexts)
                .filter_map(|(step, context)| match step {
                    Step::Segment(seg) => Some((*seg, context)),
                    Step::Call(_) => None,
                })
                .collect(),
            timestamps: dialogue.setup.timestamps,
            seg: match dialogue.steps[at] {
                Step::Segment(seg) => Some(seg),
                Step::Call(_) => None,
            },
            call: match dialogue.steps[at] {
                Step::Call(call) => Some(call),
                Step::Segment(_) => None,
            },
            ours,
            theirs,
        };
        Self::RULES
            .iter()
            .find(|(_, rule)| rule(&case))
            .map(|(name, _)| *name)
    }
}

/// docs/DEVIATIONS.md names each of them.
#[test]
fn every_known_difference_is_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DEVIATIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let missing: Vec<&&str> = Known::NAMES
        .iter()
        .filter(|name| !text.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/DEVIATIONS.md lacks {missing:?}");
}
