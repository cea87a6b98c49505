//! What happens while the terminal is ours: keys, signals, and news from those who read. Each source
//! has a thread that waits; all of them speak into one channel, so that nothing has to look twice.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{self, Event as Input};

use super::read::News;
use crate::failure::Failure;
use crate::sys;

/// Something happened.
pub(super) enum Event {
    /// At the terminal.
    Input(Input),
    /// The terminal is gone.
    InputEnded(io::Error),
    /// A signal came.
    Signal(i32),
    /// From the reading with this number.
    News(u64, News),
}

/// Signals that end us, stop us, or tell that we go on.
const WATCHED: [i32; 5] = [
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGTSTP,
    libc::SIGCONT,
];

/// Watches signals. To be called before any other thread is started: they are blocked from here on.
pub(super) fn signals(to: Sender<Event>) -> Result<(), Failure> {
    let (fd, _) =
        sys::block_and_watch(&WATCHED).map_err(|error| Failure::doing("watch signals", error))?;
    thread::spawn(move || {
        while let Ok(signal) = next_signal(&fd) {
            if to.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Waits for a signal.
fn next_signal(fd: &OwnedFd) -> io::Result<i32> {
    loop {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        match nix::unistd::read(fd, &mut info) {
            // The signal's number is the first field.
            Ok(_) => {
                let [a, b, c, d, ..] = info;
                let number = u32::from_ne_bytes([a, b, c, d]);
                return i32::try_from(number).map_err(io::Error::other);
            }
            Err(nix::Error::EAGAIN) => {
                let mut waiting = [PollFd::new(std::os::fd::AsFd::as_fd(fd), PollFlags::POLLIN)];
                match poll(&mut waiting, PollTimeout::NONE) {
                    Ok(_) | Err(nix::Error::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Listens to the terminal.
pub(super) fn inputs(to: Sender<Event>) {
    thread::spawn(move || {
        loop {
            let event = match event::read() {
                Ok(input) => Event::Input(input),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let _ = to.send(Event::InputEnded(error));
                    return;
                }
            };
            if to.send(event).is_err() {
                return;
            }
        }
    });
}
