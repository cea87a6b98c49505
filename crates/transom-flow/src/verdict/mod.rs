//! What happened, in words: how the connection ended, and what else is worth saying.

#[macro_use]
mod phrase;

mod catalogue;
mod content;
mod ending;
pub(crate) mod opening;
mod overview;
pub(crate) mod pace;
pub(crate) mod quiet;
mod repeats;
mod resets;

pub use catalogue::{CATALOGUE, Kind, Known, document};
pub use overview::Overview;

use crate::connection::Connection;
use crate::milestones::{FinSeen, ResetSeen};
use crate::model::{ClosedBy, End};
use crate::step::IcmpKind;
use transom_tcp::State;

/// How much a reader should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Note,
    /// Something went wrong.
    Problem,
}

impl Severity {
    /// `fine`, `note` or `problem`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One thing that can be said about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable identifier, such as `normal_close` or `zero_window`.
    pub id: &'static str,
    /// How much a reader should care.
    pub severity: Severity,
    /// One or two sentences in plain words, with the RFC's section where there is one.
    pub text: String,
    /// Numbers of the frames that show it.
    pub frames: Vec<u64>,
}

impl Finding {
    /// A finding of the catalogue, which knows how grave it is.
    fn new(id: &'static str, frames: Vec<u64>, text: String) -> Self {
        let known = catalogue::look_up(id);
        Self {
            id,
            severity: known.map_or(Severity::Note, |(_, known)| known.severity),
            text,
            frames,
        }
    }

    /// How much it explains: the lower, the more.
    fn rank(&self) -> usize {
        catalogue::look_up(self.id).map_or(usize::MAX, |(rank, _)| rank)
    }
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended, or where it stands.
    pub ending: Finding,
    /// What else is worth saying, the most explanatory first.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// The gravest of all.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.findings
            .iter()
            .map(|finding| finding.severity)
            .fold(self.ending.severity, Ord::max)
    }

    /// The ending, and of what else there is to say that which explains most: two findings at most, and
    /// none that is as it should be. The ordinary connection has one sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.ending.text.clone();
        let telling = self
            .findings
            .iter()
            .filter(|finding| finding.severity > Severity::Fine);
        let mut told = Vec::new();
        for finding in telling {
            if told.len() < TOLD_MAX && !told.contains(&finding.id) {
                told.push(finding.id);
                text.push(' ');
                text.push_str(&finding.text);
            }
        }
        text
    }
}

/// Findings that are told besides the ending.
const TOLD_MAX: usize = 2;

/// What need not be said where the first of each row is.
const EXPLAINED: &[(&str, &[&str])] = &[
    (
        "mtu_black_hole",
        &[
            "peer_vanished",
            "retransmissions",
            "retransmission_storm",
            "packet_too_big",
            "request_unanswered",
            "backlog_overflow",
            "handshake_ack_lost",
        ],
    ),
    (
        "peer_vanished",
        &[
            "retransmissions",
            "retransmission_storm",
            "request_unanswered",
        ],
    ),
    (
        "retransmissions_given_up",
        &["retransmissions", "retransmission_storm"],
    ),
    ("half_open", &["retransmissions"]),
    (
        "backlog_overflow",
        &["retransmissions", "request_unanswered"],
    ),
    ("keep_alive_unanswered", &["keep_alive_only"]),
    ("reset_forged", &["hop_limit_changed"]),
    ("small_window", &["receiver_limited", "nagle_delayed_ack"]),
    (
        "zero_window",
        &["receiver_limited", "small_window", "nagle_delayed_ack"],
    ),
    ("slow_answer", &["sender_limited"]),
];

/// The verdict without its texts, which are most of the work: for those who only sort and count.
pub(crate) fn judged(connection: &Connection) -> Verdict {
    phrase::speechless(|| verdict(connection))
}

pub(crate) fn verdict(connection: &Connection) -> Verdict {
    let ending = ending::ending(connection);
    let mut findings = Vec::new();
    resets::findings(connection, &ending, &mut findings);
    opening::findings(connection, &mut findings);
    repeats::findings(connection, &mut findings);
    quiet::findings(connection, &ending, &mut findings);
    pace::findings(connection, &mut findings);
    content::findings(connection, &ending, &mut findings);
    for (cause, explained) in EXPLAINED {
        if findings.iter().any(|finding| finding.id == *cause) {
            findings.retain(|finding| !explained.contains(&finding.id));
        }
    }
    findings.sort_by_key(Finding::rank);
    Verdict { ending, findings }
}

