//! What `ss` does not say: sentences, JSON, and what changes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::until;
use crate::place::Place;

#[test]
fn states_that_deserve_it_are_explained_and_others_are_not() {
    let place = Place::with(300);
    // The kernel first tries again, and then probes.
    until("a full window is probed", || {
        place.ss("-Htno state established").contains("(persist")
    });
    let text = place.transom("-tan --explain");
    let of = |state: &str| -> Vec<&str> {
        text.lines()
            .filter(|line| line.starts_with(state))
            .collect()
    };
    let all = |state: &str, says: &str| {
        let lines = of(state);
        assert!(!lines.is_empty(), "{state}");
        for line in lines {
            assert!(line.contains(says), "{line}");
        }
    };
    all("CLOSE-WAIT", "the other end has closed, python3 (pid ");
    all("FIN-WAIT-2", "the other end has not closed");
    all("SYN-SENT", " try, no answer for ");
    all("FIN-WAIT-1", "this end has closed; its FIN ");
    all("LAST-ACK", "both ends have closed; its FIN ");
    all("CLOSING", "both ends closed at once");
    let some = |says: &str| text.lines().filter(|line| line.contains(says)).count();
    assert_eq!(
        some("TIME-WAIT: this end closed first"),
        1,
        "explained once"
    );
    assert_eq!(some("listen backlog full: 3 of 2"), 1);
    assert!(some("nobody has accepted it yet") >= 1);
    assert!(some("the peer's window is") >= 1);
    // In a pipe nothing is added without being asked for.
    assert!(!place.transom("-tan").contains("RFC"));
}

#[test]
fn json_has_every_socket_with_stable_names() {
    let place = Place::with(300);
    let document: Value = serde_json::from_str(&place.transom("-tuanp --json")).unwrap();
    assert_eq!(document["version"], 1);
    let sockets = document["sockets"].as_array().unwrap();
    let listed = place.ss("-Htuan").lines().count();
    assert!(
        sockets.len().abs_diff(listed) < 5,
        "{} of {listed}",
        sockets.len()
    );
    let shared = sockets
        .iter()
        .find(|socket| socket["local"]["port"] == 7008)
        .unwrap();
    assert_eq!(shared["state"], "LISTEN");
    assert_eq!(shared["tcp_state"], "LISTEN");
    assert_eq!(shared["stack"], "kernel");
    assert_eq!(shared["peer"]["address"], "0.0.0.0");
    assert_eq!(shared["processes"].as_array().unwrap().len(), 4);
    assert_eq!(shared["processes"][0]["name"], "python3");
    let open = sockets.iter().find(|socket| socket["mark"] == 7).unwrap();
    assert!(open["tcp_info"]["snd_cwnd"].as_u64().unwrap() > 0);
    assert_eq!(open["timer"]["name"], "keepalive");
    assert!(open["memory"]["receive_buffer"].as_u64().unwrap() > 0);
    assert_eq!(
        (&open["receives"], &open["sends"]),
        (&true.into(), &true.into())
    );
}

/// A program that opens a connection, closes it half, and then whole, a line of input each.
const STEPS: &str = "
import socket, sys
a = socket.socket(); a.bind(('127.0.0.9', 0)); a.connect(('127.0.0.1', 7000))
print(a.getsockname()[1], flush=True); sys.stdin.readline()
a.shutdown(socket.SHUT_WR)
print('half', flush=True); sys.stdin.readline()
a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0'); a.close()
print('closed', flush=True); sys.stdin.readline()
";

#[test]
fn a_watch_in_a_pipe_prints_each_change_and_ends_at_ctrl_c() {
    let place = Place::with(1);
    let mut watch = place
        .command(env!("CARGO_BIN_EXE_transom"))
        .args(["ss", "-tn", "--watch=0.05", "src", "127.0.0.9"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let changes = BufReader::new(watch.stdout.take().unwrap()).lines();
    let (heard, changes) = {
        let (sender, receiver) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in changes {
                let _ = sender.send(line.unwrap());
            }
        });
        (reader, receiver)
    };
    let steps = || {
        place
            .command("python3")
            .args(["-c", STEPS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // What is there at the first look is no change: it is over when something is.
    let mut others = Vec::new();
    until("the first look is over", || {
        let mut other = steps();
        let mut line = String::new();
        let said = other.stdout.as_mut().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        others.push(other);
        changes.recv_timeout(Duration::from_secs(1)).is_ok()
    });
    let mut program = steps();
    let mut input = program.stdin.take().unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
    let port = said.next().unwrap().unwrap();
    let socket = format!(" 127.0.0.9:{port} ");
    let changes_to = |state: &str| {
        let deadline = Duration::from_secs(60);
        let mut lines = std::iter::from_fn(|| changes.recv_timeout(deadline).ok());
        assert!(
            lines.any(|line| line.contains(&socket) && line.contains(state)),
            "{state}"
        );
    };
    changes_to("→ ESTAB");
    input.write_all(b"\n").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "half");
    changes_to("→ FIN-WAIT-2");
    input.write_all(b"\n").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "closed");
    changes_to("→ gone");
    // nsenter has become transom's parent: the signal goes to the process group's leader below it.
    let children = format!("/proc/{0}/task/{0}/children", watch.id());
    let child = std::fs::read_to_string(children).unwrap();
    let pid: i32 = child.split_whitespace().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    heard.join().unwrap();
    drop(input);
    assert!(program.wait().unwrap().success());
    for mut other in others {
        drop(other.stdin.take());
        other.wait().unwrap();
    }
}
