//! The capture file of `-w FILE`, begun.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::posix_fallocate;

use transom_flow::pcapng::{Interface, InterfaceId, Writer};

use crate::failure::Failure;

const APPLICATION: &str = concat!("transom ", env!("CARGO_PKG_VERSION"));

/// A file to which interfaces are still added.
pub(crate) struct Begun<'a, W: Write = File> {
    path: &'a Path,
    writer: Writer<BufWriter<W>>,
    is_regular: bool,
}

impl<'a> Begun<'a> {
    pub(crate) fn create(path: &'a Path) -> Result<Self, Failure> {
        Self::through(path, Ok)
    }
}

impl<'a, W: Write> Begun<'a, W> {
    /// As [`create`](Begun::create), where something else than the file writes to it.
    pub(crate) fn through(
        path: &'a Path,
        writes: impl FnOnce(File) -> io::Result<W>,
    ) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| refused(path, &error))?;
        let is_regular = file.metadata().is_ok_and(|file| file.is_file());
        let out = writes(file).map_err(|error| refused(path, &error))?;
        let writer =
            Writer::new(BufWriter::new(out), APPLICATION).map_err(|error| refused(path, &error))?;
        Ok(Self {
            path,
            writer,
            is_regular,
        })
    }

    pub(crate) fn interface(&mut self, interface: &Interface<'_>) -> Result<InterfaceId, Failure> {
        self.writer
            .interface(interface)
            .map_err(|error| refused(self.path, &error))
    }

    /// [`insert_secrets`] can only go back in a file, not in a pipe.
    pub(crate) fn must_be_regular(&self) -> Result<(), Failure> {
        if self.is_regular {
            return Ok(());
        }
        let none = "TLS secrets come before the packets, and only a file can be gone back in";
        Err(refused(self.path, &none))
    }

    /// Packets may come.
    pub(crate) fn into_writer(self) -> Writer<BufWriter<W>> {
        self.writer
    }
}

/// Bytes of secrets in a block, and bytes moved at a time.
const CHUNK: usize = 1 << 20;

/// Puts TLS secrets before the packets of a complete capture that [`Begun`] began.
///
/// They belong there: Wireshark looks for a connection's secrets when it reads its handshake, which was
/// in the file before the program had computed any, and does not come back to it, not even where
/// it reads a file twice.
pub(crate) fn insert_secrets(file: &File, secrets: &[u8]) -> io::Result<()> {
    let before = Writer::new(Vec::new(), APPLICATION)?.finish()?.len();
    let mut head = Writer::new(Vec::new(), APPLICATION)?;
    let mut rest = secrets;
    while !rest.is_empty() {
        // Whole lines.
        let most = rest.get(..CHUNK).unwrap_or(rest);
        let end = most.iter().rposition(|&byte| byte == b'\n');
        let (block, others) = rest.split_at(end.map_or(most.len(), |end| end + 1));
        head.tls_secrets(block)?;
        rest = others;
    }
    let head = head.finish()?;
    make_room(file, before as u64, (head.len() - before) as u64)?;
    file.write_all_at(&head, 0)
}

/// Moves what follows the first `start` bytes of a file `by` bytes on.
fn make_room(file: &File, start: u64, by: u64) -> io::Result<()> {
    // It was opened for writing only, as it might have been a pipe.
    let source = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let mut left = file.metadata()?.len().saturating_sub(start);
    let all = libc::off_t::try_from(start + left).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let more = libc::off_t::try_from(by).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // So that a full disk leaves the file as it was.
    posix_fallocate(file, all, more)?;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let len = left.min(CHUNK as u64);
        left -= len;
        let chunk = chunk.get_mut(..len as usize).unwrap_or_default();
        source.read_exact_at(chunk, start + left)?;
        file.write_all_at(chunk, start + left + by)?;
    }
    Ok(())
}

fn refused(path: &Path, error: &dyn Display) -> Failure {
    Failure::new(format!(
        "cannot write the capture to {}: {error}; choose another with -w FILE",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use transom_flow::pcapng::Packet;
    use transom_wire::Medium;

    use super::*;

    #[test]
    fn secrets_come_before_packets_and_leave_them_as_they_are() {
        let path = std::env::temp_dir().join(format!("transom-secrets-{}", std::process::id()));
        let mut begun = Begun::create(&path).unwrap();
        let interface = begun
            .interface(&Interface {
                name: "one",
                description: "",
                medium: Medium::Ip,
                snaplen: 0,
                comment: "",
            })
            .unwrap();
        let mut writer = begun.into_writer();
        for number in 0..100_u32 {
            let data: Vec<u8> = (0..30_000_u32).map(|at| (at ^ number) as u8).collect();
            let time = Duration::from_secs(number.into());
            writer.packet(&Packet::new(interface, time, &data)).unwrap();
        }
        let file = writer.finish().unwrap().into_inner().unwrap();
        let before = fs::read(&path).unwrap();
        // More than a block takes.
        let line = "CLIENT_RANDOM 0123456789abcdef fedcba9876543210\n";
        let secrets = line.repeat(50_000);
        insert_secrets(&file, secrets.as_bytes()).unwrap();
        let after = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let len = |at: usize| {
            let field = after[at + 4..].first_chunk().copied();
            u32::from_le_bytes(field.unwrap()) as usize
        };
        let (mut at, mut found) = (len(0), String::new());
        assert_eq!(after[..at], before[..at]);
        while after[at..at + 4] == [10, 0, 0, 0] {
            let field = after[at + 12..].first_chunk().copied();
            let secrets = u32::from_le_bytes(field.unwrap()) as usize;
            found.push_str(std::str::from_utf8(&after[at + 16..][..secrets]).unwrap());
            assert!(found.ends_with('\n'));
            at += len(at);
        }
        assert!(found == secrets);
        assert!(after[at..] == before[len(0)..]);
    }
}
