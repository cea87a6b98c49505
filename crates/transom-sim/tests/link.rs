//! What a link promises, for any impairment and any sequence of packets.

use std::time::Duration;

use proptest::prelude::*;
use transom_sim::{DropCause, Fate, Impairment, Link, Loss, Probability, Queue};

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

prop_compose! {
    fn any_impairment()(
        loss in any_loss(),
        delay in any_duration(),
        jitter in any_duration(),
        reorder in any_probability(),
        reorder_by in prop::option::of(any_duration()),
        duplicate in any_probability(),
        corrupt in any_probability(),
        rate in prop::option::of(1_u64..10_000_000_000),
        queue in prop::option::of(prop_oneof![
            (0_u64..1_000_000).prop_map(Queue::Bytes),
            (0_u64..1000).prop_map(Queue::Packets),
        ]),
        mtu in prop::option::of(1_usize..2000),
        seed in any::<u64>(),
    ) -> Impairment {
        let mut impairment = Impairment::new()
            .loss(loss)
            .delay(delay)
            .jitter(jitter)
            .reorder(reorder)
            .duplicate(duplicate)
            .corrupt(corrupt)
            .seed(seed);
        impairment.reorder_by = reorder_by;
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

    /// Every packet arrives exactly as its fate said, and nothing else does.
    #[test]
    fn fates_come_true(impairment in any_impairment(), packets in any_packets()) {
        let Played { fates, arrivals, link } = play(&impairment, &packets);
        let mut expected: Vec<Duration> = Vec::new();
        for fate in &fates {
            if let Fate::Carried(passage) = fate {
                expected.push(passage.arrives);
                expected.extend(passage.duplicate);
            }
        }
        expected.sort();
        let times: Vec<Duration> = arrivals.iter().map(|(time, _)| *time).collect();
        prop_assert_eq!(times, expected);
        prop_assert!(link.is_empty());
        let counters = link.counters();
        let dropped = counters.lost + counters.queue_full + counters.too_big
            + counters.filtered + counters.overflow;
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
