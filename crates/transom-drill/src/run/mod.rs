//! Playing a script against one stack in virtual time.
//!
//! Time stands still while something happens and jumps to whatever comes next: a deadline of the stack or an event of
//! the script. What the stack sends at a time comes before the script's event of the same time.
//!
//! - A relative time counts from when the event before has ended. A packet that must come out is waited for, two
//!   seconds longer than expected; it is compared first, then the time at which it was sent.
//! - One connection is looked at: that of the last `socket`, or the one that the first packet to a listening socket
//!   makes. What the stack sends on others is passed over.
//! - A call that blocks is tried again after everything that happens; the next call waits for it.

mod args;
mod failure;
mod host;
mod outbound;
mod results;
mod timing;

pub use failure::{Failure, Kind};

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use transom_stack::tcp::{Config, Instant};
use transom_stack::wire::{RxChecksum, RxFrame};
use transom_stack::{ConnId, Stack, StackConfig};

use crate::code;
use crate::packets::Conversation;
use crate::profile::{self, Change};
use crate::script::{Action, Call as Written, Code, Event, Options, Packet, Place, Script, Shell};
use crate::sockets::{Call, Fault, Fd, Outcome, Progress, Sockets, Waiting, names};
use args::Meaning;
use host::Host;
use timing::{Tolerance, When};

/// The stack's clock when a script starts: timestamps of zero would mean nothing.
const START: Duration = Duration::from_secs(1000);
/// How long a call may block that the script does not expect to.
const LONGEST_CALL: Duration = Duration::from_secs(3600);
/// How often a deadline may come up again at the same time.
const MAX_STEPS: u32 = 100_000;

/// How scripts are played.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Options that go before those of the script.
    pub options: Options,
    /// Keep a line for each packet and call.
    pub verbose: bool,
}

/// How a script went.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The script's name.
    pub name: String,
    /// Why it failed; none when it passed.
    pub failure: Option<Failure>,
    /// What differed and was allowed to (`--non_fatal`).
    pub remarks: Vec<Failure>,
    /// Virtual time from the start to the end.
    pub lasted: Duration,
    /// With [`Settings::verbose`]: what happened, a line each.
    pub log: Vec<String>,
}

impl Report {
    /// Whether everything was as the script says.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.failure.is_none()
    }
}

/// Plays a script.
#[must_use]
pub fn run(script: &Script, settings: &Settings) -> Report {
    let mut report = Report {
        name: script.name.clone(),
        failure: None,
        remarks: Vec::new(),
        lasted: Duration::ZERO,
        log: Vec::new(),
    };
    let options = settings.options.clone().or(&script.options);
    let host = match Host::new(&options) {
        Ok(host) => host,
        Err(message) => {
            let place = script
                .events
                .first()
                .map_or(Place::START, |event| event.place);
            report.failure = Some(Failure::new(&script.name, place, Kind::Option, message));
            return report;
        }
    };
    let mut run = Run::new(script, &options, host, settings.verbose);
    report.failure = run.play().err().map(|failure| *failure);
    report.remarks = run.remarks;
    report.lasted = run.now;
    report.log = run.log;
    report
}

/// A failure ends the script, unless it is allowed.
type Played = Result<(), Box<Failure>>;

/// A call that has not returned.
struct Blocked<'a> {
    event: &'a Event,
    written: &'a Written,
    waiting: Waiting,
    /// When it must return; none if the script does not say.
    returns: Option<Duration>,
}

/// The connection that packets are of.
#[derive(Default)]
struct UnderTest {
    /// Its socket, once there is one.
    fd: Option<Fd>,
    conversation: Option<Conversation>,
    /// Outlives the descriptor.
    connection: Option<ConnId>,
}

struct Run<'a> {
    script: &'a Script,
    host: Host,
    tolerance: Tolerance,
    /// What may differ: "packet", "syscall".
    non_fatal: Vec<String>,
    sockets: Sockets,
    config: Config,
    meaning: Meaning,
    /// Since the start.
    now: Duration,
    /// When the event before was meant to happen.
    previous: Duration,
    tested: UnderTest,
    blocked: Option<Blocked<'a>>,
    /// Frames sent and not looked at.
    sent: VecDeque<(Duration, Vec<u8>)>,
    /// Ports of the script's side that were used.
    next_port: u16,
    verbose: bool,
    log: Vec<String>,
    remarks: Vec<Failure>,
    code: code::Program,
    /// Things that happened without time passing.
    steps: u32,
}

