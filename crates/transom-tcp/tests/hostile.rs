//! Peers that do anything at all, in every state: no panic, no loop, no unbounded memory, and the
//! invariants of the requirement list. Each test names the seed that failed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod harness;

use bytes::Bytes;
use harness::dialogue::{E, Setup};
use harness::pair::{Pair, Passage};
use harness::{ms, secs, stream};
use transom_tcp::{
    Config, Connection, EcnUse, Event, Identity, Instant, KeepAlive, Linger, Path, Segment, State,
    Transmit,
};
use transom_wire::tcp::{Flags, Timestamps};
use transom_wire::{Payload, Seq, SeqRange};

/// A small generator: the same seed gives the same test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// States with a fixture.
const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

fn start(seed: u64, random: &mut Random) -> E {
    let bases = [0, 5, u32::MAX - 3, (1 << 31) - 2, u32::MAX / 3];
    let buffer = random.of(&[100, 2000, 70_000, 1 << 20]);
    let keep_alive = random.below(2) == 0;
    Setup::default()
        .config(|c: Config| {
            c.recv_buffer(buffer)
                .quick_acks(2)
                .keep_alive(keep_alive.then(KeepAlive::default))
                .user_timeout(seed.is_multiple_of(5).then(|| secs(30)))
        })
        .peer(random.of(&[
            "mss 1000",
            "mss 0",
            "mss 1460,sackOK,wscale 7",
            "sackOK,wscale 14",
        ]))
        .numbers(random.of(&bases), random.of(&bases))
        .max_payload(random.of(&[0, 3000, 64_000]))
        .state(random.of(&STATES))
}

/// A segment that aims at the places where mistakes are made.
fn segment(e: &E, random: &mut Random) -> Segment {
    let info = e.conn.info();
    let mut segment = e.segment("- 0:0");
    let near = |random: &mut Random, base: Seq, window: u32| {
        let anchors = [
            base,
            base + window,
            base + window / 2,
            base - 1,
            Seq::new(0),
        ];
        random.of(&anchors) + random.below(4) as u32 - 2
    };
    segment.seq = near(random, info.rcv_nxt, info.rcv_wnd);
    segment.ack = near(random, info.snd_una, info.snd_nxt.since(info.snd_una));
    if random.below(20) == 0 {
        segment.seq = Seq::new(random.next() as u32);
        segment.ack = Seq::new(random.next() as u32);
    }
    // Mostly plain, sometimes any of the 512 combinations.
    segment.flags = match random.below(4) {
        0 => Flags::from_bits(random.below(512) as u16),
        1 => Flags::ACK | Flags::PSH,
        2 => Flags::ACK | random.of(&[Flags::FIN, Flags::URG, Flags::EMPTY]),
        _ => Flags::ACK,
    };
    segment.window = random.of(&[0, 1, 100, 1000, 30_000, 65_535]);
    segment.urgent = random.of(&[0, 1, 10, 65_535]);
    segment.payload = Bytes::from(vec![7; random.of(&[0, 0, 1, 2, 50, 1000, 9000])]);
    segment.gso_size = random.of(&[0, 0, 1, 1000]);
    if random.below(3) == 0 {
        for _ in 0..random.below(5) {
            let from = near(random, info.snd_una, info.snd_nxt.since(info.snd_una));
            let block = SeqRange {
                start: from,
                end: from + random.below(3000) as u32,
            };
            segment.options.sack.push(block);
        }
    }
    if random.below(4) == 0 {
        segment.options.timestamps = Some(Timestamps {
            val: random.next() as u32,
            ecr: random.next() as u32,
        });
    }
    segment
}

/// One thing that the peer, the application or the clock does.
fn step(e: &mut E, random: &mut Random) {
    match random.below(16) {
        0..10 => {
            let segment = segment(e, random);
            e.lt_segment_unanswered(&segment).ok();
        }
        10 => {
            let data = stream(0, random.of(&[1, 100, 5000, 100_000]));
            e.conn.send(e.now, data).ok();
        }
        11 => {
            e.conn.recv(e.now, random.of(&[1, 1000, usize::MAX])).ok();
        }
        12 => {
            let deadline = e.next_deadline().unwrap_or_else(|| ms(10)).min(secs(100));
            e.now += deadline;
            e.conn.handle_timeout(e.now);
        }
        13 => e.now += ms(random.below(1000)),
        14 => call(e, random),
        _ => {
            let quoted = e.conn.info().snd_una;
            let mtu = random.of(&[0, 68, 552, 600, 1280, 9000]);
            e.conn.handle_packet_too_big(e.now, mtu, quoted).ok();
        }
    }
}

