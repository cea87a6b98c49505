//! The connections of running `transom run`s. Their own TCP is no kernel's, and the program's kernel
//! sockets are in a network namespace of their own: each run is asked over its control socket.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::filter::Shown;
use super::line::Line;
use super::plan::Plan;
use super::states::States;
use crate::kernel::control;
use crate::kernel::inet_diag::{Family, KernelState, Protocol};

/// How long a run may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer; more is cut.
const LONGEST: usize = 8 << 20;
/// Runs asked.
const MAX_RUNS: usize = 256;

/// Whose end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// The program's, in the kernel of its namespace.
    Program,
    /// Our own stack's.
    Stack,
}

impl Whose {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Stack => "stack",
        }
    }
}

/// One end of a connection (or a listener) of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// The process id of `transom run`.
    pub(crate) run: u32,
    /// What it runs.
    pub(crate) command: String,
    pub(crate) whose: Whose,
    pub(crate) state: KernelState,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) recv_queue: u32,
    pub(crate) send_queue: u32,
    /// Who holds it.
    pub(crate) process: Option<(String, u32)>,
    /// Since when it is in its state, where that is known.
    pub(crate) since: Option<Duration>,
}

/// Asks every run that may be asked, and keeps what the plan wants, in these states. Also says how many
/// connections were too many for the answers.
pub(crate) fn ends(plan: &Plan, states: States) -> (Vec<End>, u64) {
    let mut left_out: u64 = 0;
    if !plan.protocols.contains(&Protocol::Tcp) {
        return (Vec::new(), left_out);
    }
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut ends = Vec::new();
    for name in names(&table).into_iter().take(MAX_RUNS) {
        // One that has just ended, or is another user's, has nothing to say.
        if let Ok((pid, answer)) = ask(&name) {
            let (more, fewer) = read(pid, &answer);
            ends.extend(more);
            left_out = left_out.saturating_add(fewer);
        }
    }
    ends.retain(|end| wanted(end, plan, states));
    (ends, left_out)
}

fn wanted(end: &End, plan: &Plan, states: States) -> bool {
    let shown = Shown {
        source: end.local,
        destination: end.peer,
        device: 0,
    };
    states.has(end.state)
        && plan.families.contains(&Family::of(end.local.ip()))
        && plan
            .filter
            .as_ref()
            .is_none_or(|filter| filter.matches(&shown))
}

/// The control sockets in the kernel's list of Unix sockets.
fn names(table: &str) -> BTreeSet<String> {
    table
        .lines()
        .filter_map(|line| line.rsplit(' ').next()?.strip_prefix('@'))
        .filter(|name| {
            name.strip_prefix(control::PREFIX)
                .is_some_and(|pid| pid.parse::<u32>().is_ok())
        })
        .map(str::to_owned)
        .collect()
}

/// Who answered (the kernel says so, not the answer), and what.
fn ask(name: &str) -> io::Result<(u32, String)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    // Anybody may take such a name: one whose queue is full must not hold us up.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(format!("\0{name}"))?)?;
    let user = nix::unistd::geteuid().as_raw();
    let owner = getsockopt(&socket, sockopt::PeerCredentials)?;
    if user != 0 && owner.uid() != user {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    socket.set_nonblocking(false)?;
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    while answer.len() < LONGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match (&socket).read(&mut piece)? {
            0 => break,
            length => answer.extend(piece.get(..length).unwrap_or_default()),
        }
    }
    let pid = owner.pid().unsigned_abs();
    let answer = String::from_utf8(answer).map_err(io::Error::other)?;
    Ok((pid, answer))
}

