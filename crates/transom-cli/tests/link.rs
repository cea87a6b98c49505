//! `transom link` between network namespaces of its own, with the kernel's TCP at both ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is how a test fails"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const TRANSOM: &str = env!("CARGO_BIN_EXE_transom");

/// Sends `argv[2]` bytes made of a counter from a connection to `argv[1]`, and answers the seconds that it took. The
/// receiver is the other end, started as `receive`, which compares.
const SEND: &str = r#"
import socket, sys, time, array
size = int(sys.argv[2]) // 4
data = array.array("I", range(size)).tobytes()
peer = socket.create_connection((sys.argv[1], 5000))
start = time.monotonic()
peer.sendall(data); peer.shutdown(socket.SHUT_WR)
answer = peer.recv(10)
assert answer == b"equal", answer
print(time.monotonic() - start)
"#;
const RECEIVE: &str = r#"
import socket, sys, array
listener = socket.create_server(("0.0.0.0", 5000)); print("ready", flush=True)
peer, _ = listener.accept()
size = int(sys.argv[1]) // 4
got = bytearray()
while chunk := peer.recv(1 << 20): got += chunk
peer.sendall(b"equal" if got == array.array("I", range(size)).tobytes() else b"differs")
"#;

/// Two network namespaces, with names that nobody else has.
struct Place {
    one: String,
    two: String,
}

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("transom-link-{}-{number}{end}", std::process::id());
        let place = Self {
            one: name("a"),
            two: name("b"),
        };
        for name in [&place.one, &place.two] {
            ip(&["netns", "add", name]);
        }
        place
    }

    /// `transom link` between `one:e0` and `two:e0`, which are made, with addresses.
    fn link(&self, options: &[&str], program: &[&str]) -> Command {
        let mut command = Command::new(TRANSOM);
        command
            .arg("link")
            .arg(format!("{}:e0=10.0.0.1/24", self.one))
            .arg(format!("{}:e0=10.0.0.2/24", self.two))
            .args(options)
            .arg("--")
            .args(["ip", "netns", "exec", &self.one])
            .args(program);
        command
    }

    fn receiver(&self, bytes: usize) -> Child {
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.two, "python3", "-c", RECEIVE])
            .arg(bytes.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        child
    }

    /// Sends bytes over the wire; the seconds that it took, and the counters.
    fn transfer(&self, options: &[&str], bytes: usize) -> (f64, serde_json::Value) {
        let mut receiver = self.receiver(bytes);
        let size = bytes.to_string();
        let program = ["python3", "-c", SEND, "10.0.0.2", &size];
        let options: Vec<&str> = options.iter().copied().chain(["--json"]).collect();
        let output = finish(&mut self.link(&options, &program));
        assert!(receiver.wait().unwrap().success());
        let lines: Vec<&str> = output.lines().collect();
        assert!(lines[0].starts_with("Linking "), "{output}");
        (
            lines[1].parse().unwrap(),
            serde_json::from_str(lines[2]).unwrap(),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for name in [&self.one, &self.two] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}; this needs root");
}

fn finish(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert!(
        status.success(),
        "{command:?}: {status}\n{stdout}\n{stderr}"
    );
    stdout
}