/// Who ended the connection.
pub(crate) fn closed_by(connection: &Connection) -> ClosedBy {
    let m = &connection.milestones;
    if is_attempt(connection)
        && let Some(closed_by) = failed_attempt(connection)
    {
        return closed_by;
    }
    if !have_both_finished(connection)
        && let Some((end, _)) = first_reset(connection)
    {
        return ClosedBy::Reset(end);
    }
    match first_fin(connection) {
        Some((first, _)) => match m.fins[first.other()] {
            Some(second) if second.acknowledges_fin => ClosedBy::Fin(first),
            Some(_) => ClosedBy::BothFin,
            None if connection.is_closed() => ClosedBy::Fin(first),
            None => gave_up(connection).map_or(ClosedBy::StillOpen, ClosedBy::Vanished),
        },
        None => gave_up(connection).map_or(ClosedBy::StillOpen, ClosedBy::Vanished),
    }
}

/// The end whose segments were captured, where the other's are missing though it answers.
fn only_heard(connection: &Connection) -> Option<End> {
    let m = &connection.milestones;
    let alone = End::BOTH
        .into_iter()
        .find(|end| m.heard[*end] > 0 && m.heard[end.other()] == 0)?;
    let lane = &connection.lanes[alone];
    let openings = u64::from(m.syns[alone]) + connection.totals[alone].resets;
    // It acknowledges, and more than a SYN: so it was answered.
    let is_answered =
        lane.last_ack.is_some() && m.heard[alone] > openings + u64::from(m.syn_acks[alone]);
    let is_answer = m.syn_acks[alone] > 0 && m.first_syn.is_none();
    ((is_answered || is_answer) && m.heard[alone] > 1).then_some(alone)
}

/// Whether the server's SYN was never seen, nor anything that needs it.
fn is_attempt(connection: &Connection) -> bool {
    let m = &connection.milestones;
    m.first_syn.is_some()
        && m.syn_ack.is_none()
        && m.first_data.server.is_none()
        && only_heard(connection).is_none()
}

/// How an attempt to open failed, if it did.
fn failed_attempt(connection: &Connection) -> Option<ClosedBy> {
    let m = &connection.milestones;
    let client_left = connection.has_left(End::Client);
    if m.resets
        .server
        .is_some_and(|reset| reset.answers_syn && reset.acceptable)
        && client_left
    {
        return Some(ClosedBy::Refused);
    }
    if client_left
        && m.icmp
            .is_some_and(|icmp| icmp.while_opening && is_unreachable(icmp.kind))
    {
        return Some(ClosedBy::Unreachable);
    }
    if m.resets.client.is_some() {
        return None;
    }
    let is_over = client_left || connection.is_finished();
    (is_over || m.syns.client > 1).then_some(ClosedBy::Unanswered)
}

const fn is_unreachable(kind: IcmpKind) -> bool {
    !matches!(kind, IcmpKind::PacketTooBig(_) | IcmpKind::Other(..))
}

/// Whether both ends sent FIN and both were acknowledged.
fn have_both_finished(connection: &Connection) -> bool {
    let fins = &connection.milestones.fins;
    let is_done = |fin: Option<FinSeen>| fin.is_some_and(|fin| fin.acknowledged.is_some());
    is_done(fins.client) && is_done(fins.server)
}

/// The first reset, if any ended the connection at one end at least.
fn first_reset(connection: &Connection) -> Option<(End, ResetSeen)> {
    let resets = &connection.milestones.resets;
    let has_ended = End::BOTH.into_iter().any(|end| {
        connection.facts[end].ended.is_some() || connection.truth[end] == Some(State::Closed)
    });
    End::BOTH
        .into_iter()
        .filter_map(|end| Some((end, resets[end]?)))
        .filter(|_| has_ended)
        .min_by_key(|(_, reset)| reset.frame)
}

/// The first FIN of the connection.
fn first_fin(connection: &Connection) -> Option<(End, FinSeen)> {
    let fins = &connection.milestones.fins;
    End::BOTH
        .into_iter()
        .filter_map(|end| Some((end, fins[end]?)))
        .min_by_key(|(_, fin)| fin.frame)
}

/// The end whose TCP says that it is gone, though no FIN or RST tells it.
fn gave_up(connection: &Connection) -> Option<End> {
    let m = &connection.milestones;
    End::BOTH.into_iter().find(|&end| {
        m.vanished[end].is_some_and(|vanished| {
            !matches!(
                vanished.from,
                State::TimeWait | State::LastAck | State::Listen
            )
        }) && m.resets[end].is_none()
            && m.resets[end.other()].is_none()
    })
}
