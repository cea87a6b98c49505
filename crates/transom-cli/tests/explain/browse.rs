//! `--browse` at a terminal: the terminal is ours while we are there, and as it was afterwards.

use std::path::Path;
use std::process::{Command, Output};

use super::capture::{Capture, DOWN, Talk, UP};
use super::{Place, command};

/// What switches to the screen of our own, and back.
const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

/// Types at a terminal at which this program runs; what was shown, and how the program ended.
fn at_a_terminal(steps: &[&str], program: &[&str]) -> String {
    let typist = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/type.py");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("python3")
        .arg(typist)
        .args(steps)
        .arg("--")
        .args(program)
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&stdout).into_owned();
    let complaint = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{complaint}\n{shown}");
    shown
}

/// A connection that is reset.
fn capture(place: &Place) -> String {
    let mut capture = Capture::default();
    let mut talk = Talk::new(40_000, 80);
    capture.segment(0, &mut talk, UP, "S", b"");
    capture.segment(10, &mut talk, DOWN, "SA", b"");
    capture.segment(20, &mut talk, UP, "A", b"");
    capture.segment(30, &mut talk, UP, "PA", b"hello\n");
    capture.segment(40, &mut talk, DOWN, "RA", b"");
    let mut other = Talk::new(40_001, 80);
    capture.segment(50, &mut other, UP, "S", b"");
    capture.segment(60, &mut other, DOWN, "RA", b"");
    let file = place.file("two.pcapng", &capture.pcapng());
    file.to_str().unwrap().to_owned()
}

/// The modes of the terminal, as `stty -g` told them before and after.
fn assert_same_modes(shown: &str) {
    let modes: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_once("modes "))
        .map(|(_, modes)| modes.trim())
        .filter(|modes| modes.contains(':'))
        .collect();
    assert_eq!(modes.len(), 2, "{shown}");
    assert_eq!(modes.first(), modes.last(), "{shown}");
}

#[test]
fn the_terminal_is_given_back() {
    let place = Place::new("browse-quit");
    let script = format!(
        "echo modes $(stty -g); {} explain --browse {}; echo code $?; echo modes $(stty -g)",
        env!("CARGO_BIN_EXE_transom"),
        capture(&place)
    );
    let steps = [
        // Only what changes is drawn: ^L draws all of it, so that it can be recognised.
        "expect:reset_by_server",
        "send:~^L",
        "expect:SYN-RECEIVED",
        "size:30x44",
        "expect:SYN-RECEIVED",
        "send:^I^L",
        "expect:To do:",
        "send:q^L",
        "expect:worst first",
        "send:fstate ==^L",
        "expect:^",
        "send:^Utcp.port == 40001~",
        "expect:[tcp.port == 40001]",
        "send:^L",
        "expect:1/1",
        "send:q",
        "expect:code 0",
    ];
    let shown = at_a_terminal(&steps, &["bash", "-c", &script]);
    assert_eq!(shown.matches(ENTERED).count(), 1, "{shown:?}");
    assert_eq!(shown.matches(LEFT).count(), 1, "{shown:?}");
    assert_same_modes(&shown);
}

#[test]
fn it_stops_and_goes_on_and_a_signal_leaves_the_terminal_as_it_was() {
    let place = Place::new("browse-stop");
    let start = format!(
        "send:{} explain --browse {}~",
        env!("CARGO_BIN_EXE_transom"),
        capture(&place)
    );
    let steps = [
        "expect:$ ",
        "send:echo modes $(stty -g)~",
        "expect:$ ",
        &start,
        "expect:reset_by_server",
        "send:^Z",
        "expect:Stopped",
        // The shell takes the terminal back first, and may lose what is typed meanwhile.
        "expect:$ ",
        "send:fg~",
        "expect:reset_by_server",
        "send:j^L",
        "expect:2/2",
        "send:^Z",
        "expect:Stopped",
        "expect:$ ",
        // It hears of it when it goes on.
        "send:kill %1; fg~",
        "expect:Terminated",
        "send:echo modes $(stty -g)~",
        "expect:modes",
        "expect:$ ",
        "send:exit 0~",
    ];
    let shell = ["env", "PS1=$ ", "bash", "--norc", "--noprofile", "-i"];
    let shown = at_a_terminal(&steps, &shell);
    assert_eq!(
        shown.matches(ENTERED).count(),
        shown.matches(LEFT).count(),
        "{shown:?}"
    );
    assert_same_modes(&shown);
}

#[test]
fn without_a_terminal_the_way_out_is_said() {
    let place = Place::new("browse-pipe");
    let output = command(&["--browse", &capture(&place)]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains("leave --browse out"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_no_capture_is_said_on_the_terminal_as_it_was() {
    let place = Place::new("browse-none");
    let file = place.file("none", b"this is no capture at all, just a text");
    let script = format!(
        "echo modes $(stty -g); {} explain --browse {}; echo code $?; echo modes $(stty -g)",
        env!("CARGO_BIN_EXE_transom"),
        file.display()
    );
    let shown = at_a_terminal(&["expect:code 125"], &["bash", "-c", &script]);
    assert_eq!(
        shown.matches(ENTERED).count(),
        shown.matches(LEFT).count(),
        "{shown:?}"
    );
    assert_same_modes(&shown);
}
