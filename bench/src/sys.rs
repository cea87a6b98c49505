//! The system calls of the benchmarks.
#![expect(
    unsafe_code,
    reason = "system calls without a safe wrapper among our dependencies"
)]

use std::ffi::{c_int, c_long, c_ulong};
use std::io;
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

const TUNSETIFF: c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: c_ulong = 0x4004_54d0;
const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;
const IFF_VNET_HDR: i16 = 0x4000;
/// `TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6`.
const OFFLOADS: c_ulong = 7;

/// Length of the virtio header in front of every packet of a TUN device with offload.
pub(crate) const VNET_HEADER: usize = 10;

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Opens (and creates) a non-blocking TUN device, with checksum and segmentation offload if `vnet`.
pub(crate) fn open_tun(name: &str, vnet: bool) -> io::Result<OwnedFd> {
    // SAFETY: the path is a NUL-terminated constant; the result is checked before use.
    let fd = unsafe {
        let fd = check(libc::open(
            c"/dev/net/tun".as_ptr(),
            libc::O_RDWR | libc::O_NONBLOCK,
        ))?;
        OwnedFd::from_raw_fd(fd)
    };
    // struct ifreq: 16 bytes of name, then the flags; 40 bytes long.
    let mut request = [0u8; 40];
    request[..name.len().min(15)].copy_from_slice(&name.as_bytes()[..name.len().min(15)]);
    let flags = IFF_TUN | IFF_NO_PI | if vnet { IFF_VNET_HDR } else { 0 };
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: `request` is as long as struct ifreq and lives across the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) })?;
    if vnet {
        // SAFETY: this request takes its argument by value.
        check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD, OFFLOADS) })?;
    }
    Ok(fd)
}

/// Reads one packet; `None` when there is none.
pub(crate) fn read(fd: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the pointer and the length are those of a live slice.
    let n = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(n).ok().filter(|n| *n > 0)
}

/// Writes one packet; false when the device did not take it.
pub(crate) fn write(fd: &OwnedFd, packet: &[u8]) -> bool {
    // SAFETY: the pointer and the length are those of a live slice.
    unsafe { libc::write(fd.as_raw_fd(), packet.as_ptr().cast(), packet.len()) > 0 }
}

/// Reads what a socket has; `None` when it has nothing, or no more.
pub(crate) fn recv_now(socket: &TcpStream, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the pointer and the length are those of a live slice.
    let n = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(n).ok().filter(|n| *n > 0)
}

/// Waits until the descriptor is readable, at most `microseconds`.
pub(crate) fn wait_readable(fd: &impl AsRawFd, microseconds: u64) {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let time = libc::timespec {
        tv_sec: (microseconds / 1_000_000) as libc::time_t,
        tv_nsec: ((microseconds % 1_000_000) * 1000) as c_long,
    };
    // SAFETY: one live pollfd, one live timespec, no signal mask.
    unsafe { libc::ppoll(&raw mut poll, 1, &raw const time, std::ptr::null()) };
}

/// Moves this process into a network namespace of its own, which ends with it and its children.
pub(crate) fn own_network() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).map(drop)
}

/// Binds this process to one processor.
pub(crate) fn pin(cpu: usize) {
    set_affinity(0, cpu);
}

/// Binds a child process, which has just been started, to one processor.
pub(crate) fn pin_process(child: &std::process::Child, cpu: usize) {
    if let Ok(pid) = libc::pid_t::try_from(child.id()) {
        set_affinity(pid, cpu);
    }
}

fn set_affinity(pid: libc::pid_t, cpu: usize) {
    // SAFETY: a zeroed cpu_set_t is an empty set; the size given is its own.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(pid, size_of_val(&set), &raw const set);
    }
}

/// Lets this process, and all that it starts, have as many descriptors as it may.
pub(crate) fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value. With the old limit fewer connections fit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Clock ticks a second, in which the kernel counts processor time.
pub(crate) fn ticks() -> f64 {
    // SAFETY: no pointers.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

/// Has the kernel end this process after a time, should it still be there.
pub(crate) fn end_after(time: Duration) {
    // SAFETY: no pointers.
    unsafe { libc::alarm(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)) };
}

/// Asks the kernel to end this process when its parent ends.
pub(crate) fn die_with_parent() {
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Waits for a child; whether it succeeded, and the most memory that it had resident, in KiB.
pub(crate) fn wait_with_peak(child: std::process::Child) -> io::Result<(bool, i64)> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: an rusage of zeros is a value of its type.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values; the child is ours and was not waited for.
    check(unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) })?;
    Ok((status == 0, usage.ru_maxrss))
}

/// Moves this thread into a network namespace.
pub(crate) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Makes this thread wake up when it wants to, and before all but what [`go_first`] has set.
pub(crate) fn be_precise() {
    // SAFETY: no pointers. Should the kernel refuse, timing is merely worse.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
        libc::setpriority(libc::PRIO_PROCESS, 0, -15);
    }
}

