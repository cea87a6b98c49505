//! The TCP header: RFC 9293 §3.1, and its options.

mod accecn;
mod fast_open;
mod flags;
mod header;
mod options;
mod sack;
mod view;

pub use accecn::{AccEcn, AccEcnOrder};
pub use fast_open::FastOpen;
pub use flags::Flags;
pub use header::Header;
pub use options::{OptionIter, Options, OptionsFault, TcpOption, Timestamps};
pub use sack::SackBlocks;
pub use view::TcpView;

/// Length in bytes of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Length in bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// Room in bytes for options.
pub const MAX_OPTIONS_LEN: usize = 40;
