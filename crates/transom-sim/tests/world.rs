//! Hosts in a world: a clock that jumps, runs that end, traces that tell what happened.

#![expect(
    clippy::unwrap_used,
    reason = "a wrong spec in a test is a bug of the test"
)]

use std::collections::VecDeque;
use std::time::Duration;

use transom_sim::{DropCause, Fate, Host, HostId, Impairment, Outcome, Trace, World};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Sends numbered requests again and again until each is answered, and answers requests.
#[derive(Default)]
struct Peer {
    outgoing: VecDeque<Vec<u8>>,
    asking: Option<(u8, Duration)>,
    wanted: u8,
    answers: Vec<(Duration, u8)>,
    seen: usize,
}

impl Peer {
    const RETRY: Duration = ms(100);

    fn ask(&mut self, now: Duration, wanted: u8) {
        self.wanted = wanted;
        self.request(now, 0);
    }

    fn request(&mut self, now: Duration, number: u8) {
        self.asking = (number < self.wanted).then_some((number, now + Self::RETRY));
        if self.asking.is_some() {
            self.outgoing.push_back(vec![b'?', number]);
        }
    }
}

impl Host for Peer {
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>) {
        self.seen += 1;
        match *frame {
            [b'?', number] => self.outgoing.push_back(vec![b'!', number]),
            [b'!', number] if self.asking.is_some_and(|(asked, _)| asked == number) => {
                self.answers.push((now, number));
                self.request(now, number + 1);
            }
            _ => {}
        }
    }

    fn poll_transmit(&mut self, _now: Duration) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.asking.map(|(_, deadline)| deadline)
    }

    fn handle_timeout(&mut self, now: Duration) {
        if let Some((number, _)) = self.asking {
            self.request(now, number);
        }
    }
}

fn pair(there: &str, back: &str) -> (World<Peer>, HostId, HostId) {
    let mut world = World::new();
    let (a, b) = (
        world.add_host(Peer::default()),
        world.add_host(Peer::default()),
    );
    world.connect(a, b, there.parse().unwrap(), back.parse().unwrap());
    (world, a, b)
}

#[test]
fn the_clock_jumps_from_event_to_event() {
    let (mut world, a, _) = pair("delay=20ms", "delay=10ms");
    world.host_mut(a).ask(ms(0), 3);
    assert_eq!(
        world.run_bounded(1000, Duration::from_secs(10)),
        Outcome::Idle
    );
    assert_eq!(
        world.host(a).answers,
        [(ms(30), 0), (ms(60), 1), (ms(90), 2)]
    );
    assert_eq!(world.now(), ms(90));
}

#[test]
fn a_lost_packet_is_in_the_trace_with_its_cause() {
    let (mut world, a, b) = pair("delay=10ms,loss=list:1", "delay=10ms");
    world.host_mut(a).ask(ms(0), 1);
    assert_eq!(
        world.run_bounded(1000, Duration::from_secs(10)),
        Outcome::Idle
    );
    assert_eq!(world.host(a).answers, [(ms(120), 0)]);
    let entries = world.trace().entries();
    assert_eq!(entries.len(), 3);
    assert_eq!(
        (entries[0].from, entries[0].to, entries[0].sent),
        (a, b, ms(0))
    );
    assert_eq!(entries[0].fate, Fate::Dropped(DropCause::Loss));
    assert!(matches!(entries[1].fate, Fate::Carried(passage) if passage.arrives == ms(110)));
    assert_eq!(
        (entries[2].from, entries[2].packet.as_slice()),
        (b, &b"!\0"[..])
    );
}