/// Waits until one of two descriptors is readable, at most so long; whether it was the second.
pub(crate) fn wait_either(
    one: BorrowedFd<'_>,
    two: BorrowedFd<'_>,
    most: Option<Duration>,
) -> bool {
    let mut polls = [one, two].map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let time = most.map(|most| libc::timespec {
        tv_sec: most.as_secs() as libc::time_t,
        tv_nsec: c_long::from(most.subsec_nanos()),
    });
    let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: two live pollfds, a live timespec or none, no signal mask.
    unsafe { libc::ppoll(polls.as_mut_ptr(), 2, time, std::ptr::null()) };
    polls[1].revents != 0
}

/// Chooses a socket's congestion control (`TCP_CONGESTION`).
pub(crate) fn set_congestion(socket: &impl AsRawFd, name: &str) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of a live string.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    })
    .map(drop)
    .map_err(|error| io::Error::new(error.kind(), format!("congestion control {name}: {error}")))
}

/// Connects a socket that has used this congestion control from the start: one that is chosen later inherits from a paced
/// default that it is paced.
pub(crate) fn connect_with(congestion: &str, to: SocketAddrV4) -> io::Result<TcpStream> {
    // SAFETY: no pointers; the result is checked before use.
    let fd = unsafe {
        let flags = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, flags, 0))?)
    };
    set_congestion(&fd, congestion)?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(to.ip().octets()),
        },
        sin_zero: [0; 8],
    };
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the pointer and the size are those of a live address.
    check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const address).cast(), size) })?;
    Ok(TcpStream::from(fd))
}

/// Goes before other programs, with all that it starts: where the round trip is a millisecond, so is a turn of the
/// scheduler.
pub(crate) fn go_first() {
    // SAFETY: no pointers. If it is not allowed, the figures are noisier.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
}

/// Goes before other programs where the kernel weighs sessions against each other (`sched_autogroup`), so that niceness counts
/// only within one: in a session of its own, which goes first as a whole.
pub(crate) fn own_session() {
    // SAFETY: no pointers. Who leads a session already keeps it.
    unsafe { libc::setsid() };
    // A kernel without such groups has no such file.
    drop(std::fs::write("/proc/self/autogroup", "-20"));
}

/// Waits until nobody else holds this file's lock, and holds it until the end of `during`.
pub(crate) fn take_turns<T>(file: &impl AsRawFd, during: impl FnOnce() -> T) -> io::Result<T> {
    let lock = |operation| {
        // SAFETY: no pointers.
        match unsafe { libc::flock(file.as_raw_fd(), operation) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    lock(libc::LOCK_EX)?;
    let outcome = during();
    lock(libc::LOCK_UN)?;
    // Who waits is woken, but would come too late for a lock that is taken again at once.
    std::thread::sleep(Duration::from_millis(50));
    Ok(outcome)
}

/// Has the kernel pace a socket, as it does by itself only for BBR or below a queueing discipline of its own: any limit
/// of the rate switches that on (`SO_MAX_PACING_RATE`), and this one is above what is measured.
pub(crate) fn set_paced(socket: &impl AsRawFd) -> io::Result<()> {
    let rate: u64 = 100_000_000_000;
    set_socket_option(socket, libc::SO_MAX_PACING_RATE, &rate)
}

/// Lets a connection end by a reset, so that nothing of it is left on the wire.
pub(crate) fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set_socket_option(stream, libc::SO_LINGER, &linger)
}

/// Sets an option of level SOL_SOCKET to a plain value of C's.
fn set_socket_option<T>(socket: &impl AsRawFd, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the size are those of a live value.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// As Ctrl-C.
pub(crate) fn interrupt(child: &std::process::Child) -> io::Result<()> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // SAFETY: no pointers; the child is ours and was not waited for.
    check(unsafe { libc::kill(pid, libc::SIGINT) }).map(drop)
}

/// A part of the kernel's `struct tcp_info` (`include/uapi/linux/tcp.h`).
#[derive(Debug, Default)]
pub(crate) struct KernelInfo {
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_retransmitted: u64,
    cwnd: u32,
    ssthresh: u32,
    rtt: u32,
    receive_window_limited: u64,
    send_buffer_limited: u64,
}

impl KernelInfo {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Self> {
        let mut bytes = [0_u8; 256];
        let mut len = bytes.len() as libc::socklen_t;
        // SAFETY: the pointer and the length are those of a live array, of which the kernel writes a part.
        check(unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                bytes.as_mut_ptr().cast(),
                &raw mut len,
            )
        })?;
        let long = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |b| u64::from_ne_bytes(*b))
        };
        let short = |at: usize| {
            bytes[at..]
                .first_chunk()
                .map_or(0, |b| u32::from_ne_bytes(*b))
        };
        Ok(Self {
            bytes_acked: long(120),
            bytes_sent: long(200),
            bytes_retransmitted: long(208),
            cwnd: short(80),
            ssthresh: short(76),
            rtt: short(68),
            receive_window_limited: long(176),
            send_buffer_limited: long(184),
        })
    }

    pub(crate) fn words(&self) -> String {
        format!(
            "cwnd {} ssthresh {} rtt {} us, limited by the receiver {} ms, by its buffer {} ms",
            self.cwnd,
            self.ssthresh,
            self.rtt,
            self.receive_window_limited / 1000,
            self.send_buffer_limited / 1000,
        )
    }
}
