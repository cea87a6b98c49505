//! Explicit congestion notification (RFC 3168).

use transom_tcp::{CloseReason, Config, Discard, EcnUse, Segment, State, Transmit};
use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

use crate::harness::dialogue::{E, Setup};
use crate::harness::notation::Line;
use crate::harness::{secs, stream};

fn request() -> Setup {
    Setup::default().config(|config| config.ecn(EcnUse::Request))
}

/// E(ESTABLISHED) with ECN, by an active open; the peer's window is large.
fn both_ways(change: impl FnOnce(Config) -> Config) -> E {
    let mut e = Setup::default()
        .config(|config| change(config.ecn(EcnUse::Request)))
        .syn_sent_with("SEW 0:0");
    e.lt("SE. 0:0 ack 1 <mss 1000>").unwrap();
    e.gt(". 1:1 ack 1");
    e.silent();
    assert!(e.conn.info().ecn);
    e
}

/// A listener's answer to a SYN with these flags and this field of the IP header.
fn answer(config: Config, flags: &str, field: Ecn) -> E {
    let mut e = Setup::default().config(|_| config).passive(|syn| {
        syn.flags = flag_set(flags);
        syn.ecn = field;
    });
    e.drain();
    e
}

fn flag_set(letters: &str) -> Flags {
    let line = Line::parse(&format!("{letters} 0:0"));
    line.segment(Seq::new(0), Seq::new(0), 0).flags
}

fn marked(e: &E, line: &str) -> Segment {
    let mut segment = e.segment(line);
    segment.ecn = Ecn::Ce;
    segment
}

/// Everything that comes out now.
fn out(e: &mut E) -> Vec<Transmit> {
    std::iter::from_fn(|| e.next()).collect()
}

#[test]
fn req_ecn_2_and_lx_22_a_setup_syn_has_both_flags_and_only_on_request() {
    request().syn_sent_with("SEW 0:0").silent();
    Setup::default().syn_sent_with("S 0:0").silent();
    let off = |config: Config| config.ecn(EcnUse::Off);
    Setup::default().config(off).syn_sent_with("S 0:0").silent();
    for (ecn, line) in [
        (EcnUse::Off, "S. 0:0 ack 1"),
        (EcnUse::Accept, "SE. 0:0 ack 1"),
        (EcnUse::Request, "SE. 0:0 ack 1"),
    ] {
        let config = Config::default().timestamps(false).ecn(ecn);
        let mut e = answer(config, "SEW", Ecn::NotEct);
        e.gt(line);
        assert_eq!(e.conn.info().ecn, ecn != EcnUse::Off);
    }
}

#[test]
fn req_ecn_3_only_the_right_flags_agree() {
    // The SYN-ACK: ECE alone agrees; both flags are a reflection.
    for (flags, agrees) in [
        ("S.", false),
        ("SE.", true),
        ("SW.", false),
        ("SEW.", false),
    ] {
        let mut e = request().syn_sent_with("SEW 0:0");
        e.lt(&format!("{flags} 0:0 ack 1 <mss 1000>")).unwrap();
        assert_eq!(e.conn.info().ecn, agrees, "SYN-ACK with {flags}");
    }
    // The SYN: both flags ask.
    for (flags, field, agrees) in [
        ("S", Ecn::NotEct, false),
        ("SE", Ecn::NotEct, false),
        ("SW", Ecn::NotEct, false),
        ("SEW", Ecn::NotEct, true),
        // Marked on its way: somebody uses the field for something else.
        ("SEW", Ecn::Ect0, false),
        ("SEW", Ecn::Ce, false),
    ] {
        let config = Config::default().timestamps(false);
        let mut e = answer(config, flags, field);
        e.gt(if agrees {
            "SE. 0:0 ack 1"
        } else {
            "S. 0:0 ack 1"
        });
        assert_eq!(e.conn.info().ecn, agrees, "SYN with {flags}, {field:?}");
    }
    // Unasked, an answer agrees to nothing.
    let mut e = Setup::default().syn_sent_with("S 0:0");
    e.lt("SE. 0:0 ack 1 <mss 1000>").unwrap();
    assert!(!e.conn.info().ecn);
}

