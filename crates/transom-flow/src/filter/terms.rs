//! What a filter sees of a connection at its end.

use super::field::Id;
use super::value::{Datum, Simple};
use crate::connection::Connection;
use crate::model::{ClosedBy, End, Totals};
use crate::verdict::Verdict;
use core::cell::OnceCell;
use core::time::Duration;

/// A connection, with its verdict worked out once if it is asked for at all.
pub(super) struct Terms<'a> {
    connection: &'a Connection,
    given: Option<&'a Verdict>,
    verdict: OnceCell<Verdict>,
}

fn nanos(duration: Duration) -> Datum<'static> {
    Datum::Simple(Simple::Nanos(
        i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
    ))
}

impl<'a> Terms<'a> {
    pub(super) const fn new(connection: &'a Connection, verdict: Option<&'a Verdict>) -> Self {
        Self {
            connection,
            given: verdict,
            verdict: OnceCell::new(),
        }
    }

    fn verdict(&self) -> &Verdict {
        let of_itself = || self.verdict.get_or_init(|| self.connection.verdict());
        self.given.unwrap_or_else(of_itself)
    }

    /// Shows each value of a field to `visit`.
    pub(super) fn each(&self, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        let connection = self.connection;
        match id {
            Id::State | Id::ClientState | Id::ServerState => self.states(id, visit),
            Id::ClosedBy => closed_by(connection.closed_by(), visit),
            Id::Duration => visit(nanos(connection.duration())),
            Id::Handshake => {
                if let Some(handshake) = connection.handshake() {
                    visit(nanos(handshake.duration()));
                }
            }
            Id::Severity => visit(Datum::Simple(Simple::Severity(self.verdict().severity()))),
            Id::Finding => {
                let verdict = self.verdict();
                for finding in core::iter::once(&verdict.ending).chain(&verdict.findings) {
                    visit(Datum::Text(finding.id));
                }
            }
            Id::ConnState => visit(Datum::Text(connection.conn_state())),
            Id::History => visit(Datum::Text(connection.history())),
            Id::App => {
                if let Some(application) = connection.application() {
                    visit(Datum::Text(application.id()));
                    visit(Datum::Text(&application.to_string()));
                }
            }
            Id::Rtt | Id::ClientRtt | Id::ServerRtt => self.rtt(id, visit),
            Id::Limit => {
                for measures in self.both() {
                    if let Some(limit) = measures.limit() {
                        visit(Datum::Text(limit.id()));
                    }
                }
            }
            Id::Host | Id::Process | Id::Pid => self.names(id, visit),
            Id::Client | Id::ClientPort => self.address(End::Client, id, visit),
            Id::Server | Id::ServerPort => self.address(End::Server, id, visit),
            _ => {
                if let Some(sum) = self.sum(id) {
                    visit(sum.into());
                }
            }
        }
    }

    fn states(&self, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        let states = self.connection.states();
        let mut show = |state: Option<transom_tcp::State>| {
            if let Some(state) = state {
                visit(state.into());
            }
        };
        if id != Id::ServerState {
            show(states.client.state);
        }
        if id != Id::ClientState {
            show(states.server.state);
        }
        if id == Id::State {
            show(self.connection.summary_state().state);
        }
    }

    fn both(&self) -> [crate::Measures; 2] {
        let measures = self.connection.measures();
        [measures.client, measures.server]
    }

    /// Mean round trips between the capture point and an end.
    fn rtt(&self, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        let wanted = [id != Id::ServerRtt, id != Id::ClientRtt];
        for (measures, is_wanted) in self.both().into_iter().zip(wanted) {
            if is_wanted && measures.path_rtt.samples > 0 {
                visit(nanos(measures.path_rtt.mean));
            }
        }
    }

    fn names(&self, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        for end in End::BOTH {
            let endpoint = self.connection.endpoint(end);
            match (id, &endpoint.host, &endpoint.process) {
                (Id::Host, Some(host), _) => visit(Datum::Text(host)),
                (Id::Process, _, Some(process)) => visit(Datum::Text(&process.name)),
                (Id::Pid, _, Some(process)) => visit(u64::from(process.pid).into()),
                _ => {}
            }
        }
    }

    fn address(&self, end: End, id: Id, visit: &mut dyn FnMut(Datum<'_>)) {
        let addr = self.connection.endpoint(end).addr;
        match id {
            Id::ClientPort | Id::ServerPort => visit(u64::from(addr.port()).into()),
            _ => visit(Datum::Simple(addr.ip().into())),
        }
    }

    /// Counts, of both ends or of one.
    fn sum(&self, id: Id) -> Option<u64> {
        let totals = self.connection.totals();
        let both = |count: fn(&Totals) -> u64| count(&totals.client) + count(&totals.server);
        Some(match id {
            Id::Bytes => both(|totals| totals.bytes),
            Id::ClientBytes => totals.client.bytes,
            Id::ServerBytes => totals.server.bytes,
            Id::Segments => both(|totals| totals.segments),
            Id::Frames => both(|totals| totals.frames),
            Id::Retrans => both(|totals| totals.retransmitted),
            Id::ClientRetrans => totals.client.retransmitted,
            Id::ServerRetrans => totals.server.retransmitted,
            Id::OutOfOrder => both(|totals| totals.out_of_order),
            Id::DuplicateAcks => both(|totals| totals.duplicate_acks),
            Id::ZeroWindows => both(|totals| totals.zero_windows),
            Id::KeepAlives => both(|totals| totals.keep_alives),
            Id::Resets => both(|totals| totals.resets),
            Id::Gaps => both(|totals| totals.gaps),
            _ => return None,
        })
    }
}

/// The identifier, the end and the way, so that `closed_by == client` and `closed_by == reset` say what
/// they seem to say.
fn closed_by(closed_by: ClosedBy, visit: &mut dyn FnMut(Datum<'_>)) {
    visit(Datum::Text(closed_by.id()));
    let (end, way) = match closed_by {
        ClosedBy::Fin(end) => (Some(end.name()), "fin"),
        ClosedBy::BothFin => (Some("both"), "fin"),
        ClosedBy::Reset(end) => (Some(end.name()), "reset"),
        ClosedBy::Vanished(end) => (Some(end.name()), "vanished"),
        _ => return,
    };
    if let Some(end) = end {
        visit(Datum::Text(end));
    }
    visit(Datum::Text(way));
}
