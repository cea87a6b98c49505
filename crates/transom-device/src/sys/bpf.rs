//! The program that leads an interface's frames to AF_XDP sockets: five instructions, loaded and
//! attached through bpf(2) itself.
//!
//! A loader library would bring an ELF reader and a type format of its own for what is one table and
//! one call. The program lives as long as the [`Attachment`]: the kernel takes it from the interface when the
//! last descriptor of the link is closed, also when the process dies.
//!
//! Sources: `include/uapi/linux/bpf.h`, `Documentation/bpf/map_xskmap.rst`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;
use crate::error::failed;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
/// What becomes of a frame of a queue without a socket: the kernel takes it.
const XDP_PASS: i32 = 2;
/// Number of the helper `bpf_redirect_map`.
const REDIRECT_MAP: i32 = 51;
/// Offset of `rx_queue_index` in `struct xdp_md`.
const QUEUE_INDEX: i16 = 16;
/// Says that the constant of a 64-bit load is the descriptor of a map.
const PSEUDO_MAP_FD: u8 = 1;

const NEEDS_BPF: &str = "AF_XDP needs root, or the capabilities CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF \
    of the host; those of a user namespace are not enough";

/// Where an attached program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the driver, before the kernel has made a packet of the frame.
    Driver,
    /// Behind it, for drivers that cannot.
    Generic,
}

/// A program on an interface, and the table of sockets that it hands frames to.
#[derive(Debug)]
pub(crate) struct Attachment {
    sockets: OwnedFd,
    _link: OwnedFd,
    place: Place,
    why_generic: Option<io::Error>,
}

impl Attachment {
    /// Attaches a program that hands the frames of receive queue n to socket n of its table, for n below
    /// `queues`.
    pub(crate) fn new(name: &str, index: i32, queues: u32) -> io::Result<Self> {
        let say = |what: &str, error: io::Error| {
            let mend = match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => NEEDS_BPF,
                Some(libc::EBUSY | libc::EEXIST) => {
                    "another XDP program is on the interface; `ip link set dev NAME xdp off` removes it, \
                     unless a running program holds it"
                }
                Some(libc::ENOSYS) => "the kernel was built without bpf(2)",
                Some(libc::EINVAL) => "this needs Linux 5.9 or later, with CONFIG_XDP_SOCKETS",
                _ => "",
            };
            failed(format_args!("cannot {what} {name}"), &error, mend)
        };
        let sockets = create_table(queues)
            .map_err(|error| say("make the table of AF_XDP sockets for", error))?;
        let program = load(&sockets).map_err(|error| say("load the XDP program for", error))?;
        let (link, place, why_generic) = match link(&program, index, Place::Driver) {
            Ok(link) => (link, Place::Driver, None),
            Err(error) if is_unsupported(&error) => {
                let link = link(&program, index, Place::Generic)
                    .map_err(|error| say("attach an XDP program to", error))?;
                (link, Place::Generic, Some(error))
            }
            Err(error) => return Err(say("attach an XDP program to", error)),
        };
        Ok(Self {
            sockets,
            _link: link,
            place,
            why_generic,
        })
    }

    /// Leads the frames of a receive queue to a socket that is bound to it.
    pub(crate) fn lead(&self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        #[repr(C)]
        struct Element {
            map: u32,
            padding: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let value = socket.as_raw_fd();
        let mut attributes = Element {
            map: number(&self.sockets),
            padding: 0,
            key: (&raw const queue).expose_provenance() as u64,
            value: (&raw const value).expose_provenance() as u64,
            flags: 0,
        };
        bpf(BPF_MAP_UPDATE_ELEM, &mut attributes).map(drop)
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Why the program does not run in the driver.
    pub(crate) fn why_generic(&self) -> Option<&io::Error> {
        self.why_generic.as_ref()
    }
}

/// Whether the driver knows nothing of XDP, or not with these settings.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ERANGE)
    )
}

fn create_table(queues: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct MapCreate {
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    let mut attributes = MapCreate {
        kind: BPF_MAP_TYPE_XSKMAP,
        key_size: 4,
        value_size: 4,
        max_entries: queues.max(1),
    };
    bpf_descriptor(BPF_MAP_CREATE, &mut attributes)
}

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    constant: i32,
}

const fn instruction(code: u8, dst: u8, src: u8, offset: i16, constant: i32) -> Instruction {
    // Two bit fields of four bits, which C lays out by the machine's byte order.
    let registers = if cfg!(target_endian = "little") {
        dst | src << 4
    } else {
        dst << 4 | src
    };
    Instruction {
        code,
        registers,
        offset,
        constant,
    }
}

fn load(sockets: &OwnedFd) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct ProgramLoad {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }
    const LOAD_WORD: u8 = 0x61;
    const LOAD_CONSTANT: u8 = 0x18;
    const MOVE_CONSTANT: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    // return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
    let program = [
        instruction(LOAD_WORD, 2, 1, QUEUE_INDEX, 0),
        instruction(LOAD_CONSTANT, 1, PSEUDO_MAP_FD, 0, sockets.as_raw_fd()),
        // The second half of the constant.
        instruction(0, 0, 0, 0, 0),
        instruction(MOVE_CONSTANT, 3, 0, 0, XDP_PASS),
        instruction(CALL, 0, 0, 0, REDIRECT_MAP),
        instruction(EXIT, 0, 0, 0, 0),
    ];
    let license = c"Dual MIT/GPL";
    let mut attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_XDP,
        count: program.len() as u32,
        instructions: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        // The last byte stays a NUL.
        name: *b"transom_queues\0\0",
        interface: 0,
        attach_type: ATTACH_XDP,
    };
    bpf_descriptor(BPF_PROG_LOAD, &mut attributes)
}

fn link(program: &OwnedFd, index: i32, place: Place) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct LinkCreate {
        program: u32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attributes = LinkCreate {
        program: number(program),
        interface: u32::try_from(index).unwrap_or(0),
        attach_type: ATTACH_XDP,
        flags: match place {
            Place::Driver => XDP_FLAGS_DRV_MODE,
            Place::Generic => XDP_FLAGS_SKB_MODE,
        },
    };
    bpf_descriptor(BPF_LINK_CREATE, &mut attributes)
}

fn number(fd: &OwnedFd) -> u32 {
    // An open descriptor is not negative.
    fd.as_raw_fd().unsigned_abs()
}

fn bpf_descriptor<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)?;
    // SAFETY: the commands that are called through here return a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `attributes` is a beginning of `union bpf_attr`; the kernel takes what is missing for zeros.
fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_int> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: the pointer and the size describe `attributes`, which is alive during the call, as is what
    // its addresses point to; the commands used here write to none of it.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    check(libc::c_int::try_from(result).unwrap_or(-1))
}
