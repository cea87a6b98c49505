//! `transom explain` and tshark agree on captures of our own TCP over bad paths.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod compare;
#[path = "../../../transom-flow/tests/engine/mod.rs"]
mod engine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use compare::{Comparison, FIGURES};
use engine::{Habits, Peer};
use transom_sim::{Impairment, Loss, Probability};
use transom_tcp::Config;

const TRANSOM: &str = env!("CARGO_BIN_EXE_transom");

/// A capture, removed at the end.
struct Capture(PathBuf);

impl Capture {
    fn new(name: &str, link: u32, header: &[u8], peer: &Peer) -> Self {
        let mut bytes = Vec::new();
        // pcap with nanoseconds.
        for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link] {
            bytes.extend(u32::to_le_bytes(word));
        }
        for seen in &peer.seen {
            let len = (header.len() + seen.packet.len()) as u32;
            let seconds = 1_700_000_000 + seen.time.as_secs() as u32;
            for word in [seconds, seen.time.subsec_nanos(), len, len] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(header);
            bytes.extend(&seen.packet);
        }
        let path = std::env::temp_dir().join(format!("agree-{}-{name}.pcap", process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn compare(&self) -> Comparison {
        compare::compare(Path::new(TRANSOM), &self.0).unwrap()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const ETHERNET: (u32, &[u8]) = (1, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
const VLAN: (u32, &[u8]) = (
    1,
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0],
);
const COOKED: (u32, &[u8]) = (113, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]);
const COOKED_2: (u32, &[u8]) = (
    276,
    &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
);
const RAW: (u32, &[u8]) = (101, &[]);

fn bulk(there: Impairment, back: Impairment) -> [Peer; 2] {
    let client = Habits::bulk(300_000);
    engine::play(
        &Config::default(),
        [client, Habits::bulk(2_000)],
        there,
        back,
    )
}

fn path() -> Impairment {
    Impairment::new()
        .delay(Duration::from_millis(20))
        .rate(20_000_000)
}

#[test]
fn every_figure_agrees_whatever_the_link_on_a_path_without_loss() {
    let peers = bulk(path(), path());
    for (at, (link, header)) in [ETHERNET, VLAN, COOKED, COOKED_2, RAW]
        .into_iter()
        .enumerate()
    {
        let capture = Capture::new(&format!("clean-{at}"), link, header, &peers[0]);
        let comparison = capture.compare();
        assert_eq!(comparison.connections, 1, "{link}");
        assert_eq!(comparison.figures, FIGURES.len() as u64, "{link}");
        let differences: Vec<String> = comparison
            .differences
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(differences.is_empty(), "{differences:?}");
    }
}

/// Where tshark guesses by time whether a segment is sent again or late, the two may differ; and it takes
/// ACKs of what came twice for duplicate ACKs, which only paths that reorder bring. In all else they agree.
#[test]
fn connections_bytes_and_resets_agree_with_loss_and_reordering() {
    for seed in 1..=4 {
        let lossy = path()
            .loss(Loss::Random(Probability::percent(2)))
            .seed(seed);
        let reordered = lossy.clone().reorder(Probability::percent(1));
        let guesses = ["retransmissions", "out_of_order", "duplicate_acks"];
        for (name, there, guessed) in [
            ("loss", lossy, &guesses[..2]),
            ("reorder", reordered, &guesses[..]),
        ] {
            let peers = bulk(there, path());
            for (side, peer) in peers.iter().enumerate() {
                let name = format!("{name}-{seed}-{side}");
                let capture = Capture::new(&name, ETHERNET.0, ETHERNET.1, peer);
                let comparison = capture.compare();
                assert_eq!(comparison.connections, 1, "{name}");
                let surprising: Vec<_> = comparison
                    .differences
                    .iter()
                    .filter(|difference| !guessed.contains(&difference.what))
                    .map(ToString::to_string)
                    .collect();
                assert!(surprising.is_empty(), "{name}: {surprising:?}");
            }
        }
    }
}

/// The comparison itself can fail: a capture that lacks a frame is not what it was.
#[test]
fn a_difference_is_found() {
    let peers = bulk(path(), path());
    let whole = Capture::new("whole", RAW.0, RAW.1, &peers[0]);
    let theirs = compare::of_tshark(&whole.0).unwrap();
    let [_, mut other] = peers;
    other.seen.truncate(other.seen.len() / 2);
    let half = Capture::new("half", RAW.0, RAW.1, &other);
    let ours = compare::of_transom(Path::new(TRANSOM), &half.0).unwrap();
    let comparison = compare::beside(ours, theirs);
    let differing: Vec<_> = comparison.differences.iter().map(|d| d.what).collect();
    assert!(
        differing.contains(&"frames") && differing.contains(&"bytes"),
        "{differing:?}"
    );
}
