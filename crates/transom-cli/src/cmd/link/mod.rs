//! `transom link`: a bad wire between two interfaces, in real time.
//!
//! The way through: [`args`] says what each direction does to packets; [`end`] opens the interfaces, or makes
//! them; each direction is a thread that moves frames through a [`Wire`]; [`report`] tells what became of them.

pub(crate) mod args;
mod end;
mod report;

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;
use transom_device::{Wire, WireCounters};
use transom_sim::{LinkCounters, Waits};

use self::args::LinkArgs;
use self::end::End;
use self::report::Report;
use crate::failure::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, Failure, Outcome};
use crate::{sys, terminal};

/// What one direction did so far.
#[derive(Clone, Copy, Default)]
struct Counted {
    wire: WireCounters,
    link: LinkCounters,
    waits: Waits,
}

/// Carries out what was typed.
pub(crate) fn link(args: &LinkArgs) -> Result<Outcome, Failure> {
    let impairments = args::impairments(args).map_err(Failure::new)?;
    let parse = |text: &str| End::parse(text).map_err(Failure::new);
    let (a, b) = (parse(&args.a)?, parse(&args.b)?);
    if a.is_same_interface(&b) {
        return Err(Failure::new("the ends of a wire must be two interfaces"));
    }
    let mtu = usize::try_from(args.interface_mtu).unwrap_or(1500);
    let open = |end: &End| end.open(mtu).map_err(Failure::new);
    let (port_a, port_b) = (open(&a)?, open(&b)?);
    let again = |error| Failure::doing("use an interface both ways", error);
    let report = Report::new([&a, &b].map(End::name), impairments.clone());
    let [to, back] = impairments;
    let wires = [
        Wire::new(
            port_a.try_clone().map_err(again)?,
            port_b.try_clone().map_err(again)?,
            to,
        ),
        Wire::new(port_b, port_a, back),
    ];
    // From here on Ctrl-C ends the wire, not the process. Threads inherit this.
    let signals = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGCHLD,
    ];
    let (signals, _mask) = sys::block_and_watch(&signals)
        .map_err(|error| Failure::doing("watch for Ctrl-C", error))?;
    let counted: [Mutex<Counted>; 2] = Default::default();
    let ended = stand(args, &report, wires, &counted, signals.into());
    if !args.quiet {
        report.print(&counted.each_ref().map(read), args.json)?;
    }
    ended
}

/// Keeps the wire until a signal, the end of the program, or a failure.
fn stand(
    args: &LinkArgs,
    report: &Report,
    wires: [Wire; 2],
    counted: &[Mutex<Counted>; 2],
    signals: std::fs::File,
) -> Result<Outcome, Failure> {
    let pipe = || io::pipe().map_err(|error| Failure::doing("make a pipe", error));
    let (stop, stopper) = pipe()?;
    let (broken, breaker) = pipe()?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (wire, counted) in wires.into_iter().zip(counted) {
            let mut breaker = breaker
                .try_clone()
                .map_err(|error| Failure::doing("make a pipe", error))?;
            let stop = &stop;
            threads.push(scope.spawn(move || {
                let result = carry(wire, stop, start, counted);
                // Should nobody listen, the wire is being taken down.
                let _ = breaker.write(&[0]);
                result
            }));
        }
        let ended = terminal::print(&report.first_line()).and_then(|()| {
            let mut watch = Watch {
                child: start_program(args)?,
                signals,
                broken,
            };
            watch.wait(|| report.print(&counted.each_ref().map(read), args.json))
        });
        drop(stopper);
        let mut failed = None;
        for thread in threads {
            if let Ok(Err(error)) = thread.join() {
                failed = Some(Failure::doing("keep the wire", error));
            }
        }
        failed.map_or(ended, Err)
    })
}

/// Moves frames in one direction until told to stop.
fn carry(
    mut wire: Wire,
    stop: &PipeReader,
    start: Instant,
    counted: &Mutex<Counted>,
) -> io::Result<()> {
    // The kernel may otherwise wake us 50 µs late. A kernel that refuses is as precise as it is.
    let _ = nix::sys::prctl::set_timerslack(1);
    sys::hurry_thread();
    loop {
        let carried = wire.carry(|| start.elapsed());
        *counted.lock().unwrap_or_else(PoisonError::into_inner) = Counted {
            wire: wire.counters(),
            link: wire.link_counters(),
            waits: wire.waits(),
        };
        carried?;
        let now = start.elapsed();
        let wait = wire
            .next_deadline(now)
            .map(|deadline| TimeSpec::from_duration(deadline.saturating_sub(now)));
        let mut fds = [
            PollFd::new(wire.descriptor(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut fds, wait, None) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds[1].any().unwrap_or(false) {
            return Ok(());
        }
    }
}

fn read(counted: &Mutex<Counted>) -> Counted {
    *counted.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the program, if there is one.
fn start_program(args: &LinkArgs) -> Result<Option<Child>, Failure> {
    let Some((program, rest)) = args.command.split_first() else {
        return Ok(None);
    };
    // Signals are blocked in this thread, and a program inherits that.
    let spawned = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            SigSet::empty().thread_set_mask()?;
            Command::new(program).args(rest).spawn()
        });
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that starts it ended")))
    });
    spawned.map(Some).map_err(|error| {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => EXIT_NOT_FOUND,
            _ => EXIT_NOT_EXECUTABLE,
        };
        Failure {
            exit,
            ..Failure::doing(&format!("run {}", program.display()), error)
        }
    })
}

/// What the main thread waits for.
struct Watch {
    child: Option<Child>,
    signals: std::fs::File,
    broken: PipeReader,
}

impl Watch {
    fn wait(
        &mut self,
        mut on_request: impl FnMut() -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        loop {
            let mut fds = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.broken.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(error) => {
                    return Err(Failure::doing("wait for a signal", io::Error::from(error)));
                }
            }
            if fds[1].any().unwrap_or(false) {
                self.end_program();
                return Ok(Outcome::Exited(0));
            }
            let mut info = [0; size_of::<libc::signalfd_siginfo>()];
            while self.signals.read(&mut info).is_ok_and(|read| read > 0) {
                let number = u32::from_ne_bytes(*info.first_chunk().unwrap_or(&[0; 4]));
                match number.cast_signed() {
                    libc::SIGUSR1 => on_request()?,
                    libc::SIGCHLD => {
                        if let Some(outcome) = self.ended() {
                            return Ok(outcome);
                        }
                    }
                    _ => {
                        self.end_program();
                        return Ok(Outcome::Exited(0));
                    }
                }
            }
        }
    }

    /// How the program ended, if it has.
    fn ended(&mut self) -> Option<Outcome> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Some(match (status.code(), signal) {
            (Some(code), _) => Outcome::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
            (None, Some(signal)) => Outcome::Signaled(signal),
            (None, None) => Outcome::Exited(0),
        })
    }

    /// Without its wire a program has nothing left to do.
    fn end_program(&mut self) {
        if let Some(child) = &mut self.child {
            let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
            // It may have ended by itself.
            let _ = sys::send(pid, libc::SIGTERM);
            let _ = child.wait();
        }
    }
}
