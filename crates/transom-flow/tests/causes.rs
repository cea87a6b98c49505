//! What the tracker concludes from packets, compared with what the engines that sent them know.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod engine;

use engine::{Habits, Held, Peer, capture, kind_of, play};
use std::collections::BTreeMap;
use std::time::Duration;
use transom_flow::{Cause, Entry, Limit, Limited, Meaning, What};
use transom_sim::{Impairment, Loss, Probability, Queue, Random};
use transom_tcp::{Config, RetransmitCause, TransmitKind};

fn percent(random: &mut Random, most: u64) -> Probability {
    Probability::from_parts(u32::try_from(random.below(most * 1_000_000)).unwrap())
}

fn link(random: &mut Random, seed: u64, delay: Duration) -> Impairment {
    let mut link = Impairment::new().seed(seed).delay(delay);
    if random.below(4) > 0 {
        link = link.loss(Loss::Random(percent(random, 8)));
    }
    if random.below(2) == 0 {
        link = link
            .rate(1_000_000 + random.below(50_000_000))
            .queue(Queue::Packets(10 + random.below(100)));
    }
    if random.below(4) == 0 {
        let held = Duration::from_micros(100 + random.below(5000));
        link = link.reorder(percent(random, 5)).reorder_by(held);
    }
    link
}

fn world(seed: u64) -> [Peer; 2] {
    let mut random = Random::new(seed);
    let delay = Duration::from_micros(300 + random.below(60_000));
    let there = link(&mut random, seed, delay);
    let back = link(&mut random, seed + 1_000_000, delay);
    let config = Config::default()
        .timestamps(random.below(3) > 0)
        .sack(random.below(4) > 0)
        .rack(random.below(3) > 0);
    let mut habits = Habits::bulk(20_000 + random.below(300_000) as usize);
    if random.below(3) == 0 {
        habits.write = 100 + random.below(6000) as usize;
        habits.pause = Duration::from_millis(1 + random.below(80));
    }
    play(&config, [habits, Habits::bulk(0)], there, back)
}

/// What was sent, and why.
fn truth(kind: TransmitKind) -> Option<&'static str> {
    Some(match kind {
        TransmitKind::Data | TransmitKind::Fin => "new",
        TransmitKind::Retransmit(RetransmitCause::Timeout) => "timeout",
        TransmitKind::Retransmit(RetransmitCause::TailLossProbe) => "probe",
        TransmitKind::Retransmit(_) => "fast",
        _ => return None,
    })
}

/// What was concluded.
fn conclusion(meaning: Meaning) -> Option<&'static str> {
    Some(match meaning {
        Meaning::Data | Meaning::DataAfterGap | Meaning::Fin | Meaning::OutOfOrder => "new",
        Meaning::Retransmission { cause, .. } => match cause {
            Cause::Timeout => "timeout",
            Cause::FastRetransmit => "fast",
            Cause::TailLossProbe => "probe",
            Cause::AlreadyAcknowledged => "acknowledged",
            _ => "unknown",
        },
        _ => return None,
    })
}

type Table = BTreeMap<(&'static str, &'static str), u64>;

/// Adds what was concluded at one host about the client's segments.
fn compare(peers: &[Peer; 2], at: usize, table: &mut Table) {
    let [client, server] = peers;
    let peer = if at == 0 { client } else { server };
    let flow = capture(peer);
    for entry in flow.entries() {
        let Entry::Step(step) = entry else {
            panic!("a step was folded");
        };
        let What::Segment(segment) = &step.what else {
            continue;
        };
        let seen = &peer.seen[segment.frame as usize - 1];
        if seen.from != 0 {
            continue;
        }
        if let Some(truth) = truth(kind_of(peers, seen)) {
            let concluded = conclusion(segment.meaning).unwrap_or_else(|| segment.meaning.id());
            *table.entry((truth, concluded)).or_default() += 1;
        }
    }
}

fn share(table: &Table, is_right: impl Fn(&str, &str) -> bool, of: impl Fn(&str) -> bool) -> f64 {
    let (mut right, mut all) = (0, 0);
    for ((truth, concluded), count) in table {
        if of(truth) {
            all += count;
            if is_right(truth, concluded) {
                right += count;
            }
        }
    }
    right as f64 / all as f64
}

/// Data that a host received, as a set of bytes; to tell what arrived twice.
#[derive(Default)]
struct Received(Vec<(u32, u32)>);

impl Received {
    /// Adds a range and tells whether all of it had been there.
    fn add(&mut self, start: u32, end: u32) -> bool {
        let (mut start, mut end) = (start, end);
        if self.0.iter().any(|&(a, b)| a <= start && end <= b) {
            return true;
        }
        self.0.retain(|&(a, b)| {
            let apart = b < start || end < a;
            if !apart {
                start = start.min(a);
                end = end.max(b);
            }
            apart
        });
        self.0.push((start, end));
        false
    }
}

/// Retransmissions that arrived: how many were found needless, rightly and wrongly, and how many in
/// truth were.
fn needless(peers: &[Peer; 2]) -> [u64; 3] {
    let mut received = Received::default();
    let mut twice = std::collections::HashSet::new();
    let mut arrived = std::collections::HashSet::new();
    for seen in peers[1].seen.iter().filter(|seen| seen.from == 0) {
        let id = engine::identification(&seen.packet);
        let (start, end) = engine::data_range(&seen.packet);
        arrived.insert(id);
        if end > start && received.add(start, end) {
            twice.insert(id);
        }
    }
    let mut counts = [0; 3];
    for entry in capture(&peers[0]).entries() {
        let Entry::Step(step) = entry else { continue };
        let What::Segment(segment) = &step.what else {
            continue;
        };
        let seen = &peers[0].seen[segment.frame as usize - 1];
        let is_again = matches!(kind_of(peers, seen), TransmitKind::Retransmit(_));
        let id = engine::identification(&seen.packet);
        if seen.from == 1 || !is_again || !arrived.contains(&id) {
            continue;
        }
        let truth = twice.contains(&id);
        counts[0] += u64::from(segment.needless && truth);
        counts[1] += u64::from(segment.needless && !truth);
        counts[2] += u64::from(truth);
    }
    counts
}

