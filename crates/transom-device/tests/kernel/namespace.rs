//! A network namespace for one test.

use std::env;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use transom_device::{Tun, TunOptions};

/// Set to the name of the test while it runs inside its namespace.
const INSIDE: &str = "TRANSOM_TEST_INSIDE_NAMESPACE";

/// When set, a closed `/dev/net/tun` is a failure.
const REQUIRE_TUN: &str = "TRANSOM_REQUIRE_TUN";

/// What a line begins with that says that a part of a test was not run, and why.
const NOT_RUN: &str = "NOT RUN: ";

/// Runs the body of the test `name` in a network namespace of its own: the test binary starts itself
/// again for this one test under `unshare`, as root or else in a user namespace. The namespace ends
/// with that process.
pub(crate) fn in_namespace(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some_and(|inside| inside == name) {
        run("ip link set lo up");
        return body();
    }
    let root = Path::new("/proc/self")
        .metadata()
        .expect("/proc is mounted")
        .uid()
        == 0;
    let mut command = Command::new("unshare");
    command.arg(if root { "-n" } else { "-rn" });
    command.arg(env::current_exe().expect("the test binary has a path"));
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, name);
    let output = command
        .output()
        .expect("`unshare` of util-linux is installed");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{command:?} failed with {}; without root this needs user namespaces\n{stdout}\n{stderr}",
        output.status
    );
    if let Some(line) = stdout.lines().find(|line| line.contains(NOT_RUN)) {
        // Not `eprintln!`, which is hidden for a test that passes.
        writeln!(std::io::stderr(), "{name}: {line}").expect("stderr is open");
    }
}

/// As [`in_namespace`], for tests that need `/dev/net/tun`.
///
/// Where an ordinary user may not open it, the test checks instead that the library says so, and a
/// line on the terminal tells that the rest was not run. `TRANSOM_REQUIRE_TUN=1` makes that a failure.
pub(crate) fn in_namespace_with_tun(name: &str, body: impl FnOnce()) {
    in_namespace(name, || {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun");
        if file.is_ok_and(|file| file.metadata().is_ok()) || env::var_os(REQUIRE_TUN).is_some() {
            return body();
        }
        let error = Tun::open(&TunOptions::default())
            .err()
            .expect("the device is closed");
        let text = error.to_string();
        assert!(
            text.contains("cannot open /dev/net/tun") && text.contains("sudo "),
            "{text}"
        );
        not_run("this user may not open /dev/net/tun; only the error was checked");
    });
}

/// Has [`in_namespace`] tell on the terminal what was not run.
pub(crate) fn not_run(why: &str) {
    writeln!(std::io::stdout(), "{NOT_RUN}{why}").expect("stdout is open");
}

/// Runs a command of words without quotes.
pub(crate) fn run(line: &str) {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a command line is not empty");
    let output = Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| {
            let hint = if error.kind() == ErrorKind::NotFound {
                " (is it installed?)"
            } else {
                ""
            };
            panic!("{line}: {error}{hint}")
        });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{line}: {}: {stderr}",
        output.status
    );
}
