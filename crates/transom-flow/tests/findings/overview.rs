//! What many connections show together.

use crate::scene::Scene;
use std::fmt::Write;
use transom_flow::{Limits, Overview};

/// Findings of whole captures that the tests here produce.
pub(crate) const SHOWN: [&str; 10] = [
    "port_exhaustion",
    "syn_flood",
    "port_scan",
    "many_refused",
    "server_overloaded",
    "server_silent",
    "rapid_reuse",
    "one_direction_captured",
    "mirror_duplicates",
    "frames_cut",
];

fn overview(scene: &mut Scene) -> Overview {
    overview_of_rest(scene, Overview::new())
}

fn overview_of_rest(scene: &mut Scene, mut overview: Overview) -> Overview {
    scene.tracker.finish();
    for connection in scene.tracker.take_all() {
        overview.add(&connection);
    }
    overview
}

/// What is said of a capture of `count` connections; `each` writes the conversation that starts at a
/// time in milliseconds.
#[track_caller]
fn assert_overview(count: u32, every: u32, each: impl Fn(u32) -> String, ids: &[&str]) {
    let mut scene = Scene::new(Limits::default());
    let mut overview = Overview::new();
    for at in 0..count {
        scene.connect(u16::try_from(20_000 + at).unwrap());
        scene.play(&each(at * every));
        for connection in scene.tracker.take_closed() {
            overview.add(&connection);
        }
    }
    assert_findings(&overview_of_rest(&mut scene, overview), ids);
}

#[track_caller]
fn assert_findings(overview: &Overview, ids: &[&str]) {
    let findings = overview.findings();
    let found: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
    let texts: Vec<&str> = findings
        .iter()
        .map(|finding| finding.text.as_str())
        .collect();
    assert_eq!(found, ids, "{texts:#?}");
}

fn ordinary(at: u32) -> String {
    format!(
        "{at} > S\n{} < SA\n{at} > A\n{} > PA len=10\n{} < PA len=10\n{} > FA\n{} < FA\n{} > A",
        at + 1,
        at + 2,
        at + 3,
        at + 4,
        at + 5,
        at + 6
    )
}

#[test]
fn an_ordinary_capture_has_nothing_to_say() {
    assert_overview(300, 500, ordinary, &[]);
}

#[test]
fn port_exhaustion() {
    assert_overview(
        26_000,
        2,
        |at| format!("{at} > S\n{at} < RA"),
        &["port_exhaustion", "many_refused"],
    );
}

#[test]
fn rapid_reuse() {
    let mut scene = Scene::new(Limits::default());
    for at in 0..4 {
        scene.connect(40_000);
        scene.play(&ordinary(at * 1000));
    }
    assert_findings(&overview(&mut scene), &["rapid_reuse"]);
}

#[test]
fn syn_flood() {
    let attempt = |at: u32| format!("{at} > S\n{} < SA", at + 1);
    assert_overview(150, 5, attempt, &["syn_flood"]);
}

#[test]
fn many_refused() {
    assert_overview(
        12,
        1000,
        |at| format!("{at} > S\n{} < RA", at + 1),
        &["many_refused"],
    );
    assert_overview(9, 1000, |at| format!("{at} > S\n{} < RA", at + 1), &[]);
}

#[test]
fn server_silent() {
    assert_overview(12, 1000, |at| format!("{at} > S\n"), &["server_silent"]);
}

#[test]
fn server_overloaded() {
    let attempt = |at: u32| {
        if at.is_multiple_of(3) {
            ordinary(at)
        } else {
            format!("{at} > S")
        }
    };
    assert_overview(30, 100, attempt, &["server_overloaded"]);
}

#[test]
fn port_scan() {
    let mut scene = Scene::new(Limits::default());
    for port in 1..=25 {
        scene.connect(50_000 + port);
        scene.server_port = port;
        scene.play(&format!("{port} > S\n{port} < RA"));
    }
    assert_findings(&overview(&mut scene), &["port_scan"]);
}

#[test]
fn one_direction_captured() {
    let half = |at: u32| {
        let mut script = String::new();
        for (late, words) in [
            (0, "S"),
            (10, "A ack=1"),
            (11, "PA len=9 ack=1"),
            (30, "A ack=900"),
        ] {
            writeln!(script, "{} > {words}", at + late).unwrap();
        }
        script
    };
    assert_overview(5, 100, half, &["one_direction_captured"]);
}

#[test]
fn mirror_duplicates() {
    let twice = |at: u32| {
        format!(
            "{at} > S\n{} < SA\n{} > A\n{} > PA len=10\n{}.05 > PA len=10 seq=1\n{} < A",
            at + 5,
            at + 6,
            at + 7,
            at + 7,
            at + 12
        )
    };
    assert_overview(20, 100, twice, &["mirror_duplicates"]);
}

#[test]
fn frames_cut() {
    let mut scene = Scene::new(Limits::default());
    scene.snap = Some(96);
    scene.play("0 > S\n10 < SA\n10.1 > A\n20 > PA len=1000\n30 < A");
    assert_findings(&overview(&mut scene), &["frames_cut"]);
}