#[test]
fn causes_agree_with_what_the_engine_knows() {
    let mut tables = [Table::new(), Table::new()];
    let mut counts = [0; 3];
    for seed in 0..150 {
        let peers = world(seed);
        for (at, table) in tables.iter_mut().enumerate() {
            compare(&peers, at, table);
        }
        for (sum, count) in counts.iter_mut().zip(needless(&peers)) {
            *sum += count;
        }
    }
    let [sender, receiver] = &tables;
    println!("at the sender: {sender:?}\nat the receiver: {receiver:?}\nneedless: {counts:?}");
    let again = |what: &str| what != "new";
    // What is new and what is sent again: at the sender there is no doubt.
    assert!(share(sender, |t, c| again(t) == again(c), |_| true) == 1.0);
    // Why: a timer that runs out just when an acknowledgement arrives looks like an answer to it.
    assert!(share(sender, |t, c| t == c, again) > 0.95);
    // At the receiver, the second copy of a tail whose first copy was lost on the way looks new.
    assert!(share(receiver, |t, c| again(t) == again(c), again) > 0.96);
    assert!(share(receiver, |_, c| !again(c), |t| t == "new") > 0.999);
    // There, what is acknowledged already says so instead of its cause.
    assert!(share(receiver, |t, c| t == c || c == "acknowledged", again) > 0.85);
    let [right, wrong, all] = counts;
    // Without SACK and timestamps nothing tells it; and which of three copies was it may stay open.
    assert!(wrong * 50 < right, "{wrong} of {right} are wrong");
    assert!(right * 10 > all * 6, "{right} of {all} found");
}

/// Seconds for which each reason held the client back between two times, by its engine; what is
/// repaired after them counts, too.
fn held(peer: &Peer, from: Duration, to: Duration) -> [f64; 4] {
    let mut held = [0.0; 4];
    for &(since, until, by) in &peer.held_for {
        let last = if by == Held::Loss { until } else { to };
        let time = until.min(last).saturating_sub(since.max(from));
        held[by as usize] += time.as_secs_f64();
    }
    held
}

fn concluded(limited: &Limited) -> [f64; 4] {
    [
        limited.application,
        limited.receiver_window,
        limited.loss,
        limited.network,
    ]
    .map(|time| time.as_secs_f64())
}

/// A sender that is held back in a way of the world's choice.
fn held_back(seed: u64) -> [Peer; 2] {
    let mut random = Random::new(seed + 77);
    let delay = Duration::from_millis(2 + random.below(40));
    let mut there = Impairment::new().seed(seed).delay(delay);
    let back = Impairment::new().seed(seed + 1).delay(delay);
    let mut config = Config::default();
    let mut habits = [Habits::bulk(400_000), Habits::bulk(0)];
    match seed % 5 {
        0 => config = config.recv_buffer(8_000 + random.below(30_000) as usize),
        1 => {
            config = config.recv_buffer(40_000);
            habits[1].read = 4_000;
            habits[1].read_every = Duration::from_millis(30);
        }
        2 => {
            habits[0].to_send = 60_000;
            habits[0].write = 200 + random.below(4000) as usize;
            habits[0].pause = Duration::from_millis(20 + random.below(200));
        }
        3 => there = there.loss(Loss::Random(Probability::from_parts(3_000_000))),
        _ => there = there.rate(3_000_000).queue(Queue::Packets(40)),
    }
    play(&config, habits, there, back)
}

const CHIEF: [Limit; 4] = [
    Limit::Application,
    Limit::ReceiverWindow,
    Limit::Loss,
    Limit::Network,
];

#[test]
fn limits_agree_with_what_the_engine_knows() {
    let (mut agreed, mut worlds) = ([0; 2], 0);
    let mut apart = [0.0; 2];
    for seed in 0..60 {
        let peers = held_back(seed);
        worlds += 1;
        for (at, peer) in peers.iter().enumerate() {
            let flow = capture(peer);
            let measures = flow.measures().client;
            let sent = capture(&peers[0]).measures().client;
            let (from, to) = (sent.first_data.unwrap(), sent.last_data.unwrap());
            let truth = held(&peers[0], from, to);
            let ours = concluded(&measures.limited);
            let time = (to - from).as_secs_f64();
            let differ: f64 = truth.iter().zip(ours).map(|(t, o)| (t - o).abs()).sum();
            apart[at] += differ / 2.0 / time;
            let chief = (0..4)
                .max_by(|a, b| truth[*a].total_cmp(&truth[*b]))
                .unwrap();
            agreed[at] += u64::from(measures.limit() == Some(CHIEF[chief]));
        }
    }
    println!("the chief limit: {agreed:?} of {worlds}; time apart in worlds: {apart:.2?}");
    assert!(
        agreed.iter().all(|n| n * 100 >= worlds * 95),
        "{agreed:?} of {worlds}"
    );
    // Shares of time told wrongly, on average: at the sender, and at the receiver.
    let [sender, receiver] = apart.map(|apart| apart / worlds as f64);
    assert!(sender < 0.02 && receiver < 0.06, "{sender} {receiver}");
}
