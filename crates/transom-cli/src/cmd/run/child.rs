//! The program's process between its making and its exec, and how the exec went.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::key_log;
use crate::failure::{EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, EXIT_OURS, Failure};
use crate::sys::{self, SavedMask};

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Its name and its arguments.
    pub(crate) command: Vec<OsString>,
    /// Where its TLS library is to write secrets.
    pub(crate) key_log: Option<PathBuf>,
}

/// Runs in the new process: waits for the word, then becomes the program. Never returns.
pub(crate) fn become_program(start: OwnedFd, mask: &SavedMask, program: Program) -> ! {
    let mut start = UnixStream::from(start);
    let mut word = [0];
    if !matches!(start.read(&mut word), Ok(1)) {
        // The parent has gone before it started us.
        sys::leave(i32::from(EXIT_OURS));
    }
    mask.restore();
    let key_log = program.key_log.map(|path| (key_log::VARIABLE, path.into()));
    let error = match sys::exec(program.command, key_log.into_iter().collect()) {
        Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
        Ok(never) => match never {},
    };
    let _ = start.write_all(&error.to_ne_bytes());
    sys::leave(i32::from(EXIT_OURS))
}

/// The parent's end: gives the word and learns how the exec went.
pub(crate) struct Starter(UnixStream);

impl Starter {
    /// The parent's end and the program's, both closed on exec.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self(ours), theirs.into()))
    }

    /// Gives the word.
    ///
    /// It does not wait for the exec: the program's process may be stopped before that, by Ctrl-Z, and
    /// somebody has to listen for its stopping then.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.0.write_all(&[1])
    }

    /// Once the program's process has ended: why it could not be executed, if that is so, with exit
    /// code 126 or 127. `name` is what was asked for.
    pub(crate) fn refused(mut self, name: &str) -> Option<Failure> {
        let mut errno = [0; 4];
        // Closed by a successful exec.
        self.0.read_exact(&mut errno).ok()?;
        Some(exec_failed(name, i32::from_ne_bytes(errno)))
    }
}

fn exec_failed(name: &str, errno: i32) -> Failure {
    let (exit, hint) = match errno {
        libc::ENOENT if name.contains('/') => (EXIT_NOT_FOUND, "check the path"),
        libc::ENOENT => (EXIT_NOT_FOUND, "check its name and PATH"),
        libc::EACCES => (EXIT_NOT_EXECUTABLE, "make it executable with chmod +x"),
        libc::E2BIG => (EXIT_NOT_EXECUTABLE, "pass fewer arguments"),
        _ => (EXIT_NOT_EXECUTABLE, "see whether it runs without transom"),
    };
    let reason = nix::errno::Errno::from_raw(errno).desc();
    Failure {
        message: format!("cannot run '{name}': {reason}; {hint}"),
        exit,
    }
}