fn call(e: &mut E, random: &mut Random) {
    match random.below(24) {
        0 => {
            e.conn.shutdown_write(e.now).ok();
        }
        1 => e.conn.shutdown_read(e.now),
        2 => e.conn.close(e.now),
        3 => e.conn.abort(e.now),
        4 => e.conn.set_linger(Linger::Limit(secs(1))),
        5..10 => e.conn.set_cork(e.now, random.below(2) == 0),
        10..15 => e.conn.set_nodelay(e.now, random.below(2) == 0),
        15 => e.conn.set_keep_alive(e.now, None),
        16 => e.conn.set_path_mtu(e.now, 1500),
        _ => {
            e.conn.send_urgent(e.now, stream(0, 10)).ok();
        }
    }
}

/// Takes the output and checks what must hold whatever came in.
fn check(e: &mut E, edge: &mut Option<Seq>, una: &mut Seq, seed: u64) {
    let mut out = 0;
    while let Some(transmit) = e.next() {
        out += 1;
        // INV-6: an input is answered by what the windows hold, not by more.
        assert!(out < 3000, "seed {seed}: an endless answer");
        let info = e.conn.info();
        let end = transmit.seq + transmit.len();
        let synchronized = info.state != State::Closed && info.snd_una != info.iss;
        if synchronized && !transmit.flags.contains(Flags::RST) {
            // INV-2, INV-4: inside the window, except for one octet of a probe.
            assert!(end.le(info.snd_nxt + 1), "seed {seed}: beyond SND.NXT");
            if transmit.flags.contains(Flags::ACK) && !transmit.flags.contains(Flags::SYN) {
                let shift = info.rcv_wind_shift.unwrap_or(0);
                let offered = transmit.ack + (u32::from(transmit.window) << shift);
                // INV-1.
                assert!(
                    edge.is_none_or(|edge| offered.ge(edge)),
                    "seed {seed}: the right edge moved left"
                );
                *edge = Some(offered);
            }
        }
    }
    let info = e.conn.info();
    if info.state == State::Closed {
        // INV-7.
        assert_eq!(
            e.conn.poll_timeout(),
            None,
            "seed {seed}: a timer outlives the connection"
        );
        return;
    }
    assert!(info.snd_una.ge(*una), "seed {seed}: SND.UNA went back");
    assert!(
        info.snd_nxt.ge(info.snd_una),
        "seed {seed}: SND.NXT lies before SND.UNA"
    );
    *una = info.snd_una;
    let held = info.recv_queue + info.recv_out_of_order;
    assert!(held <= 3 * (1 << 20), "seed {seed}: {held} octets are held");
    // INV-5: whatever waits for the peer has a deadline.
    if info.snd_nxt != info.snd_una || info.send_queue > 0 && info.state != State::SynSent {
        assert!(
            e.conn.poll_timeout().is_some(),
            "seed {seed}: a deadlock in {}",
            info.state
        );
    }
}

#[test]
fn req_inv_1_and_inv_2_and_inv_5_and_inv_6_and_inv_7_and_inv_12_a_peer_that_does_anything() {
    for seed in 1..4000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut e = start(seed, &mut random);
        let mut edge = None;
        let mut una = e.conn.info().snd_una;
        let mut last = e.conn.state();
        e.events();
        for _ in 0..40 {
            step(&mut e, &mut random);
            check(&mut e, &mut edge, &mut una, seed);
            for event in e.events() {
                if let Event::State { from, to } = event {
                    assert_eq!(from, last, "seed {seed}: a change of state was not told");
                    assert!(from.may_become(to), "seed {seed}: {from} became {to}");
                    last = to;
                }
            }
            assert_eq!(e.conn.state(), last, "seed {seed}");
        }
        // Left alone, every connection comes to rest or to an end, in bounded time.
        e.conn.close(e.now);
        e.wait(secs(4000));
        let state = e.conn.state();
        assert_eq!(state, State::Closed, "seed {seed}");
    }
}

