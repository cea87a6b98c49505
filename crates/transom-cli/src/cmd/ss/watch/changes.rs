//! What changed between two looks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::cmd::ss::line::Line;
use crate::cmd::ss::stacks::Whose;
use crate::cmd::ss::states::{self, States};
use crate::kernel::inet_diag::{KernelState, Protocol};

/// What makes a socket the same in two looks. States follow each other under the same addresses; where
/// sockets may share theirs (listeners) the kernel's own number tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) interface: u32,
    pub(crate) cookie: u64,
    /// Of a `transom run`: which, and whose end.
    pub(crate) run: Option<(u32, Whose)>,
}

/// A socket that is there.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) state: KernelState,
    /// When it was first seen in this state; None before the first look.
    pub(crate) since: Option<Duration>,
    pub(crate) line: Line,
    /// In which look it was seen last.
    seen: u64,
    /// In the order in which sockets were first seen, so that nothing jumps about.
    pub(crate) order: u64,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Duration,
    pub(crate) key: Key,
    /// None for one that is new.
    pub(crate) from: Option<KernelState>,
    /// None for one that has gone.
    pub(crate) to: Option<KernelState>,
    /// Addresses and processes, as they are shown.
    pub(crate) who: String,
}

impl Change {
    /// `ESTAB → CLOSE-WAIT`
    pub(crate) fn states(&self) -> String {
        let name =
            |state: Option<KernelState>, none: &'static str| state.map_or(none, states::name);
        format!("{} → {}", name(self.from, "new"), name(self.to, "gone"))
    }
}

/// All sockets, as of the last look.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) rows: HashMap<Key, Row>,
    look: u64,
    ordered: u64,
}

impl Sockets {
    /// Begins a look.
    pub(crate) fn begin(&mut self) {
        self.look += 1;
    }

    /// A socket that this look showed; returns what changed. The line is taken.
    pub(crate) fn note(
        &mut self,
        at: Duration,
        key: Key,
        state: KernelState,
        line: &mut Line,
    ) -> Option<Change> {
        let first = self.look == 1;
        let Some(row) = self.rows.get_mut(&key) else {
            let who = who(line);
            self.ordered += 1;
            let row = Row {
                state,
                since: (!first).then_some(at),
                line: std::mem::take(line),
                seen: self.look,
                order: self.ordered,
            };
            self.rows.insert(key, row);
            return (!first).then_some(Change {
                at,
                key,
                from: None,
                to: Some(state),
                who,
            });
        };
        row.seen = self.look;
        let before = std::mem::replace(&mut row.state, state);
        // Nobody holds a socket that is closing by itself: keep whose it was.
        let held = std::mem::take(&mut row.line.behind);
        std::mem::swap(&mut row.line, line);
        if row.line.behind.is_empty() {
            row.line.behind = held;
        }
        line.clear();
        if before == state {
            return None;
        }
        row.since = Some(at);
        Some(Change {
            at,
            key,
            from: Some(before),
            to: Some(state),
            who: who(&row.line),
        })
    }

    /// Ends a look; returns those that have gone.
    pub(crate) fn end(&mut self, at: Duration) -> Vec<Change> {
        let look = self.look;
        let gone = self.rows.extract_if(|_, row| row.seen != look);
        let mut gone: Vec<(u64, Change)> = gone
            .map(|(key, row)| {
                let change = Change {
                    at,
                    key,
                    from: Some(row.state),
                    to: None,
                    who: who(&row.line),
                };
                (row.order, change)
            })
            .collect();
        gone.sort_by_key(|(order, _)| *order);
        gone.into_iter().map(|(_, change)| change).collect()
    }
}

/// Whether a filter by state wants to see a change.
pub(crate) fn concerns(change: &Change, states: States) -> bool {
    [change.from, change.to]
        .into_iter()
        .flatten()
        .any(|state| states.has(state))
}

fn who(line: &Line) -> String {
    let [netid, _, _, _, local, local_port, peer, peer_port] = &line.cells;
    format!(
        "{netid} {local}:{local_port} {peer}:{peer_port}{}",
        line.behind
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> Key {
        Key {
            protocol: Protocol::Tcp,
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            peer: SocketAddr::from(([127, 0, 0, 1], 80)),
            interface: 0,
            cookie: 0,
            run: None,
        }
    }

    fn look(
        sockets: &mut Sockets,
        at: u64,
        seen: &[(u16, KernelState, &str)],
    ) -> Vec<(String, String)> {
        let at = Duration::from_secs(at);
        sockets.begin();
        let mut changes: Vec<Change> = Vec::new();
        for &(port, state, behind) in seen {
            let mut line = Line {
                behind: behind.to_owned(),
                ..Line::default()
            };
            line.cells[5] = port.to_string();
            changes.extend(sockets.note(at, key(port), state, &mut line));
        }
        changes.extend(sockets.end(at));
        changes
            .into_iter()
            .map(|change| (change.states(), change.who))
            .collect()
    }

    #[test]
    fn what_was_there_at_first_is_no_change_and_everything_later_is() {
        let mut sockets = Sockets::default();
        let (open, wait) = (KernelState::ESTABLISHED, KernelState::TIME_WAIT);
        assert_eq!(
            look(&mut sockets, 0, &[(1, open, " users:x"), (2, open, "")]),
            []
        );
        let changes = look(
            &mut sockets,
            1,
            &[(1, wait, ""), (3, KernelState::SYN_SENT, "")],
        );
        let states: Vec<_> = changes.iter().map(|(states, _)| states.as_str()).collect();
        assert_eq!(
            states,
            ["ESTAB → TIME-WAIT", "new → SYN-SENT", "ESTAB → gone"]
        );
        assert!(changes[0].1.ends_with(" users:x"), "{changes:?}");
        assert_eq!(sockets.rows[&key(1)].since, Some(Duration::from_secs(1)));
        assert_eq!(
            look(
                &mut sockets,
                2,
                &[(1, wait, ""), (3, KernelState::SYN_SENT, "")]
            ),
            []
        );
        assert_eq!(sockets.rows[&key(1)].since, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_change_concerns_a_filter_by_either_of_its_states() {
        let change = Change {
            at: Duration::ZERO,
            key: key(1),
            from: Some(KernelState::ESTABLISHED),
            to: Some(KernelState::TIME_WAIT),
            who: String::new(),
        };
        assert!(concerns(&change, States::named("time-wait").unwrap()));
        assert!(concerns(&change, States::USUAL));
        assert!(!concerns(&change, States::named("listening").unwrap()));
    }
}
