//! The packet script language: what a script says, as values.
//!
//! A script is a list of [`Event`]s, each with a [`Time`] and an [`Action`]: a packet that the script injects, a packet
//! that the stack must send, a system call with its result, a shell line, a block of assertions. [`Script::parse`]
//! reads the text; nothing is run here, and no name of a system call or symbol is looked up: what a call means is
//! its runner's business.
//!
//! Invariants
//! - Reading never panics and ends: text, nesting and lists are bounded ([`Script::MAX_LEN`], [`Script::MAX_DEPTH`]).
//! - Every event and every packet knows its line, so that whatever differs later can be pointed at.

mod error;
mod lexer;
mod options;
mod packet;
mod parser;
mod value;

pub use error::{Error, Place};
pub use options::{Defines, Definition, IpVersion, Network, OptionError, Options};
pub use packet::{
    Body, EcnMark, Encapsulation, ExactOptions, Icmp, IcmpQuote, IpFields, Mpls, Packet, Ports,
    Tcp, TcpOption, TcpOptions, Udp,
};
pub use value::{Field, Unresolved, Value};

use std::time::Duration;

/// A script: options, a shell command before, events in order of the text, a shell command after.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The name that errors are given with: a file name.
    pub name: String,
    /// The options at the top of the file. What a command line says goes before these ([`Options::or`]).
    pub options: Options,
    /// A shell command before the first event.
    pub init: Option<Shell>,
    /// The events.
    pub events: Vec<Event>,
    /// A shell command without a time after the last event, which runs also when the script failed.
    pub cleanup: Option<Shell>,
}

/// Something that happens or must happen at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where it begins in the file.
    pub place: Place,
    /// When.
    pub time: Time,
    /// What.
    pub action: Action,
}

/// When an event happens. Relative times count from when the interpreter reaches the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// `T`: since the script's start.
    Absolute(Duration),
    /// `+D`: since the event before ended.
    Relative(Duration),
    /// `T1~T2`: at the earliest and at the latest, since the script's start; outbound packets only.
    AbsoluteRange(Duration, Duration),
    /// `+D1~+D2`: the same since the event before ended; outbound packets only.
    RelativeRange(Duration, Duration),
    /// `*`: any time; outbound packets only.
    Any,
    /// `T1...T2`: a blocking call begins and must return at these times since the script's start.
    AbsoluteSpan(Duration, Duration),
    /// `+D1...D2`: the same, both counted from the same base: when the event before ended.
    RelativeSpan(Duration, Duration),
}

impl Time {
    /// Whether it counts from the event before.
    #[must_use]
    pub const fn is_relative(self) -> bool {
        matches!(
            self,
            Self::Relative(_) | Self::RelativeRange(..) | Self::RelativeSpan(..)
        )
    }

    /// The earliest time that it names; none for `*`.
    #[must_use]
    pub const fn start(self) -> Option<Duration> {
        match self {
            Self::Absolute(at) | Self::Relative(at) => Some(at),
            Self::AbsoluteRange(from, _)
            | Self::RelativeRange(from, _)
            | Self::AbsoluteSpan(from, _)
            | Self::RelativeSpan(from, _) => Some(from),
            Self::Any => None,
        }
    }

    /// When a blocking call must return, measured from where [`Time::start`] is; none for everything else.
    #[must_use]
    pub const fn returns(self) -> Option<Duration> {
        match self {
            Self::AbsoluteSpan(_, end) | Self::RelativeSpan(_, end) => Some(end),
            _ => None,
        }
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// `<`: a packet arrives at the stack.
    Inbound(Packet),
    /// `>`: the stack must send this packet.
    Outbound(Packet),
    /// A system call; blocking when the event's [`Time::returns`] is given.
    Call(Call),
    /// A shell command in backquotes.
    Shell(Shell),
    /// Assertions: `%{ … }%`.
    Code(Code),
}

/// A system call and what it must return.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments in order.
    pub args: Vec<Value>,
    /// What it must return: a number, symbols, or `...` for anything.
    pub result: Value,
    /// The error's name (`EAGAIN`), where the script gives one.
    pub errno: Option<String>,
    /// The remark in parentheses after the result, which means nothing.
    pub note: Option<String>,
}

/// A shell command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Where it begins.
    pub place: Place,
    /// The text between the backquotes.
    pub command: String,
}

/// A block of assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Where its text begins: the first character after `%{`.
    pub place: Place,
    /// The text between `%{` and `}%`.
    pub text: String,
}

impl Script {
    /// The longest text that is read, in bytes.
    pub const MAX_LEN: usize = 4 << 20;
    /// How deep lists and structures in call arguments may nest.
    pub const MAX_DEPTH: usize = 32;

    /// Reads a script. `name` goes into errors; `defines` are replaced in the text wherever they stand as words,
    /// before those that the file itself gives with `--define`.
    ///
    /// # Errors
    /// The first thing in the text that cannot be read, with its place, what it is and what may stand there.
    pub fn parse(name: &str, text: &str, defines: &Defines) -> Result<Self, Error> {
        parser::parse(name, text, defines)
    }
}
