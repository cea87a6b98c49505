//! `--watch`: looks again and again, and tells what changed.
//!
//! On a terminal a table of what is there and a timeline of what changed; elsewhere a line for each
//! change (or, with `--json`, an object). States that come and go between two looks are not seen.

mod changes;
mod screen;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde_json::json;

use self::changes::{Change, Key, Sockets, concerns};
use self::screen::{Screen, TIMELINE, text_of};
use super::explain::Explainer;
use super::holders::Holders;
use super::line::{Line, Writer, protocol_name};
use super::names::Names;
use super::plan::Plan;
use super::states::{self, States};
use super::{Gone, stacks, written};
use crate::failure::{Failure, Outcome};
use crate::kernel::inet_diag::{Diag, Extensions, KernelState, Socket};
use crate::sys;

/// How to watch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) interval: Duration,
    pub(crate) processes: bool,
    pub(crate) explain: bool,
    pub(crate) stacks: bool,
    pub(crate) json: bool,
    pub(crate) color: bool,
}

/// Watches until Ctrl-C, or until nobody reads any more.
pub(crate) fn watch(
    plan: &Plan,
    names: &Names,
    diag: &mut Diag,
    manner: Manner,
) -> Result<Outcome, Failure> {
    let signals = [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGWINCH,
    ]
    .map(|signal| signal as i32);
    let (signals, _) = sys::block_and_watch(&signals)
        .map_err(|error| Failure::doing("watch for signals", error))?;
    let screen = if io::stdout().is_terminal() && !manner.json {
        Some(Screen::open(manner.color).map_err(|error| Failure::doing("draw", error))?)
    } else {
        None
    };
    let mut watch = Watch {
        plan,
        names,
        manner,
        screen,
        sockets: Sockets::default(),
        timeline: VecDeque::new(),
        started: Instant::now(),
    };
    let result = watch.run(diag, &signals);
    // The terminal is given back before anything is said on it.
    drop(watch);
    result.map(|()| Outcome::Exited(0))
}

struct Watch<'a> {
    plan: &'a Plan,
    names: &'a Names,
    manner: Manner,
    screen: Option<Screen>,
    sockets: Sockets,
    timeline: VecDeque<Change>,
    started: Instant,
}

impl Watch<'_> {
    fn run(&mut self, diag: &mut Diag, signals: &OwnedFd) -> Result<(), Failure> {
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                next = Instant::now() + self.manner.interval;
                let changes = self.look(diag)?;
                if let Err(error) = self.tell(&changes) {
                    return written(Err(Gone::mark(error)));
                }
            }
            if let Err(error) = self.draw() {
                return written(Err(Gone::mark(error)));
            }
            if wait(signals, next)? {
                return Ok(());
            }
        }
    }

    /// Looks at everything, in all states: one that a filter does not want may be what a wanted one
    /// became.
    fn look(&mut self, diag: &mut Diag) -> Result<Vec<Change>, Failure> {
        let holders = self.manner.processes.then(Holders::read);
        let writer = Writer {
            wish: self.plan.wish,
            names: self.names,
            holders: holders.as_ref(),
        };
        let mut explainer = self
            .manner
            .explain
            .then(|| Explainer::new(holders.as_ref()));
        let at = self.started.elapsed();
        let (mut changes, mut line) = (Vec::new(), Line::default());
        self.sockets.begin();
        for mut query in self.plan.queries(Extensions::INFO_ONLY) {
            query.states = States::ALL.0;
            let sockets = &mut self.sockets;
            diag.list(&query, |socket| {
                writer.write(socket, &mut line);
                if let Some(explainer) = &mut explainer {
                    line.words = explainer.words(socket).unwrap_or_default();
                }
                changes.extend(sockets.note(at, key_of(socket), socket.state, &mut line));
                Ok(())
            })
            .map_err(|error| super::refused(&query, &error))?;
        }
        if self.manner.stacks {
            for end in stacks::ends(self.plan, States::ALL).0 {
                end.write(self.manner.processes, &mut line);
                let key = Key {
                    protocol: crate::kernel::inet_diag::Protocol::Tcp,
                    local: end.local,
                    peer: end.peer,
                    interface: 0,
                    cookie: 0,
                    run: Some((end.run, end.whose)),
                };
                changes.extend(self.sockets.note(at, key, end.state, &mut line));
            }
        }
        changes.extend(self.sockets.end(at));
        changes.retain(|change| concerns(change, self.plan.states));
        Ok(changes)
    }

    fn tell(&mut self, changes: &[Change]) -> io::Result<()> {
        if self.screen.is_some() {
            for change in changes {
                self.timeline.push_front(change.clone());
            }
            self.timeline.truncate(TIMELINE);
            return Ok(());
        }
        let mut text = String::new();
        for change in changes {
            if self.manner.json {
                text.push_str(&json_of(change).to_string());
            } else {
                text.push_str(&text_of(change));
            }
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn draw(&mut self) -> io::Result<()> {
        let now = self.started.elapsed();
        let Some(screen) = &mut self.screen else {
            return Ok(());
        };
        let size = sys::size(&io::stdout()).unwrap_or((80, 24));
        screen.draw(size, now, &self.sockets, &self.timeline, self.plan)
    }
}

fn key_of(socket: &Socket<'_>) -> Key {
    let alone = matches!(socket.state, KernelState::LISTEN | KernelState::CLOSE);
    Key {
        protocol: socket.protocol,
        local: socket.identity.local,
        peer: socket.identity.peer,
        interface: socket.identity.interface,
        cookie: if alone { socket.identity.cookie } else { 0 },
        run: None,
    }
}

fn json_of(change: &Change) -> serde_json::Value {
    let key = &change.key;
    let address = |address: std::net::SocketAddr| json!({ "address": address.ip().to_string(), "port": address.port() });
    json!({
        "time_ms": u64::try_from(change.at.as_millis()).unwrap_or(u64::MAX),
        "protocol": protocol_name(key.protocol),
        "local": address(key.local),
        "peer": address(key.peer),
        "from": change.from.map(states::name),
        "to": change.to.map(states::name),
        "run_pid": key.run.map(|(run, _)| run),
        "end": key.run.map(|(_, whose)| whose.name()),
    })
}

/// Waits for the time of the next look or a signal; true if the signal says to end.
fn wait(signals: &OwnedFd, until: Instant) -> Result<bool, Failure> {
    let left = until.saturating_duration_since(Instant::now());
    // Not a look too early.
    let millis = left.as_millis() + 1;
    let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
    let mut polled = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, timeout) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(Failure::doing("wait", error)),
    }
    // signalfd_siginfo begins with the signal's number.
    let mut info = [0; 128];
    let length = nix::unistd::read(signals, &mut info)
        .map_err(|error| Failure::doing("read a signal", error))?;
    let number = info.first_chunk().copied().map(i32::from_ne_bytes);
    Ok(length > 0 && number != Some(Signal::SIGWINCH as i32))
}
