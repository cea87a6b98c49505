//! What a link promises, for any impairment and any sequence of packets.

#![expect(clippy::panic, reason = "a failure ends the test")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use transom_sim::{
    Aqm, Bandwidth, DropCause, Fate, Impairment, Link, Loss, Marking, Outage, Policer, Probability,
    Queue,
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn any_probability() -> impl Strategy<Value = Probability> {
    prop_oneof![
        Just(Probability::NEVER),
        (0_u32..=100_000_000).prop_map(Probability::from_parts),
        (0_u32..=10).prop_map(Probability::percent),
    ]
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0_u64..200).prop_map(ms),
        (0_u64..10_000_000_000).prop_map(Duration::from_nanos),
    ]
}

fn any_loss() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::None),
        any_probability().prop_map(Loss::Random),
        (1_u64..50).prop_map(Loss::EveryNth),
        prop::collection::vec(1_u64..50, 1..5).prop_map(Loss::List),
        (
            any_probability(),
            any_probability(),
            any_probability(),
            any_probability()
        )
            .prop_map(|(to_bad, to_good, good, bad)| Loss::GilbertElliott {
                to_bad,
                to_good,
                good,
                bad
            }),
    ]
}

fn any_queue() -> impl Strategy<Value = Queue> {
    prop_oneof![
        (0_u64..1_000_000).prop_map(Queue::Bytes),
        (0_u64..1000).prop_map(Queue::Packets),
        any_duration().prop_map(Queue::Time),
        (0_u32..1000).prop_map(Queue::Bdp),
    ]
}

prop_compose! {
    /// What the queue and the entrance of a link do; packets may wait there for their fate.
    fn any_discipline()(
        aqm in prop_oneof![
            Just(Aqm::DropTail),
            Just(Aqm::CODEL),
            (any_duration(), any_duration())
                .prop_map(|(target, interval)| Aqm::Codel { target, interval }),
        ],
        ecn in prop_oneof![
            Just(Marking::None),
            Just(Marking::Instead),
            any_queue().prop_map(Marking::Above),
        ],
        police in prop::option::of(
            (1_u64..1_000_000_000, 0_u64..1_000_000)
                .prop_map(|(rate, burst)| Policer { rate, burst }),
        ),
        slot in prop::option::of(any_duration().prop_filter("some", |slot| !slot.is_zero())),
        thin in any::<bool>(),
        outage in prop::option::of(
            (any_duration(), any_duration(), prop::option::of(1_u64..1_000_000_000)).prop_map(
                |(at, length, every)| Outage {
                    at,
                    length,
                    every: every.map(Duration::from_nanos),
                },
            ),
        ),
        run in 0_u32..20,
    ) -> Impairment {
        let mut impairment = Impairment::new().aqm(aqm).ecn(ecn).thin(thin);
        impairment.police = police;
        impairment.slot = slot;
        impairment.outage = outage;
        impairment.reorder_run = if run > 1 { run } else { 0 };
        impairment
    }
}

prop_compose! {
    fn any_impairment()(
        discipline in prop_oneof![Just(Impairment::new()), any_discipline()],
        loss in any_loss(),
        delay in any_duration(),
        jitter in any_duration(),
        reorder in any_probability(),
        reorder_by in prop::option::of(any_duration()),
        duplicate in any_probability(),
        corrupt in any_probability(),
        rate in prop::option::of(1_u64..10_000_000_000),
        queue in prop::option::of(any_queue()),
        mtu in prop::option::of(1_usize..2000),
        seed in any::<u64>(),
    ) -> Impairment {
        let mut impairment = discipline
            .loss(loss)
            .delay(delay)
            .jitter(jitter)
            .reorder(reorder)
            .duplicate(duplicate)
            .corrupt(corrupt)
            .seed(seed);
        // A run is written with its time.
        let is_run = impairment.reorder_run > 1;
        impairment.reorder_by = reorder_by.or_else(|| is_run.then_some(Duration::ZERO));
        impairment.rate = rate;
        impairment.queue = queue;
        impairment.mtu = mtu;
        impairment
    }
}

/// Packets: (pause before it in microseconds, size).
fn any_packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((0_u64..5000, 0_usize..2000), 0..120)
}

/// What came of sending packets: their fates, and all arrivals with their times.
struct Played {
    fates: Vec<Fate>,
    arrivals: Vec<(Duration, Vec<u8>)>,
    link: Link,
}