#[test]
fn any_seed_ends_and_repeats_itself() {
    for seed in 0..200 {
        let run = || {
            let spec =
                format!("loss=20%,delay=5ms,jitter=4ms,reorder=10%,duplicate=10%,seed={seed}");
            let (mut world, a, _) = pair(&spec, &spec);
            world.host_mut(a).ask(ms(0), 50);
            assert_eq!(
                world.run_bounded(100_000, ms(600_000)),
                Outcome::Idle,
                "seed {seed}"
            );
            assert_eq!(world.host(a).answers.len(), 50, "seed {seed}");
            world.trace().entries().to_vec()
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn run_until_reaches_its_time_exactly() {
    let (mut world, a, _) = pair("delay=20ms", "delay=20ms");
    world.host_mut(a).ask(ms(0), 1);
    assert_eq!(world.run_until(ms(25)), Outcome::TimeReached);
    assert_eq!(world.now(), ms(25));
    assert!(world.host(a).answers.is_empty());
    assert_eq!(world.run_until(ms(1000)), Outcome::Idle);
    assert_eq!(world.now(), ms(1000));
    assert_eq!(world.host(a).answers, [(ms(40), 0)]);
}

#[test]
fn bounds_and_conditions_end_a_run() {
    let (mut world, a, _) = pair("delay=20ms", "loss=100%");
    world.host_mut(a).ask(ms(0), 1);
    assert_eq!(world.run_bounded(7, Duration::MAX), Outcome::StepsExhausted);
    assert_eq!(world.run_bounded(1000, ms(950)), Outcome::TimeReached);
    assert!(world.now() <= ms(950));
    let outcome = world.run_while(1000, Duration::MAX, |world| world.now() < ms(2000));
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(world.now(), ms(2000));
}

/// A host whose deadline never passes cannot hang a run that has no step limit.
#[test]
fn a_stuck_host_is_noticed() {
    struct Stuck;
    impl Host for Stuck {
        fn handle_frame(&mut self, _now: Duration, _frame: Vec<u8>) {}
        fn poll_transmit(&mut self, _now: Duration) -> Option<Vec<u8>> {
            None
        }
        fn poll_timeout(&self) -> Option<Duration> {
            Some(Duration::ZERO)
        }
        fn handle_timeout(&mut self, _now: Duration) {}
    }
    let mut world = World::new();
    world.add_host(Stuck);
    assert_eq!(world.run_until(ms(10)), Outcome::StepsExhausted);
}

#[test]
fn a_frame_goes_to_every_link_or_to_the_chosen_one() {
    struct Router(VecDeque<Vec<u8>>, usize);
    impl Host for Router {
        fn handle_frame(&mut self, _now: Duration, _frame: Vec<u8>) {
            self.1 += 1;
        }
        fn poll_transmit(&mut self, _now: Duration) -> Option<Vec<u8>> {
            self.0.pop_front()
        }
        fn poll_timeout(&self) -> Option<Duration> {
            None
        }
        fn handle_timeout(&mut self, _now: Duration) {}
        fn egress(&self, frame: &[u8]) -> Option<usize> {
            frame.first().map(|&port| usize::from(port))
        }
    }
    let mut world: World<Box<Router>> = World::new();
    let hosts: Vec<HostId> = (0..4)
        .map(|_| world.add_host(Box::new(Router(VecDeque::new(), 0))))
        .collect();
    for &spoke in &hosts[1..] {
        world.connect(hosts[0], spoke, Impairment::new(), Impairment::new());
    }
    world.host_mut(hosts[0]).0.extend([vec![], vec![2]]);
    assert_eq!(world.run_bounded(100, ms(1)), Outcome::Idle);
    let seen: Vec<usize> = hosts.iter().map(|&host| world.host(host).1).collect();
    assert_eq!(seen, [0, 1, 1, 2]);
}

#[test]
fn a_full_trace_counts_what_it_leaves_out() {
    let (world, ..) = pair("delay=1ms", "delay=1ms");
    let mut world = world.with_trace(Trace::with_limits(3, 1000));
    let a = {
        let mut hosts = world.trace().entries().iter().map(|entry| entry.from);
        assert_eq!(hosts.next(), None);
        world.add_host(Peer::default())
    };
    let b = world.add_host(Peer::default());
    world.connect(a, b, Impairment::new(), Impairment::new());
    world.host_mut(a).ask(ms(0), 5);
    assert_eq!(world.run_bounded(1000, ms(1000)), Outcome::Idle);
    assert_eq!(world.trace().entries().len(), 3);
    assert_eq!(world.trace().omitted(), 7);
    world.clear_trace();
    assert_eq!(
        (world.trace().entries().len(), world.trace().omitted()),
        (0, 0)
    );
}
