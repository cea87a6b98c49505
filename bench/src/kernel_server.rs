//! The kernel as the stack that serves: the same four ports.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::{ECHO, REQUESTS, SINK, SOURCE};

/// A server in a thread of its own.
pub(crate) struct Server(JoinHandle<io::Result<()>>);

impl Server {
    /// Serves until something fails.
    pub(crate) fn join(self) -> io::Result<()> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the server panicked")))
    }
}

/// Serves the ports at an address. When this returns they can be connected to.
pub(crate) fn start(address: &str) -> io::Result<Server> {
    for port in [SOURCE, SINK, ECHO] {
        let listener = TcpListener::bind((address, port))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream, port));
            }
        });
    }
    // Many short connections: one thread for all of them, as the stacks under test have.
    let listener = TcpListener::bind((address, REQUESTS))?;
    listener.set_nonblocking(true)?;
    Ok(Server(thread::spawn(move || requests(listener))))
}

/// Until the peer goes away.
fn serve(mut stream: TcpStream, port: u16) -> io::Result<()> {
    let mut buffer = vec![0; 262_144];
    stream.set_nodelay(true)?;
    match port {
        SOURCE => loop {
            stream.write_all(&buffer)?;
        },
        SINK => while stream.read(&mut buffer)? > 0 {},
        _ => loop {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            stream.write_all(&buffer[..n])?;
        },
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn requests(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..n]).await.is_err() {
                    break;
                }
            }
        });
    }
}
