//! The captures that are read: files or standard input, one after another or merged by time.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use transom_flow::capture::{Error, Format, LinkType, Reader, Record};
use transom_flow::pcapng::Direction;

use crate::failure::Failure;

/// A file that counts what was read of it.
#[derive(Debug)]
pub(crate) struct Counted {
    input: Input,
    read: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Input {
    File(File),
    Stdin(io::Stdin),
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.input {
            Input::File(file) => file.read(buffer)?,
            Input::Stdin(stdin) => stdin.read(buffer)?,
        };
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A capture that ended before its end.
#[derive(Clone, Debug)]
pub(crate) struct Break {
    /// Which capture, as it was named.
    pub(crate) source: String,
    /// How far it was read, in bytes of what it unpacks to.
    pub(crate) offset: u64,
    /// What is wrong there.
    pub(crate) what: String,
}

impl Break {
    /// A break in the middle; a capture that turns out to be none is no break.
    pub(crate) fn of(name: &str, error: &Error) -> Result<Self, Failure> {
        match error.offset() {
            Some(offset) => Ok(Self {
                source: name.to_owned(),
                offset,
                what: error.to_string(),
            }),
            None => Err(Failure::new(format!("{name}: {error}"))),
        }
    }
}

/// One capture.
#[derive(Debug)]
struct Source {
    name: String,
    reader: Reader<Counted>,
    /// The next record, where several captures are merged.
    next: Option<Owned>,
    is_over: bool,
}

/// A record kept while those of other captures come first.
#[derive(Debug)]
struct Owned {
    time: Duration,
    link: LinkType,
    orig_len: u32,
    snaplen: u32,
    direction: Direction,
    data: Vec<u8>,
}

/// All captures, read as one.
#[derive(Debug)]
pub(crate) struct Sources {
    sources: Vec<Source>,
    /// The source whose record was given last.
    current: Option<usize>,
    given: u64,
    read: Arc<AtomicU64>,
    total: Option<u64>,
    breaks: Vec<Break>,
}

/// As a path is named to the user.
pub(crate) fn named(path: &Path) -> String {
    if is_stdin(path) {
        return "standard input".into();
    }
    path.display().to_string()
}

/// Whether standard input is meant.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

impl Sources {
    /// Opens all of them, so that a wrong name is told before any work is done.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, Failure> {
        if paths.iter().filter(|path| is_stdin(path)).count() > 1 {
            return Err(Failure::new("standard input can be read only once"));
        }
        let read = Arc::new(AtomicU64::new(0));
        let mut total = Some(0_u64);
        let mut sources = Vec::new();
        for path in paths {
            let (input, len) = open(path)?;
            total = total.zip(len).map(|(total, len)| total + len);
            let counted = Counted {
                input,
                read: Arc::clone(&read),
            };
            let reader = Reader::new(counted).map_err(|error| unreadable(path, &error))?;
            sources.push(Source {
                name: named(path),
                reader,
                next: None,
                is_over: false,
            });
        }
        Ok(Self {
            sources,
            current: None,
            given: 0,
            read,
            total,
            breaks: Vec::new(),
        })
    }

    /// Bytes read so far of all files, and how many there are, where that is known.
    pub(crate) fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }

    /// Bytes of the captures so far, unpacked.
    pub(crate) fn offset(&self) -> u64 {
        let offsets = self.sources.iter().map(|source| source.reader.offset());
        offsets.sum()
    }

    /// How the captures are laid out, where that is the same for all.
    pub(crate) fn format(&self) -> Option<Format> {
        let mut formats = self.sources.iter().map(|source| source.reader.format());
        let first = formats.next()??;
        formats.all(|format| format == Some(first)).then_some(first)
    }

    /// The captures that ended before their ends.
    pub(crate) fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    /// How the captures are called.
    pub(crate) fn names_of_all(&self) -> Vec<String> {
        let names = self.sources.iter().map(|source| source.name.clone());
        names.collect()
    }