impl Played {
    /// Takes what arrives up to `now`.
    fn collect(&mut self, now: Duration) {
        while let Some(arrival) = self.link.next(Duration::ZERO).filter(|&at| at <= now) {
            self.arrivals
                .extend(self.link.pop(arrival).map(|packet| (arrival, packet)));
        }
    }
}

/// Sends packets that carry their number.
fn play(impairment: &Impairment, packets: &[(u64, usize)]) -> Played {
    let link = Link::new(impairment.clone());
    let mut played = Played {
        fates: Vec::new(),
        arrivals: Vec::new(),
        link,
    };
    let mut now = Duration::ZERO;
    for (number, &(pause, size)) in packets.iter().enumerate() {
        now += Duration::from_micros(pause);
        played.collect(now);
        let mut packet = (number as u32).to_be_bytes().to_vec();
        packet.resize(packet.len() + size, 0);
        played.fates.push(played.link.push(now, packet));
    }
    played.collect(Duration::MAX);
    played
}

proptest! {
    /// What is printed reads as the same impairment.
    #[test]
    fn text_form_round_trips(impairment in any_impairment()) {
        let text = impairment.to_string();
        prop_assert_eq!(text.parse::<Impairment>(), Ok(impairment));
    }

    /// Any text gives an impairment or an error whose place lies within the text.
    #[test]
    fn any_text_is_survived(text in "[a-z0-9=,.:%+ ü]{0,40}") {
        match text.parse::<Impairment>() {
            Ok(impairment) => prop_assert_eq!(impairment.to_string().parse(), Ok(impairment)),
            Err(error) => {
                prop_assert!(error.position() <= text.chars().count());
                let from: String = text.chars().skip(error.position()).collect();
                prop_assert!(from.starts_with(error.word()), "{error} in {text:?}");
            }
        }
    }

    /// The same seed and the same input give the same output.
    #[test]
    fn same_seed_same_output(impairment in any_impairment(), packets in any_packets()) {
        let (first, again) = (play(&impairment, &packets), play(&impairment, &packets));
        prop_assert_eq!(first.fates, again.fates);
        prop_assert_eq!(first.arrivals, again.arrivals);
    }

    /// Every packet arrives exactly as its fate said, nothing else does, and all are accounted for.
    #[test]
    fn fates_come_true(impairment in any_impairment(), packets in any_packets()) {
        let Played { fates, arrivals, link } = play(&impairment, &packets);
        let mut expected: Vec<Duration> = Vec::new();
        let mut is_known = true;
        for fate in &fates {
            match fate {
                Fate::Carried(passage) => {
                    expected.push(passage.arrives);
                    expected.extend(passage.duplicate);
                }
                Fate::Queued => is_known = false,
                Fate::Dropped(_) => {}
            }
        }
        expected.sort();
        let times: Vec<Duration> = arrivals.iter().map(|(time, _)| *time).collect();
        prop_assert!(times.is_sorted());
        if is_known {
            prop_assert_eq!(times, expected);
        }
        prop_assert!(link.is_empty());
        let counters = link.counters();
        let dropped = counters.lost + counters.queue_full + counters.too_big
            + counters.filtered + counters.overflow + counters.policed + counters.outage
            + counters.aqm + counters.thinned;
        prop_assert_eq!(counters.pushed, packets.len() as u64);
        prop_assert_eq!(counters.delivered, counters.pushed - dropped + counters.duplicated);
    }

    /// No packet is faster than the link, and without reordering none overtakes another.
    #[test]
    fn order_and_delay_hold(mut impairment in any_impairment(), packets in any_packets()) {
        impairment.reorder = Probability::NEVER;
        impairment.corrupt = Probability::NEVER;
        let Played { fates, arrivals, .. } = play(&impairment, &packets);
        let least = impairment.delay.saturating_sub(impairment.jitter);
        let mut sent = Duration::ZERO;
        for (fate, (pause, _)) in fates.iter().zip(&packets) {
            sent += Duration::from_micros(*pause);
            if let Fate::Carried(passage) = fate {
                prop_assert!(passage.arrives >= sent + least);
                prop_assert!(!passage.reordered && passage.corrupted.is_none());
            }
        }
        let numbers: Vec<&[u8]> = arrivals.iter().map(|(_, packet)| &packet[..4]).collect();
        prop_assert!(numbers.is_sorted());
    }

    /// Over any time the link carries no more than its rate allows.
    #[test]
    fn rate_is_kept(
        rate in 10_000_u64..100_000_000,
        packets in prop::collection::vec((0_u64..2000, 0_usize..1500), 1..100),
    ) {
        let impairment = Impairment::new().rate(rate).queue(Queue::Packets(1_000_000));
        let Played { arrivals, .. } = play(&impairment, &packets);
        let mut free = Duration::ZERO;
        for (arrival, packet) in &arrivals {
            let needs = Duration::from_nanos(packet.len() as u64 * 8 * 1_000_000_000 / rate);
            prop_assert!(*arrival >= free + needs);
            free = *arrival;
        }
    }
}

