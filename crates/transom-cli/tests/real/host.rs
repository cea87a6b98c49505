//! A host of its own for a test; host.sh describes its network.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Who runs a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    /// uid 65534, without groups and capabilities.
    Nobody,
}

/// The servers' addresses.
pub(crate) const SERVERS_V4: &str = "192.0.2.2";
pub(crate) const SERVERS_V6: &str = "2001:db8:1::2";

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the host, where a user sits.
    Here,
    /// At the other end of the host's link.
    Servers,
}

/// May an ordinary user open /dev/net/tun?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TunFor {
    RootOnly,
    Everybody,
}

/// The host; all of it ends when this is dropped.
pub(crate) struct Host {
    /// `unshare`, whose child is the first process inside. Its standard input ends with this
    /// struct or with this process, and then everything inside ends.
    first: Child,
    folder: PathBuf,
    files: AtomicU32,
}

/// Files beside this one.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/real")
        .join(name)
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Host {
    pub(crate) fn new() -> Self {
        Self::with_tun_for(TunFor::RootOnly)
    }

    pub(crate) fn with_tun_for(tun: TunFor) -> Self {
        static HOSTS: AtomicU32 = AtomicU32::new(0);
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let name = format!("transom-real-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        // Every user of the host writes here.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
        copy_for_everybody(
            env!("CARGO_BIN_EXE_transom").as_ref(),
            &folder.join("transom"),
        );
        for name in ["cases.py", "inventory.py", "stop.py", "type.py"] {
            copy_for_everybody(&script(name), &folder.join(name));
        }
        let mut first = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--",
            ])
            .arg(script("host.sh"))
            .arg(&folder)
            .arg(match tun {
                TunFor::RootOnly => "closed",
                TunFor::Everybody => "open",
            })
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(first.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n", "the host could not be set up; see above");
        Self {
            first,
            folder,
            files: AtomicU32::new(0),
        }
    }

    /// A folder that every user of the host may write to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file name that nobody used yet.
    pub(crate) fn new_file(&self, suffix: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{number}.{suffix}"))
    }

    /// The `transom` under test, where every user can execute it.
    pub(crate) fn transom(&self) -> PathBuf {
        self.folder.join("transom")
    }

    /// The processes, namespaces, interfaces and mounts that are there now.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let mut command = self.command(Place::Here, User::Root);
        let output = command
            .arg("python3")
            .arg(self.folder.join("inventory.py"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Starts a command line that will run on this host.
    pub(crate) fn command(&self, place: Place, user: User) -> Command {
        let pid = self.first.id();
        let mut command = Command::new("nsenter");
        for (option, file) in [
            ("net", "net"),
            ("mount", "mnt"),
            ("pid", "pid_for_children"),
        ] {
            command.arg(format!("--{option}=/proc/{pid}/ns/{file}"));
        }
        // Whoever starts the tests may ignore signals, as nohup does, and a shell lets a script catch none
        // that it was started without.
        command.args(["--", "env", "--default-signal"]);
        if place == Place::Servers {
            command.args(["ip", "netns", "exec", "servers"]);
        }
        command
            .args(become_user(user))
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &self.folder)
            .env("TERM", "xterm")
            .env("LANG", "C.UTF-8");
        command
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.first.stdin.take());
        let _ = self.first.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What stands before a command line so that this user runs it.
pub(crate) fn become_user(user: User) -> &'static [&'static str] {
    match user {
        User::Root => &[],
        User::Nobody => &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ],
    }
}

fn copy_for_everybody(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}
