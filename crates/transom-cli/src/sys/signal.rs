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
    SIGPIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
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

/// Blocks every signal that can be blocked.
pub(crate) fn block_all() {
    let mut all = set_of(&[]);
    // SAFETY: the set is initialised and outlives the calls.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut());
    }
}

/// Takes away the first that is pending of a signal that is blocked: the process that sent it, or zero if that
/// was the kernel. None if there was nothing.
pub(crate) fn take_pending(signal: i32) -> Option<i32> {
    let set = set_of(&[signal]);
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: all three live during the call; the kernel fills `info` if it returns a number.
    let taken = unsafe { libc::sigtimedwait(&raw const set, info.as_mut_ptr(), &raw const now) };
    if taken != signal {
        return None;
    }
    // SAFETY: all zeros is a valid siginfo_t already, and its process id is meaningful for what a process
    // sent, which the code says.
    let (code, pid) = unsafe {
        let info = info.assume_init();
        (info.si_code, info.si_pid())
    };
    let from_process = matches!(code, libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL);
    Some(if from_process { pid } else { 0 })
}

/// Whether a signal that is blocked waits for this thread or its process.
pub(crate) fn is_pending(signal: i32) -> bool {
    let mut pending = set_of(&[]);
    // SAFETY: the set is initialised and outlives the calls.
    unsafe {
        libc::sigpending(&raw mut pending);
        libc::sigismember(&raw const pending, signal) == 1
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

/// Whether this process was started with `signal` ignored (by nohup(1), or by a shell that started it
/// in the background).
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null new action it only writes the current one to `action`, for which all zeros
    // is a valid value already.
    let handler = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    };
    handler == libc::SIG_IGN
}

/// The signal that lets us out of a stop; nobody sends it. Its number is above those of the signals
/// that stop, and its default action is not to be ignored: setting that would discard others of it.
const DOOR: i32 = libc::SIGPWR;

extern "C" fn let_out(_signal: i32) {}

/// Lets the default action of a signal that stops happen to this process, once, and returns when it
/// goes on. The caller has blocked all signals that stop, except SIGSTOP.
///
/// Between being continued and running again, which is the time the scheduler takes, the terminal may
/// send the next one. That must not stop us: what it means to the program, the program decides. But it
/// would if it were unblocked then, as the kernel looks at signals before it returns to us. So a second
/// signal waits behind ours. Linux delivers what is sent to a thread before what is sent to the whole
/// process, and of the former the lowest number first: ours, the stop; then [`DOOR`], whose handler
/// runs with everything blocked, and after it sigsuspend() has put the old mask back.
pub(crate) fn stop_by(signal: i32) {
    if signal == libc::SIGSTOP {
        // SAFETY: touches no memory.
        unsafe { libc::raise(signal) };
        return;
    }
    let set = set_of(&[signal, DOOR]);
    let (mut before, mut open) = (set_of(&[]), set_of(&[]));
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is a valid sigaction, the sets are initialised, the handlers are valid, and the
    // one of ours touches nothing. raise() sends to this thread, whose mask this is.
    unsafe {
        let mut door: libc::sigaction = std::mem::zeroed();
        door.sa_sigaction = let_out as extern "C" fn(i32) as libc::sighandler_t;
        libc::sigfillset(&raw mut door.sa_mask);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before);
        libc::sigaction(DOOR, &raw const door, old.as_mut_ptr());
        let handler = libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::raise(DOOR);
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut open);
        libc::sigdelset(&raw mut open, signal);
        libc::sigdelset(&raw mut open, DOOR);
        libc::sigsuspend(&raw const open);
        libc::signal(signal, handler);
        libc::sigaction(DOOR, old.as_ptr(), ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
    }
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
    let set = set_of(&[signal]);
    // SAFETY: SIG_DFL is a valid handler, the set is initialised, and raise() touches no memory. The
    // signal is unblocked in this thread, which is where raise() sends it.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
        libc::raise(signal);
    }
}
