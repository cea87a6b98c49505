//! A network namespace with sockets; sockets.py makes them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The namespace; it and everything in it end when this is dropped.
pub(crate) struct Place {
    /// `unshare`, whose child holds the sockets until its standard input ends.
    holder: Child,
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

impl Place {
    /// With about so many sockets.
    pub(crate) fn with(sockets: usize) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ss/sockets.py");
        let mut unshare = Command::new("unshare");
        if !is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let mut holder = unshare
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--",
            ])
            .arg("python3")
            .arg(script)
            .arg(sockets.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("ready "), "no sockets; see above");
        Self { holder }
    }

    /// A program inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let pid = self.holder.id();
        let mut command = Command::new("nsenter");
        if !is_root() {
            command.arg(format!("--user=/proc/{pid}/ns/user"));
        }
        for (option, file) in [
            ("net", "net"),
            ("mount", "mnt"),
            ("pid", "pid_for_children"),
        ] {
            command.arg(format!("--{option}=/proc/{pid}/ns/{file}"));
        }
        command.arg("--").arg(program);
        command
    }

    /// `transom ss` inside, with options and filter as typed.
    pub(crate) fn transom(&self, options: &str) -> String {
        text(&self.run(env!("CARGO_BIN_EXE_transom"), &format!("ss {options}")))
    }

    /// `ss` inside.
    pub(crate) fn ss(&self, options: &str) -> String {
        text(&self.run("ss", options))
    }

    /// Any program inside.
    pub(crate) fn run(&self, program: &str, arguments: &str) -> Output {
        self.command(program)
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
