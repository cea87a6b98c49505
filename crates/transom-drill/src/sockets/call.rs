//! System calls as values: arguments in, results out.

use std::net::SocketAddr;

use super::Errno;

/// A file descriptor.
pub type Fd = i32;

/// A system call, its names looked up and its pointers followed.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `socket`.
    Socket {
        /// The family.
        domain: i64,
        /// The type, with `SOCK_NONBLOCK` in it or not.
        kind: i64,
        /// The protocol, or 0.
        protocol: i64,
    },
    /// `bind`.
    Bind {
        /// The socket.
        fd: Fd,
        /// Where.
        address: SocketAddr,
    },
    /// `listen`.
    Listen {
        /// The socket.
        fd: Fd,
        /// Connections that may wait to be accepted.
        backlog: i64,
    },
    /// `accept`, `accept4`.
    Accept {
        /// The listening socket.
        fd: Fd,
        /// Flags of `accept4`.
        flags: i64,
    },
    /// `connect`.
    Connect {
        /// The socket.
        fd: Fd,
        /// To whom; none is `AF_UNSPEC`, which dissolves.
        address: Option<SocketAddr>,
    },
    /// `read`, `readv`, `recv`, `recvfrom`, `recvmsg`.
    Receive {
        /// From where.
        fd: Fd,
        /// Room in octets.
        len: usize,
        /// The buffer is `NULL`.
        null: bool,
        /// Flags.
        flags: i64,
    },
    /// `write`, `writev`, `send`, `sendto`, `sendmsg`.
    Send {
        /// To where.
        fd: Fd,
        /// Octets, all zero.
        len: usize,
        /// The buffer is `NULL`.
        null: bool,
        /// Flags.
        flags: i64,
        /// The address of `sendto` and `sendmsg`, if there is one; none in it is `AF_UNSPEC`.
        to: Option<Option<SocketAddr>>,
    },
    /// `shutdown`.
    Shutdown {
        /// The socket.
        fd: Fd,
        /// Which way.
        how: i64,
    },
    /// `close`.
    Close {
        /// What.
        fd: Fd,
    },
    /// `fcntl`.
    Fcntl {
        /// The file.
        fd: Fd,
        /// Which command.
        command: i64,
        /// Its argument, or 0.
        argument: i64,
    },
    /// `ioctl` that gives, or takes, an integer.
    Ioctl {
        /// The file.
        fd: Fd,
        /// Which request.
        request: i64,
        /// What is pointed at.
        argument: i64,
    },
    /// `getsockopt`.
    GetOption {
        /// The socket.
        fd: Fd,
        /// The level.
        level: i64,
        /// The option.
        name: i64,
        /// Room in octets.
        len: i64,
    },
    /// `setsockopt`.
    SetOption {
        /// The socket.
        fd: Fd,
        /// The level.
        level: i64,
        /// The option.
        name: i64,
        /// The value.
        value: OptionValue,
        /// Its length as given.
        len: i64,
    },
    /// `poll`.
    Poll {
        /// Files and events asked for.
        entries: Vec<(Fd, i64)>,
        /// In milliseconds; negative is for ever.
        timeout: i64,
    },
    /// `epoll_create`, `epoll_create1`.
    EpollCreate,
    /// `epoll_ctl`.
    EpollControl {
        /// The epoll instance.
        epoll: Fd,
        /// Add, delete or modify.
        operation: i64,
        /// The file.
        fd: Fd,
        /// Events and flags.
        events: i64,
        /// What is given back with them.
        data: u64,
    },
    /// `epoll_wait`.
    EpollWait {
        /// The epoll instance.
        epoll: Fd,
        /// Most events.
        max: i64,
        /// In milliseconds; negative is for ever.
        timeout: i64,
    },
    /// `pipe`.
    Pipe,
    /// `splice` between a socket and a pipe.
    Splice {
        /// From where.
        from: Fd,
        /// To where.
        to: Fd,
        /// Most octets.
        len: usize,
        /// Flags.
        flags: i64,
    },
}

/// What an option is set to, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// An integer.
    Integer(i64),
    /// `struct linger`.
    Linger {
        /// Whether it lingers.
        on: bool,
        /// How long, in seconds.
        seconds: i64,
    },
    /// `struct timeval`.
    Time {
        /// Seconds.
        seconds: i64,
        /// Microseconds beyond.
        micros: i64,
    },
    /// Text, such as the name of a congestion controller.
    Text(Vec<u8>),
    /// A null pointer.
    Null,
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Returned {
    /// The result itself.
    pub value: i64,
    /// What was written through pointers.
    pub output: Output,
}

/// What a call wrote through the pointers that it was given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Output {
    /// Nothing that is looked at.
    #[default]
    Nothing,
    /// `getsockopt`, and its length.
    Option(OptionValue, i64),
    /// `ioctl`.
    Integer(i64),
    /// `poll`: the events of each entry.
    Poll(Vec<i64>),
    /// `epoll_wait`: events and data.
    Epoll(Vec<(i64, u64)>),
    /// `pipe`: reading and writing end.
    Pipe([Fd; 2]),
    /// `recvmsg`.
    Message {
        /// `msg_flags`.
        flags: i64,
        /// What `TCP_INQ` adds: octets left to read.
        unread: Option<i64>,
    },
}

impl From<i64> for Returned {
    fn from(value: i64) -> Self {
        Self {
            value,
            output: Output::Nothing,
        }
    }
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It failed as it would on Linux.
    Errno(Errno),
    /// Linux can do it and this layer cannot: a phrase that says what.
    Unsupported(String),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// The end of a call.
pub type Outcome = Result<Returned, Fault>;

/// Where a call stands after a try.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It returned.
    Done(Outcome),
    /// It blocks; to be given to [`Sockets::resume`](super::Sockets::resume) after the next event.
    Blocked(Waiting),
}

/// A call that blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    pub(crate) call: Call,
    /// Octets moved already; for `connect`, whether it has begun.
    pub(crate) done: usize,
    /// It has sent a SYN with data, and waits for the answer.
    pub(crate) opening: bool,
    /// When it gives up.
    pub(crate) deadline: Option<transom_stack::tcp::Instant>,
}

impl Waiting {
    /// When the call returns even if nothing happens.
    #[must_use]
    pub const fn deadline(&self) -> Option<transom_stack::tcp::Instant> {
        self.deadline
    }

    /// Whether the call has waited long enough.
    pub(super) fn is_late(&self, now: transom_stack::tcp::Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