#[test]
fn req_ecn_1_and_ecn_4_and_ecn_10_and_l4s_1_only_new_data_is_ecn_capable() {
    let mut e = request().syn_sent_with("SEW 0:0");
    let syn_ack = e.segment("SE. 0:0 ack 1 <mss 1000>");
    e.lt_segment(&syn_ack).unwrap();
    let check = |e: &mut E, expected: Ecn, what: &str| {
        let sent = out(e);
        assert!(!sent.is_empty(), "{what} was not sent");
        for transmit in sent {
            assert_eq!(transmit.ecn, expected, "{what}: {transmit:?}");
        }
    };
    check(&mut e, Ecn::NotEct, "the acknowledgement");
    e.write(2500);
    check(&mut e, Ecn::Ect0, "new data");
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    check(&mut e, Ecn::NotEct, "a retransmission");
    e.lt(". 1:1 ack 2501 win 0").unwrap();
    e.write(10);
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    check(&mut e, Ecn::NotEct, "a window probe");
    e.lt(". 1:1 ack 2501 win 60000").unwrap();
    check(&mut e, Ecn::Ect0, "data after the probe");
    e.lt(". 1:1 ack 2511").unwrap();
    e.conn.shutdown_write(e.now).unwrap();
    check(&mut e, Ecn::NotEct, "a FIN without data");
    e.conn.abort(e.now);
    check(&mut e, Ecn::NotEct, "a reset");
    // The SYN-ACK of the other side, and its first SYN.
    let mut e = answer(Config::default(), "SEW", Ecn::NotEct);
    check(&mut e, Ecn::NotEct, "the SYN-ACK");
    let mut e = request().fresh();
    check(&mut e, Ecn::NotEct, "the SYN");
    // The codepoints themselves.
    let bits = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce].map(Ecn::bits);
    assert_eq!(bits, [0b00, 0b01, 0b10, 0b11]);
}

#[test]
fn req_ecn_5_a_mark_is_echoed_until_the_peer_says_cwr() {
    let mut e = both_ways(|config| config);
    e.lt_segment(&marked(&e, "P. 1:101 ack 1")).unwrap();
    e.gt("E. 1:1 ack 101");
    // On data, and on what has nothing to do with the mark.
    e.write(10);
    e.gt("PE. 1:11 ack 101");
    e.lt("P. 101:201 ack 11").unwrap();
    e.wait(secs(1));
    e.gt("E. 11:11 ack 201");
    // CWR ends it.
    e.lt("PW. 201:301 ack 11").unwrap();
    e.wait(secs(1));
    e.gt(". 11:11 ack 301");
    // CWR on a segment that is itself marked begins a new echo.
    e.lt_segment(&marked(&e, "P. 301:401 ack 11")).unwrap();
    e.gt("E. 11:11 ack 401");
    e.lt_segment(&marked(&e, "PW. 401:501 ack 11")).unwrap();
    e.wait(secs(1));
    e.gt("E. 11:11 ack 501");
}

#[test]
fn req_ecn_6_marks_on_what_is_not_accepted_do_not_count() {
    let mut e = both_ways(|config| config);
    e.lt("P. 1:101 ack 1").unwrap();
    e.wait(secs(1));
    e.gt(". 1:1 ack 101");
    // Old, beyond the window, and a bare acknowledgement.
    e.lt_segment(&marked(&e, "P. 1:101 ack 1")).unwrap_err();
    e.gt(". 1:1 ack 101");
    let far = 101 + e.rwnd() + 10;
    let line = format!("P. {far}:{} ack 1", far + 10);
    assert_eq!(e.lt_segment(&marked(&e, &line)), Err(Discard::OutOfWindow));
    e.skip();
    e.lt_segment(&marked(&e, ". 101:101 ack 1")).unwrap();
    e.lt("P. 101:201 ack 1").unwrap();
    e.wait(secs(1));
    e.gt(". 1:1 ack 201");
}