#[test]
fn req_sec_xmas_1_and_sec_amp_1_every_combination_of_flags_in_every_state() {
    for state in STATES {
        for bits in 0..512 {
            for offset in [-1, 0, 1, 100_000] {
                let mut e = E::state(state);
                let rnxt = if state == State::SynSent { 0 } else { e.rnxt() };
                let mut segment = e.segment(&format!("- {0}:{0}", rnxt + offset));
                segment.flags = Flags::from_bits(bits);
                segment.ack = e.conn.info().snd_nxt;
                e.lt_segment(&segment).ok();
                let mut answers = 0;
                while let Some(answer) = e.next() {
                    assert!(answer.payload.is_empty());
                    answers += 1;
                }
                assert!(
                    answers <= 1,
                    "{state} {} {offset}: {answers}",
                    segment.flags
                );
            }
        }
    }
}

#[test]
fn req_sec_rst_1_and_cve_13_blind_resets_all_over_the_window() {
    let mut e = E::established();
    let (rnxt, wnd) = (e.rnxt(), e.rwnd());
    let mut answers = 0;
    for seq in (rnxt + 1..rnxt + wnd).step_by(7) {
        e.lt(&format!("R {seq}:{seq}")).unwrap_err();
        while e.next().is_some() {
            answers += 1;
        }
    }
    e.is(State::Established);
    assert_eq!(answers, 1, "all within one interval of the throttle");
}

#[test]
fn req_sec_syn_1_and_sec_data_1_blind_syn_and_blind_text_change_nothing() {
    let mut e = E::established();
    e.write(10);
    e.skip();
    for seq in [-100_000, -1, 0, 1, 500, 60_000, 100_000] {
        e.lt(&format!("S {seq}:{seq}")).unwrap_err();
    }
    for ack in [12, 5000, 1_000_000, -60_001, -1_000_000] {
        e.lt(&format!("P. 1:11 ack {ack}")).unwrap_err();
        e.lt(&format!("P. 11:21 ack {ack}")).unwrap_err();
    }
    e.is(State::Established);
    let info = e.conn.info();
    assert_eq!(
        (info.recv_queue, info.recv_out_of_order, e.rnxt()),
        (0, 0, 1)
    );
}

#[test]
fn req_sec_data_3_and_cve_16_and_cve_27_octets_beyond_the_edge_are_never_stored() {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(1000))
        .established();
    let mut segment = e.segment("P. 1:1 ack 1");
    segment.payload = stream(0, 9000);
    e.lt_segment(&segment).ok();
    assert_eq!(e.conn.recv_queue(), 1000);
    e.lt("P. 900:901 ack 1").ok();
    e.lt("P. 1002:9000 ack 1").ok();
    assert_eq!(e.conn.info().recv_out_of_order, 0);
    e.skip();
    e.read(1000);
}

#[test]
fn req_sec_ack_2_old_acknowledgements_with_sack_cause_no_resending() {
    let mut e = Setup::default().peer("mss 1000,sackOK").established();
    e.write(10_000);
    e.lt(". 1:1 ack 5001").unwrap();
    e.skip();
    for _ in 0..1000 {
        e.lt(". 1:1 ack 2001 <sack 2001:3001 3501:4001>").ok();
    }
    e.silent();
}

#[test]
fn req_sec_ack_3_two_ends_with_crossed_numbers_do_not_storm() {
    let mut a = Setup::default().numbers(1000, 5000).established();
    let mut b = Setup::default().numbers(900_000, 7_000_000).established();
    a.lt_segment_unanswered(&a.segment(". 900:900 ack 1")).ok();
    a.lt("S 77:77").ok();
    let mut packets = 0;
    for _ in 0..1000 {
        while let Some(transmit) = a.next() {
            packets += 1;
            b.lt_segment_unanswered(&harness::pair::arriving(&transmit, b.now))
                .ok();
        }
        while let Some(transmit) = b.next() {
            packets += 1;
            a.lt_segment_unanswered(&harness::pair::arriving(&transmit, a.now))
                .ok();
        }
        a.wait(ms(10));
        b.wait(ms(10));
    }
    // Ten seconds, two throttles of 500 ms.
    assert!(packets <= 2 * 21, "{packets}");
}

