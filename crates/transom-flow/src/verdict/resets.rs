//! Why a connection was reset, as far as the packets tell.

use super::Finding;
use super::ending::{name, start};
use crate::connection::Connection;
use crate::milestones::{ResetClues, ResetSeen};
use crate::model::{ClosedBy, End};
use crate::words::{bytes, count, duration, times};
use core::time::Duration;
use transom_tcp::State;

/// Hop limits of one host's packets that differ by less may have come another way.
const HOPS_DIFFER: u8 = 3;
/// A pause after which devices on the way forget a connection.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Common systems wait this long and more in FIN-WAIT-2 for an application that is gone.
const FIN_WAIT_2_MIN: Duration = Duration::from_secs(20);

pub(super) fn findings(connection: &Connection, ending: &Finding, found: &mut Vec<Finding>) {
    if let ClosedBy::Reset(end) = connection.closed_by()
        && let Some(reset) = connection.milestones.resets[end]
    {
        if ending.id != "closed_by_reset" {
            found.push(why(connection, end, &reset));
        }
        found.extend(repeated(connection, end, &reset));
        return;
    }
    found.extend(without_effect(connection));
}

/// The cause that explains most.
fn why(connection: &Connection, end: End, reset: &ResetSeen) -> Finding {
    let clues = connection
        .milestones
        .rare
        .as_ref()
        .and_then(|rare| rare.reset_clues[end]);
    let case = Case {
        connection,
        end,
        reset,
        clues,
    };
    case.forged()
        .or_else(|| case.in_handshake())
        .or_else(|| case.gave_up())
        .or_else(|| case.fin_wait_2())
        .or_else(|| case.after_own_fin())
        .or_else(|| case.half_open())
        .or_else(|| case.idle())
        .or_else(|| case.unknown())
        .or_else(|| case.unread())
        .unwrap_or_else(|| case.aborted())
}

struct Case<'a> {
    connection: &'a Connection,
    end: End,
    reset: &'a ResetSeen,
    clues: Option<ResetClues>,
}

