//! `transom watch`: what happens on the connections of an interface, while it happens.
//!
//! The way through: a [`Monitor`] hears frames, or a capture that grows is read ([`growing`]); [`follow`] makes
//! events of them, which [`mod@tell`] writes as they come; [`store`] keeps the frames; what is over goes to the model of
//! `explain`, which makes the report at the end.

pub(crate) mod args;
mod follow;
mod growing;
mod store;
mod tell;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use transom_device::{Heard, Monitor};
use transom_draw::text::Options;
use transom_flow::capture::Record;
use transom_flow::filter::Filter;
use transom_flow::{Connection, Severity};

use self::args::{DrawAtEnd, WatchArgs};
use self::follow::{Event, Follower};
use self::growing::Growing;
use self::store::Store;
use self::tell::Teller;
use super::explain;
use super::explain::model::{Gathering, Keep};
use super::explain::sieve::of_any_frame;
use crate::calendar::now;
use crate::failure::{Failure, Outcome};
use crate::{sys, terminal};

/// Lines of the list at the end.
const LISTED: usize = 50;
/// Connections drawn without being asked for.
const DRAWN: usize = 3;
/// Bytes of a frame that hold all headers, and the first of its data.
const SNAPLEN: u32 = 512;
/// Bytes of any frame.
const WHOLE: u32 = 262_144;
/// Between two looks at the clock while nothing is heard.
const TICK: Duration = Duration::from_secs(1);
/// Batches of frames taken between two looks at signals and the clock.
const BATCHES: usize = 16;
/// Frames of a capture in a batch.
const BATCH: usize = 256;

/// Carries out what was typed.
pub(crate) fn watch(args: &WatchArgs) -> Result<Outcome, Failure> {
    let filter = args.filter.as_deref().map(explain::filter).transpose()?;
    let until = args.until.as_deref().map(until).transpose()?;
    let snaplen = match (args.snaplen, &args.write) {
        (Some(snaplen), _) => snaplen,
        (None, Some(_)) => WHOLE,
        (None, None) => SNAPLEN,
    };
    let frames = match &args.read {
        Some(path) => Frames::Capture(Box::new(Growing::open(path)?)),
        None => {
            let monitor = Monitor::open(&args.interface, snaplen as usize);
            Frames::Interface(monitor.map_err(|error| Failure::new(error.to_string()))?)
        }
    };
    let store = args
        .write
        .as_deref()
        .map(|path| {
            let ring = args
                .ring
                .map(|mib| usize::try_from(mib << 20).unwrap_or(usize::MAX));
            Store::create(path, &args.interface, snaplen, ring)
        })
        .transpose()?;
    // From here on Ctrl-C ends the watch, not the process.
    let (signals, _mask) = sys::block_and_watch(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP])
        .map_err(|error| Failure::doing("watch for Ctrl-C", error))?;
    let options = terminal::options(Some(&io::stdout()), args.color);
    let options = if args.ascii {
        options.ascii(true)
    } else {
        options
    };
    let mut watch = Watch {
        frames,
        signals: signals.into(),
        store,
        telling: Telling {
            follower: Follower::new(filter),
            teller: Teller::new(args.json, options),
            until,
        },
        gathering: Gathering::new(Keep {
            listed: LISTED,
            whole: match args.diagram {
                DrawAtEnd::None => 0,
                DrawAtEnd::Auto => DRAWN,
                DrawAtEnd::All => LISTED,
            },
        }),
    };
    watch.telling.teller.start(&what(args))?;
    let deadline = args.lasting.map(|lasting| Instant::now() + lasting);
    watch.listen(deadline)?;
    watch.finish(args, &options)
}

/// What is going on.
fn what(args: &WatchArgs) -> String {
    match &args.read {
        Some(path) => format!("Reading {}", explain::source::named(path)),
        None if args.interface == "any" => "Listening on all interfaces".to_owned(),
        None => format!("Listening on {}", args.interface),
    }
}

/// A filter that can be asked of a connection that is over.
fn until(source: &str) -> Result<Filter, Failure> {
    let filter = explain::filter(source)?;
    if filter.needs_frames() {
        return Err(Failure::new(
            "--until asks about connections that are over: use terms of connections, such as severity, finding, \
             closed_by, retrans; terms of frames belong to --filter",
        ));
    }
    Ok(filter)
}

/// Where frames come from.
enum Frames {
    Interface(Monitor),
    Capture(Box<Growing>),
}

impl Frames {
    /// The time up to which everything is known.
    fn now(&self) -> Duration {
        match self {
            Self::Interface(_) => now(),
            Self::Capture(growing) => growing.now(),
        }
    }
}

/// What a batch of frames has brought.
enum Batch {
    /// There may be more.
    Frames,
    /// Nothing is there now.
    Nothing,
    /// What was waited for, or the end.
    Done,
}

struct Watch {
    frames: Frames,
    signals: std::fs::File,
    store: Option<Store>,
    telling: Telling,
    gathering: Gathering,
}

/// Makes events of frames, and tells them.
struct Telling {
    follower: Follower,
    teller: Teller,
    until: Option<Filter>,
}

impl Telling {
    /// Takes a frame of an interface; whether what was waited for has happened.
    fn heard(&mut self, heard: &Heard<'_>) -> Result<bool, Failure> {
        let event = self.follower.heard(heard);
        tell(event, heard.time, &mut self.teller, self.until.as_ref())
    }

