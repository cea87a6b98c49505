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
mod calls;
mod failure;
mod host;
mod inbound;
mod outbound;
mod results;
mod timing;

pub use failure::{Failure, Kind};

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use transom_stack::tcp::{Config, Instant};
use transom_stack::{ConnId, Stack, StackConfig};

use crate::code;
use crate::packets::Conversation;
use crate::profile::{self, Change};
use crate::script::{Action, Call as Written, Code, Event, Options, Place, Script, Shell};
use crate::sockets::{Fd, Sockets, Waiting, names};
use args::Meaning;
use host::Host;
use timing::{Tolerance, When};

/// The stack's clock when a script starts: timestamps of zero would mean nothing.
const START: Duration = Duration::from_secs(1000);
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
        // Fast Open pauses only when a script asks for it, as on Linux.
        let stack_config = StackConfig::default()
            .tcp(config.clone())
            .fast_open_pause(Duration::ZERO);
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

    fn shell(&mut self, shell: &Shell) -> Played {
        let changes = profile::read(&shell.command)
            .map_err(|message| self.failure(shell.place, Kind::Shell, message))?;
        for change in changes {
            match change {
                Change::Nothing => {}
                Change::RefuseOutput(refuses) => self.sockets.refuse_output(refuses),
                Change::ForgetPast => self.sockets.stack_mut().forget_fast_open(),
                Change::FastOpen(bits) => self.sockets.set_fast_open(bits),
                Change::FastOpenKeys(keys) => {
                    self.sockets.stack_mut().set_fast_open_keys(Some(keys));
                }
                Change::FastOpenPause(pause) => {
                    self.sockets.stack_mut().set_fast_open_pause(pause);
                }
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
