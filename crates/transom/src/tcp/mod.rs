//! TCP sockets, named and behaving as those of `tokio::net`.

mod halves;
mod incoming;
mod io;
mod listener;
mod options;
mod split;
mod split_owned;
mod stream;

pub(crate) use io::{recv, send};

pub use incoming::{Incoming, IncomingStream};
pub use listener::TcpListener;
pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;
