//! Signals: watched through a descriptor, passed on, and died by.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::Pid;

/// Whether SIGPIPE was ignored when this process was started.
///
/// The standard library ignores SIGPIPE before `main`; a program that we start must see what
/// it would have seen without us.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before `main` and before the standard library touches SIGPIPE.
#[used]
// SAFETY: .init_array holds pointers to functions that the C runtime calls once at start-up.
#[unsafe(link_section = ".init_array")]
static NOTE_SIGPIPE: extern "C" fn() = note_sigpipe;

extern "C" fn note_sigpipe() {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: sigaction with a null new action only writes the current one to `action`, for
    // which all zeros is a valid value already.
    let handler = unsafe {
        libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    };
    SIGPIPE_WAS_IGNORED.store(handler == libc::SIG_IGN, Ordering::Relaxed);
}

/// The signal mask and dispositions that a started program must inherit.
pub(crate) struct SavedMask(libc::sigset_t);

impl SavedMask {
    /// Puts this process's signals back to what they were when it was started.
    pub(crate) fn restore(&self) {
        let pipe = if SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed) {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        };
        // SAFETY: the mask is a valid set; SIG_IGN and SIG_DFL are valid handlers.
        unsafe {
            libc::signal(libc::SIGPIPE, pipe);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut());
        }
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set; sigaddset refuses numbers that are no signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// Blocks `signals` in this thread and those it will start, and returns a non-blocking
/// signalfd(2) that reports them, with the mask that was in force before.
pub(crate) fn block_and_watch(signals: &[i32]) -> io::Result<(OwnedFd, SavedMask)> {
    let set = set_of(signals);
    let mut before = set_of(&[]);
    // SAFETY: both sets are initialised and outlive the calls; the descriptor returned is new
    // and ours alone.
    unsafe {
        let result = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(fd), SavedMask(before)))
    }
}

/// Ignores every signal that can be ignored, except SIGCHLD.
pub(crate) fn ignore_all() {
    for signal in 1..=libc::SIGRTMAX() {
        if signal != libc::SIGCHLD {
            // SAFETY: SIG_IGN is a valid handler; numbers that cannot be ignored are refused.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
}

/// kill(2).
pub(crate) fn send(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: touches no memory.
    if unsafe { libc::kill(pid.as_raw(), signal) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets the default action of `signal` happen to this process, and returns when it goes on.
///
/// Between being continued and running again, which is the time the scheduler takes, the process can
/// be stopped anew by a signal of the terminal, as the kernel looks at those before it returns to us.
pub(crate) fn stop_by(signal: i32) {
    deliver_to_self(signal);
}

/// Ends this process by `signal`, without leaving a core file; returns only if the signal's
/// default action does not end a process.
pub(crate) fn die_by(signal: i32) {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `none` is a valid limit that outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    deliver_to_self(signal);
}

fn deliver_to_self(signal: i32) {
    let set = set_of(&[signal]);
    let mut before = set_of(&[]);
    // SAFETY: SIG_DFL is a valid handler, the sets are initialised, and raise() touches no
    // memory. The signal is unblocked in this thread, which is where raise() sends it.
    unsafe {
        let handler = libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
        // While it is blocked: the terminal's own may be waiting already, and two that wait
        // together stop the process once, as what continues it takes both away.
        libc::raise(signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        libc::signal(signal, handler);
    }
}