#[test]
fn req_sec_ack_5_and_sec_ack_6_acknowledgements_in_slices_and_in_advance_gain_nothing() {
    let mut e = E::established();
    e.write(100_000);
    e.skip();
    let before = e.conn.info().cwnd;
    for ack in 2..=1001 {
        e.lt(&format!(". 1:1 ack {ack}")).unwrap();
    }
    assert!(
        e.conn.info().cwnd <= before + 1000,
        "{}",
        e.conn.info().cwnd
    );
    let before = e.conn.info().cwnd;
    let beyond = e.snxt() + 1;
    e.lt(&format!(". 1:1 ack {beyond}")).unwrap_err();
    assert_eq!(e.conn.info().cwnd, before);
    // Forged duplicates beyond what is outstanding do not send more than is outstanding.
    e.skip();
    let outstanding = e.conn.info().cwnd;
    for _ in 0..10_000 {
        e.lt(". 1:1 ack 1001").ok();
    }
    let mut octets = 0;
    while let Some(transmit) = e.next() {
        octets += transmit.payload.len() as u64;
    }
    assert!(octets <= 2 * outstanding, "{octets}");
}

#[test]
fn req_sack_12_and_sec_sack_1_and_sec_sack_3_and_cve_11_a_tiny_mss_and_sacks_in_slices() {
    let mut e = Setup::default()
        .config(|config| config.send_buffer_initial(1 << 20))
        .peer("mss 1,sackOK,wscale 10")
        .established();
    e.lt(". 1:1 ack 1 win 65535").unwrap();
    e.write(1 << 20);
    e.skip();
    for _ in 0..30 {
        let (una, snxt) = (e.una(), e.snxt());
        for at in (una + 1..snxt - 1).step_by(2).take(2000) {
            e.lt(&format!(". 1:1 ack {una} win 65535 <sack {at}:{}>", at + 1))
                .ok();
        }
        e.skip();
        e.lt(&format!(". 1:1 ack {snxt} win 65535")).ok();
        e.skip();
    }
    assert!(e.conn.info().eff_snd_mss >= 76);
    e.is(State::Established);
}

#[test]
fn req_sec_ooo_3_a_hole_that_is_never_filled_is_bounded() {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(100_000))
        .established();
    for round in 0..5 {
        for at in (2 + round..100_000).step_by(97) {
            e.lt_unanswered(&format!("P. {at}:{} ack 1", at + 40));
        }
        e.skip();
    }
    assert!(e.conn.info().recv_out_of_order <= 100_000);
    // The segment that is missing is always taken.
    e.lt("P. 1:1001 ack 1").unwrap();
    assert!(e.rnxt() >= 1001);
}

#[test]
fn req_sec_win_1_and_cve_15_windows_that_jump() {
    let mut e = Setup::default().peer("mss 1000,wscale 14").established();
    e.lt(". 1:1 ack 1 win 10").unwrap();
    e.write(200_000);
    let mut random = Random(3);
    for _ in 0..3000 {
        let una = e.una();
        let span = (e.snxt() - una).max(1) as u64;
        let ack = una + random.below(span) as i64;
        let win = random.of(&[0, 0, 1, 2, 65_535]);
        e.lt(&format!(". 1:1 ack {ack} win {win}")).unwrap();
        e.skip();
        e.wait(ms(random.below(300)));
        e.skip();
        if e.conn.send_queue() < 50_000 {
            e.write(100_000);
        }
        e.events();
    }
    e.is(State::Established);
}

#[test]
fn req_sec_urg_1_and_cve_03_and_cve_08_and_cve_09_and_cve_29_urgent_pointers_in_every_state() {
    for state in STATES {
        for urg in [0, 1, 1459, 1460, 1461, 65_535] {
            for len in [0, 1, 1460] {
                let mut e = E::state(state);
                let rnxt = if state == State::SynSent { 0 } else { e.rnxt() };
                let mut segment = e.segment(&format!("PU. {rnxt}:{rnxt} ack 1 urg {urg}"));
                segment.payload = stream(0, len);
                e.lt_segment(&segment).ok();
                e.skip();
                assert!(e.conn.urgent_remaining() <= 65_535);
                e.conn.recv(e.now, usize::MAX).ok();
                assert!(e.conn.urgent_remaining() <= 65_535);
            }
        }
    }
}

