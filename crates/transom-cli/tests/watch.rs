//! `transom watch` on the loopback interface of a network namespace of its own, with real connections.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

const TRANSOM: &str = env!("CARGO_BIN_EXE_transom");

/// Exchanges a request and an answer of `argv[2]` bytes over one connection to `argv[1]`, in one process; the
/// client closes first.
const EXCHANGE: &str = r#"
import socket, sys, threading
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family); server.bind((sys.argv[1], 0)); server.listen()
def serve():
    peer, _ = server.accept()
    peer.recv(100); peer.sendall(b"x" * int(sys.argv[2]))
    while peer.recv(100): pass
    peer.close()
thread = threading.Thread(target=serve); thread.start()
client = socket.socket(family); client.connect(server.getsockname()[:2])
client.sendall(b"request")
left = int(sys.argv[2])
while left: left -= len(client.recv(65536))
client.close(); thread.join()
"#;

/// Connects to a port where nobody listens.
const REFUSED: &str = r#"
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
unused = socket.socket(family); unused.bind((sys.argv[1], 0))
try: socket.socket(family).connect(unused.getsockname()[:2])
except ConnectionRefusedError: pass
"#;

/// A watch under way, in a network namespace of its own.
struct Watch {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Watch {
    /// Starts it, and returns once it listens.
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
            .arg(TRANSOM)
            .args(["watch", "-i", "lo"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        assert_eq!(first, "Listening on lo; Ctrl-C ends it.\n");
        Self { child, out }
    }

    /// Runs a Python program in the same network.
    fn python(&self, program: &str, args: &[&str]) {
        let status = Command::new("nsenter")
            .args(["-n", "-t", &self.child.id().to_string()])
            .args(["python3", "-c", program])
            .args(args)
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// As Ctrl-C.
    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(status.success());
    }

    /// What else it printed.
    fn finish(mut self) -> (String, ExitStatus) {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        let Output { status, stderr, .. } = self.child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(stderr).unwrap(), "");
        (text, status)
    }
}

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("transom-watch-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn tshark(capture: &Path, filter: &str) -> usize {
    let Output { stdout, .. } = Command::new("tshark")
        .args(["-n", "-o", "tcp.check_checksum:TRUE", "-r"])
        .arg(capture)
        .args(["-Y", filter])
        .output()
        .unwrap();
    String::from_utf8(stdout).unwrap().lines().count()
}

#[test]
fn a_line_comes_when_a_connection_opens_and_when_it_is_over_and_ctrl_c_brings_the_report() {
    for address in ["127.0.0.1", "::1"] {
        let mut watch = Watch::start(&[]);
        watch.python(EXCHANGE, &[address, "20000"]);
        let mut line = String::new();
        watch.out.read_line(&mut line).unwrap();
        assert!(
            line.contains("#0 ") && line.contains("  open after "),
            "{line}"
        );
        line.clear();
        watch.out.read_line(&mut line).unwrap();
        assert!(
            line.contains("closed by client (FIN); 7 B sent, 20 KiB received"),
            "{line}"
        );
        watch.interrupt();
        let (report, status) = watch.finish();
        assert_eq!(status.code(), Some(0));
        assert!(report.contains("normal_close"), "{report}");
        assert!(
            report.contains("1 TCP connection: 1 as it should be."),
            "{report}"
        );
    }
}

#[test]
fn it_ends_when_what_was_waited_for_has_happened_and_the_capture_holds_it() {
    for address in ["127.0.0.1", "::1"] {
        let capture = Scratch::new(&address.replace(':', "6"));
        let watch = Watch::start(&["-w", capture.path(), "--until", "closed_by == refused"]);
        watch.python(EXCHANGE, &[address, "10"]);
        watch.python(REFUSED, &[address]);
        let (report, status) = watch.finish();
        assert_eq!(status.code(), Some(0));
        assert!(report.contains("Refused: nothing listens at "), "{report}");
        assert_eq!(tshark(&capture.0, "tcp.flags.reset == 1"), 1);
        assert_eq!(
            tshark(&capture.0, "tcp.flags.syn == 1 && tcp.flags.ack == 0"),
            2
        );
        assert_eq!(tshark(&capture.0, "tcp.checksum.status == Bad"), 0);
    }
}

#[test]
fn a_ring_keeps_the_last_frames_and_no_more_than_its_size() {
    let capture = Scratch::new("ring");
    let until = "duration > 0 and bytes > 9000000";
    let watch = Watch::start(&["-w", capture.path(), "--ring", "1", "--until", until]);
    watch.python(EXCHANGE, &["127.0.0.1", "10000000"]);
    let (report, _) = watch.finish();
    assert!(report.contains("1 TCP connection"), "{report}");
    let size = std::fs::metadata(&capture.0).unwrap().len();
    assert!((1 << 19..=(1 << 20) + 4096).contains(&size), "{size} bytes");
    assert_eq!(
        tshark(&capture.0, "tcp.flags.fin == 1"),
        2,
        "the end is there"
    );
    assert_eq!(
        tshark(&capture.0, "tcp.flags.syn == 1"),
        0,
        "the start is not"
    );
}

#[test]
fn a_filter_chooses_and_json_comes_a_line_an_event() {
    // The first line of JSON comes with the first event, so the text form is waited for in the tests above.
    let mut child = Command::new("unshare")
        .args(["-n", "sh", "-c"])
        .arg(
            "ip link set lo up; \"$0\" watch -i lo --json --until 'closed_by == refused' & watch=$!
             until grep -q . /proc/net/packet && test $(wc -l < /proc/net/packet) -ge 2; do :; done
             python3 -c \"$1\" 127.0.0.1 10; python3 -c \"$2\" ::1; wait $watch",
        )
        .arg(TRANSOM)
        .args([EXCHANGE, REFUSED])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success());
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&str, u64, &str)> = events
        .iter()
        .map(|event| {
            (
                event["event"].as_str().unwrap(),
                event["connection"]["number"].as_u64().unwrap(),
                event["connection"]["closed_by"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("opened", 0, "still_open"),
            ("over", 0, "client_fin"),
            ("over", 1, "refused")
        ]
    );
}

#[test]
fn who_may_not_listen_is_told_what_is_missing() {
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .args([TRANSOM, "watch", "-i", "lo"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("CAP_NET_RAW"), "{error}");
    let output = Command::new(TRANSOM)
        .args(["watch", "-i", "none0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot find the interface none0"), "{error}");
    let output = Command::new(TRANSOM)
        .args(["watch", "-i", "lo", "--until", "tcp.flags.reset == 1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("terms of frames belong to --filter"),
        "{error}"
    );
}
