//! Captures read beside the screen: all connections, or one that is looked at closely.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::events::Event;
use crate::cmd::explain::gather::{self, Chosen, Over, Sink, Watched};
use crate::cmd::explain::model::{Explained, Keep};
use crate::cmd::explain::source::Sources;
use crate::failure::Failure;

/// Lines of the list, and connections kept with all their steps, at most.
const LISTED: usize = 10_000;
const WHOLE: usize = 2_000;
/// Steps kept at each end of a connection that is looked at closely, and of all connections at most:
/// the others are followed as closely, since nothing tells beforehand which frames are its own.
const UNFOLDED: u64 = 16_384;
const UNFOLDED_ALL: u64 = 500_000;
/// Steps that are kept in any case.
const UNFOLDED_MIN: u64 = 64;
/// Between two pieces of news of how far it is.
const PERIOD: Duration = Duration::from_millis(100);

/// What is to be read.
#[derive(Debug)]
pub(super) enum Wanted {
    /// All that was chosen.
    Many(Chosen),
    /// The connection with this number, with as many of its steps as there is room for.
    One {
        /// Counted from 0.
        number: u64,
        /// As many connections are in the captures: all of them are followed.
        of: u64,
    },
}

/// What a reading tells.
pub(super) enum News {
    /// How far it is: frames, and bytes of how many.
    Progress(u64, (u64, Option<u64>)),
    /// All was read, or could not be. Nothing comes after this.
    Done(Result<Box<Explained>, Failure>),
}

/// A reading under way. Dropped, it ends soon, and what it still tells is to be ignored.
#[derive(Debug)]
pub(super) struct Reading {
    /// Its number, which its news bear.
    pub(super) id: u64,
    is_unwanted: Arc<AtomicBool>,
}

impl Reading {
    pub(super) fn start(id: u64, files: Vec<PathBuf>, wanted: Wanted, to: Sender<Event>) -> Self {
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            id,
            close: match wanted {
                Wanted::Many(_) => None,
                Wanted::One { of, .. } => Some(
                    UNFOLDED_ALL
                        .checked_div(of)
                        .unwrap_or(UNFOLDED)
                        .clamp(UNFOLDED_MIN, UNFOLDED) as usize,
                ),
            },
            is_unwanted: Arc::clone(&is_unwanted),
            to: to.clone(),
            next: Instant::now(),
        };
        thread::spawn(move || {
            let chosen = match wanted {
                Wanted::Many(chosen) => chosen,
                Wanted::One { number, .. } => Chosen {
                    filter: None,
                    streams: vec![number],
                },
            };
            let work = std::panic::AssertUnwindSafe(|| read(&files, &chosen, watcher));
            // One who never hears of the end would wait for it forever.
            let done = std::panic::catch_unwind(work)
                .unwrap_or_else(|_| Err(Failure::new("reading the capture failed by our fault")));
            let _ = to.send(Event::News(id, News::Done(done.map(Box::new))));
        });
        Self { id, is_unwanted }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}

fn read(files: &[PathBuf], chosen: &Chosen, mut watcher: Watcher) -> Result<Explained, Failure> {
    gather::gather(Sources::open(files)?, chosen, &mut watcher)
}

/// Follows how far a reading is.
struct Watcher {
    id: u64,
    /// Steps, where one connection is looked at closely.
    close: Option<usize>,
    is_unwanted: Arc<AtomicBool>,
    to: Sender<Event>,
    next: Instant,
}

impl Sink for Watcher {
    fn keep(&self) -> Keep {
        if self.close.is_some() {
            return Keep {
                listed: 1,
                whole: 1,
            };
        }
        Keep {
            listed: LISTED,
            whole: WHOLE,
        }
    }

    fn series(&self) -> usize {
        0
    }

    fn steps(&self) -> Option<usize> {
        self.close
    }

    fn take(&mut self, _: &Over) -> Result<(), Failure> {
        Ok(())
    }

    fn progress(&mut self, frames: u64, read: (u64, Option<u64>)) -> Watched {
        if self.is_unwanted.load(Ordering::Relaxed) {
            return Watched::Stop;
        }
        let now = Instant::now();
        if now >= self.next {
            self.next = now + PERIOD;
            let _ = self
                .to
                .send(Event::News(self.id, News::Progress(frames, read)));
        }
        Watched::GoOn
    }
}