impl Case<'_> {
    fn finding(&self, id: &'static str, text: String) -> Option<Finding> {
        Some(Finding::new(id, vec![self.reset.frame], text))
    }

    fn who(&self) -> String {
        name(self.connection, self.end)
    }

    fn other(&self) -> String {
        name(self.connection, self.end.other())
    }

    /// The reset came another way than the end's other segments, or the end goes on as if it knew
    /// nothing of it.
    fn forged(&self) -> Option<Finding> {
        let clues = self.clues?;
        if let Some((least, most)) = self.connection.measures()[self.end].hop_limit {
            let off = least
                .saturating_sub(clues.hop_limit)
                .max(clues.hop_limit.saturating_sub(most));
            if off >= HOPS_DIFFER {
                let usual = if least == most {
                    least.to_string()
                } else {
                    phrase!("{least} to {most}")
                };
                let text = phrase!(
                    "It was probably forged by a device on the way: it arrived with a hop limit of \
                     {}, while {}'s other segments arrive with {usual}.",
                    clues.hop_limit,
                    self.who()
                );
                return self.finding("reset_forged", text);
            }
        }
        (clues.segments_after > 0).then(|| {
            let text = phrase!(
                "It was probably forged by a device on the way: {} itself knew nothing of it and sent \
                 {} more.",
                self.who(),
                count(u64::from(clues.segments_after), "segment")
            );
            Finding::new("reset_forged", vec![self.reset.frame], text)
        })
    }

    fn in_handshake(&self) -> Option<Finding> {
        let m = &self.connection.milestones;
        let before = self.reset.before[self.end];
        let is_early = before.is_any(&[State::SynSent, State::SynReceived, State::Listen])
            || (m.handshake.is_none() && m.first_syn.is_some());
        if !is_early {
            return None;
        }
        if self.end == End::Client && m.syn_ack.is_some() && m.handshake.is_none() {
            let text = phrase!(
                "It answers the SYN,ACK, so {} did not want the connection after all: probably a \
                 port scan or health check that only asks whether the port is open, or a connect \
                 that was given up (RFC 9293 §3.5.3).",
                self.who()
            );
            return self.finding("half_open_scan", text);
        }
        let text = if self.end == End::Server {
            "The attempt is over: probably the listener was closed, its queue is full and set to \
             reset, or a firewall cut in (RFC 9293 §3.5.3)."
        } else if m.syn_ack.is_none() {
            "It ended its own attempt, and no answer was seen: a TCP that gives up a SYN sends no reset \
             (RFC 9293 §3.10.5), so a tool or a device made it, or the answer was not captured."
        } else {
            "The attempt is over (RFC 9293 §3.5.3)."
        };
        self.finding("reset_in_handshake", text.into())
    }

    /// Its own data was never acknowledged, however often it was sent.
    fn gave_up(&self) -> Option<Finding> {
        let rare = self.connection.milestones.rare.as_ref()?;
        let run = rare.stuck[self.end].now;
        if run.count < 3 || self.clues?.answers_segment {
            return None;
        }
        let text = phrase!(
            "{} had sent the same data again {} over {} without an acknowledgement, and gave up \
             (RFC 9293 §3.8.3).",
            start(self.connection, self.end),
            times(u64::from(run.count)),
            duration(self.reset.time.saturating_sub(run.first))
        );
        let frames = vec![run.frame, self.reset.frame];
        Some(Finding::new("retransmissions_given_up", frames, text))
    }

    fn fin_wait_2(&self) -> Option<Finding> {
        let fin = self.connection.milestones.fins[self.end]?;
        let (acknowledged, _) = fin.acknowledged?;
        let waited = self.reset.time.saturating_sub(acknowledged);
        let peer_fin = self.connection.milestones.fins[self.end.other()];
        let answered_fin = peer_fin.is_some_and(|fin| fin.frame < self.reset.frame);
        if waited < FIN_WAIT_2_MIN || fin.data_after > 0 && !answered_fin {
            return None;
        }
        let text = phrase!(
            "{} had waited in FIN-WAIT-2 for {} and then forgotten the connection, as systems do \
             when the application is gone (Linux after 60 s); {} closed too late (RFC 9293 §3.6).",
            start(self.connection, self.end),
            duration(waited),
            self.other()
        );
        let frames = vec![fin.frame, self.reset.frame];
        Some(Finding::new("fin_wait_2_hanging", frames, text))
    }

    fn after_own_fin(&self) -> Option<Finding> {
        let fin = self.connection.milestones.fins[self.end]?;
        if fin.frame >= self.reset.frame {
            return None;
        }
        let text = if fin.data_after > 0 {
            phrase!(
                "{} sent {} after {} had closed for good: nobody would have read it, so it is lost \
                 (RFC 9293 §3.6.1).",
                start(self.connection, self.end.other()),
                bytes(fin.data_after),
                self.who()
            )
        } else {
            "It had closed already, and its application no longer reads (RFC 9293 §3.6.1).".into()
        };
        let frames = vec![fin.frame, self.reset.frame];
        Some(Finding::new("reset_data_after_close", frames, text))
    }

    /// The other end began anew, or had been sending to nobody.
    fn half_open(&self) -> Option<Finding> {
        let clues = self.clues?;
        let rare = self.connection.milestones.rare.as_ref()?;
        if let Some((from, frame)) = rare.stray_syn {
            let text = phrase!(
                "The connection was half-open: {} had lost it, probably by a crash or restart, and \
                 began anew with a SYN on the same ports; the answer showed it the old connection, \
                 which it reset (RFC 9293 §3.5.1).",
                name(self.connection, from)
            );
            let frames = vec![frame, self.reset.frame];
            return Some(Finding::new("half_open", frames, text));
        }
        if clues.repeats == 0 || !clues.answers_segment {
            return None;
        }
        let text = phrase!(
            "The connection was half-open: {} did not answer {}, and then no longer knew the \
             connection, so it probably crashed or restarted meanwhile (RFC 9293 §3.5.1).",
            self.who(),
            count(u64::from(clues.repeats), "retransmission")
        );
        self.finding("half_open", text)
    }

    fn idle(&self) -> Option<Finding> {
        let clues = self.clues?;
        let earlier = self
            .connection
            .milestones
            .rare
            .as_ref()
            .and_then(|rare| rare.pause)
            .filter(|pause| pause.since[self.end] == 0 && pause.since[self.end.other()] <= 16);
        let length = earlier.map_or(clues.pause, |pause| pause.length.max(clues.pause));
        if length < FORGOTTEN_AFTER {
            return None;
        }
        let text = phrase!(
            "The connection had been idle for {}: probably a firewall, NAT or load balancer on the \
             way had forgotten it, or an idle timeout ended it; keep-alives more often than that \
             prevent it (RFC 9293 §3.8.4, RFC 5382 REQ-5).",
            duration(length)
        );
        self.finding("reset_after_idle", text)
    }

    fn unknown(&self) -> Option<Finding> {
        let clues = self.clues?;
        if !clues.answers_segment {
            return None;
        }
        let text = phrase!(
            "It answers a segment of {} and carries no ACK, as a TCP does that has no such connection \
             (any more): probably the process ended, the host restarted, or a load balancer sent the \
             segment to another host (RFC 9293 §3.5.2).",
            self.other()
        );
        self.finding("reset_unknown_connection", text)
    }

    fn unread(&self) -> Option<Finding> {
        let unanswered = self.clues?.unanswered;
        let lane = &self.connection.lanes[self.end.other()];
        let has_taken = lane.base.is_some() && lane.acked.ge(lane.passed.highest());
        // A client that took a whole answer may have read it as well.
        if unanswered == 0 || (self.end == End::Client && has_taken) {
            return None;
        }
        let text = phrase!(
            "Probably its application closed without reading the last {} that {} had sent, or aborted \
             because of them; a close with unread data must reset (RFC 9293 §3.6.1, RFC 2525 §2.17).",
            bytes(u64::from(unanswered)),
            self.other()
        );
        self.finding("reset_unread_data", text)
    }

    fn aborted(&self) -> Finding {
        let lanes = &self.connection.lanes;
        let is_all_acknowledged = End::BOTH.into_iter().all(|end| {
            lanes[end].base.is_none() || lanes[end].acked.ge(lanes[end].passed.highest())
        });
        let lost = if is_all_acknowledged {
            "all data seen had been acknowledged"
        } else {
            "what was under way is lost"
        };
        let text = phrase!(
            "Its application aborted: probably it closed with SO_LINGER of 0, or with data unread, as \
             some programs and load balancers do instead of FIN; {lost} (RFC 9293 §3.10.5)."
        );
        Finding::new("reset_aborted", vec![self.reset.frame], text)
    }
}