#[test]
fn req_sec_opt_2_options_of_a_syn_mean_nothing_later() {
    let mut e = E::established();
    let before = e.conn.info();
    e.lt("P. 1:11 ack 1 <mss 100,wscale 14,sackOK>").unwrap();
    let after = e.conn.info();
    assert_eq!(after.eff_snd_mss, before.eff_snd_mss);
    assert_eq!((after.snd_wind_shift, after.sack), (None, false));
    assert_eq!(after.snd_wnd, 60_000);
}

#[test]
fn req_sec_paws_1_and_sec_paws_2_and_sec_ts_2_and_cve_13_timestamps_from_far_away() {
    let on = |c: Config| c.timestamps(true);
    let mut e = Setup::default().config(on).syn_sent();
    e.lt("S. 0:0 ack 1 <mss 1000,TS val 100 ecr 1000000>")
        .unwrap();
    e.skip();
    // Blind: outside what is acknowledged next, or with a bad acknowledgement.
    e.lt("P. 5:15 ack 1 <TS val 2000000000 ecr 0>").ok();
    e.lt("P. 1:11 ack 99999 <TS val 2000000000 ecr 0>").ok();
    e.lt("P. 1:11 ack 1 <TS val 101 ecr 1000000>").unwrap();
    e.read(14);
    // The real peer's clock jumps ahead and falls back: its segments are lost, nothing else.
    e.lt("P. 15:25 ack 1 <TS val 2000000000 ecr 1000000>").ok();
    e.skip();
    for _ in 0..10 {
        e.lt("P. 25:35 ack 1 <TS val 102 ecr 1000000>").ok();
        e.skip();
        e.wait(secs(1));
    }
    e.is(State::Established);
    e.wait(secs(25 * 24 * 3600));
    e.lt("P. 25:35 ack 1 <TS val 103 ecr 1000000>").unwrap();
    e.write(10);
    for ecr in [0_u32, 1, 4_000_000_000, 2_000_000_000] {
        e.lt(&format!(". 35:35 ack 5 <TS val 104 ecr {ecr}>")).ok();
        assert!(e.conn.info().rto <= secs(60));
    }
}

#[test]
fn req_sec_zwp_4_a_slow_reader_and_a_slow_writer_hold_bounded_memory() {
    let mut pair = Pair::new(Config::default().recv_buffer(30_000).send_buffer(40_000));
    for side in 0..2 {
        pair.sides[side].to_write = 10_000_000;
        pair.sides[side].reads = false;
        pair.sides[side].finish = false;
    }
    let begin = pair.now;
    pair.run_until(begin + secs(120));
    for side in &mut pair.sides {
        let info = side.conn().info();
        assert!(info.recv_queue <= 30_000 + 8192, "{}", info.recv_queue);
        assert!(info.send_queue <= 40_000);
        assert_eq!(info.state, State::Established);
        side.reads = true;
    }
    for side in 0..2 {
        pair.sides[side].to_write = 100_000;
        pair.sides[side].finish = true;
    }
    pair.run(secs(300));
    let written = (pair.sides[0].written, pair.sides[1].written);
    assert_eq!((pair.sides[1].read, pair.sides[0].read), written);
}

#[test]
fn req_sec_seq_2_more_than_four_gigabytes() {
    // The same memory over and over, and no path in between.
    let total = (1_u64 << 32) + (1 << 31);
    let data = Bytes::from(vec![7; 1 << 20]);
    let config = Config::default().recv_buffer(16 << 20);
    let mut now = harness::start();
    let (mut a, mut b) = opened(config, now);
    let (mut written, mut read) = (0, 0);
    while read < total {
        now += std::time::Duration::from_micros(100);
        while written < total {
            let taken = a.send(now, data.clone()).unwrap() as u64;
            if taken == 0 {
                break;
            }
            written += taken;
        }
        let before = read;
        while let Some(transmit) = a.poll_transmit(now, 65_000) {
            b.handle_segment(now, &shared(&transmit, now)).unwrap();
        }
        while let Ok(Some(piece)) = b.recv(now, usize::MAX) {
            read += piece.len() as u64;
        }
        while let Some(transmit) = b.poll_transmit(now, 65_000) {
            a.handle_segment(now, &shared(&transmit, now)).unwrap();
        }
        while a.poll_event().or_else(|| b.poll_event()).is_some() {}
        assert!(read > before || written < total, "no progress at {read}");
    }
    assert_eq!(read, written);
    assert_eq!(a.info().counters.bytes_acked, written);
    assert_eq!(a.info().counters.retransmissions, 0);
}

