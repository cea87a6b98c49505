//! Fifth: the ACK field.

use transom_tcp::{Config, Discard, Event, State};

use crate::SYNCHRONIZED;
use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs};

#[test]
fn req_ev_t_9_and_blind_3_and_may_12_an_acknowledgement_that_is_too_old() {
    for state in SYNCHRONIZED {
        let mut e = E::state(state);
        let (una, rnxt) = (e.una(), e.rnxt());
        let old = una - 60_000 - 1;
        let line = format!("P. {rnxt}:{} ack {old}", rnxt + 5);
        assert_eq!(e.lt(&line), Err(Discard::AckTooOld), "{state}");
        e.challenge();
        assert_eq!(e.rnxt(), rnxt, "its text is not taken");
        e.is(state);
    }
}

#[test]
fn req_ev_t_9_and_ev_t_10_and_ev_t_12_unacceptable_acknowledgements_in_syn_received() {
    for ack in [0, 2, 77, -100_000] {
        let mut e = Setup::default().syn_received();
        let outcome = e.lt(&format!(". 1:1 ack {ack}"));
        assert_eq!(outcome, Err(Discard::SynReceivedUnacceptableAck));
        e.gt(&format!("R {ack}:{ack}"));
        e.silent();
        e.is(State::SynReceived);
    }
}

#[test]
fn req_ev_t_10_an_old_acknowledgement_moves_nothing_and_the_text_is_taken() {
    let mut e = E::established();
    e.write(100);
    e.lt(". 1:1 ack 101").unwrap();
    e.skip();
    e.lt("P. 1:11 ack 51").unwrap();
    assert_eq!((e.una(), e.rnxt()), (101, 11));
}

#[test]
fn req_ev_t_11_an_acknowledgement_frees_and_moves_on() {
    let mut e = E::established();
    e.write(2500);
    assert_eq!(e.conn.send_queue(), 2500);
    e.lt(". 1:1 ack 1001").unwrap();
    assert_eq!((e.una(), e.conn.send_queue()), (1001, 1500));
    e.lt(". 1:1 ack 2501").unwrap();
    assert_eq!((e.una(), e.conn.send_queue()), (2501, 0));
    assert_eq!(e.next_deadline(), None, "nothing is left to wait for");
}

#[test]
fn req_ev_t_11_the_acknowledgement_of_our_fin_in_each_state() {
    for (before, ack, after) in [
        (State::FinWait1, 2, State::FinWait2),
        (State::Closing, 2, State::TimeWait),
        (State::LastAck, 2, State::Closed),
        (State::FinWait1, 1, State::FinWait1),
        (State::Closing, 1, State::Closing),
        (State::LastAck, 1, State::LastAck),
    ] {
        let mut e = E::state(before);
        let rnxt = e.rnxt();
        e.lt(&format!(". {rnxt}:{rnxt} ack {ack}")).unwrap();
        e.is(after);
    }
}

#[test]
fn req_ev_t_12_an_acknowledgement_of_what_was_never_sent() {
    for state in SYNCHRONIZED {
        let mut e = E::state(state);
        let (rnxt, snxt) = (e.rnxt(), e.snxt());
        let line = format!("P. {rnxt}:{} ack {}", rnxt + 5, snxt + 1);
        assert_eq!(e.lt(&line), Err(Discard::AckOfUnsentData));
        e.challenge();
        assert_eq!(e.rnxt(), rnxt);
        e.is(state);
    }
}

#[test]
fn req_ev_t_20_only_a_newer_segment_changes_the_window() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1 win 5000").unwrap();
    e.lt(". 11:11 ack 1 win 6000").unwrap();
    assert_eq!(e.conn.info().snd_wnd, 6000);
    // Older: it was sent before the octets that came already.
    e.lt("P. 6:11 ack 1 win 7000").ok();
    assert_eq!(e.conn.info().snd_wnd, 6000);
    // Equal sequence number, older acknowledgement.
    e.write(100);
    e.lt(". 11:11 ack 101 win 8000").unwrap();
    e.lt(". 11:11 ack 51 win 9000").unwrap();
    assert_eq!(e.conn.info().snd_wnd, 8000);
}

