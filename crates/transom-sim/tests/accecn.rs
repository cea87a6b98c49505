//! Accurate ECN over a bottleneck that marks: the sender hears of every mark, whatever happens to acknowledgements.

#![expect(
    clippy::unwrap_used,
    reason = "a wrong spec in a test is a bug of the test"
)]

use std::time::Duration;

use transom_drill::bed::{Dumbbell, Flow, Report};
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{AccEcnOption, AccurateInfo, EcnUse};

/// Octets of a flow.
const BYTES: u64 = 6_000_000;

fn run(there: &str, back: &str, algorithm: Algorithm, option: AccEcnOption) -> Report {
    let flow = Flow::new(algorithm)
        .bytes(BYTES)
        .with_sender(|config| config.ecn(EcnUse::Accurate))
        .with_receiver(|config| config.ecn(EcnUse::AcceptAccurate).accecn_option(option));
    let report = Dumbbell::new(there.parse().unwrap())
        .back(back.parse().unwrap())
        .flow(flow)
        .run(Duration::from_secs(120));
    let flow = &report.flows[0];
    assert_eq!((flow.received, &flow.failed), (BYTES, &None), "{there}");
    report
}

fn heard(report: &Report) -> AccurateInfo {
    report.flows[0].accurate_ecn.unwrap()
}

#[test]
fn req_acc_8_and_acc_12_every_mark_of_the_queue_is_counted_by_the_sender() {
    for (there, back) in [
        ("rate=10mbit,delay=20ms,queue=4bdp,ecn=20p", "delay=20ms"),
        (
            "rate=10mbit,delay=20ms,queue=4bdp,aqm=codel,ecn=on",
            "delay=20ms",
        ),
        // Most acknowledgements never come, or one stands for many.
        (
            "rate=10mbit,delay=20ms,queue=4bdp,ecn=20p",
            "delay=20ms,loss=60%",
        ),
        (
            "rate=10mbit,delay=20ms,queue=4bdp,ecn=20p",
            "delay=20ms,rate=150kbit,queue=100p,thin=on",
        ),
        // Data is lost and reordered too.
        (
            "rate=10mbit,delay=20ms,queue=4bdp,ecn=2p,loss=0.3%",
            "delay=20ms,loss=20%",
        ),
        (
            "rate=10mbit,delay=20ms,queue=4bdp,ecn=3p,reorder=1%:5ms",
            "delay=20ms",
        ),
    ] {
        for algorithm in [Algorithm::Cubic, Algorithm::Bbr] {
            let report = run(there, back, algorithm, AccEcnOption::Needed);
            let (marked, heard) = (report.bottleneck.counters.marked, heard(&report));
            let what = format!("{there} {back} {}", algorithm.name());
            // BBR may keep the queue shorter than that.
            let is_enough = marked > 10 || algorithm == Algorithm::Bbr;
            assert!(is_enough, "{what}: {marked} marks");
            assert_eq!(u64::from(heard.delivered_ce), marked, "{what}");
            let counted = report.flows[0].receiver_ecn.unwrap();
            assert_eq!(
                heard.delivered_ce_bytes, counted.received_ce_bytes,
                "{what}"
            );
            // The last acknowledgements are still under way.
            assert!(
                heard.delivered_ect0_bytes <= counted.received_ect0_bytes,
                "{what}"
            );
            // Nothing but what was sent again went unmarkable.
            let sum = counted.received_ce_bytes + counted.received_ect0_bytes;
            let again = report.flows[0].counters.bytes_retransmitted;
            assert!((BYTES - again..=BYTES).contains(&sum), "{what}: {sum}");
        }
    }
}

#[test]
fn req_acc_16_without_the_option_the_three_bits_suffice_while_acknowledgements_arrive() {
    for back in ["delay=20ms", "delay=20ms,loss=5%"] {
        let there = "rate=10mbit,delay=20ms,queue=4bdp,ecn=20p";
        let report = run(there, back, Algorithm::Cubic, AccEcnOption::Never);
        let heard = heard(&report);
        assert!(!heard.options);
        assert_eq!(
            u64::from(heard.delivered_ce),
            report.bottleneck.counters.marked
        );
    }
}

#[test]
fn accurate_feedback_is_answered_as_classic_is() {
    let goodput = |ecn: EcnUse| {
        let flow = Flow::new(Algorithm::Cubic)
            .with_sender(|config| config.ecn(ecn))
            .with_receiver(|config| config.ecn(EcnUse::AcceptAccurate));
        let report = Dumbbell::new("rate=10mbit,delay=20ms,queue=4bdp,ecn=20p".parse().unwrap())
            .flow(flow)
            .run(Duration::from_secs(20));
        (report.goodput(), report.bottleneck.counters.marked)
    };
    let (classic, accurate) = (goodput(EcnUse::Request), goodput(EcnUse::Accurate));
    assert!(accurate.1 > 5, "{} marks", accurate.1);
    let ratio = accurate.0 / classic.0;
    assert!((0.95..1.05).contains(&ratio), "{classic:?} {accurate:?}");
}