/// Two connections, past the handshake.
fn opened(config: Config, now: Instant) -> (Connection, Connection) {
    let identity = Identity::new(Seq::new(u32::MAX - 99), 5);
    let path = Path::new(1500, 20);
    let mut a = Connection::connect(config.clone(), path, identity, now);
    let syn = shared(&a.poll_transmit(now, 0).unwrap(), now);
    let mut b = Connection::accept(config, path, identity, &syn, now).unwrap();
    let syn_ack = shared(&b.poll_transmit(now, 0).unwrap(), now);
    a.handle_segment(now, &syn_ack).unwrap();
    let ack = shared(&a.poll_transmit(now, 0).unwrap(), now);
    b.handle_segment(now, &ack).unwrap();
    (a, b)
}

/// As `arriving`, without a copy when the payload is in one piece.
fn shared(transmit: &Transmit, now: Instant) -> Segment {
    let mut chunks = transmit.payload.chunks();
    let whole = chunks
        .next()
        .filter(|chunk| chunk.len() == transmit.payload.len())
        .cloned();
    let payload = whole.unwrap_or_else(|| transmit.payload.to_vec().into());
    let bare = Transmit {
        payload: Payload::default(),
        ..transmit.clone()
    };
    Segment {
        payload,
        ..harness::pair::arriving(&bare, now)
    }
}

/// One run over a bad path; the trace of everything sent.
fn bad_path(seed: u64, tracing: bool) -> (Vec<String>, (u64, u64)) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut config = || {
        Config::default()
            .recv_buffer(random.of(&[600, 3000, 20_000, 1 << 20]))
            .send_buffer(random.of(&[1000, 50_000]))
            .timestamps(random.below(2) == 0)
            .sack(random.below(3) > 0)
            .nodelay(random.below(2) == 0)
            .ecn(random.of(&[
                EcnUse::Off,
                EcnUse::Accept,
                EcnUse::Request,
                EcnUse::Accurate,
            ]))
            .retries_r2(40)
            .syn_retries(30)
            .syn_ack_retries(30)
    };
    let (client, server) = (config(), config());
    let mut pair = Pair::with(client, server);
    pair.tracing = tracing;
    for side in 0..2 {
        pair.sides[side].to_write = random.below(60_000);
        pair.sides[side].max_payload = random.of(&[0, 0, 4000, 64_000]);
        let mut fate = Random(random.next() | 1);
        let loss = random.below(25);
        pair.fate(side, move |_, _| match fate.below(100) {
            n if n < loss => Passage::Lost,
            n if n < loss + 8 => Passage::Late(ms(fate.below(200))),
            n if n < loss + 12 => Passage::Twice,
            n if n < loss + 30 => Passage::Marked,
            _ => Passage::Arrives,
        });
    }
    let wanted = (pair.sides[0].to_write, pair.sides[1].to_write);
    pair.run(secs(100_000));
    let read = (pair.sides[1].read, pair.sides[0].read);
    assert_eq!(read, wanted, "seed {seed}: {}", pair.status());
    let both_ended = pair.sides.iter().all(|side| side.saw_end);
    assert!(both_ended, "seed {seed}: {}", pair.status());
    (pair.trace, read)
}

#[test]
fn req_inv_3_and_inv_11_any_schedule_delivers_the_same_octets_and_ends() {
    for seed in 1..600 {
        bad_path(seed, false);
    }
}

#[test]
fn req_inv_8_the_same_seed_gives_the_same_segments() {
    for seed in [3, 14, 159] {
        assert_eq!(bad_path(seed, true), bad_path(seed, true));
    }
}
