//! What the tests of `transom run` share: who runs it over which device, and a server.
//!
//! A test says `for mode in modes()` and gets every way in which this machine can run the
//! program: as the current user and, for root, also as a user without any privilege; over TUN where
//! /dev/net/tun is open, and over veth.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests: what cannot be set up fails them"
)]
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod server;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A user without privileges that exists everywhere.
pub(crate) const NOBODY: u32 = 65534;

/// Who runs transom, and over which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Another user than the one who runs the tests.
    pub(crate) user: Option<u32>,
    /// `--device`
    pub(crate) device: &'static str,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) => write!(f, "uid {user} over {}", self.device),
            None => write!(f, "current user over {}", self.device),
        }
    }
}

/// Every mode that this machine allows; at least one.
pub(crate) fn modes() -> Vec<Mode> {
    let mut modes = Vec::new();
    if OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .is_ok()
    {
        modes.push(Mode {
            user: None,
            device: "tun",
        });
    }
    modes.push(Mode {
        user: None,
        device: "veth",
    });
    if is_root() {
        modes.push(Mode {
            user: Some(NOBODY),
            device: "veth",
        });
    }
    modes
}

/// The first mode: for what does not depend on it.
pub(crate) fn any_mode() -> Mode {
    modes()[0]
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// The binary, where every user may execute it.
pub(crate) fn transom() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_transom"));
        let copy = scratch("bin").join("transom");
        fs::copy(built, &copy).expect("the binary can be copied");
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).expect("permissions");
        copy
    })
}

/// The system's Python, which every user may execute; others on PATH may belong to one user.
pub(crate) fn python() -> &'static str {
    let system = "/usr/bin/python3";
    if Path::new(system).exists() {
        system
    } else {
        "python3"
    }
}

/// A directory of this test process that every user may write to. The system's own cleaning of its
/// temporary directory removes it.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir()
        .join(format!("transom-test-{}", std::process::id()))
        .join(name);
    fs::create_dir_all(&directory).expect("a temporary directory");
    for directory in [directory.parent(), Some(&directory)].into_iter().flatten() {
        let _ = fs::set_permissions(directory, Permissions::from_mode(0o777));
    }
    directory
}

/// Puts a program under a user.
pub(crate) fn as_user(user: Option<u32>, program: impl AsRef<OsStr>) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={user}"))
        .arg("--clear-groups")
        .arg(program)
        .env("HOME", scratch("home"));
    command
}

impl Mode {
    /// `transom run --device DEVICE` under the mode's user; options, `--` and the program follow.
    pub(crate) fn run(&self) -> Command {
        let mut command = as_user(self.user, transom());
        command.args(["run", "--device", self.device]);
        command
    }

    /// A plain run of a program under the mode's user.
    pub(crate) fn plain(&self, program: &str) -> Command {
        as_user(self.user, program)
    }
}

/// How long any one command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command to its end and returns what it said; kills it, and fails, if it takes too long.
pub(crate) fn finish(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    wait(child, &format!("{command:?}"))
}

/// Waits for a child with piped output.
pub(crate) fn wait(child: Child, what: &str) -> Output {
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("the child can be waited for"),
        Err(_) => {
            // Not yet waited for, so the number is still its own.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            panic!("{what} took too long")
        }
    }
}

/// What a command printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until something is so; fails after a while. For what another process does.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
