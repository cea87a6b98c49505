//! Signals on their way to the program.
//!
//! The program shares our process group, so what the terminal sends (Ctrl-C, Ctrl-\, Ctrl-Z, a
//! change of size, a hang-up) reaches it by itself, and so does what somebody sends to the group. What
//! somebody sends to *us* with kill(2) is meant for the program and is passed on.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;

use super::witness::Witness;
use crate::sys;

/// Every signal that can be caught and says nothing about ourselves, that is, not those of a fault
/// in our own program.
///
/// The terminal stops a whole process group that reads in the background. If that stopped us as
/// well as the program, we would stop a second time on learning that the program has, and the shell
/// would have to continue us twice.
pub(crate) fn watched() -> Vec<i32> {
    let mut signals = vec![
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGTERM,
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGURG,
        libc::SIGXCPU,
        libc::SIGXFSZ,
        libc::SIGVTALRM,
        libc::SIGPROF,
        libc::SIGWINCH,
        libc::SIGIO,
        libc::SIGPWR,
    ];
    signals.extend(libc::SIGRTMIN()..=libc::SIGRTMAX());
    signals
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Its number.
    pub(crate) number: i32,
    /// Whether a process sent it (to us, most likely), rather than the kernel or the terminal.
    pub(crate) from_process: bool,
    /// Who sent it, if a process did.
    pub(crate) sender: Pid,
}

/// The stream of signals that arrive.
pub(crate) struct Signals(AsyncFd<std::fs::File>);

/// Size of the kernel's struct signalfd_siginfo.
const RECORD: usize = 128;

impl Signals {
    /// Takes a signalfd(2) descriptor.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        sys::watch_readable(descriptor).map(Self)
    }

    /// The next signal.
    pub(crate) async fn next(&self) -> io::Result<Arrived> {
        loop {
            let mut guard = self.0.readable().await?;
            let mut record = [0; RECORD];
            let read = guard.try_io(|file| {
                let mut file = file.get_ref();
                file.read(&mut record)
            });
            match read {
                Ok(Ok(RECORD)) => return Ok(parse(&record)),
                Ok(Ok(_)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }

    /// A signal that would end us. One that we were started without minding, such as the hang-up after
    /// nohup, does not: those who are left do not mind it either.
    pub(crate) async fn told_to_leave(&self) {
        loop {
            match self.next().await {
                Ok(arrived)
                    if matches!(
                        arrived.number,
                        libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT
                    ) && !sys::is_ignored(arrived.number) =>
                {
                    return;
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }

    /// One that has arrived already.
    fn waiting(&self) -> Option<Arrived> {
        let mut record = [0; RECORD];
        let mut file = self.0.get_ref();
        (file.read(&mut record).ok()? == RECORD).then(|| parse(&record))
    }
}

fn parse(record: &[u8; RECORD]) -> Arrived {
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&record[at..at + 4]);
        i32::from_ne_bytes(bytes)
    };
    // struct signalfd_siginfo: ssi_signo at 0, ssi_code at 8, ssi_pid at 12.
    let code = word(8);
    let from_process = matches!(code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL);
    Arrived {
        number: word(0),
        from_process,
        sender: Pid::from_raw(word(12)),
    }
}

/// Passes on what arrived before the program's process was there to get it, also what came from the
/// terminal.
///
/// To be called while that process waits for the word with all of these blocked: of those that it got
/// itself it still has only one afterwards.
pub(crate) fn catch_up(signals: &Signals, program: Pid, witness: Option<&Witness>) {
    while let Some(arrived) = signals.waiting() {
        if let Some(witness) = witness {
            witness.forget(arrived.number);
        }
        if !matches!(arrived.number, libc::SIGCHLD | libc::SIGCONT) {
            let _ = sys::send(program, arrived.number);
        }
    }
}

/// Passes a signal on to the program, if it was meant for it and has not reached it already.
pub(crate) fn pass_on(arrived: Arrived, program: Pid, witness: Option<&Witness>) {
    let was_for_all = witness.is_some_and(|witness| witness.was_for_all(arrived, program));
    // The program signalling its parent or its group knows what it does.
    if !arrived.from_process || arrived.sender == program || was_for_all {
        return;
    }
    // What continues us lets the program go on where we stopped with it.
    if arrived.number != libc::SIGCONT {
        // A program that has just ended cannot be signalled, and need not be.
        let _ = sys::send(program, arrived.number);
    }
}

/// After a stop: who continued us has thereby taken away the signals to stop that were waiting for us, but not
/// those of the witness, unless the whole group was continued.
pub(crate) fn stopped(witness: Option<&Witness>) {
    let Some(witness) = witness else { return };
    for number in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        // One that waits here has come since, and is asked about when it is taken.
        if !sys::is_pending(number) {
            witness.forget(number);
        }
    }
}

/// Lets the program go on, unless it does already: a shell continues the whole job at once, and a
/// program that handles SIGCONT should see it as often as in a plain run.
pub(crate) fn go_on(program: Pid) {
    let stat = std::fs::read_to_string(format!("/proc/{program}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    if state.starts_with('T') {
        let _ = sys::send(program, libc::SIGCONT);
    }
}
