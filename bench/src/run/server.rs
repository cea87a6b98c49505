//! The real server: a plain program with sockets of the kernel, in a network namespace of its own.

use std::io::{self, BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{BLOCK, GATEWAY, SERVER};
use crate::net::{SINK, SOURCE, ip, ready};
use crate::sys;

/// A server on this port sends back what comes.
pub(super) const ECHO: u16 = 1002;
/// A server on this port reads a request, answers, and closes.
pub(super) const ANSWER: u16 = 1003;
/// A server on this port answers one byte, and keeps the connection.
pub(super) const HOLD: u16 = 1010;

/// Length of a request and of its answer.
pub(super) const REQUEST: usize = 64;

/// Threads that accept on [`ANSWER`]; more than clients at a time.
const ANSWERING: usize = 10;

/// Serves all ports until the parent ends it. The parent moves an interface in before it says so.
pub(super) fn serve() -> io::Result<()> {
    sys::die_with_parent();
    sys::own_network()?;
    ready();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    super::settings();
    ip(&["link", "set", "lo", "up"])?;
    for address in [SERVER, GATEWAY] {
        ip(&["addr", "add", &format!("{address}/24"), "dev", "vB"])?;
    }
    ip(&["link", "set", "vB", "up"])?;
    let answering = TcpListener::bind((SERVER, ANSWER))?;
    for _ in 0..ANSWERING {
        let listener = answering.try_clone()?;
        thread::spawn(move || accept(&listener, |stream| answer(&stream)));
    }
    for (port, role) in [
        (SOURCE, source as fn(TcpStream) -> io::Result<()>),
        (SINK, sink),
        (ECHO, echo),
    ] {
        let listener = TcpListener::bind((SERVER, port))?;
        thread::spawn(move || {
            accept(&listener, |stream| {
                thread::spawn(move || role(stream));
                Ok(())
            });
        });
    }
    let holding = TcpListener::bind((SERVER, HOLD))?;
    let mut held = Vec::new();
    thread::spawn(move || {
        accept(&holding, |mut stream| {
            stream.read_exact(&mut [0])?;
            stream.write_all(&[1])?;
            held.push(stream);
            Ok(())
        });
    });
    ready();
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

/// Serves one connection after the other; a client that has gone away is no reason to end.
fn accept(listener: &TcpListener, mut role: impl FnMut(TcpStream) -> io::Result<()>) {
    for stream in listener.incoming().flatten() {
        drop(stream.set_nodelay(true));
        drop(role(stream));
    }
}

fn source(mut stream: TcpStream) -> io::Result<()> {
    let block = vec![0; BLOCK];
    loop {
        stream.write_all(&block)?;
    }
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    while stream.read(&mut block)? > 0 {}
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut block = vec![0; 4096];
    loop {
        let n = stream.read(&mut block)?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&block[..n])?;
    }
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request)?;
    stream.write_all(&request)
}
