//! Connections that are only recorded: what is made of their records, and what is said without making it,
//! is what following each segment at once gives.
//!
//! [`scene::play`] compares the two for each script of all tests; here are scripts by chance, most of them
//! ordinary or nearly so.

mod scene;

use proptest::prelude::*;
use scene::play;
use std::fmt::Write;
use transom_flow::Severity;

/// A request and its answer.
#[derive(Clone, Debug)]
struct Exchange {
    request: String,
    answer: String,
    pieces: u8,
    acked: bool,
    waits: [u16; 3],
}

fn first_line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("'GET / HTTP/1.1'".into()),
        1 => Just("'SSH-2.0-x'".into()),
        1 => Just("hex=160301000401000000".into()),
        1 => Just("hex=15030300020228".into()),
        3 => (1u16..3000).prop_map(|len| format!("len={len}")),
    ]
}

fn answer() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("'HTTP/1.1 200 OK'".into()),
        1 => Just("'HTTP/1.1 404 Not Found'".into()),
        1 => Just("len=30".into()),
        4 => (1u16..1461).prop_map(|len| format!("len={len}")),
    ]
}

/// Milliseconds: mostly few, some about the bounds that the findings have.
fn wait() -> impl Strategy<Value = u16> {
    prop_oneof![20 => 0u16..30, 3 => 25u16..60, 1 => 180u16..250, 1 => 900u16..1100, 1 => 4000u16..12_000]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let waits = [wait(), wait(), wait()];
    (first_line(), answer(), 1u8..6, any::<bool>(), waits).prop_map(
        |(request, answer, pieces, acked, waits)| Exchange {
            request,
            answer,
            pieces,
            acked,
            waits,
        },
    )
}

/// How it closes, and what else happens: mostly nothing.
fn ending() -> impl Strategy<Value = &'static [&'static str]> {
    prop_oneof![
        6 => Just(&["> FA", "< FA", "> A"][..]),
        3 => Just(&["> FA", "< A", "< FA", "> A"][..]),
        3 => Just(&["< FA", "> A", "> FA", "< A"][..]),
        1 => Just(&["> FA len=10", "< FPA", "> A"][..]),
        1 => Just(&["> FA", "< A", "< PA len=10", "< FA", "> A"][..]),
        1 => Just(&["> FA", "< FA", "> A", "< FA seq=1", "> A"][..]),
        1 => Just(&["> FA", "< FA", "> A", "> A", "< A"][..]),
        1 => Just(&["< RA"][..]),
        1 => Just(&["> FA", "< FA", "> A", "again", "> S", "< SA", "> A"][..]),
        1 => Just(&[][..]),
    ]
}

fn opening() -> impl Strategy<Value = &'static [&'static str]> {
    prop_oneof![
        12 => Just(&["> S", "< SA", "> A"][..]),
        1 => Just(&["> S mss=1400", "< SA", "> A"][..]),
        1 => Just(&["> S nows", "< SA nows", "> A win=2000"][..]),
        1 => Just(&["> S", "< SA nosack", "> A"][..]),
        1 => Just(&["> S nots", "< SA nots", "> A ts=1/2"][..]),
        1 => Just(&["> SEW", "< SAE", "> A"][..]),
        1 => Just(&["> S", "> S seq=0", "< SA", "> A"][..]),
        1 => Just(&["< SA", "> A"][..]),
    ]
}

/// A word that makes a segment a bit unusual.
fn oddity() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        40 => Just(""),
        1 => Just(" ttl=62"),
        1 => Just(" win=9"),
        1 => Just(" win=0"),
        1 => Just(" id=5"),
        1 => Just(" ts=9/8"),
        1 => Just(" gso=1448"),
        1 => Just(" sack=5000-6000"),
    ]
}

fn script(
    opening: &[&str],
    exchanges: &[Exchange],
    ending: &[&str],
    oddity: &str,
    at: usize,
    waits: &[u16],
) -> String {
    let mut lines: Vec<(u16, String)> = Vec::new();
    let mut waits = waits.iter().copied().cycle();
    let mut wait = || waits.next().unwrap_or(1);
    lines.extend(opening.iter().map(|line| (wait(), (*line).to_owned())));
    for exchange in exchanges {
        let [a, b, c] = exchange.waits;
        lines.push((a, format!("> PA {}", exchange.request)));
        if exchange.acked {
            lines.push((b, "< A".into()));
        }
        lines.push((c, format!("< PA {}", exchange.answer)));
        for _ in 1..exchange.pieces {
            lines.push((0, "< PA len=1448".into()));
        }
        lines.push((b, "> A".into()));
    }
    lines.extend(ending.iter().map(|line| (wait(), (*line).to_owned())));
    if !lines.is_empty() {
        let at = at % lines.len();
        if let Some((_, line)) = lines.get_mut(at).filter(|(_, line)| !line.contains('\'')) {
            line.push_str(oddity);
        }
    }
    let mut time = 0u32;
    let mut text = String::new();
    for (wait, line) in lines {
        time += u32::from(wait);
        let _ = writeln!(text, "{time} {line}");
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, fork: false, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_say_what_whole_connections_say(
        opening in opening(),
        exchanges in proptest::collection::vec(exchange(), 0..6),
        ending in ending(),
        oddity in oddity(),
        at in any::<usize>(),
        waits in proptest::collection::vec(wait(), 1..8),
    ) {
        // It compares.
        play(&script(opening, &exchanges, ending, oddity, at, &waits));
    }
}

/// What each of these shows is remarked on, though every segment is as usual.
#[test]
fn what_is_remarked_on_is_not_ordinary() {
    let remarked = [
        // A request without an answer.
        "21 > PA 'GET / HTTP/1.1'
         31 < A
         1300 > FA
         1310 < FA
         1320 > A",
        // Small writes that wait for delayed acknowledgements.
        "21 > PA 'a'
         81 < A
         82 > PA 'b'
         142 < A
         143 > PA 'c'
         203 < A
         204 > FA
         214 < FA
         224 > A",
        // A pause in the middle of a transfer, and a slow start after it.
        "21 < PA len=1448 x21
         22 > A
         1500 < PA len=1448
         1510 > A
         1511 < PA len=1448 x11
         1520 > A
         1530 < FA
         1540 > FA
         1550 < A",
    ];
    for rest in remarked {
        let scene = play(&format!("0 > S\n10 < SA\n20 > A\n{rest}"));
        let verdict = scene.connection().verdict();
        assert_ne!(verdict.severity(), Severity::Fine, "{verdict:?}");
    }
}