#[test]
fn req_ecn_7_abe_2_and_ecn_8_one_reduction_a_window_and_cwr_on_the_next_new_data() {
    for algorithm in [
        transom_tcp::congestion::Algorithm::Reno,
        transom_tcp::congestion::Algorithm::Cubic,
    ] {
        let mut e = both_ways(|config| config.congestion(algorithm));
        let initial = e.conn.info().cwnd;
        e.write(40_000);
        let sent = out(&mut e).len() as i64;
        assert_eq!(sent, 10);
        e.lt("E. 1:1 ack 1001").unwrap();
        let reduced = e.conn.info().cwnd;
        assert!(reduced < initial, "{reduced} of {initial}");
        e.silent();
        // The rest of the same window: no further reduction, and no growth.
        let mut new = Vec::new();
        for n in 2..=sent {
            e.lt(&format!("E. 1:1 ack {}", n * 1000 + 1)).unwrap();
            assert_eq!(e.conn.info().cwnd, reduced, "after acknowledgement {n}");
            new.extend(out(&mut e));
        }
        let cwr: Vec<bool> = new.iter().map(|t| t.flags.contains(Flags::CWR)).collect();
        assert!(cwr[0], "CWR on the first new segment");
        assert!(cwr[1..].iter().all(|cwr| !cwr), "and on no other");
        assert!(cwr.len() > 1);
        // An echo of what was sent after the reduction is news.
        e.lt("E. 1:1 ack 11001").unwrap();
        assert!(e.conn.info().cwnd < reduced);
        // Without echoes the window grows again, once the episode is over.
        let low = e.conn.info().cwnd;
        for n in 12..=40 {
            e.lt(&format!(". 1:1 ack {}", n * 1000 + 1)).ok();
            e.skip();
        }
        assert!(e.conn.info().cwnd > low);
    }
}

#[test]
fn req_ecn_8_cwr_after_loss_is_not_on_the_retransmission() {
    let mut e = both_ways(|config| config);
    e.write(3000);
    e.skip();
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    e.gt(". 1:1001 ack 1");
    e.silent();
    e.lt(". 1:1 ack 3001").unwrap();
    e.write(2000);
    let line = e.next_line().unwrap();
    assert!(line.starts_with("W. 3001:4001"), "{line}");
    let line = e.next_line().unwrap();
    assert!(line.starts_with("P. 4001:5001"), "{line}");
}

#[test]
fn req_ecn_8_cwr_is_on_one_segment_even_with_offload() {
    let mut e = both_ways(|config| config);
    e.max_payload = 60_000;
    e.write(10_000);
    e.skip();
    e.lt("E. 1:1 ack 10001").unwrap();
    e.write(4000);
    e.gt("W. 10001:11001 ack 1");
    let rest = e.next().unwrap();
    assert!(!rest.flags.contains(Flags::CWR));
    assert!(rest.payload.len() > 1000, "super-segments again");
}

#[test]
fn req_ecn_7_loss_in_the_window_of_an_echo_reduces_no_further() {
    let mut e = both_ways(|config| config);
    e.write(40_000);
    e.skip();
    e.lt("E. 1:1 ack 1001").unwrap();
    let ssthresh = e.conn.info().ssthresh;
    for _ in 0..3 {
        e.lt("E. 1:1 ack 1001").unwrap();
    }
    assert!(e.conn.info().in_recovery);
    assert_eq!(e.conn.info().ssthresh, ssthresh);
}

#[test]
fn req_ecn_9_an_echo_at_one_segment_waits_for_the_timer() {
    let mut e = both_ways(|config| config);
    e.write(20_000);
    e.skip();
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    e.gt(". 1:1001 ack 1");
    assert_eq!(e.conn.info().cwnd, 1000);
    e.lt("E. 1:1 ack 10001").unwrap();
    assert_eq!(e.conn.info().cwnd, 1000);
    // Everything is acknowledged and more waits, but not before the timer.
    e.silent();
    let timeout = e.next_deadline().expect("a timer");
    assert!(timeout >= crate::harness::ms(200), "{timeout:?}");
    e.wait(timeout);
    e.gt("W. 10001:11001 ack 1");
    e.silent();
}

