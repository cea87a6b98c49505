//! The capture file of `-w FILE`, begun.

use std::fmt::Display;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use transom_flow::pcapng::{Interface, InterfaceId, Writer};

use crate::failure::Failure;

/// A file to which interfaces are still added.
pub(crate) struct Begun<'a> {
    path: &'a Path,
    writer: Writer<BufWriter<File>>,
}

impl<'a> Begun<'a> {
    pub(crate) fn create(path: &'a Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| refused(path, &error))?;
        let application = concat!("transom ", env!("CARGO_PKG_VERSION"));
        let writer = Writer::new(BufWriter::new(file), application)
            .map_err(|error| refused(path, &error))?;
        Ok(Self { path, writer })
    }

    pub(crate) fn interface(&mut self, interface: &Interface<'_>) -> Result<InterfaceId, Failure> {
        self.writer
            .interface(interface)
            .map_err(|error| refused(self.path, &error))
    }

    /// Packets may come.
    pub(crate) fn into_writer(self) -> Writer<BufWriter<File>> {
        self.writer
    }
}

fn refused(path: &Path, error: &dyn Display) -> Failure {
    Failure::new(format!(
        "cannot write the capture to {}: {error}; choose another with -w FILE",
        path.display()
    ))
}
