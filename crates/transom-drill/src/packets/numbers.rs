use std::collections::VecDeque;
use std::time::Duration;

/// An initial sequence number: what the script wrote, and what was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Initial {
    script: u32,
    live: u32,
}

/// The number spaces of one connection, from the script's view: `local` is the stack.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    local: Option<Initial>,
    /// Script and live number are the same.
    remote: Option<u32>,
    /// The number of a SYN that came in while `remote` was known: the stack may take it for a new connection.
    pending: Option<u32>,
    /// Whether the stack has acknowledged something of `remote`.
    synchronized: bool,
    timestamps: Timestamps,
}

/// Which number space a packet's numbers are in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// With SYN: absolute.
    Absolute,
    /// Without: counted from the SYN.
    Relative,
}

impl Space {
    pub(super) const fn of(syn: bool) -> Self {
        if syn { Self::Absolute } else { Self::Relative }
    }
}

impl Numbers {
    /// A SYN of the script goes in.
    pub(super) fn inbound_syn(&mut self, seq: u32) {
        match self.remote {
            Some(known) if known == seq => {}
            Some(_) if self.synchronized => self.pending = Some(seq),
            _ => self.remote = Some(seq),
        }
    }

    /// The stack sent a segment with ACK.
    pub(super) fn outbound_ack(&mut self, syn: bool, ack: u32) {
        if let Some(pending) = self.pending
            && syn
            && ack.wrapping_sub(pending) == 1
        {
            // The old connection is gone: TIME-WAIT gave way to a new one.
            *self = Self {
                remote: Some(pending),
                timestamps: Timestamps::default(),
                ..Self::default()
            };
        }
        self.synchronized = true;
    }

    /// The stack sent a SYN, for which the script expects the number `script`.
    pub(super) fn outbound_syn(&mut self, script: u32, live: u32) {
        self.local.get_or_insert(Initial { script, live });
    }

    /// The stack's sequence number of the script as a live one.
    pub(super) fn local_to_live(&self, script: u32, space: Space) -> u32 {
        let initial = self.local.unwrap_or_default();
        match space {
            Space::Absolute => script
                .wrapping_sub(initial.script)
                .wrapping_add(initial.live),
            Space::Relative => script.wrapping_add(initial.live),
        }
    }

    /// The stack's live sequence number as the script's.
    pub(super) fn local_to_script(&self, live: u32, space: Space) -> u32 {
        let initial = match (self.local, space) {
            (Some(initial), _) => initial,
            // A SYN that no script has given a number yet: shown as most scripts would write it.
            (None, Space::Absolute) => Initial { script: 0, live },
            (None, Space::Relative) => Initial::default(),
        };
        let relative = live.wrapping_sub(initial.live);
        match space {
            Space::Absolute => relative.wrapping_add(initial.script),
            Space::Relative => relative,
        }
    }

    /// A sequence number of the script's side as a live one.
    pub(super) fn remote_to_live(&self, script: u32, space: Space) -> u32 {
        match space {
            Space::Absolute => script,
            Space::Relative => script.wrapping_add(self.remote.unwrap_or(0)),
        }
    }

    /// A live sequence number of the script's side as the script writes it.
    pub(super) fn remote_to_script(&self, live: u32, space: Space) -> u32 {
        match space {
            Space::Absolute => live,
            Space::Relative => live.wrapping_sub(self.remote.unwrap_or(0)),
        }
    }

    pub(super) const fn timestamps(&self) -> &Timestamps {
        &self.timestamps
    }

    pub(super) fn timestamps_mut(&mut self) -> &mut Timestamps {
        &mut self.timestamps
    }
}

/// The stack's timestamps: script value beside live value.
#[derive(Clone, Debug, Default)]
pub(super) struct Timestamps {
    first: Option<Initial>,
    seen: VecDeque<Initial>,
}

/// Live timestamps count milliseconds, as RFC 7323 allows and Linux does.
pub(super) const LIVE_TICK: Duration = Duration::from_millis(1);

impl Timestamps {
    /// Pairs kept: an echo of an older one cannot be mapped exactly.
    const KEPT: usize = 4096;

    /// The stack sent `live` where the script wrote `script`.
    pub(super) fn note(&mut self, script: u32, live: u32) {
        let pair = Initial { script, live };
        self.first.get_or_insert(pair);
        if self.seen.len() == Self::KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(pair);
    }

    /// Whether the stack has sent none.
    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The live value last sent for this value of the script.
    pub(super) fn live(&self, script: u32) -> Option<u32> {
        let same = |pair: &&Initial| pair.script == script;
        self.seen.iter().rev().find(same).map(|pair| pair.live)
    }

    /// A live value as far after the first one sent as the script's is after the script's first.
    pub(super) fn live_by_distance(&self, script: u32) -> Option<u32> {
        let first = self.first?;
        Some(script.wrapping_sub(first.script).wrapping_add(first.live))
    }

    /// A live value in the script's numbers, where the script's clock ticks every `tick`; before the first
    /// pair, the value itself.
    pub(super) fn script(&self, live: u32, tick: Duration) -> u32 {
        let Some(first) = self.first else {
            return live;
        };
        let passed = i128::from(live.wrapping_sub(first.live).cast_signed());
        let tick = i128::try_from(tick.as_nanos().max(1)).unwrap_or(1);
        let ticks = passed * LIVE_TICK.as_nanos().cast_signed() / tick;
        // Only the low 32 bits exist on the wire.
        let ticks = u32::try_from(ticks.rem_euclid(1 << 32)).unwrap_or(0);
        first.script.wrapping_add(ticks)
    }
}
