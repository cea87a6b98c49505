//! Our captures, read by somebody else.

use std::fs::{self, File};
use std::io;
use std::process::Command;

use crate::host::Host;

/// What must be true of no packet. By a port that happens to be somebody's, tshark takes payload for what it is not, and
/// finds it malformed: only names are asked for on purpose.
const FAULTS: &str = "(_ws.malformed && (dns || !(tcp.payload || udp.payload))) || _ws.short \
    || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 \
    || icmp.checksum.status == 0 || icmpv6.checksum.status == 0";

/// Has tshark read every capture that was written on this host.
pub(crate) fn check(host: &Host) {
    let mut files: Vec<_> = fs::read_dir(host.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "pcapng"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no capture was written");
    // A pcapng file may have several sections, so that one file can simply follow another.
    let all = host.new_file("all");
    let mut out = File::create(&all).unwrap();
    for file in &files {
        let length = io::copy(&mut File::open(file).unwrap(), &mut out).unwrap();
        assert!(length > 0, "{} is empty", file.display());
    }
    let mut tshark = Command::new("tshark");
    tshark
        .env("HOME", host.folder())
        .arg("-n")
        .arg("-r")
        .arg(&all);
    for protocol in ["ip", "tcp", "udp"] {
        tshark.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    let output = tshark.args(["-Y", FAULTS]).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = stderr
        .lines()
        .filter(|line| !line.contains("Running as user"))
        .collect();
    assert!(
        output.status.success() && stdout.is_empty() && complaints.is_empty(),
        "tshark on {files:?}: {}\n{}\n{stdout:.4000}",
        output.status,
        complaints.join("\n"),
    );
}

/// The comments on a capture's packets.
pub(crate) fn comments(host: &Host, file: &str) -> String {
    let mut tshark = Command::new("tshark");
    let fields = ["-n", "-T", "fields", "-e", "frame.comment", "-r", file];
    let output = tshark.env("HOME", host.folder()).args(fields).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}
