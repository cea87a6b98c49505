//! AF_XDP sockets: frames of one queue of an interface, in memory shared with the kernel.
//!
//! The memory is cut into chunks of one frame each. Four rings carry their addresses: the fill ring
//! gives the kernel chunks to receive into, the receive ring gives them back with frames in them, the send
//! ring gives it frames, and the completion ring gives those chunks back. Chunks for receiving and for
//! sending are two halves that never mix, and no ring is shorter than its half, so that there is
//! always room to give a chunk back: none is lost, and neither side can take the other's.
//!
//! Sources: `Documentation/networking/af_xdp.rst`, `include/uapi/linux/if_xdp.h`.

mod memory;
mod ring;

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::xdp_desc;

use self::memory::Memory;
use self::ring::{Consumer, Producer};
use super::{check, option, set_option};

/// Bytes before a received frame that the kernel keeps for programs (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;
/// Bytes before a frame to send that say what is left to do with it (`struct xsk_tx_metadata`).
const METADATA: usize = size_of::<Metadata>();
/// Where the frame to send begins in its chunk.
const SEND_AT: usize = 64;

/// `struct xsk_tx_metadata`, as far as a request uses it.
#[repr(C)]
struct Metadata {
    flags: u64,
    checksum_start: u16,
    checksum_offset: u16,
    padding: u32,
    launch_time: u64,
}

const _: () = assert!(METADATA.is_multiple_of(8) && METADATA <= SEND_AT);

/// Whether the driver reads and writes the shared memory itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copying {
    /// The kernel copies.
    Copy,
    /// It does.
    Zero,
}

/// The checksum that is left for the kernel to fill in: where its sum begins, and how far behind that the field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) start: u16,
    pub(crate) offset: u16,
}

/// How much memory a socket has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Chunks for frames to be received, a power of two.
    pub(crate) receive: u32,
    /// Chunks for frames to be sent, a power of two.
    pub(crate) send: u32,
    /// Bytes of a chunk: 2048 or 4096.
    pub(crate) chunk: u32,
}

/// What the kernel did with frames sent.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It has them.
    All,
    /// Some are still in the ring; it has to be told again later.
    Some,
    /// The interface is down, and they wait in the ring.
    Down,
}

/// A socket with its memory, not bound to a queue yet or bound.
pub(crate) struct Socket {
    // The rings and the memory go after the socket, which uses them.
    fd: OwnedFd,
    receive: Consumer<xdp_desc>,
    fill: Producer<u64>,
    send: Producer<xdp_desc>,
    complete: Consumer<u64>,
    memory: Memory,
    size: Size,
    /// Chunks for sending that nobody uses; the last one returned is the next one used.
    idle: Vec<u64>,
    offers_checksum: bool,
    copying: Copying,
}