/// Reads the answer of a run: its ends, and how many connections it left out. Lines that are not
/// understood are passed over.
fn read(run: u32, answer: &str) -> (Vec<End>, u64) {
    let mut lines = answer
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let head = lines
        .next()
        .filter(|head| number(head, "version") == Some(control::VERSION));
    let Some(head) = head else {
        return (Vec::new(), 0);
    };
    let mut left_out = 0;
    let command = clean(head.get("command"));
    let mut ends = Vec::new();
    for line in lines {
        left_out += number(&line, "left_out").unwrap_or(0);
        let process = line.get("process").map(|process| {
            let name = clean(process.get("name"));
            (name, word(process, "pid"))
        });
        let sides = [
            (Whose::Program, "program", process),
            (Whose::Stack, "stack", Some(("transom".to_owned(), run))),
        ];
        for (whose, key, process) in sides {
            ends.extend(line.get(key).and_then(|end| {
                Some(End {
                    run,
                    command: command.clone(),
                    whose,
                    state: state(end.get("state")?.as_str()?)?,
                    local: end.get("local")?.as_str()?.parse().ok()?,
                    peer: end.get("peer")?.as_str()?.parse().ok()?,
                    recv_queue: word(end, "recv_queue"),
                    send_queue: word(end, "send_queue"),
                    process,
                    since: number(end, "state_ms").map(Duration::from_millis),
                })
            }));
        }
    }
    (ends, left_out)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

fn word(value: &Value, name: &str) -> u32 {
    number(value, name)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// Text of another process, fit for a terminal.
fn clean(value: Option<&Value>) -> String {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    text.chars()
        .take(256)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// By the name of RFC 9293.
fn state(name: &str) -> Option<KernelState> {
    (1..=11)
        .map(KernelState)
        .find(|state| state.tcp().is_some_and(|tcp| tcp.to_string() == name))
}

impl End {
    /// Fills a line, which is empty.
    pub(crate) fn write(&self, processes: bool, line: &mut Line) {
        let queues = [self.recv_queue, self.send_queue];
        let [local, local_port, peer, peer_port] = line.begin("tcp", self.state, queues);
        for (to, port, address) in [
            (local, local_port, self.local),
            (peer, peer_port, self.peer),
        ] {
            let _ = match address {
                SocketAddr::V4(address) => write!(to, "{}", address.ip()),
                SocketAddr::V6(address) => write!(to, "[{}]", address.ip()),
            };
            let _ = match address.port() {
                0 => write!(port, "*"),
                number => write!(port, "{number}"),
            };
        }
        if let Some((name, pid)) = self.process.as_ref().filter(|_| processes) {
            let _ = write!(line.behind, " users:((\"{name}\",pid={pid}))");
        }
        let _ = write!(
            line.behind,
            " transom:({},run={})",
            self.whose.name(),
            self.run
        );
    }

    /// What it is, in words; and what its state means, where it deserves that.
    pub(crate) fn words(&self) -> String {
        let command = self.command.split(' ').next().unwrap_or_default();
        let name = match &self.process {
            Some((name, pid)) if self.whose == Whose::Program => format!("{name} (pid {pid})"),
            _ => command.to_owned(),
        };
        let means = match (self.whose, self.state) {
            (Whose::Program, KernelState::SYN_SENT) => {
                "; our SYN,ACK waits until the real server answers"
            }
            (Whose::Program, KernelState::CLOSE_WAIT) => {
                "; the other end has closed, it has not (RFC 9293 §3.6)"
            }
            (Whose::Program, KernelState::FIN_WAIT_2) => {
                "; it has closed, the other end has not (RFC 9293 §3.6)"
            }
            (Whose::Stack, KernelState::CLOSE_WAIT) => {
                "; the program has closed, the real server has not (RFC 9293 §3.6)"
            }
            (Whose::Stack, KernelState::FIN_WAIT_2) => {
                "; the real server has closed, the program has not (RFC 9293 §3.6)"
            }
            _ => "",
        };
        match self.whose {
            Whose::Program => format!(
                "{name} inside transom run (pid {}): the program's own end{means}",
                self.run
            ),
            Whose::Stack => {
                let since = self.since.map_or_else(String::new, |since| {
                    format!(", in this state for {}", super::explain::age(since))
                });
                format!("the peer of {name}, played by our own TCP{since}{means}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sockets_are_found_among_the_others() {
        let table = "Num RefCount Protocol Flags Type St Inode Path\n\
            0000: 00000002 00000000 00010000 0001 01 123 @transom-run-4711\n\
            0000: 00000003 00000000 00000000 0001 03 124 @transom-run-4711\n\
            0000: 00000002 00000000 00010000 0001 01 125 @transom-run-x\n\
            0000: 00000002 00000000 00010000 0001 01 126 /run/transom-run-1\n\
            0000: 00000002 00000000 00010000 0001 01 127\n";
        assert_eq!(
            names(table),
            BTreeSet::from(["transom-run-4711".to_owned()])
        );
    }

    #[test]
    fn both_ends_are_read_and_what_is_not_understood_is_passed_over() {
        let answer = r#"{"transom":"run","version":1,"pid":7,"command":"curl \u001b[31m x"}
{"program":{"state":"SYN-RECEIVED","local":"10.0.2.100:5","peer":"192.0.2.1:80","recv_queue":3,"new":1},"stack":{"state":"ESTABLISHED","local":"192.0.2.1:80","peer":"10.0.2.100:5","state_ms":1500},"process":{"name":"curl","pid":9}}
not json
{"program":{"state":"OPEN","local":"10.0.2.100:5","peer":"192.0.2.1:80"}}
{"end":true,"left_out":12}"#;
        let (ends, left_out) = read(7, answer);
        assert_eq!(left_out, 12);
        assert_eq!(ends.len(), 2);
        assert_eq!(ends[0].state, KernelState::SYN_RECV);
        assert_eq!(ends[0].process, Some(("curl".to_owned(), 9)));
        assert_eq!(ends[0].command, "curl ?[31m x");
        assert_eq!(ends[1].state, KernelState::ESTABLISHED);
        assert!(ends[1].words().ends_with("in this state for 1 s"));
        let mut line = Line::default();
        ends[0].write(true, &mut line);
        assert_eq!(
            line.behind,
            " users:((\"curl\",pid=9)) transom:(program,run=7)"
        );
        let newer = answer.replace("\"version\":1", "\"version\":2");
        assert!(read(7, &newer).0.is_empty());
        assert!(read(7, "").0.is_empty());
    }
}
