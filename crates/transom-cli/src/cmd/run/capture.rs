//! `-w FILE`: every packet of the program's network, with what else is known as comments.

use std::collections::HashSet;
use std::io::{BufWriter, IntoInnerError};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use transom_flow::Process;
use transom_flow::pcapng::{
    ChecksumField, Direction, Error, Interface, InterfaceId, Packet, Writer,
};
use transom_tcp::State;
use transom_wire::Medium;

use super::key_log::KeyLog;
use super::plan::INTERFACE;
use super::sink::{Haste, Sink};
use crate::calendar::now;
use crate::failure::Failure;
use crate::pcapng::{self, Begun};

/// A packet that waits for what is still to be said about it.
#[derive(Debug)]
struct Waiting {
    time: Duration,
    bytes: Vec<u8>,
    direction: Direction,
    checksum: ChecksumField,
    comments: Vec<String>,
}

/// The file being written.
#[derive(Debug)]
pub(crate) struct Capture {
    path: PathBuf,
    writer: Writer<BufWriter<Sink>>,
    interface: InterfaceId,
    /// The stack's clock, on the calendar.
    origin: Option<Duration>,
    /// A change of state comes right after the packet that caused it, and belongs to it.
    waiting: Option<Waiting>,
    /// What was learnt between two packets.
    pending: Vec<String>,
    introduced: HashSet<(SocketAddr, SocketAddr)>,
    named: HashSet<IpAddr>,
    keys: Option<KeyLog>,
    error: Option<String>,
    /// Packets that are not in the file, because of that error.
    missing: u64,
}

/// What is to be said of a file that is complete.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// What went wrong.
    pub(crate) error: Option<String>,
    /// What the user should know besides.
    pub(crate) notices: Vec<String>,
}

const NO_SECRETS: &str = "there are no TLS secrets: the program's TLS library takes no notice of \
    SSLKEYLOGFILE; see whether the program has an option of its own for a key log";

/// Connections whose process is named, and hosts whose name is written; more go unnamed.
const MAX_NAMED: usize = 65_536;

impl Capture {
    /// Starts the file, before the program runs. `keys`: TLS secrets that it is to have in the end; `haste`: how long
    /// its reader is waited for.
    pub(crate) fn create(path: &Path, keys: Option<KeyLog>, haste: Haste) -> Result<Self, Failure> {
        let mut file = Begun::through(path, |file| Sink::new(file, haste))?;
        if keys.is_some() {
            file.must_be_regular()?;
        }
        let interface = file.interface(&Interface {
            name: INTERFACE,
            description: "the program's network; the other side is transom",
            medium: Medium::Ip,
            snaplen: 0,
            comment: "",
        })?;
        Ok(Self {
            path: path.to_owned(),
            writer: file.into_writer(),
            interface,
            origin: None,
            waiting: None,
            pending: Vec::new(),
            introduced: HashSet::new(),
            named: HashSet::new(),
            keys,
            error: None,
            missing: 0,
        })
    }

    /// A packet. `fill`: its checksum is still to be computed.
    pub(crate) fn packet(
        &mut self,
        time: Duration,
        direction: transom_stack::Direction,
        bytes: Vec<u8>,
        fill: bool,
    ) {
        self.write_waiting();
        // Seen from the program's interface, what our stack sends comes in.
        let direction = match direction {
            transom_stack::Direction::Out => Direction::In,
            transom_stack::Direction::In => Direction::Out,
        };
        let checksum = if fill {
            ChecksumField::Partial
        } else {
            ChecksumField::AsOnWire
        };
        let comments = std::mem::take(&mut self.pending);
        self.waiting = Some(Waiting {
            time,
            bytes,
            direction,
            checksum,
            comments,
        });
    }

    /// Our end of a connection changed its state.
    pub(crate) fn state(&mut self, local: SocketAddr, from: State, to: State) {
        self.say(format!("transom's end {local}: {from} → {to}"));
    }

    /// Something about the last packet, or else about the next.
    pub(crate) fn say(&mut self, comment: String) {
        match &mut self.waiting {
            Some(waiting) => waiting.comments.push(comment),
            None => self.pending.push(comment),
        }
    }

    /// Who owns the program's end of a connection; said once.
    pub(crate) fn process(&mut self, local: SocketAddr, peer: SocketAddr, process: &Process) {
        if self.introduced.len() < MAX_NAMED && self.introduced.insert((local, peer)) {
            self.say(format!("{local} is {process}"));
        }
    }

    /// The name of a host.
    pub(crate) fn name(&mut self, address: IpAddr, name: &str) {
        if self.named.len() < MAX_NAMED && self.named.insert(address) {
            let result = self.writer.names(&[(address, name)]);
            self.note(result);
        }
    }

    /// Completes the file. `encrypted`: whether any of it is TLS.
    pub(crate) fn finish(mut self, encrypted: bool) -> Finished {
        self.write_waiting();
        let flushed = self.writer.flush();
        self.note(flushed);
        if let (Some(error), missing @ 1..) = (&mut self.error, self.missing) {
            let missing = transom_flow::words::count(missing, "packet");
            error.push_str(&format!("; {missing} or a few more are missing"));
        }
        let mut finished = Finished {
            error: self.error,
            notices: Vec::new(),
        };
        let Some(keys) = self.keys else {
            return finished;
        };
        let secrets = keys.take(&mut finished.notices);
        if secrets.is_empty() {
            if encrypted {
                finished.notices.push(NO_SECRETS.to_owned());
            }
        } else if finished.error.is_none()
            && let Ok(out) = self.writer.finish()
            && let Err(error) = out
                .into_inner()
                .map_err(IntoInnerError::into_error)
                .and_then(|sink| pcapng::insert_secrets(&sink.into_file(), &secrets))
        {
            finished.error = Some(format!(
                "the TLS secrets are not in {}: {error}; make room or choose another file with -w",
                self.path.display()
            ));
        }
        finished
    }

    fn write_waiting(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        let origin = *self.origin.get_or_insert_with(|| calendar_of(waiting.time));
        let comments: Vec<&str> = waiting.comments.iter().map(String::as_str).collect();
        let mut packet = Packet::new(self.interface, origin + waiting.time, &waiting.bytes);
        packet.direction = waiting.direction;
        packet.checksum = waiting.checksum;
        packet.comments = &comments;
        let result = self.writer.packet(&packet);
        self.note(result);
        self.missing += u64::from(self.error.is_some());
    }

    /// Keeps the first error; those that follow from it say nothing new.
    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result
            && self.error.is_none()
        {
            self.error = Some(format!(
                "{error}; {} ends there, the program was not disturbed; \
                 make room or choose another file with -w",
                self.path.display()
            ));
        }
    }
}

/// When on the calendar the stack's clock began, if it shows `time` now.
fn calendar_of(time: Duration) -> Duration {
    now().saturating_sub(time)
}
