//! The ways in which a program is run: plainly or under `transom run`, as whom, over what.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::ended::{Ended, Running};
use crate::host::{Host, Place, User};

/// One way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) user: User,
    /// The device under `transom run`; none is a plain run.
    pub(crate) device: Option<&'static str>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, device } = self;
        write!(f, "{user:?} {}", device.unwrap_or("plain"))
    }
}

pub(crate) const ROOT_TUN: Way = Way {
    user: User::Root,
    device: Some("tun"),
};
pub(crate) const ROOT_VETH: Way = Way {
    user: User::Root,
    device: Some("veth"),
};
pub(crate) const NOBODY_VETH: Way = Way {
    user: User::Nobody,
    device: Some("veth"),
};
/// Where everybody may open /dev/net/tun, as most distributions have it.
pub(crate) const NOBODY_TUN: Way = Way {
    user: User::Nobody,
    device: Some("tun"),
};

/// All ways on a host where /dev/net/tun is closed to ordinary users.
pub(crate) const WAYS: [Way; 3] = [ROOT_TUN, ROOT_VETH, NOBODY_VETH];

impl Way {
    /// The plain run to compare with.
    pub(crate) fn plain(self) -> Self {
        Self {
            device: None,
            ..self
        }
    }
}

/// How long a program may take, unless a test says otherwise.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A program on its way.
pub(crate) struct Run<'a> {
    host: &'a Host,
    way: Way,
    options: Vec<OsString>,
    program: Vec<OsString>,
    stdin: Vec<u8>,
    limit: Duration,
    capture: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new<S: AsRef<OsStr>>(
        host: &'a Host,
        way: Way,
        program: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            host,
            way,
            options: vec!["--quiet".into()],
            program: program
                .into_iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
            stdin: Vec::new(),
            limit: LIMIT,
            capture: true,
        }
    }

    /// Options of `transom run` instead of --quiet; a plain run ignores them.
    pub(crate) fn options<S: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options = options
            .into_iter()
            .map(|word| word.as_ref().to_owned())
            .collect();
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Writes no capture.
    pub(crate) fn without_capture(mut self) -> Self {
        self.capture = false;
        self
    }

    /// The words after `nsenter … --`.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(device) = self.way.device {
            words.extend([self.host.transom().into(), "run".into()]);
            words.extend(["--device".into(), device.into()]);
            if self.capture {
                let file: PathBuf = self.host.new_file("pcapng");
                words.extend(["-w".into(), file.into()]);
            }
            words.extend(self.options.iter().cloned());
            words.push("--".into());
        }
        words.extend(self.program.iter().cloned());
        words
    }

    /// What runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.host.command(Place::Here, self.way.user);
        command.args(self.words());
        command
    }

    pub(crate) fn end(self) -> Ended {
        Running::start(self.command(), self.stdin).end(self.limit)
    }
}
