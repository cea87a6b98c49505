//! Making, replacing and waiting for processes.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use nix::unistd::Pid;

/// Which side of a fork we are on.
pub(crate) enum Forked {
    /// The process that called; the new process has this id.
    Caller(Pid),
    /// The new process.
    New,
}

/// fork(2).
///
/// Must be called while the process has a single thread, so that the new process may go on
/// as an ordinary program (allocate, lock, print).
pub(crate) fn fork() -> nix::Result<Forked> {
    // SAFETY: the caller has a single thread (nothing was spawned yet), hence no lock can be
    // held by a thread that does not exist in the child.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(Forked::Caller(child)),
        nix::unistd::ForkResult::Child => Ok(Forked::New),
    }
}

/// Forks a process whose parent is *our* parent: it becomes our sibling (CLONE_PARENT).
pub(crate) fn fork_sibling() -> nix::Result<Forked> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    let zero: usize = 0;
    // SAFETY: without CLONE_VM and with a null stack this is fork(2) with another parent; as in
    // `fork` the caller has a single thread. All other arguments are unused and zero, whatever
    // their order on this architecture; s390x takes the stack first.
    let result = unsafe {
        #[cfg(not(target_arch = "s390x"))]
        {
            libc::syscall(libc::SYS_clone, flags as usize, zero, zero, zero, zero)
        }
        #[cfg(target_arch = "s390x")]
        {
            libc::syscall(libc::SYS_clone, zero, flags as usize, zero, zero, zero)
        }
    };
    match i32::try_from(nix::errno::Errno::result(result)?) {
        Ok(0) => Ok(Forked::New),
        Ok(pid) => Ok(Forked::Caller(Pid::from_raw(pid))),
        Err(_) => Err(nix::errno::Errno::EOVERFLOW),
    }
}

/// Ends this process at once, without running destructors that belong to the process it was
/// forked from.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: _exit never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Has the kernel end this process when the thread that made it ends.
pub(crate) fn die_with_parent() {
    // SAFETY: touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Replaces this process, which has a single thread, by a program, searched in PATH, with `variables`
/// added to its environment; returns only the error.
pub(crate) fn exec(
    command: Vec<OsString>,
    variables: Vec<(&str, OsString)>,
) -> Result<Infallible, io::Error> {
    for (name, value) in variables {
        // SAFETY: no other thread can be reading the environment.
        unsafe { std::env::set_var(name, value) };
    }
    let arguments = command
        .into_iter()
        .map(|word| CString::new(word.into_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let Some(program) = arguments.first() else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let mut pointers: Vec<_> = arguments.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: `pointers` is a null-terminated array of pointers to null-terminated strings, all
    // alive until the call returns.
    unsafe { libc::execvp(program.as_ptr(), pointers.as_ptr()) };
    Err(io::Error::last_os_error())
}

/// What has become of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// It ended with this exit code.
    Exited(u8),
    /// It was killed by this signal.
    Signaled(i32),
    /// It was stopped by this signal.
    Stopped(i32),
    /// It runs again.
    Continued,
}

/// Reports what has newly become of child `pid`, without waiting; None when nothing has.
pub(crate) fn wait_for(pid: Pid) -> io::Result<Option<ChildState>> {
    let mut status = 0;
    let options = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
    // SAFETY: `status` is a valid place for the answer.
    let result = unsafe { libc::waitpid(pid.as_raw(), &raw mut status, options) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    if result == 0 {
        return Ok(None);
    }
    Ok(Some(if libc::WIFEXITED(status) {
        ChildState::Exited(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    } else if libc::WIFSTOPPED(status) {
        ChildState::Stopped(libc::WSTOPSIG(status))
    } else if libc::WIFCONTINUED(status) {
        ChildState::Continued
    } else {
        ChildState::Signaled(libc::WTERMSIG(status))
    }))
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
pub(crate) fn process_descriptor(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call touches no memory; the descriptor returned is new and ours alone.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        match RawFd::try_from(fd) {
            Ok(fd) if fd >= 0 => Ok(OwnedFd::from_raw_fd(fd)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Lets this process have as many descriptors as it may: each connection takes one.
pub(crate) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // With the old limit fewer connections fit; that is all.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Lets this thread run before others, as far as this user may: a wire that waits for a processor is late.
pub(crate) fn hurry_thread() {
    // SAFETY: no pointers. On Linux zero means the calling thread alone; a refusal changes nothing.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}