    /// Names of hosts that the captures told since the last call.
    pub(crate) fn names(&mut self) -> impl Iterator<Item = (std::net::IpAddr, String)> {
        self.sources
            .iter_mut()
            .flat_map(|source| source.reader.names())
    }

    /// Goes on to the next record, of several captures the earliest, which [`record`](Self::record) then gives;
    /// whether there is one. Frames are counted through.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, Failure> {
        if self.sources.len() == 1 {
            self.advance_only()
        } else {
            self.advance_earliest()
        }
    }

    /// The record that was gone on to.
    #[inline(always)]
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        if let [only] = &*self.sources {
            return only.reader.record();
        }
        let owned = self.sources.get(self.current?)?.next.as_ref()?;
        let mut record = Record::new(self.given, owned.time, owned.link, &owned.data);
        record.orig_len = owned.orig_len;
        record.snaplen = owned.snaplen;
        record.direction = owned.direction;
        Some(record)
    }

    fn advance_earliest(&mut self) -> Result<bool, Failure> {
        for at in 0..self.sources.len() {
            if self.current.is_none_or(|current| current == at) {
                self.refill(at)?;
            }
        }
        let earliest = self
            .sources
            .iter()
            .enumerate()
            .filter_map(|(at, source)| Some((source.next.as_ref()?.time, at)))
            .min();
        if let Some((_, at)) = earliest {
            self.current = Some(at);
            self.given += 1;
        }
        Ok(earliest.is_some())
    }

    #[inline]
    fn advance_only(&mut self) -> Result<bool, Failure> {
        let Some(source) = self.sources.first_mut() else {
            return Ok(false);
        };
        if source.is_over {
            return Ok(false);
        }
        match source.reader.advance() {
            Ok(is_there) => {
                source.is_over = !is_there;
                Ok(is_there)
            }
            Err(error) => {
                let broken = Break::of(&source.name, &error)?;
                self.breaks.push(broken);
                Ok(false)
            }
        }
    }

    /// Reads the next record of a source that has none waiting, or whose record was given.
    fn refill(&mut self, at: usize) -> Result<(), Failure> {
        let Some(source) = self.sources.get_mut(at) else {
            return Ok(());
        };
        let mut data = source
            .next
            .take()
            .map(|owned| owned.data)
            .unwrap_or_default();
        if source.is_over {
            return Ok(());
        }
        match source.reader.next() {
            Ok(Some(record)) => {
                data.clear();
                data.extend_from_slice(record.data);
                source.next = Some(Owned {
                    time: record.time,
                    link: record.link,
                    orig_len: record.orig_len,
                    snaplen: record.snaplen,
                    direction: record.direction,
                    data,
                });
            }
            Ok(None) => source.is_over = true,
            Err(error) => {
                source.is_over = true;
                self.breaks.push(Break::of(&source.name, &error)?);
            }
        }
        Ok(())
    }

    /// Looks whether the captures ended where they should.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        for source in &self.sources {
            let is_told = self.breaks.iter().any(|told| told.source == source.name);
            if let (false, Err(error)) = (is_told, source.reader.finish()) {
                self.breaks.push(Break::of(&source.name, &error)?);
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<(Input, Option<u64>), Failure> {
    if is_stdin(path) {
        return Ok((Input::Stdin(io::stdin()), None));
    }
    let refused =
        |error: &io::Error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| refused(&error))?;
    let metadata = file.metadata().map_err(|error| refused(&error))?;
    if metadata.is_dir() {
        return Err(Failure::new(format!(
            "{} is a directory; name the captures in it",
            path.display()
        )));
    }
    let len = metadata.is_file().then_some(metadata.len());
    Ok((Input::File(file), len))
}

fn unreadable(path: &Path, error: &Error) -> Failure {
    Failure::new(format!("{}: {error}", named(path)))
}