impl Socket {
    /// Makes a socket with its memory.
    pub(crate) fn new(size: Size) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::socket(libc::AF_XDP, kind, 0) })?;
        // SAFETY: the descriptor was just made and is owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let chunks = (size.receive + size.send) as usize;
        let memory = Memory::new(chunks * size.chunk as usize)?;
        let offers_checksum = register(&fd, &memory, size.chunk)?;
        let set = |name, entries: u32| set_option(&fd, libc::SOL_XDP, name, &entries);
        set(libc::XDP_UMEM_FILL_RING, size.receive)?;
        set(libc::XDP_UMEM_COMPLETION_RING, size.send)?;
        set(libc::XDP_RX_RING, size.receive)?;
        set(libc::XDP_TX_RING, size.send)?;
        let offsets = offsets(&fd)?;
        let mut fill = Producer::map(
            &fd,
            libc::XDP_UMEM_PGOFF_FILL_RING,
            &offsets.fr,
            size.receive,
        )?;
        for chunk in 0..size.receive {
            fill.push(u64::from(chunk) * u64::from(size.chunk));
        }
        fill.submit();
        let idle = (size.receive..size.receive + size.send).rev();
        Ok(Self {
            receive: Consumer::map(
                &fd,
                libc::XDP_PGOFF_RX_RING as u64,
                &offsets.rx,
                size.receive,
            )?,
            fill,
            send: Producer::map(&fd, libc::XDP_PGOFF_TX_RING as u64, &offsets.tx, size.send)?,
            complete: Consumer::map(
                &fd,
                libc::XDP_UMEM_PGOFF_COMPLETION_RING,
                &offsets.cr,
                size.send,
            )?,
            memory,
            size,
            idle: idle.map(|n| u64::from(n) * u64::from(size.chunk)).collect(),
            offers_checksum,
            copying: Copying::Copy,
            fd,
        })
    }

    /// Binds to a queue of an interface. After an error the socket may be bound in the other way.
    pub(crate) fn bind(&mut self, index: i32, queue: u32, copying: Copying) -> io::Result<()> {
        let flags = match copying {
            Copying::Copy => libc::XDP_COPY,
            Copying::Zero => libc::XDP_ZEROCOPY,
        };
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: u32::try_from(index).unwrap_or(0),
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let size = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
        // SAFETY: the pointer and the size describe `address`, which is alive during the call; the kernel
        // only reads it.
        check(unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), size) })?;
        self.copying = copying;
        Ok(())
    }

    /// Has the kernel look for frames whenever it is asked for them, for at most so long.
    pub(crate) fn set_busy_poll(&self, time: Duration, budget: u32) -> io::Result<()> {
        let set = |name, value: libc::c_int| set_option(&self.fd, libc::SOL_SOCKET, name, &value);
        let micros = libc::c_int::try_from(time.as_micros()).unwrap_or(libc::c_int::MAX);
        set(libc::SO_PREFER_BUSY_POLL, 1)?;
        set(libc::SO_BUSY_POLL, micros)?;
        set(
            libc::SO_BUSY_POLL_BUDGET,
            libc::c_int::try_from(budget).unwrap_or(64),
        )
    }

    pub(crate) fn copying(&self) -> Copying {
        self.copying
    }

    /// Whether the kernel fills in checksums of frames to be sent. A driver that reads the memory itself may not.
    pub(crate) fn offers_checksum(&self) -> bool {
        self.offers_checksum && self.copying == Copying::Copy
    }

    /// The longest frame that can be sent, and received, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.size.chunk as usize - HEADROOM
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Frames that the kernel has been given to send, and whose memory has not come back.
    pub(crate) fn sending(&self) -> usize {
        self.size.send as usize - self.idle.len()
    }

    /// Reads the next frame that has come and gives its chunk back to the kernel. None: there is none. The
    /// inner result is None for a frame that does not lie within its chunk.
    pub(crate) fn read<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Option<Option<T>> {
        let descriptor = self.receive.pop()?;
        let chunk = u64::from(self.size.chunk);
        let frame = self.memory.frame(
            descriptor.addr,
            descriptor.len as usize,
            self.size.chunk as usize,
        );
        // A frame in several chunks comes only where it was asked for.
        let result = frame.map(read);
        self.fill.push(descriptor.addr & !(chunk - 1));
        Some(result)
    }

    /// Tells the kernel of all chunks that were given back.
    pub(crate) fn done_reading(&self) {
        self.receive.release();
        self.fill.submit();
    }

    /// Asks the kernel whether the interface is still there, and to look for frames now where busy polling
    /// or the driver wants it.
    pub(crate) fn look(&self) -> io::Result<()> {
        // SAFETY: without a buffer the kernel writes nothing.
        let result = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Lets `write` put a frame of this length into an idle chunk, and queues it. False: all chunks are in use.
    pub(crate) fn write(
        &mut self,
        len: usize,
        checksum: Option<Checksum>,
        write: impl FnOnce(&mut [u8]),
    ) -> bool {
        if self.idle.is_empty() {
            self.reap();
        }
        let Some(chunk) = self.idle.pop() else {
            return false;
        };
        let at = chunk + SEND_AT as u64;
        let Some(place) = self.memory.place(at, len, self.size.chunk as usize) else {
            self.idle.push(chunk);
            return false;
        };
        write(place);
        let mut options = 0;
        if let Some(Checksum { start, offset }) = checksum
            && let Some(words) =
                self.memory
                    .place(at - METADATA as u64, METADATA, self.size.chunk as usize)
        {
            words.fill(0);
            let flags = u64::from(libc::XDP_TXMD_FLAGS_CHECKSUM).to_ne_bytes();
            words[..8].copy_from_slice(&flags);
            let at = offset_of!(Metadata, checksum_start);
            words[at..at + 2].copy_from_slice(&start.to_ne_bytes());
            words[at + 2..at + 4].copy_from_slice(&offset.to_ne_bytes());
            options = libc::XDP_TX_METADATA;
        }
        self.send.push(xdp_desc {
            addr: at,
            len: len as u32,
            options,
        });
        true
    }

    /// Tells the kernel of all frames that were queued, and has it send them.
    pub(crate) fn push(&mut self) -> io::Result<Pushed> {
        self.send.submit();
        let result = self.kick();
        self.reap();
        result
    }

    fn kick(&mut self) -> io::Result<Pushed> {
        loop {
            let waiting = self.send.waiting();
            if waiting == 0 || !self.send.needs_wakeup() {
                return Ok(Pushed::All);
            }
            // SAFETY: without a buffer and an address the kernel reads nothing.
            let result = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            if result < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    // It sends a few dozen at a time; EBUSY says that it lost one.
                    Some(
                        libc::EAGAIN
                        | libc::EBUSY
                        | libc::ENOBUFS
                        | libc::EINTR
                        | libc::ENOMEM
                        | libc::EOVERFLOW,
                    ) => {}
                    Some(libc::ENETDOWN) => return Ok(Pushed::Down),
                    _ => return Err(error),
                }
            }
            if self.copying == Copying::Zero {
                return Ok(Pushed::All);
            }
            if self.send.waiting() == waiting {
                return Ok(Pushed::Some);
            }
            // Room to complete what comes next.
            self.reap();
        }
    }

    /// Takes back the chunks of frames that have been sent.
    pub(crate) fn reap(&mut self) {
        while let Some(address) = self.complete.pop() {
            let chunk = u64::from(self.size.chunk);
            // Each chunk comes back once; a kernel that gave more would find no room here.
            if self.idle.len() < self.size.send as usize {
                self.idle.push(address & !(chunk - 1));
            }
        }
        self.complete.release();
    }

    /// Frames that were lost so far because nobody took them in time.
    pub(crate) fn overflows(&self) -> io::Result<u64> {
        // `struct xdp_statistics`: rx_dropped, rx_invalid_descs, tx_invalid_descs, rx_ring_full, and more.
        let [dropped, _, _, full, _, _]: [u64; 6] =
            option(&self.fd, libc::SOL_XDP, libc::XDP_STATISTICS)?;
        Ok(dropped + full)
    }
}

/// Gives the kernel the memory; whether frames to be sent may say that their checksum is to be filled in, as from
/// Linux 6.11 on.
fn register(fd: &OwnedFd, memory: &Memory, chunk: u32) -> io::Result<bool> {
    let mut request = libc::xdp_umem_reg {
        addr: memory.address(),
        len: memory.len() as u64,
        chunk_size: chunk,
        headroom: 0,
        flags: libc::XDP_UMEM_TX_METADATA_LEN,
        tx_metadata_len: METADATA as u32,
    };
    match set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &request) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            request.flags = 0;
            request.tx_metadata_len = 0;
            set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &request)?;
            Ok(false)
        }
        result => result.map(|()| true),
    }
}

/// Where things lie in the mappings of the rings.
fn offsets(fd: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // Four times producer, consumer, descriptors, flags.
    let numbers: [u64; 16] = option(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)?;
    let [rx, tx, fr, cr] = [0, 4, 8, 12].map(|at| libc::xdp_ring_offset {
        producer: numbers[at],
        consumer: numbers[at + 1],
        desc: numbers[at + 2],
        flags: numbers[at + 3],
    });
    Ok(libc::xdp_mmap_offsets { rx, tx, fr, cr })
}
