//! A capture that another program goes on writing: a file that grows, or a pipe.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use transom_flow::capture::{Error, Reader, Record};

use crate::cmd::explain::source::{Break, is_stdin, named};
use crate::failure::Failure;

/// Between two looks at a file that has not grown; a pipe tells by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is in the capture so far, and what comes.
pub(super) struct Growing {
    name: String,
    reader: Reader<Patient>,
    /// The newest frame's time.
    newest: Duration,
    /// Everything that is there was read.
    is_dry: bool,
    /// Nothing will come.
    is_over: bool,
    broken: Option<Break>,
    pipe: Option<File>,
    /// Somebody has the pipe open for writing, or had.
    has_writer: bool,
    is_waiting: Rc<Cell<bool>>,
}

/// Reads what is there: nothing now need not mean nothing later.
#[derive(Debug)]
struct Patient {
    file: File,
    is_waiting: Rc<Cell<bool>>,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        let waits = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.is_waiting.set(read.as_ref().is_err_and(waits));
        match read {
            Err(error) if waits(&error) => Ok(0),
            read => read,
        }
    }
}

impl Growing {
    /// Opens the capture, which may still be empty; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let name = named(path);
        let refused = |error: io::Error| Failure::new(format!("cannot read {name}: {error}"));
        // Opened anew, so that others who share standard input are not made to poll.
        let opened = if is_stdin(path) {
            Path::new("/proc/self/fd/0")
        } else {
            path
        };
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(opened)
            .map_err(refused)?;
        let kind = file.metadata().map_err(refused)?.file_type();
        let pipe = kind.is_fifo().then(|| file.try_clone()).transpose();
        let is_waiting = Rc::new(Cell::new(false));
        let patient = Patient {
            file,
            is_waiting: is_waiting.clone(),
        };
        let reader =
            Reader::new(patient).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        Ok(Self {
            pipe: pipe.map_err(refused)?,
            // A named pipe may be opened before its writer comes.
            has_writer: is_stdin(path),
            name,
            reader,
            newest: Duration::ZERO,
            is_dry: false,
            is_over: false,
            broken: None,
            is_waiting,
        })
    }

    /// As it was named.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next frame, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, Failure> {
        match self.reader.advance() {
            Ok(true) => {}
            Ok(false) => {
                self.is_dry = true;
                let is_waiting = self.is_waiting.get();
                self.has_writer |= is_waiting || self.reader.format().is_some();
                self.is_over |= self.pipe.is_some() && self.has_writer && !is_waiting;
            }
            Err(error) => self.stop(&error)?,
        }
        let record = self.reader.record();
        if let Some(record) = &record {
            self.is_dry = false;
            self.newest = self.newest.max(record.time);
        }
        Ok(record)
    }

    /// Whether nothing will come any more.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// The time in the capture, as far as it has got.
    pub(super) const fn now(&self) -> Duration {
        self.newest
    }

    /// How long to wait at most, and for what besides.
    pub(super) fn wait(&self) -> (Duration, Option<BorrowedFd<'_>>) {
        match &self.pipe {
            _ if !self.is_dry => (Duration::ZERO, None),
            Some(pipe) if self.is_waiting.get() => (Duration::MAX, Some(pipe.as_fd())),
            // A pipe that nobody has opened for writing says that it is at its end.
            Some(_) | None => (LOOK_AGAIN, None),
        }
    }

    /// Bytes that were read, unpacked, and where it could not be read on.
    pub(super) fn finish(mut self) -> Result<(u64, Option<Break>), Failure> {
        let bytes = self.reader.offset();
        let may_be_empty = self.pipe.is_none() && self.reader.format().is_none();
        if self.broken.is_none()
            && !may_be_empty
            && let Err(error) = self.reader.finish()
        {
            self.stop(&error)?;
        }
        Ok((bytes, self.broken))
    }

    fn stop(&mut self, error: &Error) -> Result<(), Failure> {
        self.is_over = true;
        self.broken = Some(Break::of(&self.name, error)?);
        Ok(())
    }
}