    /// Takes a frame of a capture, as [`heard`](Self::heard).
    fn record(&mut self, record: &Record<'_>) -> Result<bool, Failure> {
        let event = self.follower.record(record);
        tell(event, record.time, &mut self.teller, self.until.as_ref())
    }
}

fn tell(
    event: Option<(Event, &Connection)>,
    time: Duration,
    teller: &mut Teller,
    until: Option<&Filter>,
) -> Result<bool, Failure> {
    let Some((event, connection)) = event else {
        return Ok(false);
    };
    teller.event(event, connection, time)?;
    Ok(event == Event::Over && fits(until, connection))
}

impl Watch {
    /// Hears frames until a signal, the deadline, or what was waited for.
    fn listen(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) || self.telling.teller.is_unheard() {
                return Ok(());
            }
            if self.wait(left.unwrap_or(TICK).min(TICK))? {
                return Ok(());
            }
            for _ in 0..BATCHES {
                match self.batch()? {
                    Batch::Frames => {}
                    Batch::Nothing => break,
                    Batch::Done => return Ok(()),
                }
            }
            for over in self.telling.follower.take_over(self.frames.now()) {
                self.gathering.take_judged(over);
            }
        }
    }

    /// Takes some of the frames that are there.
    fn batch(&mut self) -> Result<Batch, Failure> {
        match &mut self.frames {
            Frames::Interface(monitor) => hear(monitor, self.store.as_mut(), &mut self.telling),
            Frames::Capture(growing) => read(growing, &mut self.telling),
        }
    }

    /// Waits for frames; tells whether a signal came instead.
    fn wait(&mut self, at_most: Duration) -> Result<bool, Failure> {
        let (at_most, frames) = match &self.frames {
            Frames::Interface(monitor) => (at_most, Some(monitor.as_fd())),
            Frames::Capture(growing) => {
                let (wait, frames) = growing.wait();
                (at_most.min(wait), frames)
            }
        };
        let timeout = PollTimeout::try_from(at_most).unwrap_or(PollTimeout::MAX);
        let fds = [Some(self.signals.as_fd()), frames];
        let mut fds: Vec<PollFd<'_>> = fds
            .into_iter()
            .flatten()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(Failure::doing("wait for frames", io::Error::from(error))),
        }
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        Ok(self.signals.read(&mut info).is_ok_and(|read| read > 0))
    }

    /// The report at the end.
    fn finish(mut self, args: &WatchArgs, options: &Options) -> Result<Outcome, Failure> {
        for over in self.telling.follower.finish(self.frames.now()) {
            if !args.json || over.passes() {
                self.telling.teller.last(&over)?;
            }
            self.gathering.take_judged(over);
        }
        let mut capture = self.telling.follower.into_capture();
        let mut lost = 0;
        match self.frames {
            Frames::Interface(monitor) => {
                lost = monitor.take_drops().unwrap_or(0);
                capture.sources = vec![args.interface.clone()];
            }
            Frames::Capture(growing) => {
                capture.sources = vec![growing.name().to_owned()];
                let (bytes, broken) = growing.finish()?;
                capture.bytes = bytes;
                capture.breaks.extend(broken);
            }
        }
        let explained = self.gathering.finish(capture);
        if !args.json {
            let drawn: Vec<&Connection> = explained
                .whole
                .iter()
                .filter(|connection| {
                    args.diagram == DrawAtEnd::All
                        || connection.verdict().severity() == Severity::Problem
                })
                .collect();
            terminal::print(&explain::output::report(&explained, &drawn, options))?;
        }
        if lost > 0 {
            terminal::remark(&format!(
                "{lost} frames came faster than they could be looked at and are missing above"
            ));
        }
        if let Some(store) = self.store {
            if store.left_out > 0 {
                terminal::remark(&format!(
                    "{} frames of interfaces that are neither Ethernet nor IP are not in the file",
                    store.left_out
                ));
            }
            store.finish()?;
        }
        Ok(Outcome::Exited(0))
    }
}

/// Takes a batch of an interface's frames.
fn hear(
    monitor: &mut Monitor,
    mut store: Option<&mut Store>,
    telling: &mut Telling,
) -> Result<Batch, Failure> {
    let (mut is_done, mut failed) = (false, None);
    let heard = monitor.hear(|heard| {
        if failed.is_some() {
            return;
        }
        let stored = store.as_mut().map_or(Ok(()), |store| store.frame(heard));
        match stored.and_then(|()| telling.heard(heard)) {
            Ok(is_it) => is_done |= is_it,
            Err(failure) => failed = Some(failure),
        }
    });
    if let Some(failure) = failed {
        return Err(failure);
    }
    let heard = heard.map_err(|error| Failure::doing("go on listening", error))?;
    Ok(match heard {
        _ if is_done => Batch::Done,
        0 => Batch::Nothing,
        _ => Batch::Frames,
    })
}

/// Takes a batch of a capture's frames.
fn read(growing: &mut Growing, telling: &mut Telling) -> Result<Batch, Failure> {
    for _ in 0..BATCH {
        let Some(record) = growing.next()? else {
            return Ok(if growing.is_over() {
                Batch::Done
            } else {
                Batch::Nothing
            });
        };
        if telling.record(&record)? {
            return Ok(Batch::Done);
        }
    }
    Ok(Batch::Frames)
}

fn fits(until: Option<&Filter>, connection: &Connection) -> bool {
    until.is_some_and(|until| until.connection(of_any_frame(until), connection))
}
