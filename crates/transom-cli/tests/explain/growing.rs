//! `transom watch` of captures that are still being written.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::capture::{Capture, mixed};
use crate::{Place, explained};

struct Watch {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Watch {
    /// Starts it, and returns once it reads.
    fn start(file: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_transom"))
            .args(["watch", "--diagram", "none", "-r"])
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut watch = Self { child, out };
        let first = watch.line();
        assert!(first.starts_with("Reading "), "{first}");
        watch
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(status.success());
    }

    /// What else it said, its errors, and how it ended.
    fn end(mut self) -> (String, String, ExitStatus) {
        drop(self.child.stdin.take());
        let mut report = String::new();
        self.out.read_to_string(&mut report).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (report, errors, output.status)
    }
}

/// One connection as it should be: its file, and where its last segments begin.
fn normal() -> (Vec<u8>, usize) {
    let mut capture = Capture::default();
    capture.normal(0, 40_000, 80);
    let bytes = capture.pcapng();
    let part = bytes.len() - 200;
    (bytes, part)
}

#[test]
fn a_file_that_grows_is_followed_until_somebody_ends_it() {
    let place = Place::new("grows");
    let (bytes, part) = normal();
    // It may be empty at first, and may end within a block.
    let file = place.file("grows.pcapng", b"");
    let mut watch = Watch::start(&file);
    let mut writer = OpenOptions::new().append(true).open(&file).unwrap();
    writer.write_all(&bytes[..part]).unwrap();
    let opened = watch.line();
    assert!(
        opened.contains("#0 ") && opened.contains("open after"),
        "{opened}"
    );
    writer.write_all(&bytes[part..]).unwrap();
    let over = watch.line();
    assert!(over.contains("closed by server (FIN)"), "{over}");
    watch.interrupt();
    let (report, errors, status) = watch.end();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    assert!(
        report.contains("1 TCP connection: 1 as it should be."),
        "{report}"
    );
}

#[test]
fn a_pipe_is_followed_to_its_end_and_the_report_is_that_of_explain() {
    let place = Place::new("piped");
    let bytes = mixed().pcapng();
    let mut watch = Watch::start(Path::new("-"));
    for part in bytes.chunks(100) {
        watch.feed(part);
    }
    let (said, errors, status) = watch.end();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    let file = place.file("mixed.pcapng", &bytes);
    let explained = explained(&file, &["--diagram", "none"]);
    let explained = explained.replace(&file.display().to_string(), "standard input");
    // Lines break where the name's length says.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words(&said).ends_with(&words(&explained)),
        "{said}\n{explained}"
    );
}

#[test]
fn a_pipe_that_breaks_off_is_told_and_so_is_one_that_holds_no_capture() {
    let (bytes, part) = normal();
    let mut watch = Watch::start(Path::new("-"));
    watch.feed(&bytes[..part]);
    let (report, errors, status) = watch.end();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    assert!(
        report.contains("standard input: cut short: the record at byte"),
        "{report}"
    );

    let mut watch = Watch::start(Path::new("-"));
    watch.feed(b"no capture at all, and long enough to tell");
    let (_, errors, status) = watch.end();
    assert_eq!(status.code(), Some(125));
    assert!(errors.contains("standard input: "), "{errors}");
}