#[test]
fn req_ev_t_21_and_rto_8_a_partly_acknowledged_queue_is_cut_and_the_timer_starts_again() {
    let mut e = E::established();
    e.write(900);
    e.gt("P. 1:901 ack 1");
    let rto = e.next_deadline().unwrap();
    e.wait(rto / 2);
    e.lt(". 1:1 ack 301").unwrap();
    assert!(e.next_deadline().unwrap() > rto / 2, "restarted");
    e.wait(secs(1));
    e.gt("P. 301:901 ack 1");
}

#[test]
fn req_ev_ar_1_the_range_of_acknowledgements_around_the_wrap() {
    // SND.UNA is 2^32 - 10.
    let mut e = Setup::default().numbers(u32::MAX - 10, 7).established();
    e.write(15);
    e.gt("P. 1:16 ack 1");
    assert_eq!(e.lt(". 1:1 ack 17"), Err(Discard::AckOfUnsentData));
    // Nothing was sent before 0; the window reaches further back.
    assert_eq!(e.lt(". 1:1 ack -1"), Err(Discard::AckTooOld));
    e.lt(". 1:1 ack 0").unwrap();
    e.lt(". 1:1 ack 1").unwrap();
    assert_eq!(e.una(), 1);
    e.lt(". 1:1 ack 16").unwrap();
    assert_eq!(e.una(), 16);
}

#[test]
fn req_ev_ar_2_the_largest_window_is_remembered() {
    let mut e = E::established();
    for acked in 1..=8 {
        e.write(9000);
        e.skip();
        e.lt(&format!(". 1:1 ack {}", 1 + acked * 9000)).unwrap();
    }
    e.lt(". 1:1 ack 72001 win 10").unwrap();
    // Still measured by the 60 000 of the SYN-ACK.
    e.lt(". 1:1 ack 12001").unwrap();
    assert_eq!(e.lt(". 1:1 ack 12000"), Err(Discard::AckTooOld));
}

#[test]
fn req_cc_9_what_is_no_duplicate_acknowledgement() {
    // Each line three times: without SACK three duplicates are taken for loss.
    let resends = |line: &str| {
        let mut e = E::established();
        e.write(8000);
        e.lt(". 1:1 ack 1001").unwrap();
        e.skip();
        for _ in 0..3 {
            e.lt(line).ok();
        }
        e.conn.info().counters.retransmissions > 0
    };
    assert!(resends(". 1:1 ack 1001"));
    // With text, with FIN, another number.
    assert!(!resends("P. 1:2 ack 1001"));
    assert!(!resends("F. 1:1 ack 1001"));
    assert!(!resends(". 1:1 ack 901"));
    // The window changes each time.
    let mut e = E::established();
    e.write(8000);
    e.lt(". 1:1 ack 1001").unwrap();
    for win in [50_000, 50_001, 50_002] {
        e.lt(&format!(". 1:1 ack 1001 win {win}")).unwrap();
    }
    // Nothing outstanding.
    assert_eq!(e.conn.info().counters.retransmissions, 0);
    let mut e = E::established();
    for _ in 0..5 {
        e.lt(". 1:1 ack 1").unwrap();
    }
    assert!(!e.conn.info().in_recovery);
}

#[test]
fn req_cc_11_never_more_in_flight_than_either_window_allows() {
    let mut e = E::established();
    e.write(100_000);
    // The initial window: ten segments.
    assert_eq!(e.snxt(), 10_001);
    e.lt(". 1:1 ack 1 win 3000").unwrap();
    e.skip();
    assert_eq!(e.snxt(), 10_001);
    e.lt(". 1:1 ack 10001 win 3000").unwrap();
    assert_eq!(e.snxt(), 13_001);
}

#[test]
fn req_must_34_and_shld_15_and_ws_9_a_window_taken_back() {
    let mut e = E::established();
    e.write(20_000);
    e.skip();
    e.lt(". 1:1 ack 1 win 1000").unwrap();
    e.silent();
    // No new data, and what is sent again stays inside.
    e.lt(". 1:1 ack 1001 win 1000").unwrap();
    e.silent();
    e.wait(ms(300));
    e.gt(". 1001:2001 ack 1");
    e.silent();
}

