//! Files that are written as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A file that takes its name only once it is complete: until then what had that name stays as it was.
pub(super) struct Whole {
    path: PathBuf,
    beside: PathBuf,
    out: BufWriter<File>,
    is_named: bool,
}

impl Whole {
    /// Starts to write beside `path`.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let mut name = OsString::from(".");
        name.push(
            path.file_name()
                .ok_or_else(|| Failure::new(format!("{} is no name for a file", path.display())))?,
        );
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)
            .map_err(|error| refused(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            beside,
            out: BufWriter::with_capacity(1 << 16, file),
            is_named: false,
        })
    }

    /// Where to write.
    pub(super) const fn out(&mut self) -> &mut BufWriter<File> {
        &mut self.out
    }

    /// Puts it in its place.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let renamed = self
            .out
            .flush()
            .and_then(|()| fs::rename(&self.beside, &self.path));
        self.is_named = renamed.is_ok();
        renamed.map_err(|error| refused(&self.path, &error))
    }

    /// The failure to write it.
    pub(super) fn refused(&self, error: &io::Error) -> Failure {
        refused(&self.path, error)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.is_named {
            // Nothing can be done about a rest that stays.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}

/// Looks whether a file can be written there, without touching what is there.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::new(format!("{} is a directory", path.display())));
    }
    Whole::create(path).map(drop)
}

/// Writes a text as a file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = Whole::create(path)?;
    let written = file.out().write_all(text.as_bytes());
    written.map_err(|error| file.refused(&error))?;
    file.finish()
}
