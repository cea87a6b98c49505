//! What a list says of a connection: small enough to keep many, and in which order they matter.

use crate::connection::Connection;
use crate::model::{ClosedBy, End, EndState, Endpoint, Ends};
use crate::verdict::{Severity, Verdict};
use core::cmp::Ordering;
use core::time::Duration;

/// How much a connection deserves to be looked at: the greater, the more.
///
/// First by the gravest finding, then by how many problems and notes there are, by segments sent again
/// and by bytes; of equals the earlier connection comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    severity: Severity,
    problems: u32,
    notes: u32,
    retransmitted: u64,
    bytes: u64,
    number: u64,
}

impl Weight {
    /// A connection's, without the words that a verdict has.
    #[must_use]
    pub fn of(connection: &Connection) -> Self {
        weight(connection, &crate::verdict::judged(connection))
    }

    /// One of which there is nothing to say but that it was fine.
    pub(crate) const fn fine(number: u64, bytes: u64) -> Self {
        Self {
            severity: Severity::Fine,
            problems: 0,
            notes: 0,
            retransmitted: 0,
            bytes,
            number,
        }
    }

    /// The gravest finding's.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Gives it another number, as its connection has.
    pub const fn set_number(&mut self, number: u64) {
        self.number = number;
    }
}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        let of = |weight: &Self| {
            (
                weight.severity,
                weight.problems,
                weight.notes,
                weight.retransmitted,
                weight.bytes,
                core::cmp::Reverse(weight.number),
            )
        };
        of(self).cmp(&of(other))
    }
}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One line of a list of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Number of the connection.
    pub number: u64,
    /// Addresses, names and programs.
    pub endpoints: Ends<Endpoint>,
    /// Whether a SYN told who is the client.
    pub are_roles_known: bool,
    /// Time of the first segment.
    pub start: Duration,
    /// From the first segment to the last.
    pub duration: Duration,
    /// One state for both ends, as in [`Connection::summary_state`].
    pub state: EndState,
    /// The states of both ends.
    pub states: Ends<EndState>,
    /// Who ended it.
    pub closed_by: ClosedBy,
    /// Bytes of data that each end sent, each sequence number counted once.
    pub bytes: Ends<u64>,
    /// Segments that each end sent.
    pub segments: Ends<u64>,
    /// Segments that each end sent again.
    pub retransmitted: Ends<u64>,
    /// Identifier of the finding that says how it ended.
    pub ending: &'static str,
    /// Identifier of the gravest finding, the ending where nothing is graver.
    pub headline: &'static str,
    /// What the gravest finding says, if it is a problem.
    pub sentence: Option<Box<str>>,
    /// How much it deserves to be looked at.
    pub weight: Weight,
}

impl Summary {
    /// Of a connection and its verdict, which takes some work and is often at hand.
    #[must_use]
    pub fn new(connection: &Connection, verdict: &Verdict) -> Self {
        let totals = connection.totals();
        let ends = |of: fn(&crate::Totals) -> u64| Ends {
            client: of(&totals.client),
            server: of(&totals.server),
        };
        let gravest = verdict
            .findings
            .iter()
            .fold(&verdict.ending, |gravest, finding| {
                if finding.severity > gravest.severity {
                    finding
                } else {
                    gravest
                }
            });
        let is_problem = gravest.severity == Severity::Problem;
        Self {
            number: connection.number(),
            endpoints: Ends {
                client: connection.endpoint(End::Client).clone(),
                server: connection.endpoint(End::Server).clone(),
            },
            are_roles_known: connection.are_roles_known(),
            start: connection.start(),
            duration: connection.duration(),
            state: connection.summary_state(),
            states: connection.states(),
            closed_by: connection.closed_by(),
            bytes: ends(|totals| totals.bytes),
            segments: ends(|totals| totals.segments),
            retransmitted: ends(|totals| totals.retransmitted),
            ending: verdict.ending.id,
            headline: gravest.id,
            sentence: is_problem.then(|| gravest.text.as_str().into()),
            weight: weight(connection, verdict),
        }
    }

    /// The gravest finding's severity.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.weight.severity
    }

    /// Gives it another number, as its connection has.
    pub const fn set_number(&mut self, number: u64) {
        self.number = number;
        self.weight.set_number(number);
    }
}

impl From<&Connection> for Summary {
    fn from(connection: &Connection) -> Self {
        Self::new(connection, &connection.verdict())
    }
}

fn weight(connection: &Connection, verdict: &Verdict) -> Weight {
    let count = |severity: Severity| {
        let all = core::iter::once(&verdict.ending).chain(&verdict.findings);
        let count = all.filter(|finding| finding.severity == severity).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let totals = connection.totals();
    Weight {
        severity: verdict.severity(),
        problems: count(Severity::Problem),
        notes: count(Severity::Note),
        retransmitted: totals.client.retransmitted + totals.server.retransmitted,
        bytes: totals.client.bytes + totals.server.bytes,
        number: connection.number(),
    }
}