#[test]
fn req_shld_16_and_may_7_a_resend_stays_inside_the_window() {
    let mut e = E::established();
    e.write(5000);
    e.skip();
    e.lt(". 1:1 ack 1001 win 1500").unwrap();
    e.wait(secs(3));
    while let Some(line) = e.next_line() {
        let end: i64 = line.split([':', ' ']).nth(2).unwrap().parse().unwrap();
        assert!(end <= 2501, "{line}");
    }
}

#[test]
fn req_must_35_and_shld_17_a_window_taken_back_to_nothing_is_probed_and_not_given_up() {
    let mut e = Setup::default().config(|c| c.retries_r2(2)).established();
    e.write(3000);
    e.skip();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.silent();
    for _ in 0..50 {
        let deadline = e.next_deadline().unwrap();
        e.wait(deadline);
        // An octet that was sent before; the peer answers each probe.
        e.gt(". 1:2 ack 1");
        e.silent();
        e.lt(". 1:1 ack 1 win 0").unwrap();
    }
    e.is(State::Established);
    e.lt(". 1:1 ack 1 win 5000").unwrap();
    e.wait(secs(1));
    e.gt(". 1:1001 ack 1");
}

#[test]
fn req_shld_10_and_shld_9_and_must_20_r1_is_told_and_r2_ends() {
    let mut e = Setup::default().config(|c| c.retries_r2(6)).established();
    e.write(10);
    e.gt("P. 1:11 ack 1");
    let mut again = 0;
    let mut told_at = None;
    while e.conn.state() == State::Established {
        e.wait(secs(1));
        while e.next().is_some() {
            again += 1;
        }
        if e.events().contains(&Event::RetransmittingExcessively) {
            assert_eq!(told_at.replace(again), None, "told once");
        }
    }
    assert_eq!((told_at, again), (Some(3), 6));
    e.closed(transom_tcp::CloseReason::TimedOut);
}

#[test]
fn req_shld_11_and_lx_10_and_rto_15_data_is_given_up_after_more_than_100_s() {
    let mut e = E::established();
    e.write(10);
    let begin = e.now;
    let mut again = 0;
    while e.conn.state() == State::Established {
        e.wait(secs(1));
        while e.next().is_some() {
            again += 1;
        }
    }
    assert_eq!(again, 1 + 15);
    assert!(e.now - begin > secs(100), "{:?}", e.now - begin);
}

#[test]
fn req_must_21_and_uto_4_and_ev_o_1_the_application_sets_the_limit() {
    let five = |c: Config| c.user_timeout(Some(secs(5)));
    let mut e = Setup::default().config(five).established();
    e.write(10);
    e.wait(secs(4));
    e.skip();
    e.is(State::Established);
    e.wait(secs(1));
    e.gt("R. 11:11 ack 1");
    e.silent();
    e.closed(transom_tcp::CloseReason::UserTimeout);
    // It holds for a closed window as well, although the peer answers.
    let mut e = Setup::default().config(five).established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    for _ in 0..6 {
        e.wait(secs(1));
        e.lt(". 1:1 ack 1 win 0").ok();
    }
    e.closed(transom_tcp::CloseReason::UserTimeout);
}

#[test]
fn req_blind_3_an_acknowledgement_before_our_syn_is_too_old_whatever_the_window() {
    let mut e = E::established();
    assert_eq!(e.lt(". 1:1 ack -1"), Err(Discard::AckTooOld));
    e.challenge();
    assert_eq!(e.lt(". 1:1 ack 0"), Ok(()));
    e.silent();
}

#[test]
fn an_acknowledgement_lies_inside_a_window_that_was_taken_back() {
    let mut e = E::established();
    e.write(3000);
    e.skip();
    // The peer threw away what lies beyond its edge, and would not look at a segment beyond it.
    e.lt("P. 1:11 ack 1 win 500").unwrap();
    e.wait(ms(100));
    e.gt(". 501:501 ack 11");
}
