//! `transom drill`: exit codes, what a failure looks like, options in both ways of writing.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../transom-drill/scripts")
}

fn drill(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_transom"))
        .arg("drill")
        .args(arguments)
        .output()
        .unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap(),
    )
}

/// A script of one test in a file of its own; removed with the folder.
fn written(name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_folder_of_scripts_passes() {
    let folder = scripts().join("handshake");
    let (out, err, code) = drill(&[folder.to_str().unwrap()]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("ok   "), "{out}");
    assert!(out.contains(" passed, 0 failed ("), "{out}");
}

#[test]
fn a_failure_shows_both_packets_at_file_and_line_and_the_rest_is_played() {
    let wrong = written(
        "wrong.pkt",
        " 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n\
         +0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 2 <mss 1460>\n",
    );
    let right = scripts().join("handshake/passive.pkt");
    let (out, _, code) = drill(&[wrong.to_str().unwrap(), right.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(out.contains("wrong.pkt:5: "), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    let expected = lines
        .iter()
        .position(|line| line.trim() == "expected: > S. 0:0(0) ack 2 <mss 1460>")
        .unwrap();
    assert!(
        lines[expected + 1]
            .trim()
            .starts_with("actual:   > S. 0:0(0) ack 1 "),
        "{out}"
    );
    assert!(out.contains("1 passed, 1 failed"), "{out}");
}

#[test]
fn text_that_is_no_script_is_a_failure_at_its_place() {
    let broken = written("broken.pkt", "+0 > Q. 0:0(0)\n");
    let (out, _, code) = drill(&[broken.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(out.contains("broken.pkt:1:"), "{out}");
}

#[test]
fn nothing_of_a_shell_line_is_executed() {
    let witness = written("witness", "still here");
    let script = written(
        "shell.pkt",
        &format!("`rm {}`\n 0 epoll_create(1) = 3\n", witness.display()),
    );
    let (out, _, code) = drill(&[script.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(out.contains("is not known"), "{out}");
    assert!(witness.exists());
}

#[test]
fn options_are_written_with_dashes_or_underscores() {
    let script = scripts().join("handshake/passive.pkt");
    let script = script.to_str().unwrap();
    for arguments in [
        ["--ip_version=ipv6", "--mtu=1520"],
        ["--ip-version=ipv6", "--mtu=1520"],
        ["--tolerance_usecs=10000", "--speed=0"],
        ["--local_ip=10.0.0.7", "--remote-ip=10.0.0.8"],
        ["-DNOTHING=1", "--dry_run"],
    ] {
        let (out, err, code) = drill(&[arguments[0], arguments[1], script]);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    }
    let (out, ..) = drill(&["-v", script]);
    assert!(out.contains("0.000000  socket = 3"), "{out}");
    assert!(out.contains("> S. "), "{out}");
}

#[test]
fn arguments_that_cannot_be_used_end_with_125() {
    let script = scripts().join("handshake/passive.pkt");
    let script = script.to_str().unwrap();
    for arguments in [
        vec![],
        vec!["--ip-version=5", script],
        vec!["--no-such-option", script],
        vec!["/no/such/file.pkt"],
    ] {
        let (out, err, code) = drill(&arguments);
        assert_eq!(code, 125, "{arguments:?}: {out}{err}");
        assert!(!err.is_empty());
    }
}
