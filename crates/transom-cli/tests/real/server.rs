//! Servers on a host.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::ended::Status;
use crate::host::{Host, Place, User, script};
use crate::ways::Run;

/// A server that listens; it ends with its host.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The line that said it was ready.
    pub(crate) ready: String,
}

/// How long a server may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

impl Server {
    /// Starts a server and waits until it prints a line that contains `ready`.
    pub(crate) fn start<S: AsRef<OsStr>>(
        host: &Host,
        place: Place,
        words: impl IntoIterator<Item = S>,
        ready: &str,
    ) -> Self {
        let mut command = host.command(place, User::Root);
        command.args(words);
        Self::spawn(command, ready)
    }

    /// A program that serves, plainly or under `transom run`.
    pub(crate) fn of(run: Run<'_>, ready: &str) -> Self {
        Self::spawn(run.command(), ready)
    }

    /// Starts this and waits until it prints a line that contains `ready`.
    pub(crate) fn spawn(mut command: Command, ready: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in from.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            stdin,
            lines,
            ready: String::new(),
        };
        server.ready = server.expect(ready);
        server
    }

    /// Waits for a line that contains this.
    pub(crate) fn expect(&self, text: &str) -> String {
        let since = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(since.elapsed());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("the server never said '{text}'"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The other end of one of cases.py.
    pub(crate) fn case(host: &Host, place: Place, case: &str, address: &str) -> Self {
        let cases = script("cases.py");
        let words = ["python3", cases.to_str().unwrap(), "peer", case, address];
        Self::start(host, place, words, "ready ")
    }

    /// The port that follows "ready ".
    pub(crate) fn port(&self) -> &str {
        self.ready.rsplit(' ').next().unwrap()
    }

    /// What it printed until it ended, which it must do soon.
    pub(crate) fn finish(mut self) -> Vec<String> {
        drop(self.stdin.take());
        let since = Instant::now();
        let mut lines = Vec::new();
        loop {
            match self
                .lines
                .recv_timeout(PATIENCE.saturating_sub(since.elapsed()))
            {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    lines.push("(never ended)".to_owned());
                    return lines;
                }
            }
        }
        let status = self.child.wait().unwrap();
        if !status.success() {
            lines.push(format!("({status})"));
        }
        lines
    }

    /// The process itself: the child of the `nsenter` that is our child.
    pub(crate) fn pid(&self) -> u32 {
        let nsenter = self.child.id();
        let children = fs::read_to_string(format!("/proc/{nsenter}/task/{nsenter}/children"));
        children.unwrap().trim().parse().unwrap()
    }

    /// Sends a signal, such as "TERM", to the process.
    pub(crate) fn signal(&self, name: &str) {
        let words = ["-s", name, &self.pid().to_string()];
        assert!(Command::new("kill").args(words).status().unwrap().success());
    }

    /// Waits until the process has ended.
    pub(crate) fn end(mut self, limit: Duration) -> Status {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.into();
            }
            assert!(since.elapsed() < limit, "not over after {limit:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A small web server on port 8000 of the servers, with one page: /page.
pub(crate) fn pages(host: &Host) -> Server {
    fs::write(host.folder().join("page"), "page\n").unwrap();
    let folder = host.folder().to_str().unwrap();
    let words = [
        "python3",
        "-u",
        "-m",
        "http.server",
        "8000",
        "--directory",
        folder,
    ];
    Server::start(host, Place::Servers, words, "Serving HTTP")
}
