//! The states and what else is chosen for a cell.

/// The states, with those told apart that RFC 9293 tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fixture {
    NoConnection,
    Dead,
    Listen,
    SynSent,
    SynReceivedPassive,
    SynReceivedActive,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    TimeWaitSmall,
}

impl Fixture {
    pub const ALL: [Self; 14] = [
        Self::NoConnection,
        Self::Dead,
        Self::Listen,
        Self::SynSent,
        Self::SynReceivedPassive,
        Self::SynReceivedActive,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::TimeWaitSmall,
    ];

    /// Whether a receive window can be closed in it.
    pub fn has_window(self) -> bool {
        self >= Self::Established && self != Self::TimeWaitSmall
    }

    pub fn has_numbers(self) -> bool {
        self >= Self::SynReceivedPassive
    }
}

/// What else is chosen for a fixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub timestamps: bool,
    /// The receive window is closed.
    pub full: bool,
    pub v6: bool,
}

impl Variant {
    /// Every variant that makes sense for a fixture.
    pub fn all(fixture: Fixture) -> impl Iterator<Item = Self> {
        (0..8_u8)
            .map(|bits| Self {
                timestamps: bits & 1 != 0,
                full: bits & 2 != 0,
                v6: bits & 4 != 0,
            })
            .filter(move |variant| fixture.has_window() || !variant.full)
            // The IP version shows in the MSS of a SYN and nowhere else in the engine.
            .filter(move |variant| fixture <= Fixture::SynReceivedActive || !variant.v6)
    }
}
