//! A server for the program to talk with.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// A server in this process for one connection; what `serve` returns is got by [`Once::join`].
pub(crate) struct Once<T> {
    thread: JoinHandle<io::Result<T>>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl<T: Send + 'static> Once<T> {
    /// Listens on the loopback and serves the first connection.
    pub(crate) fn new(serve: impl FnOnce(TcpStream) -> io::Result<T> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            // A server that waits for ever would hide what went wrong.
            stream.set_read_timeout(Some(std::time::Duration::from_secs(30)))?;
            serve(stream)
        });
        Self { thread, address }
    }

    /// What the server saw.
    pub(crate) fn join(self) -> io::Result<T> {
        self.thread.join().expect("the server does not panic")
    }
}
