//! Pipes, several files, other users.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::capture::{Capture, mixed};
use crate::{Place, command, explained};

#[test]
fn standard_input_is_read_as_a_file_is() {
    let place = Place::new("stdin");
    let bytes = mixed().pcapng();
    let file = place.file("mixed.pcapng", &bytes);
    let mut child = command(&["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report = String::from_utf8(output.stdout).unwrap();
    let name = file.display().to_string();
    let words = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let from_file = explained(&file, &[]).replace(&name, "standard input");
    assert_eq!(words(&report), words(&from_file));
}

#[test]
fn several_captures_are_merged_by_time() {
    let place = Place::new("merged");
    let whole = place.file("whole.pcapng", &mixed().pcapng());
    let [even, odd] = mixed().split();
    let even = place.file("even.pcap", &even.pcap());
    let odd = place.file("odd.pcapng", &odd.pcapng());
    let alone: serde_json::Value = serde_json::from_str(&explained(&whole, &["--json"])).unwrap();
    for files in [[&even, &odd], [&odd, &even]] {
        let output = command(&["--json"]).args(files).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let merged: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(merged["connections"], alone["connections"]);
        assert_eq!(merged["capture"]["frames"], 15);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new("pipe");
    let mut capture = Capture::default();
    for n in 0..3000_u16 {
        capture.normal(u64::from(n) * 100, 20_000 + n, 80);
    }
    let file = place.file("many.pcapng", &capture.pcapng());
    for arguments in [
        &["--json"][..],
        &["--conn-log"],
        &["--diagram", "all", "--limit", "3000"],
    ] {
        let mut child = command(arguments)
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_user_without_any_privilege_may_explain() {
    let place = Place::new("nobody");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    // Standard input is open already, so that the directories above need not be.
    command
        .args(["explain", "-"])
        .stdin(std::fs::File::open(&file).unwrap());
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output();
    let output = match output {
        Ok(output) => output,
        // The program itself may be where only its builder may look.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("3 TCP connections")
    );
}

#[test]
fn no_progress_is_written_into_a_pipe() {
    let place = Place::new("progress");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let output = command(&[]).arg(&file).output().unwrap();
    assert_eq!(output.stderr, b"");
}