#[test]
fn rate_and_queue_drop_the_tail() {
    // 1000 bytes take 8 ms at 1 Mbit/s.
    let impairment = Impairment::new().rate(1_000_000).queue(Queue::Bytes(3000));
    let mut link = Link::new(impairment);
    let fates: Vec<Fate> = (0..5)
        .map(|_| link.push(Duration::ZERO, vec![0; 1000]))
        .collect();
    let arrivals: Vec<Option<Duration>> = fates
        .iter()
        .map(|fate| match fate {
            Fate::Carried(passage) => Some(passage.arrives),
            Fate::Queued => panic!("a queue that drops its tail knows at once"),
            Fate::Dropped(cause) => {
                assert_eq!(*cause, DropCause::QueueFull);
                None
            }
        })
        .collect();
    assert_eq!(
        arrivals,
        [Some(ms(8)), Some(ms(16)), Some(ms(24)), None, None]
    );
    // Eight milliseconds later there is room for one.
    assert!(matches!(link.push(ms(8), vec![0; 1000]), Fate::Carried(p) if p.arrives == ms(32)));
    assert!(matches!(
        link.push(ms(8), vec![0; 1000]),
        Fate::Dropped(DropCause::QueueFull)
    ));
}

#[test]
fn a_packet_larger_than_the_queue_passes_when_it_is_alone() {
    let mut link = Link::new(Impairment::new().rate(1_000_000).queue(Queue::Bytes(100)));
    assert!(matches!(
        link.push(Duration::ZERO, vec![0; 1000]),
        Fate::Carried(_)
    ));
    assert!(matches!(
        link.push(Duration::ZERO, vec![0; 1]),
        Fate::Dropped(_)
    ));
}

#[test]
fn black_hole_takes_only_large_packets() {
    let mut link = Link::new(Impairment::new().mtu(1400));
    assert!(matches!(link.push(ms(0), vec![0; 1400]), Fate::Carried(_)));
    assert_eq!(
        link.push(ms(0), vec![0; 1401]),
        Fate::Dropped(DropCause::TooBig)
    );
}

#[test]
fn a_reordered_packet_is_overtaken() {
    let mut link = Link::new(Impairment::new().delay(ms(20)).reorder(Probability::ALWAYS));
    link.push(ms(0), vec![1]);
    link.set_impairment(Impairment::new().delay(ms(20)));
    link.push(ms(1), vec![2]);
    assert_eq!(link.pop(ms(21)), Some(vec![2]));
    assert_eq!(link.pop(ms(24)), None);
    assert_eq!(link.pop(ms(25)), Some(vec![1]));
}

