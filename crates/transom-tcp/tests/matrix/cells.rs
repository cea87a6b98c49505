//! The cells of SEGMENT ARRIVES.

use std::collections::{BTreeMap, BTreeSet};

use crate::fixture::{BUFFER, Fixture, PEER_WINDOW, RECENT, Seen, Stage, Variant};
use crate::oracle::{self, Deviation, Model, Outcome, Seg, Used};

/// The window of a cell's segment: not the one that the fixture has seen, so that an update shows.
const WINDOW: i64 = 50_000;
/// Octets that a cell's urgent pointer points beyond SEG.SEQ.
const URGENT: i64 = 5;

/// The first octet of the segment, relative to RCV.NXT and the right edge.
fn sequence_positions(model: &Model) -> BTreeSet<i64> {
    let (nxt, edge) = (model.rnxt, model.edge);
    [
        // Far outside on the left; within the window's reach, all old; partly old; the two on
        // either side of the left edge; inside; partly beyond; the two on either side of the right
        // edge; beyond; far outside on the right.
        nxt - (1 << 30),
        nxt - 30,
        nxt - 10,
        nxt - 1,
        nxt,
        nxt + 100,
        edge - 10,
        edge - 1,
        edge,
        edge + 100,
        edge + (1 << 30),
    ]
    .into()
}

fn acknowledgement_positions(model: &Model) -> BTreeSet<i64> {
    let (una, nxt) = (model.una, model.nxt);
    [
        // Too old by one; the oldest that counts; old; SND.UNA; inside; SND.NXT; beyond; far beyond.
        una - PEER_WINDOW - 1,
        una - PEER_WINDOW,
        una - 1,
        una,
        (una + nxt) / 2,
        nxt,
        nxt + 1,
        nxt + (1 << 30),
    ]
    .into()
}

/// SEG.TSval: absent, or relative to TS.Recent.
fn timestamps(fixture: Fixture, variant: Variant) -> Vec<Option<i64>> {
    match (variant.timestamps, fixture.has_numbers()) {
        // Without the option in use a timestamp means nothing.
        (false, _) => vec![None, Some(RECENT)],
        (true, false) => vec![None, Some(RECENT)],
        (true, true) => vec![None, Some(RECENT - 1), Some(RECENT), Some(RECENT + 10)],
    }
}

/// Every combination of the five control bits that §3.10.7 looks at.
fn controls() -> impl Iterator<Item = Seg> {
    (0..32_u8).map(|bits| Seg {
        fin: bits & 1 != 0,
        syn: bits & 2 != 0,
        rst: bits & 4 != 0,
        has_ack: bits & 8 != 0,
        urg: bits & 16 != 0,
        seq: 0,
        ack: 0,
        text: 0,
        wnd: WINDOW,
        up: if bits & 16 != 0 { URGENT } else { 0 },
        ts: None,
    })
}

/// Every segment for one fixture.
fn segments(fixture: Fixture, variant: Variant, model: &Model) -> Vec<Seg> {
    let mut segments = Vec::new();
    for control in controls() {
        let acks = if control.has_ack {
            acknowledgement_positions(model)
        } else {
            // Without the bit the field means nothing; it is set to what would be acceptable.
            [model.nxt].into()
        };
        // The last length is more than the whole window.
        for text in [0, 1, 20, BUFFER + 40] {
            for &seq in &sequence_positions(model) {
                for &ack in &acks {
                    for ts in timestamps(fixture, variant) {
                        segments.push(Seg {
                            seq,
                            ack,
                            text,
                            ts,
                            ..control
                        });
                    }
                }
            }
        }
    }
    segments
}

fn expect(fixture: Fixture, model: &mut Model, seg: &Seg, used: &mut Used) -> Outcome {
    let dead = Some(transom_tcp::Discard::ConnectionClosed);
    match fixture {
        Fixture::NoConnection => oracle::closed(seg, Stage::raw_zero(), None),
        Fixture::Dead => oracle::closed(seg, Stage::raw_zero(), dead),
        Fixture::Listen => oracle::listen(model, seg, used),
        Fixture::SynSent => oracle::syn_sent(model, seg, used),
        _ => oracle::other_states(model, seg, used),
    }
}

