//! A private "host": a network namespace with its own interfaces and routes, in which both a plain
//! run and `transom run` see the same network.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{Mode, NOBODY, as_user, is_root, transom};

/// A network namespace that lives as long as this does.
pub(crate) struct Network {
    holder: Child,
}

impl Network {
    /// Makes one and runs a script in it (with `ip` and the like) as its root.
    pub(crate) fn new(script: &str) -> Self {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.arg("-Ur");
        }
        // It says that it is ready and waits until its stdin is closed, which happens also
        // when this process is killed.
        let script = format!("set -e; ip link set lo up; {script}\necho ready; read _ || true");
        let mut holder = command
            .args(["-n", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        let stdout = holder.stdout.as_mut().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the holder speaks");
        assert_eq!(line, "ready\n", "the private network could not be set up");
        Self { holder }
    }

    /// A program in this network, under the mode's user.
    pub(crate) fn plain(&self, mode: Mode, program: &str) -> Command {
        let mut command = self.enter();
        command.arg(program);
        with_user(command, mode)
    }

    /// `transom run --device DEVICE` in this network, under the mode's user.
    pub(crate) fn run(&self, mode: Mode) -> Command {
        let mut command = self.enter();
        command
            .arg(transom())
            .args(["run", "--device", mode.device]);
        with_user(command, mode)
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        if !is_root() {
            command.arg(format!("--user=/proc/{}/ns/user", self.holder.id()));
            command.arg("--preserve-credentials");
        }
        command
    }
}

/// Puts `setpriv` between `nsenter` and its program.
fn with_user(command: Command, mode: Mode) -> Command {
    if mode.user.is_none() {
        return command;
    }
    let mut words = command.get_args();
    let network = words.next().expect("nsenter has its namespace").to_owned();
    let mut entered = Command::new("nsenter");
    entered.arg(network);
    let user = as_user(mode.user, words.next().expect("a program"));
    entered
        .arg(user.get_program())
        .args(user.get_args())
        .args(words);
    entered
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// Used by modes that run as nobody.
pub(crate) const UNPRIVILEGED: u32 = NOBODY;
