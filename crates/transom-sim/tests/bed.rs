//! The test bed itself: what a run says must be what the network did.

#![expect(
    clippy::unwrap_used,
    reason = "a wrong spec in a test is a bug of the test"
)]

use std::sync::Arc;
use std::time::Duration;

use transom_drill::bed::{Dumbbell, Flow, Report, jain};
use transom_sim::{Bandwidth, Impairment, Outcome, TooBig};
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{EcnUse, MtuProbing};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn link(spec: &str) -> Impairment {
    spec.parse().unwrap()
}

fn cubic() -> Flow {
    Flow::new(Algorithm::Cubic)
}

fn megabits(octets_a_second: f64) -> f64 {
    octets_a_second * 8e-6
}

/// Runs one flow of a megabyte and expects all of it.
fn megabyte(bed: Dumbbell) -> Report {
    let report = bed.flow(cubic().bytes(1_000_000)).run(secs(120));
    assert_eq!(report.outcome, Outcome::Stopped);
    let flow = &report.flows[0];
    assert_eq!((flow.received, &flow.failed), (1_000_000, &None));
    assert!(flow.finished.is_some());
    report
}

#[test]
fn one_flow_fills_the_bottleneck() {
    let bed = Dumbbell::new(link("rate=10mbit,delay=20ms,queue=1bdp"));
    let report = bed.flow(cubic()).run(secs(20));
    let goodput = megabits(report.flows[0].goodput());
    // 1448 of 1500 octets are data.
    assert!((9.3..9.66).contains(&goodput), "{goodput} Mbit/s");
    let waits = report.bottleneck.waits;
    assert!(waits.longest <= Duration::from_millis(43), "{waits:?}");
    assert!(report.bottleneck.counters.queue_full > 0);
}

#[test]
fn the_same_plan_gives_the_same_report() {
    let run = |seed| {
        let bed = Dumbbell::new(link("rate=10mbit,delay=20ms,queue=1bdp,loss=1%,jitter=3ms"))
            .flow(cubic())
            .flow(cubic().starts(secs(1)).delay(Duration::from_millis(10)))
            .sample(Duration::from_millis(50))
            .seed(seed);
        let report = bed.run(secs(5));
        format!("{report:?}")
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn two_flows_share() {
    let bed = Dumbbell::new(link("rate=10mbit,delay=10ms,queue=1bdp"))
        .flow(cubic())
        .flow(cubic())
        .sample(Duration::from_millis(100));
    let report = bed.run(secs(60));
    let fairness = report.fairness_from(secs(10));
    assert!(fairness > 0.9, "{fairness}");
}

#[test]
fn a_flow_can_go_against_the_others() {
    let bed = Dumbbell::new(link("rate=10mbit,delay=10ms"))
        .back(link("rate=1mbit,delay=10ms"))
        .flow(cubic().bytes(1_000_000).reversed(true));
    let report = bed.run(secs(60));
    let goodput = megabits(report.flows[0].goodput());
    assert!((0.8..1.0).contains(&goodput), "{goodput} Mbit/s");
}

#[test]
fn codel_keeps_the_queue_short() {
    let wait = |spec| {
        let flow = Flow::new(Algorithm::Reno);
        let report = Dumbbell::new(link(spec)).flow(flow).run(secs(30));
        assert!(megabits(report.goodput()) > 8.0, "{spec}");
        report.bottleneck.waits.mean()
    };
    let tail = wait("rate=10mbit,delay=20ms,queue=4bdp");
    let codel = wait("rate=10mbit,delay=20ms,queue=4bdp,aqm=codel");
    assert!(codel < tail / 3, "{codel:?} {tail:?}");
}

#[test]
fn marks_take_the_place_of_drops() {
    let flow = cubic().with_sender(|config| config.ecn(EcnUse::Request));
    for spec in [
        "rate=10mbit,delay=20ms,queue=4bdp,aqm=codel,ecn=on",
        "rate=10mbit,delay=20ms,queue=4bdp,ecn=20p",
    ] {
        let report = Dumbbell::new(link(spec)).flow(flow.clone()).run(secs(20));
        assert!(report.bottleneck.counters.marked > 5, "{spec}");
        assert!(megabits(report.goodput()) > 8.5, "{spec}");
        let dropped = report.bottleneck.counters.aqm;
        assert!(dropped < 5, "{spec}: {dropped} dropped");
    }
}

#[test]
fn a_path_that_narrows_is_found_by_icmp() {
    let bed = Dumbbell::new(link("rate=10mbit,delay=20ms")).mtu_change(
        Duration::from_millis(300),
        1300,
        TooBig::Announce,
    );
    let lasted = megabyte(bed).flows[0].lasted;
    assert!(lasted < secs(3), "{lasted:?}");
}

#[test]
fn a_black_hole_is_found_where_that_is_wanted() {
    let bed = Dumbbell::new(link("rate=10mbit,delay=20ms"))
        .mtu_change(Duration::from_millis(300), 1300, TooBig::Silent)
        .flow(
            cubic()
                .bytes(1_000_000)
                .with_sender(|config| config.mtu_probing(MtuProbing::BlackHole)),
        );
    let report = bed.run(secs(120));
    assert_eq!(report.flows[0].received, 1_000_000);
}

#[test]
fn hard_paths_carry_everything() {
    for (there, back) in [
        ("rate=10mbit,delay=20ms,loss=gilbert:1%:30%", "delay=20ms"),
        ("rate=10mbit,delay=20ms,reorder=2%:15ms:6", "delay=20ms"),
        (
            "rate=10mbit,delay=20ms,jitter=10ms",
            "delay=20ms,jitter=10ms",
        ),
        (
            "rate=10mbit,delay=20ms,slot=10ms",
            "delay=20ms,slot=15ms,thin=on",
        ),
        (
            "rate=10mbit,delay=20ms",
            "delay=20ms,rate=100kbit,queue=20p",
        ),
        ("rate=10mbit,delay=20ms,outage=400ms:700ms:3s", "delay=20ms"),
        ("rate=10mbit,delay=20ms,police=5mbit:20k", "delay=20ms"),
    ] {
        let report = megabyte(Dumbbell::new(link(there)).back(link(back)));
        let lasted = report.flows[0].lasted;
        assert!(lasted < secs(30), "{there} {back}: {lasted:?}");
    }
}

#[test]
fn a_recording_is_followed() {
    // 12 Mbit/s for half a second, 1.2 Mbit/s for the next.
    let fast = 1..=500_u64;
    let slow = (1..=50_u64).map(|n| 500 + n * 10);
    let bandwidth = Bandwidth::new(fast.chain(slow).collect()).unwrap();
    let path = link("delay=20ms,queue=100p").bandwidth(Arc::new(bandwidth));
    let bed = Dumbbell::new(path)
        .flow(cubic())
        .sample(Duration::from_millis(100));
    let report = bed.run(secs(20));
    let goodput = megabits(report.goodput());
    assert!((4.0..6.6).contains(&goodput), "{goodput} Mbit/s");
    assert!(report.bottleneck.moments.len() >= 200);
}

#[test]
fn jain_knows_the_extremes() {
    assert!((jain(&[1.0, 1.0, 1.0]) - 1.0).abs() < 1e-12);
    assert!((jain(&[1.0, 0.0]) - 0.5).abs() < 1e-12);
}