/// The reset was lost, or not heeded at once, and had to be sent again.
fn repeated(connection: &Connection, end: End, reset: &ResetSeen) -> Option<Finding> {
    let again = connection.totals[end].resets.saturating_sub(1);
    let other = name(connection, end.other());
    let text = if reset.lost > 0 && reset.ignored > 0 {
        phrase!(
            "The reset was lost: {other} did not learn of it and sent {} more; each was answered \
             with a reset again ({} in all){} (RFC 9293 §3.5.2).",
            count(reset.ignored, "segment"),
            again + 1,
            if reset.acceptable {
                " until one arrived"
            } else {
                ""
            }
        )
    } else if again > 0 && reset.ignored > 0 {
        phrase!(
            "{} went on sending and was answered with a reset {} more (RFC 9293 §3.5.2).",
            start(connection, end.other()),
            times(again)
        )
    } else {
        return None;
    };
    Some(Finding::new("reset_repeated", vec![reset.frame], text))
}

/// A reset that nobody heeded: its number was wrong, or it came from somebody else.
fn without_effect(connection: &Connection) -> Option<Finding> {
    let goes_on = matches!(
        connection.closed_by(),
        ClosedBy::StillOpen | ClosedBy::Fin(_) | ClosedBy::BothFin
    );
    let (end, reset) = End::BOTH
        .into_iter()
        .find_map(|end| Some((end, connection.milestones.resets[end]?)))?;
    if !goes_on {
        return None;
    }
    let m = &connection.milestones;
    let is_stale = m.rare.as_ref().is_some_and(|rare| rare.stale_ack.is_some());
    if is_stale && m.handshake.is_some_and(|done| done.syn_ack > reset.time) {
        // It ended the older connection, and that is told apart.
        return None;
    }
    let was_done = End::BOTH
        .into_iter()
        .all(|end| m.fins[end].is_some_and(|fin| fin.frame < reset.frame));
    if was_done {
        let text = phrase!(
            "The reset of {} came after both had finished and changes nothing: probably its socket \
             was closed before the last segments arrived.",
            name(connection, end)
        );
        return Some(Finding::new("reset_after_close", vec![reset.frame], text));
    }
    (!reset.acceptable && reset.ignored > 0).then(|| {
        let text = phrase!(
            "A reset that claims to come from {} did not end the connection: its sequence number \
             is not the one expected, so {} had to question it with a challenge ACK and go on \
             (RFC 5961 §3.2). It may be forged.",
            name(connection, end),
            name(connection, end.other())
        );
        Finding::new("reset_without_effect", vec![reset.frame], text)
    })
}
