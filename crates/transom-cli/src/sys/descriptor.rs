//! File descriptors that arrive as numbers, or that must go all at once.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Takes ownership of a descriptor that the kernel has just installed for us (SCM_RIGHTS).
pub(crate) fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: callers pass numbers that recvmsg has just returned in SCM_RIGHTS: open, and
    // known to nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes every descriptor of this process except `keep`.
///
/// Only for a process that uses none of its other descriptors afterwards (the keeper).
pub(crate) fn close_all_but(keep: RawFd) {
    let keep = keep.unsigned_abs();
    if keep > 0 {
        close_range(0, keep - 1);
    }
    close_range(keep + 1, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: the call touches no memory; the caller's contract is that nothing owns these
    // descriptors any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result != 0 {
        // Before Linux 5.9 there is no such call; the default limit bounds the loop.
        for fd in first..=last.min(4095) {
            // SAFETY: as above.
            unsafe { libc::close(fd.cast_signed()) };
        }
    }
}

/// Lets the current runtime watch a descriptor for something to read.
pub(crate) fn watch_readable(descriptor: OwnedFd) -> io::Result<AsyncFd<File>> {
    // SAFETY: a File returns the same descriptor each time and keeps it open while it lives, and
    // the AsyncFd gives it up only when it deregisters it.
    unsafe { AsyncFd::register_with_interest(File::from(descriptor), Interest::READABLE) }
        .map_err(io::Error::from)
}

/// Descriptors beyond the standard streams that whoever started us left open: they are meant for
/// the program. To be called before this process opens any of its own.
pub(crate) fn inherited() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        // The listing's own descriptor is among them, but no longer when this is asked.
        .collect::<Vec<RawFd>>()
        .into_iter()
        .filter(|&fd| fd > 2 && is_open(fd))
        .collect()
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD touches no memory.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Lets go of what only the program should hold, so that whoever waits for the other end of a
/// pipe waits for the program alone: its stdin and stdout, and the descriptors of [`inherited`].
pub(crate) fn release(inherited: &[RawFd]) {
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        // Should this fail, we merely hold on to them.
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
    }
    for &fd in inherited {
        // SAFETY: it was open before this process opened anything, hence nothing here owns it.
        unsafe { libc::close(fd) };
    }
}