fn count(counters: &serde_json::Value, direction: usize, name: &str) -> u64 {
    counters["directions"][direction]["counters"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {counters}"))
}

#[test]
fn a_wire_without_faults_changes_nothing_and_leaves_nothing() {
    let place = Place::new();
    let (_, counters) = place.transfer(&[], 8 << 20);
    for direction in [0, 1] {
        let frames = count(&counters, direction, "frames");
        assert_eq!(count(&counters, direction, "frames_delivered"), frames);
    }
    // Super-segments were not taken apart: 8 MiB in packets of 1,500 bytes would be more than 5,700.
    let frames = count(&counters, 0, "frames");
    assert!((128..2000).contains(&frames), "{frames} frames");
    let output = finish(Command::new("ip").args(["-n", &place.one, "link"]));
    assert!(!output.contains("e0"), "{output}");
}

#[test]
fn every_fault_at_once_spares_the_data() {
    let place = Place::new();
    let options = [
        "--delay",
        "1ms",
        "--jitter",
        "500us",
        "--loss",
        "0.5%",
        "--reorder",
        "1%:2ms",
        "--duplicate",
        "1%",
        "--corrupt",
        "0.5%",
        "--rate",
        "200mbit",
        "--queue",
        "50ms",
        "--seed",
        "7",
    ];
    let (_, counters) = place.transfer(&options, 4 << 20);
    for name in ["lost", "reordered", "duplicated", "corrupted"] {
        assert!(count(&counters, 0, name) > 0, "{name}: {counters}");
    }
    let total = |name| count(&counters, 0, name);
    let arrived = total("packets") + total("duplicated");
    let dropped = total("lost") + total("queue_full");
    assert!(total("packets") > 2900, "each segment counts: {counters}");
    assert!(total("delivered") + dropped <= arrived, "{counters}");
}

#[test]
fn a_rate_holds_for_super_segments() {
    let place = Place::new();
    let (seconds, counters) = place.transfer(&["--a-to-b", "rate=20mbit,queue=100ms"], 2 << 20);
    // 2 MiB and headers of 52 bytes a packet at 20 Mbit/s take 0.87 s; the last round trip comes on top.
    assert!((0.85..2.0).contains(&seconds), "{seconds} s, {counters}");
    assert_eq!(
        count(&counters, 1, "frames"),
        count(&counters, 1, "frames_delivered")
    );
}

#[test]
fn delay_is_that_of_both_directions() {
    let place = Place::new();
    let ping = ["ping", "-q", "-c", "5", "-i", "0.05", "10.0.0.2"];
    let output =
        finish(&mut place.link(&["--delay", "10ms", "--b-to-a", "delay=20ms", "-q"], &ping));
    let times = output
        .lines()
        .find_map(|line| line.strip_prefix("rtt "))
        .unwrap();
    let least: f64 = times
        .split(['/', '=', ' '])
        .find_map(|word| word.parse().ok())
        .unwrap();
    // Never early; late by as much as a busy machine makes it.
    assert!((30.0..60.0).contains(&least), "{output}");
}

#[test]
fn losses_are_counted_and_the_programs_exit_code_is_ours() {
    let place = Place::new();
    let ping = [
        "ping", "-q", "-c", "2", "-i", "0.01", "-W", "0.1", "10.0.0.2",
    ];
    let options = ["--a-to-b", "loss=100%", "--json"];
    let Output { status, stdout, .. } = place.link(&options, &ping).output().unwrap();
    assert_eq!(status.code(), Some(1), "as ping");
    let json = String::from_utf8(stdout).unwrap();
    let counters: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert!(count(&counters, 0, "packets") > 0);
    assert_eq!(count(&counters, 0, "lost"), count(&counters, 0, "packets"));
    assert_eq!(count(&counters, 0, "delivered"), 0);
}

#[test]
fn interfaces_that_exist_are_joined() {
    let place = Place::new();
    let port = |end: &str| format!("v{}{end}", std::process::id() % 1_000_000);
    let (a, b) = (port("a"), port("b"));
    // The ports stand in a namespace of their own, as no other program should meddle with them.
    let middle = Place::new();
    for (host, port, address) in [
        (&place.one, &a, "10.0.0.1/24"),
        (&place.two, &b, "10.0.0.2/24"),
    ] {
        ip(&[
            "-n",
            &middle.one,
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "e0",
            "netns",
            host,
        ]);
        ip(&["-n", host, "addr", "add", address, "dev", "e0"]);
        ip(&["-n", host, "link", "set", "e0", "up"]);
    }
    let mut receiver = place.receiver(1 << 20);
    let output = finish(
        Command::new(TRANSOM)
            .arg("link")
            .arg(format!("{}:{a}", middle.one))
            .arg(format!("{}:{b}", middle.one))
            .args(["--loss", "1%", "--json", "--"])
            .args(["ip", "netns", "exec", &place.one])
            .args(["python3", "-c", SEND, "10.0.0.2", "1048576"]),
    );
    assert!(receiver.wait().unwrap().success());
    let counters: serde_json::Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    assert!(count(&counters, 0, "packets") > 700, "{output}");
    // What was there before is there afterwards.
    let left = finish(Command::new("ip").args(["-n", &middle.one, "link"]));
    assert!(left.contains(&a), "{left}");
}

#[test]
fn a_signal_ends_the_wire_and_another_asks_for_the_counters() {
    let place = Place::new();
    let (one, port) = (&place.one, ["dev", "e1"]);
    ip(&[
        "-n", one, "link", "add", "e1", "type", "veth", "peer", "name", "e2",
    ]);
    let mut child = Command::new(TRANSOM)
        .args(["link", "--json", "--delay", "1ms"])
        .arg(format!("{one}:e1"))
        .arg(format!("{}:e0", place.two))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("Linking "));
    // An interface that exists may be switched off and on meanwhile.
    for state in ["down", "up"] {
        ip(&[&["-n", one, "link", "set"], &port[..], &[state]].concat());
    }
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    for signal in [nix::sys::signal::SIGUSR1, nix::sys::signal::SIGTERM] {
        nix::sys::signal::kill(pid, signal).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains("\"from\":"), "{line}");
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_linked_is_said() {
    let place = Place::new();
    let refused = |arguments: &[&str]| {
        let output = Command::new(TRANSOM)
            .arg("link")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let (one, two) = (format!("{}:e0", place.one), format!("{}:e0", place.two));
    let text = refused(&[&one, "transom-none:e0"]);
    assert!(text.contains("ip netns add transom-none"), "{text}");
    let text = refused(&[&one, &one]);
    assert!(text.contains("two interfaces"), "{text}");
    let text = refused(&[&one, &format!("{}:lo", place.two)]);
    assert!(text.contains("no Ethernet"), "{text}");
    let text = refused(&[&one, &two, "--delay", "20"]);
    assert!(
        text.contains("--delay: ") && text.contains("20ms"),
        "{text}"
    );
    let text = refused(&[&one, &two, "--queue", "1bdp"]);
    assert!(text.contains("needs a rate"), "{text}");
    let text = refused(&[&one, &two, "--a-to-b", "dely=1ms"]);
    assert!(
        text.contains("--a-to-b: ") && text.contains("did you mean delay"),
        "{text}"
    );
    let text = refused(&[&one, &two, "--loss", "1%", "--fault", "loss=2%"]);
    assert!(text.contains("say it once"), "{text}");
}