/// One cell; the differences as text.
fn difference(fixture: Fixture, variant: Variant, seg: &Seg, used: &mut Used) -> Option<String> {
    let mut stage = Stage::build(fixture, variant);
    let mut model = stage.model.clone();
    let expected = expect(fixture, &mut model, seg, used);
    let seen = stage.play(seg);
    let expected = Seen {
        out: expected.out,
        signals: expected.signals,
        discard: expected.discard,
        restarted: expected.restarted,
    };
    let mut text = String::new();
    let mut compare = |what: &str, expected: String, seen: String| {
        if expected != seen {
            text += &format!("\n    {what}: expected {expected}, saw {seen}");
        }
    };
    compare(
        "segments",
        format!("{:?}", expected.out),
        format!("{:?}", seen.out),
    );
    compare(
        "signals",
        format!("{:?}", expected.signals),
        format!("{:?}", seen.signals),
    );
    compare(
        "discard",
        format!("{:?}", expected.discard),
        format!("{:?}", seen.discard),
    );
    compare(
        "2 MSL anew",
        expected.restarted.to_string(),
        seen.restarted.to_string(),
    );
    if let Some(state) = stage.state() {
        compare("state", model.state.to_string(), state.to_string());
    }
    if let Some(variables) = stage.variables() {
        let expected = (model.una, model.nxt, model.snd_wnd, model.rnxt);
        compare(
            "SND.UNA, SND.NXT, SND.WND, RCV.NXT",
            format!("{expected:?}"),
            format!("{variables:?}"),
        );
    }
    if let Some(mss) = stage.mss {
        let fits = if variant.v6 { 1440 } else { 1460 };
        compare("MSS", fits.to_string(), mss.to_string());
    }
    compare(
        "options of SYNs only in SYNs",
        true.to_string(),
        stage.tidy.to_string(),
    );
    (!text.is_empty()).then_some(text)
}

/// The differences of one fixture: how many of each kind, and one example.
#[derive(Default)]
struct Tally {
    cells: u64,
    used: Used,
    differences: BTreeMap<String, (u64, String)>,
}

impl Tally {
    fn fixture(&mut self, fixture: Fixture) {
        for variant in Variant::all(fixture) {
            let model = Stage::build(fixture, variant).model;
            for seg in segments(fixture, variant, &model) {
                self.cells += 1;
                let Some(text) = difference(fixture, variant, &seg, &mut self.used) else {
                    continue;
                };
                // Two differences that differ in numbers only are of one kind.
                let kind: String = format!("{fixture:?} {text}")
                    .chars()
                    .filter(|c| !c.is_ascii_digit())
                    .collect();
                let example = format!(
                    "{fixture:?} {variant:?}, RCV.NXT {}, right edge {}, SND.UNA {}, SND.NXT {}\n  {seg:?}{text}",
                    model.rnxt, model.edge, model.una, model.nxt
                );
                self.differences.entry(kind).or_insert((0, example)).0 += 1;
            }
        }
    }

    fn join(mut self, other: Self) -> Self {
        self.cells += other.cells;
        self.used.extend(other.used);
        self.differences.extend(other.differences);
        self
    }
}

/// EV-T, EV-C, EV-L, EV-S: every cell.
#[test]
fn every_cell_is_as_the_rfc_says_or_is_a_deviation_by_name() {
    let tally = std::thread::scope(|scope| {
        let workers: Vec<_> = Fixture::ALL
            .iter()
            .map(|&fixture| {
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    tally.fixture(fixture);
                    tally
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .fold(Tally::default(), Tally::join)
    });
    let report: String = tally
        .differences
        .values()
        .take(40)
        .map(|(count, example)| format!("{count} cells like {example}\n"))
        .collect();
    assert!(
        report.is_empty(),
        "of {} cells differ\n{report}",
        tally.cells
    );
    println!("{} cells", tally.cells);
    assert!(tally.cells > 700_000, "only {} cells", tally.cells);
    let needless: Vec<&Deviation> = Deviation::ALL
        .iter()
        .filter(|deviation| !tally.used.contains(deviation))
        .collect();
    assert!(needless.is_empty(), "no cell needs {needless:?}");
}

/// docs/DEVIATIONS.md names each of them.
#[test]
fn every_deviation_is_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/DEVIATIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let missing: Vec<&Deviation> = Deviation::ALL
        .iter()
        .filter(|deviation| !text.contains(&format!("`{deviation:?}`")))
        .collect();
    assert!(missing.is_empty(), "docs/DEVIATIONS.md lacks {missing:?}");
}
