//! Whatever passes: every drawing keeps to the screen, and nothing in it can harm a terminal.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../../transom-flow/tests/scene/mod.rs"]
mod scene;

use proptest::prelude::*;
use scene::{addr, packet};
use std::time::Duration;
use transom_draw::json::connection;
use transom_draw::text::{Options, Scale, diagram, table};
use transom_flow::wire::tcp::{Flags, Header, Options as TcpOptions};
use transom_flow::wire::{Medium, Seq};
use transom_flow::{End, Fate, Frame, Process, Tracker, Truth, TruthEvent};

/// Columns on the screen, by the same tables as the terminals' own.
fn columns(line: &str) -> usize {
    line.chars()
        .map(|c| unicode_width::UnicodeWidthChar::width(c).unwrap_or(0))
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200, fork: false, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn drawings_keep_to_the_screen(
        segments in proptest::collection::vec(
            (any::<bool>(), 0u16..512, 0u32..2000, 0u32..2000, ".{0,80}", 0u8..6), 1..40,
        ),
        note in ".{0,200}",
        name in ".{0,40}",
        width in 20usize..140,
        ascii in any::<bool>(),
        (fold, linear, frames, sequence, windows) in any::<(bool, bool, bool, bool, bool)>(),
    ) {
        let mut tracker = Tracker::default();
        tracker.label(addr(End::Server).ip(), &name);
        for (at, (is_client, bits, seq, ack, text, fate)) in segments.iter().enumerate() {
            let from = if *is_client { End::Client } else { End::Server };
            let time = Duration::from_millis(at as u64 * 400);
            let header = Header {
                src_port: addr(from).port(),
                dst_port: addr(from.other()).port(),
                seq: Seq::new(*seq),
                ack: Seq::new(*ack),
                flags: Flags::from_bits(*bits),
                window: 100,
                urgent: 0,
                options: TcpOptions::EMPTY,
            };
            let data = format!("HTTP/1.1 {text}");
            let packet = packet(from, &header, data.as_bytes());
            let fate = match fate {
                0 => Fate::Lost,
                1 => Fate::Arrives(time + Duration::from_secs(1)),
                4 => Fate::Arrives(time + Duration::from_millis(300)),
                _ => Fate::Unknown,
            };
            tracker.frame(&Frame { fate, ..Frame::new(time, Medium::Ip, &packet) }).unwrap();
            let (local, peer) = (addr(End::Client), addr(End::Server));
            let process = Process { name: name.as_str().into(), pid: u32::MAX };
            for event in [TruthEvent::Note(note.as_str().into()), TruthEvent::Process(process)] {
                tracker.truth(Truth { time, local, peer, event });
            }
        }
        tracker.finish();
        let scale = if linear { Scale::Linear } else { Scale::Compressed };
        let options = Options::new(width)
            .ascii(ascii)
            .fold(fold)
            .scale(scale)
            .frames(frames)
            .sequence(sequence)
            .windows(windows);
        let width = width.max(Options::MIN_WIDTH);
        let all: Vec<_> = tracker.connections().collect();
        let mut drawn = table(&all, &options);
        for one in &all {
            drawn.push_str(&diagram(one, &options));
            prop_assert!(serde_json::to_string(&connection(one)).is_ok());
        }
        for line in drawn.lines() {
            prop_assert!(columns(line) <= width, "{} columns: {line}", columns(line));
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            prop_assert!(!ascii || line.is_ascii(), "{line}");
        }
    }
}
