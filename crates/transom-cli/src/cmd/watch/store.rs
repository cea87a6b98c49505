//! Frames to a file: each at once, or the last so many megabytes at the end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;

use transom_device::{Heard, Start};
use transom_flow::pcapng::{
    ChecksumField, Direction, Error, Interface, InterfaceId, Packet, Writer,
};
use transom_wire::Medium;

use crate::failure::Failure;
use crate::pcapng::Begun;

/// A frame kept in memory.
#[derive(Debug)]
struct Kept {
    time: Duration,
    medium: Medium,
    data: Box<[u8]>,
    original_len: usize,
    is_leaving: bool,
    is_checksum_partial: bool,
}

/// What a kept frame costs beside its bytes.
const OVERHEAD: usize = size_of::<Kept>() + 16;

/// The file, and the frames that wait for it.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
    ethernet: InterfaceId,
    ip: InterfaceId,
    ring: Option<Ring>,
    /// Frames of interfaces that a capture of ours cannot hold.
    pub(super) left_out: u64,
}

#[derive(Debug)]
struct Ring {
    frames: VecDeque<Kept>,
    bytes: usize,
    most: usize,
}

impl Store {
    /// Starts the file. `ring`: bytes of frames kept in memory instead of being written at once.
    pub(super) fn create(
        path: &std::path::Path,
        interface: &str,
        snaplen: u32,
        ring: Option<usize>,
    ) -> Result<Self, Failure> {
        let mut file = Begun::create(path)?;
        let mut add = |medium| {
            file.interface(&Interface {
                name: interface,
                description: "",
                medium,
                snaplen,
                comment: "",
            })
        };
        let (ethernet, ip) = (add(Medium::Ethernet)?, add(Medium::Ip)?);
        Ok(Self {
            path: path.to_owned(),
            writer: file.into_writer(),
            ethernet,
            ip,
            ring: ring.map(|most| Ring {
                frames: VecDeque::new(),
                bytes: 0,
                most,
            }),
            left_out: 0,
        })
    }

    /// Takes a frame.
    pub(super) fn frame(&mut self, heard: &Heard<'_>) -> Result<(), Failure> {
        let medium = match heard.start {
            Start::Ethernet => Medium::Ethernet,
            Start::Ip => Medium::Ip,
            _ => {
                self.left_out += 1;
                return Ok(());
            }
        };
        let kept = Kept {
            time: heard.time,
            medium,
            data: heard.data.into(),
            original_len: heard.original_len,
            is_leaving: heard.is_leaving,
            is_checksum_partial: heard.is_checksum_partial,
        };
        match &mut self.ring {
            None => self.write(&kept),
            Some(ring) => {
                ring.bytes += kept.data.len() + OVERHEAD;
                ring.frames.push_back(kept);
                while ring.bytes > ring.most
                    && let Some(oldest) = ring.frames.pop_front()
                {
                    ring.bytes -= oldest.data.len() + OVERHEAD;
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, kept: &Kept) -> Result<(), Failure> {
        let interface = match kept.medium {
            Medium::Ethernet => self.ethernet,
            Medium::Ip => self.ip,
        };
        let mut packet = Packet::new(interface, kept.time, &kept.data);
        packet.original_len = u32::try_from(kept.original_len).unwrap_or(u32::MAX);
        packet.direction = if kept.is_leaving {
            Direction::Out
        } else {
            Direction::In
        };
        // The sum of a frame that was cut cannot be computed.
        if kept.is_checksum_partial && kept.data.len() >= kept.original_len {
            packet.checksum = ChecksumField::Partial;
        }
        let result = self.writer.packet(&packet);
        result.map_err(|error| self.refused(&error))
    }

    /// Writes what waits, and closes the file; gives its name and how many frames it holds that waited.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        if let Some(ring) = self.ring.take() {
            for kept in &ring.frames {
                self.write(kept)?;
            }
        }
        let path = self.path.display().to_string();
        let finished = self.writer.finish();
        finished
            .map(drop)
            .map_err(|error| Failure::new(format!("the capture {path} is not whole: {error}")))
    }

    fn refused(&self, error: &Error) -> Failure {
        Failure::new(format!(
            "cannot go on writing the capture {}: {error}",
            self.path.display()
        ))
    }
}