impl<'a> Run<'a> {
    fn new(script: &'a Script, options: &Options, host: Host, verbose: bool) -> Self {
        let config = profile::linux();
        let stack_config = StackConfig::default().tcp(config.clone());
        let mut stack = Stack::new(
            stack_config,
            transom_stack::wire::Capabilities::ip(host.mtu),
            [0x5a; 32],
            instant(Duration::ZERO),
        );
        host.configure(&mut stack);
        Self {
            script,
            tolerance: Tolerance::new(options),
            non_fatal: options.non_fatal.clone().unwrap_or_default(),
            sockets: Sockets::new(stack, config.clone()),
            config,
            meaning: Meaning {
                domain: host.domain,
                bind: host.bind,
                connect: host.connect,
                files: BTreeMap::new(),
            },
            now: Duration::ZERO,
            previous: Duration::ZERO,
            tested: UnderTest::default(),
            blocked: None,
            sent: VecDeque::new(),
            next_port: 40_001,
            verbose,
            log: Vec::new(),
            remarks: Vec::new(),
            code: code::Program::new(&script.name),
            steps: 0,
            host,
        }
    }

    fn play(&mut self) -> Played {
        let script = self.script;
        if let Some(shell) = &script.init {
            self.shell(shell)?;
        }
        for event in &script.events {
            let outcome = self.event(event);
            self.forgive(outcome)?;
        }
        let outcome = self.await_blocked();
        self.forgive(outcome)?;
        match &script.cleanup {
            Some(shell) => self.shell(shell),
            None => Ok(()),
        }
    }

    /// Turns a failure that is allowed into a remark.
    fn forgive(&mut self, outcome: Played) -> Played {
        let Err(failure) = outcome else {
            return Ok(());
        };
        let name = match failure.kind {
            Kind::Packet => "packet",
            Kind::Call => "syscall",
            _ => return Err(failure),
        };
        if self.non_fatal.iter().any(|allowed| allowed == name) {
            self.remarks.push(*failure);
            return Ok(());
        }
        Err(failure)
    }

    fn event(&mut self, event: &'a Event) -> Played {
        if matches!(event.action, Action::Call(_)) {
            self.await_blocked()?;
        }
        let when = When::new(event.time, self.now, self.previous, &self.tolerance);
        let outcome = match &event.action {
            Action::Outbound(packet) => self.outbound(event, packet, &when),
            action => {
                self.advance(when.earliest())?;
                if let Some(late) = when.lateness(self.now) {
                    let message = format!(
                        "the event is {} late: what comes before took too long",
                        timing::text(late)
                    );
                    return Err(self.failure(event.place, Kind::Time, message));
                }
                match action {
                    Action::Inbound(packet) => self.inbound(packet),
                    Action::Call(call) => self.call(event, call, &when),
                    Action::Shell(shell) => self.shell(shell),
                    Action::Code(code) => self.code(code),
                    Action::Outbound(_) => Ok(()),
                }
            }
        };
        self.previous = when.nominal(self.now);
        outcome
    }

    fn failure(&self, place: Place, kind: Kind, message: String) -> Box<Failure> {
        Box::new(Failure::new(&self.script.name, place, kind, message))
    }

    fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.verbose {
            let line = format!("{:>11.6}  {}", self.now.as_secs_f64(), text(self));
            self.log.push(line);
        }
    }

    // ---- time

    /// Lets time pass until `to`, and everything happen that is due by then.
    fn advance(&mut self, to: Duration) -> Played {
        while self.step(to)? {}
        self.now = self.now.max(to);
        Ok(())
    }

    /// Lets the next thing happen that is due until `limit`; false when there is none.
    fn step(&mut self, limit: Duration) -> Result<bool, Box<Failure>> {
        let stack = self.sockets.poll_timeout(instant(self.now));
        let call = self
            .blocked
            .as_ref()
            .and_then(|blocked| blocked.waiting.deadline());
        let next = match (stack, call) {
            (Some(stack), Some(call)) => stack.min(call),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return Ok(false),
        };
        let next = since_start(next).max(self.now);
        if next > limit {
            return Ok(false);
        }
        self.steps = if next > self.now { 0 } else { self.steps + 1 };
        if self.steps > MAX_STEPS {
            let message = "the stack does not come to rest: a deadline comes up again and again";
            return Err(self.failure(Place::START, Kind::Time, message.to_owned()));
        }
        self.now = next;
        self.sockets.handle_timeout(instant(next));
        self.collect();
        self.retry()?;
        Ok(true)
    }

    /// Takes the frames that the stack has sent.
    fn collect(&mut self) {
        while let Some((at, frame)) = self.sockets.take_sent() {
            if self.verbose {
                let text = match &self.tested.conversation {
                    Some(conversation) => conversation.print(&frame),
                    None => format!("> ({} octets)", frame.len()),
                };
                self.note(|_| text);
            }
            self.sent.push_back((since_start(at), frame));
        }
    }

    // ---- calls

    /// Tries the call that blocks again.
    fn retry(&mut self) -> Played {
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
    fn await_blocked(&mut self) -> Played {
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

    fn call(&mut self, event: &'a Event, written: &'a Written, when: &When) -> Played {
        let call = self
            .meaning
            .call(written)
            .map_err(|message| self.failure(event.place, Kind::Unsupported, message))?;
        let connects = match &call {
            Call::Connect { fd, .. } => Some(*fd),
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

    // ---- packets

    fn inbound(&mut self, packet: &Packet) -> Played {
        let listens = self.tested.fd.and_then(|fd| self.sockets.listens_on(fd));
        if let Some(address) = listens
            && self.tested.conversation.is_none()
        {
            // The first packet to a listening socket makes the connection that is looked at from here on.
            let remote = self.host.peer(self.next_port);
            self.next_port += 1;
            let local = self.host.reached_at(address);
            self.tested = UnderTest {
                fd: None,
                conversation: Some(self.host.conversation(local, remote)),
                connection: None,
            };
        }
        if self.tested.conversation.is_none() {
            let remote = self.host.peer(self.next_port);
            self.next_port += 1;
            let conversation = self.host.conversation(self.host.bind, remote);
            self.tested.conversation = Some(conversation);
        }
        let Some(conversation) = &mut self.tested.conversation else {
            return Ok(());
        };
        let data = match conversation.build(packet) {
            Ok(data) => data,
            Err(reason) => {
                return Err(self.failure(packet.place, Kind::Unsupported, reason.to_string()));
            }
        };
        if self.verbose {
            let text = conversation.print(&data);
            self.note(|_| text);
        }
        let frame = RxFrame {
            gso_size: self.host.cut(data.len()),
            data: Bytes::from(data),
            checksum: RxChecksum::Unverified,
        };
        self.sockets.handle_frame(instant(self.now), frame);
        self.collect();
        self.retry()
    }

    // ---- shell lines and assertions

    fn shell(&mut self, shell: &Shell) -> Played {
        let changes = profile::read(&shell.command)
            .map_err(|message| self.failure(shell.place, Kind::Shell, message))?;
        for change in changes {
            match change {
                Change::Nothing => {}
                Change::RefuseOutput(refuses) => self.sockets.refuse_output(refuses),
                Change::Config(setting) => {
                    setting
                        .apply(&mut self.config)
                        .map_err(|message| self.failure(shell.place, Kind::Shell, message))?;
                    self.sockets.set_config(self.config.clone());
                    self.sockets.reconfigure_waiting(|config| {
                        // It applied to the configuration above, so it does here.
                        let _ = setting.apply(config);
                    });
                }
            }
        }
        Ok(())
    }

    fn code(&mut self, code: &Code) -> Played {
        let mut variables = names::all();
        for (field, value) in self.info() {
            variables.insert(field.to_owned(), value);
        }
        let printed = self.code.printed().len();
        let outcome = self.code.run(code, &variables);
        if self.verbose {
            let lines: Vec<String> = self
                .code
                .printed()
                .get(printed..)
                .unwrap_or_default()
                .lines()
                .map(str::to_owned)
                .collect();
            for line in lines {
                self.note(|_| line);
            }
        }
        outcome.map_err(|failure| {
            let place = Place {
                line: failure.line,
                column: 1,
            };
            self.failure(place, Kind::Code, failure.message)
        })
    }

    /// `tcp_info` of the tested connection.
    fn info(&self) -> Vec<(&'static str, i64)> {
        let now = instant(self.now);
        if let Some(fd) = self.tested.fd {
            return self.sockets.tcp_info(now, fd);
        }
        self.tested_connection()
            .map(|id| self.sockets.connection_info(now, id))
            .unwrap_or_default()
    }

    fn tested_connection(&self) -> Option<ConnId> {
        if let Some(id) = self.tested.fd.and_then(|fd| self.sockets.connection(fd)) {
            return Some(id);
        }
        if self.tested.connection.is_some() {
            return self.tested.connection;
        }
        let tested = self.tested.conversation.as_ref()?;
        let pair = (tested.local(), tested.remote());
        self.sockets
            .stack()
            .connections()
            .find_map(|(id, local, remote, _)| ((local, remote) == pair).then_some(id))
            .flatten()
    }
}

fn instant(since_start: Duration) -> Instant {
    Instant::from_origin(START + since_start)
}

fn since_start(at: Instant) -> Duration {
    at.since_origin().saturating_sub(START)
}
