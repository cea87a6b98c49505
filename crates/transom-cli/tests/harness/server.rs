//! Servers for the program to talk with.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use super::until;

/// A real server program on the loopback; stopped when dropped.
pub(crate) struct Program {
    child: Child,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Program {
    /// Starts a program and waits until it listens on `port`.
    pub(crate) fn start(command: &mut Command, port: u16) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let program = Self { child, port };
        until(&format!("{command:?} listens"), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// nginx that serves and takes files (PUT) under `root`, over HTTP/1.1 and, where asked, HTTP/2 with TLS.
pub(crate) fn nginx(root: &Path, directory: &Path) -> Program {
    let port = free_port();
    let d = directory.display();
    let user = if super::is_root() { "user root;" } else { "" };
    let configuration = format!(
        "{user} master_process off; daemon off; error_log {d}/error.log; pid {d}/nginx.pid;
         events {{ worker_connections 2048; }}
         http {{
           access_log off; client_max_body_size 0;
           client_body_temp_path {d}/body; proxy_temp_path {d}/proxy;
           fastcgi_temp_path {d}/fastcgi; uwsgi_temp_path {d}/uwsgi; scgi_temp_path {d}/scgi;
           server {{
             listen 127.0.0.1:{port}; listen [::1]:{port};
             root {}; dav_methods PUT;
           }}
         }}",
        root.display()
    );
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration).expect("nginx.conf");
    Program::start(Command::new("nginx").arg("-c").arg(&file), port)
}

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
