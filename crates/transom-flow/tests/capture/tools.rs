//! Wireshark's and tcpdump's programs as witnesses, and files for them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that is removed when it is no longer needed.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("capture-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs {program} (packages tshark, tcpdump): {error}")
        });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The fields that tshark reads of each frame, one frame a line, separated by `|`.
pub(crate) fn tshark_fields(path: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut arguments = vec!["-n", "-r", path.to_str().unwrap()];
    arguments.extend(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        arguments.extend(["-e", *field]);
    }
    let output = run("tshark", &arguments);
    let split = |line: &str| line.split('|').map(str::to_owned).collect();
    output.lines().map(split).collect()
}