#[test]
fn req_cub_14_each_further_echo_at_one_segment_doubles_the_wait() {
    let mut e = both_ways(|config| config);
    e.write(20_000);
    e.skip();
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    e.skip();
    e.lt("E. 1:1 ack 10001").unwrap();
    let first = e.next_deadline().expect("a timer");
    let mut waited = first;
    for n in 11..15 {
        e.wait(waited);
        assert_eq!(out(&mut e).len(), 1);
        e.lt(&format!("E. 1:1 ack {n}001")).unwrap();
        e.silent();
        let next = e.next_deadline().expect("a timer");
        // The first waits for the timeout that had been doubled for the loss before.
        assert!(n == 11 || next == waited * 2, "{next:?} after {waited:?}");
        waited = next;
    }
    // An acknowledgement without an echo ends it.
    e.wait(waited);
    e.skip();
    e.lt(". 1:1 ack 15001").unwrap();
    assert!(!out(&mut e).is_empty());
}

#[test]
fn req_ecn_13_a_reset_of_a_syn_that_asked_is_not_believed_the_first_time() {
    let mut e = request().syn_sent_with("SEW 0:0");
    e.lt("R. 0:0 ack 1").unwrap();
    e.gt("S 0:0");
    e.silent();
    e.lt("R. 0:0 ack 1").unwrap();
    e.closed(CloseReason::Refused);
}

#[test]
fn req_ecn_11_a_syn_again_does_not_ask_and_our_data_is_not_capable() {
    let mut e = request().syn_sent_with("SEW 0:0");
    e.wait(secs(1));
    e.gt("S 0:0");
    // The answer is to the first: we echo, and do not mark our own.
    e.lt("SE. 0:0 ack 1 <mss 1000>").unwrap();
    e.skip();
    assert!(!e.conn.info().ecn);
    e.write(10);
    assert_eq!(e.next().unwrap().ecn, Ecn::NotEct);
}

#[test]
fn req_ecn_12_marks_are_echoed_although_one_syn_was_not_setup() {
    let mut e = request().syn_sent_with("SEW 0:0");
    e.wait(secs(1));
    e.lt("SE. 0:0 ack 1 <mss 1000>").unwrap();
    e.skip();
    e.lt_segment(&marked(&e, "P. 1:101 ack 1")).unwrap();
    e.gt("E. 1:1 ack 101");
    // And the peer's echo is heeded, whatever made it.
    let cwnd = e.conn.info().cwnd;
    e.write(1000);
    e.skip();
    e.lt("E. 101:101 ack 1001").unwrap();
    assert!(e.conn.info().cwnd < cwnd.max(2000));
}

#[test]
fn req_ecn_3_a_later_syn_that_does_not_ask_ends_the_agreement() {
    let mut e = answer(Config::default().timestamps(false), "SEW", Ecn::NotEct);
    e.gt("SE. 0:0 ack 1");
    // The peer tries again without, as its first SYN seemed lost.
    e.lt("S 0:0 <mss 1000>").unwrap_err();
    e.gt("S. 0:0 ack 1");
    assert!(!e.conn.info().ecn);
}

#[test]
fn req_ecn_2_a_simultaneous_open_agrees_too() {
    let mut e = request().syn_sent_with("SEW 0:0");
    e.lt("SEW 0:0 <mss 1000>").unwrap();
    e.gt("SE. 0:0 ack 1");
    e.lt("SE. 0:0 ack 1 <mss 1000>").unwrap();
    e.is(State::Established);
    e.skip();
    assert!(e.conn.info().ecn);
    let data = stream(0, 10);
    e.conn.send(e.now, data).unwrap();
    assert_eq!(e.next().unwrap().ecn, Ecn::Ect0);
}
