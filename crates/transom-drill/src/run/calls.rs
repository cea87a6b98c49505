//! System calls: begun, tried again while they block, and compared when they return.

use std::time::Duration;

use super::timing::{self, When};
use super::{Blocked, Kind, Played, Run, UnderTest, instant, results};
use crate::script::{Call as Written, Event};
use crate::sockets::{Call, Fault, Fd, Outcome, Progress, names};

/// How long a call may block that the script does not expect to.
const LONGEST_CALL: Duration = Duration::from_secs(3600);

impl<'a> Run<'a> {
    /// Tries the call that blocks again.
    pub(super) fn retry(&mut self) -> Played {
        let Some(blocked) = self.blocked.take() else {
            return Ok(());
        };
        let Blocked {
            event,
            written,
            waiting,
            returns,
        } = blocked;
        let progress = self.sockets.resume(instant(self.now), waiting);
        self.collect();
        match progress {
            Progress::Blocked(waiting) => {
                self.blocked = Some(Blocked {
                    event,
                    written,
                    waiting,
                    returns,
                });
                Ok(())
            }
            Progress::Done(outcome) => self.returned(event, written, &outcome, returns),
        }
    }

    /// Waits for the call that blocks.
    pub(super) fn await_blocked(&mut self) -> Played {
        let limit = self.now + LONGEST_CALL;
        while let Some(blocked) = &self.blocked {
            let (event, name) = (blocked.event, &blocked.written.name);
            // Patience: a call that must return by a time is not waited for longer than that.
            let limit = match blocked.returns {
                Some(returns) => (returns + timing::PATIENCE).max(self.now),
                None => limit,
            };
            if !self.step(limit)? {
                let message = format!("`{name}` blocks and nothing is left that could end it");
                self.blocked = None;
                return Err(self.failure(event.place, Kind::Call, message));
            }
        }
        Ok(())
    }

    pub(super) fn call(&mut self, event: &'a Event, written: &'a Written, when: &When) -> Played {
        let call = self
            .meaning
            .call(written)
            .map_err(|message| self.failure(event.place, Kind::Unsupported, message))?;
        let connects = match &call {
            Call::Connect { fd, .. } => Some(*fd),
            Call::Send { fd, flags, .. } if flags & names::MSG_FASTOPEN != 0 => Some(*fd),
            _ => None,
        };
        let closes = match &call {
            Call::Close { fd } => Some(*fd),
            _ => None,
        };
        if closes.is_some() && closes == self.tested.fd {
            self.remember();
        }
        let progress = self.sockets.begin(instant(self.now), call);
        self.collect_after(connects);
        match progress {
            Progress::Done(outcome) => self.returned(event, written, &outcome, when.returns()),
            Progress::Blocked(waiting) => {
                self.note(|_| format!("{} blocks", written.name));
                self.blocked = Some(Blocked {
                    event,
                    written,
                    waiting,
                    returns: when.returns(),
                });
                if when.returns().is_none() {
                    return self.await_blocked();
                }
                Ok(())
            }
        }
    }

    /// Learns which connection `connect` made, then looks at what was sent.
    fn collect_after(&mut self, connects: Option<Fd>) {
        if let Some(fd) = connects
            && let Some(id) = self.sockets.connection(fd)
            && let Some((local, remote)) = self.sockets.stack().tcp_addresses(id)
        {
            let is_known = self
                .tested
                .conversation
                .as_ref()
                .is_some_and(|known| (known.local(), known.remote()) == (local, remote));
            if !is_known || self.tested.fd != Some(fd) {
                self.tested = UnderTest {
                    fd: Some(fd),
                    conversation: Some(self.host.conversation(local, remote)),
                    connection: Some(id),
                };
            }
        }
        self.collect();
    }

    /// Keeps the tested connection's handle while its descriptor goes.
    fn remember(&mut self) {
        if let Some(id) = self.tested_connection() {
            self.tested.connection = Some(id);
        }
        self.tested.fd = None;
    }

    fn returned(
        &mut self,
        event: &'a Event,
        written: &'a Written,
        outcome: &Outcome,
        returns: Option<Duration>,
    ) -> Played {
        self.note(|_| format!("{} = {}", written.name, results::actual(outcome)));
        if let Err(Fault::Unsupported(what)) = outcome {
            let message = format!("`{}`: {what} is not supported", written.name);
            return Err(self.failure(event.place, Kind::Unsupported, message));
        }
        if let Ok(returned) = outcome {
            self.adopt(written, returned.value);
        }
        self.meaning
            .check(written, outcome)
            .map_err(|(expected, actual)| {
                let message = format!(
                    "`{}` returned something else\n  expected: {expected}\n  actual:   {actual}",
                    written.name
                );
                self.failure(event.place, Kind::Call, message)
            })?;
        if let Some(returns) = returns
            && !self
                .tolerance
                .covers(returns, returns, self.now, self.previous)
        {
            let message = format!(
                "`{}` returned at another time\n  expected: {}\n  actual:   {}",
                written.name,
                timing::text(returns),
                timing::text(self.now)
            );
            return Err(self.failure(event.place, Kind::Time, message));
        }
        Ok(())
    }

    /// A new descriptor may be the tested connection's.
    fn adopt(&mut self, written: &Written, value: i64) {
        let Ok(fd) = Fd::try_from(value) else {
            return;
        };
        match written.name.as_str() {
            "socket" => {
                self.tested = UnderTest {
                    fd: Some(fd),
                    ..UnderTest::default()
                };
            }
            "accept" | "accept4" => {
                let id = self.sockets.connection(fd);
                let ends = id.and_then(|id| self.sockets.stack().tcp_addresses(id));
                let is_tested = self
                    .tested
                    .conversation
                    .as_ref()
                    .is_some_and(|tested| ends == Some((tested.local(), tested.remote())));
                if is_tested {
                    self.tested.fd = Some(fd);
                    self.tested.connection = id;
                }
            }
            _ => {}
        }
    }
}