#[test]
fn corruption_flips_exactly_one_bit_and_spares_the_copy() {
    let impairment = Impairment::new()
        .corrupt(Probability::ALWAYS)
        .duplicate(Probability::ALWAYS)
        .seed(5);
    let mut link = Link::new(impairment);
    let fate = link.push(ms(0), vec![0; 100]);
    let Fate::Carried(passage) = fate else {
        panic!("{fate:?}")
    };
    let bit = passage.corrupted.unwrap();
    let changed = link.pop(ms(0)).unwrap();
    assert_eq!(changed.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    assert_eq!(changed[bit / 8], 1 << (bit % 8));
    assert_eq!(link.pop(ms(0)), Some(vec![0; 100]));
    assert_eq!(link.pop(ms(0)), None);
}

#[test]
fn a_filter_drops_what_it_names() {
    let mut link = Link::new(Impairment::new());
    link.set_filter(Some(Box::new(|_, packet: &Vec<u8>| packet[0] != 2)));
    assert!(matches!(link.push(ms(0), vec![1]), Fate::Carried(_)));
    assert_eq!(
        link.push(ms(0), vec![2]),
        Fate::Dropped(DropCause::Filtered)
    );
    assert_eq!(link.counters().filtered, 1);
}

/// Switching jitter on does not move the losses: each effect has its own stream of chance.
#[test]
fn effects_do_not_disturb_each_other() {
    let losses = |impairment: Impairment| -> Vec<bool> {
        let mut link = Link::new(impairment);
        (0..1000)
            .map(|n| matches!(link.push(ms(n), vec![0]), Fate::Dropped(_)))
            .collect()
    };
    let plain = Impairment::new()
        .loss(Loss::Random(Probability::percent(10)))
        .seed(9);
    let mixed = plain
        .clone()
        .jitter(ms(3))
        .duplicate(Probability::percent(50));
    assert_eq!(losses(plain), losses(mixed));
}

#[test]
fn a_link_is_bounded() {
    let mut link = Link::new(Impairment::new().delay(Duration::from_secs(3600)));
    let mut dropped = 0;
    for _ in 0..Link::<Vec<u8>>::MAX_PACKETS + 10 {
        dropped += u64::from(link.push(ms(0), Vec::new()) == Fate::Dropped(DropCause::Overflow));
    }
    assert!(link.len() <= Link::<Vec<u8>>::MAX_PACKETS);
    assert!(dropped >= 10);
    assert_eq!(link.counters().overflow, dropped);
}

/// What arrives of packets of 1000 octets, one each millisecond; with the times.
fn arrivals(spec: &str, packets: u64) -> Vec<(Duration, Vec<u8>)> {
    let impairment = spec
        .parse()
        .unwrap_or_else(|error| panic!("{spec}: {error}"));
    let packets: Vec<(u64, usize)> = (0..packets).map(|_| (1000, 996)).collect();
    play(&impairment, &packets).arrivals
}

#[test]
fn codel_keeps_the_standing_queue_short() {
    // A third more than fits, for ten seconds.
    let delays = |spec: &str| -> Vec<Duration> {
        let sent = |packet: &[u8]| {
            let number = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
            ms(u64::from(number) + 1)
        };
        arrivals(spec, 10_000)
            .iter()
            .map(|(at, packet)| *at - sent(packet))
            .collect()
    };
    let tail = delays("rate=6mbit,queue=10000p");
    let codel = delays("rate=6mbit,queue=10000p,aqm=codel");
    let late = |delays: &[Duration]| *delays.last().unwrap_or(&Duration::MAX);
    assert!(late(&tail) > ms(3000), "{:?}", late(&tail));
    assert!(late(&codel) < ms(500), "{:?}", late(&codel));
}

/// An IPv4 packet of 1000 octets with this field of ECN.
fn with_ecn(ecn: u8) -> Vec<u8> {
    let mut packet = vec![0; 1000];
    packet[..4].copy_from_slice(&[0x45, ecn, 0x03, 0xe8]);
    packet
}

#[test]
fn a_threshold_marks_those_that_understand_it() {
    let impairment = Impairment::new()
        .rate(1_000_000)
        .ecn(Marking::Above(Queue::Packets(2)));
    let mut link = Link::new(impairment);
    for ecn in [2, 2, 2, 0, 1, 3] {
        link.push(ms(0), with_ecn(ecn));
    }
    let mut seen = Vec::new();
    while let Some(packet) = link.pop(ms(1000)) {
        seen.push(packet[1] & 3);
        // A marked packet has a right checksum.
        if packet[1] & 3 == 3 && seen.len() < 6 {
            let sum: u32 = packet[..20]
                .chunks(2)
                .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        }
    }
    assert_eq!(seen, [2, 2, 3, 0, 3, 3]);
    assert_eq!(link.counters().marked, 3);
}

#[test]
fn codel_marks_instead_of_dropping() {
    let count = |ecn: u8| {
        let impairment = Impairment::new()
            .rate(4_000_000)
            .aqm(Aqm::CODEL)
            .ecn(Marking::Instead);
        let mut link = Link::new(impairment);
        for n in 0..1000 {
            link.push(ms(n), with_ecn(ecn));
        }
        let mut arrived = 0;
        while link.pop(ms(100_000)).is_some() {
            arrived += 1;
        }
        (arrived, link.counters().aqm, link.counters().marked)
    };
    let (arrived, dropped, marked) = count(0);
    assert!(dropped > 10 && marked == 0 && arrived + dropped == 1000);
    let (arrived, dropped, marked) = count(1);
    assert!(dropped == 0 && marked > 10 && arrived == 1000);
}

#[test]
fn slots_let_packets_leave_together() {
    let times: Vec<Duration> = arrivals("slot=10ms", 25)
        .iter()
        .map(|(at, _)| *at)
        .collect();
    let expected: Vec<Duration> = (1..=25_u64).map(|n| ms(n.div_ceil(10) * 10)).collect();
    assert_eq!(times, expected);
}

/// An acknowledgement in IPv4 from this port, with or without a SACK block.
fn ack(port: u8, number: u32, sack: bool) -> Vec<u8> {
    let options: &[u8] = if sack {
        &[1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 9]
    } else {
        &[]
    };
    let length = 40 + options.len() as u8;
    let mut packet = vec![0; 40];
    packet[..4].copy_from_slice(&[0x45, 0, 0, length]);
    packet[9] = 6;
    packet[21] = port;
    packet[28..32].copy_from_slice(&number.to_be_bytes());
    packet[32] = (5 + options.len() as u8 / 4) << 4;
    packet[33] = 0x10;
    packet.extend_from_slice(options);
    packet
}

#[test]
fn thinning_keeps_the_newest_acknowledgement_of_each_connection() {
    let mut link = Link::new(Impairment::new().slot(ms(10)).thin(true));
    let sent = [
        ack(1, 100, false),
        ack(2, 50, false),
        ack(1, 200, false),
        ack(1, 200, true),
        ack(1, 300, false),
        ack(2, 50, false),
        vec![7; 40],
    ];
    for packet in &sent {
        assert_eq!(link.push(ms(1), packet.clone()), Fate::Queued);
    }
    let mut arrived = Vec::new();
    while let Some(packet) = link.pop(ms(10)) {
        arrived.push(packet);
    }
    // 100 went for 200, 200 for 300; SACK blocks and repeated numbers say something of their own.
    let kept: Vec<Vec<u8>> = [1, 3, 4, 5, 6].map(|n| sent[n].clone()).to_vec();
    assert_eq!(arrived, kept);
    assert_eq!(link.counters().thinned, 2);
}

#[test]
fn a_run_of_packets_is_overtaken_together() {
    let numbers: Vec<u8> = arrivals("delay=20ms,reorder=5%:30ms:8,seed=3", 200)
        .iter()
        .map(|(_, packet)| packet[3])
        .collect();
    let runs: Vec<usize> = numbers
        .chunk_by(|one, two| u16::from(*two) == u16::from(*one) + 1)
        .map(<[u8]>::len)
        .collect();
    assert!(!numbers.is_sorted());
    // Held packets that are back among others: every second one, eight of them.
    assert!(
        runs.iter().filter(|run| **run == 1).count() >= 8,
        "{runs:?}"
    );
}

#[test]
fn a_policer_drops_and_does_not_delay() {
    let came = arrivals("police=4mbit:3000", 1000);
    // 1000 octets a millisecond are 8 Mbit/s: half of them, and the burst.
    assert!((500..=503).contains(&came.len()), "{}", came.len());
    assert!(came.iter().all(|(at, packet)| {
        let number = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
        *at == ms(u64::from(number) + 1)
    }));
}

#[test]
fn an_outage_takes_what_is_sent_in_it() {
    let spec = "outage=100ms:50ms:300ms";
    assert_eq!(arrivals(spec, 600).len(), 500);
}

#[test]
fn a_recording_paces_the_link() {
    let bandwidth = Bandwidth::parse("10\n10\n40\n").map(Arc::new);
    let bandwidth = bandwidth.unwrap_or_else(|error| panic!("{error}"));
    for aqm in [Aqm::DropTail, Aqm::CODEL] {
        let mut link = Link::new(Impairment::new().bandwidth(bandwidth.clone()).aqm(aqm));
        for _ in 0..5 {
            link.push(ms(0), vec![0; 1500]);
        }
        assert_eq!(link.backlog(ms(0)).packets, 5);
        let mut times = Vec::new();
        while let Some(at) = link.next(ms(0)) {
            times.extend(link.pop(at).map(|_| at));
        }
        assert_eq!(times, [ms(10), ms(10), ms(40), ms(50), ms(50)], "{aqm:?}");
        assert_eq!(link.waits().packets, 5);
    }
}

#[test]
fn a_queue_can_be_a_time_or_round_trips() {
    // 1000 octets take 8 ms: three wait no longer than 16 ms, and the first waits not at all.
    for spec in ["queue=16ms", "queue=0.8bdp,delay=10ms"] {
        let spec = format!("rate=1mbit,{spec}");
        let impairment: Impairment = spec.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(impairment.to_string().parse(), Ok(impairment.clone()));
        let mut link = Link::new(impairment);
        let taken = (0..9)
            .filter(|_| matches!(link.push(ms(0), vec![0; 1000]), Fate::Carried(_)))
            .count();
        assert_eq!(taken, 3, "{spec}");
        assert_eq!((link.waits().deepest, link.waits().longest), (3000, ms(16)));
    }
}
