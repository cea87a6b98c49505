//! First: sequence numbers; and the blind attacks of RFC 5961.

use transom_tcp::{Config, Discard, State};

use crate::SYNCHRONIZED;
use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs};

/// E(state) with a receive window of zero: the buffer is full and nobody reads.
fn closed_window() -> E {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(2000))
        .established();
    e.lt("P. 1:1001 ack 1").unwrap();
    e.lt("P. 1001:2001 ack 1").unwrap();
    e.skip();
    assert_eq!(e.rwnd(), 0);
    e.wait(secs(1));
    e
}

#[test]
fn req_ev_q_1_empty_segment_at_a_closed_window() {
    let mut e = closed_window();
    e.lt(". 2001:2001 ack 1").unwrap();
    assert_eq!(e.lt(". 2002:2002 ack 1"), Err(Discard::OutOfWindow));
    e.skip();
    e.wait(secs(1));
    assert_eq!(e.lt(". 2000:2000 ack 1"), Err(Discard::KeepAliveProbe));
}

#[test]
fn req_ev_q_2_empty_segment_in_an_open_window() {
    let mut e = E::established();
    let edge = e.rnxt() + e.rwnd();
    e.lt(". 1:1 ack 1").unwrap();
    e.lt(&format!(". {}:{} ack 1", edge - 1, edge - 1)).unwrap();
    e.silent();
    let beyond = edge + 1;
    assert_eq!(
        e.lt(&format!(". {beyond}:{beyond} ack 1")),
        Err(Discard::OutOfWindow)
    );
    e.challenge();
}

/// Other than the row says: who has filled the window has nothing else to say, and must be heard.
#[test]
fn req_ev_q_2_the_acknowledgement_of_one_who_has_filled_the_window_counts() {
    let mut e = E::established();
    let edge = e.rnxt() + e.rwnd();
    e.write(10);
    e.gt("P. 1:11 ack 1");
    e.lt(&format!(". {edge}:{edge} ack 11")).unwrap();
    assert_eq!(e.una(), 11);
    e.silent();
}

#[test]
fn req_ev_q_3_and_ev_q_8_and_zwp_9_and_cve_22_text_at_a_closed_window() {
    let mut e = closed_window();
    // A probe of one octet: dropped, and answered at once with the window as it is.
    assert_eq!(e.lt("P. 2001:2002 ack 1"), Err(Discard::ZeroWindow));
    e.gt(". 1:1 ack 2001 win 0");
    e.silent();
    // ACK is looked at all the same.
    e.write(10);
    e.gt("P. 1:11 ack 2001");
    assert_eq!(e.lt("P. 2001:2002 ack 11"), Err(Discard::ZeroWindow));
    assert_eq!(e.una(), 11);
    e.skip();
    // A FIN alone is taken in.
    e.lt("F. 2001:2001 ack 11").unwrap();
    e.is(State::CloseWait);
    e.gt(". 11:11 ack 2002");
    e.read(2000);
}

#[test]
fn req_must_66_reset_urgent_and_ack_at_a_closed_window() {
    let mut e = closed_window();
    e.events();
    e.lt("U. 2001:2001 ack 1 urg 5").unwrap();
    assert!(e.events().contains(&transom_tcp::Event::Urgent));
    e.lt("R 2001:2001").unwrap();
    e.is(State::Closed);
}

#[test]
fn req_ev_q_4_text_with_one_end_in_the_window() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    // The last octet is inside.
    e.lt("P. 6:21 ack 1").unwrap();
    // The first octet is inside.
    let edge = e.rnxt() + e.rwnd();
    e.lt(&format!("P. {}:{} ack 1", edge - 1, edge + 10))
        .unwrap();
    e.skip();
    let edge = e.rnxt() + e.rwnd();
    assert_eq!(e.conn.info().recv_out_of_order, 1);
    let beyond = format!("P. {edge}:{} ack 1", edge + 1);
    assert_eq!(e.lt(&beyond), Err(Discard::OutOfWindow));
    e.read(20);
}

#[test]
fn req_ev_q_5_and_ev_t_1_outside_the_window_is_challenged_in_every_state() {
    for state in SYNCHRONIZED {
        let mut e = E::state(state);
        let edge = e.rnxt() + e.rwnd();
        assert_eq!(
            e.lt(&format!("P. {edge}:{} ack 1", edge + 5)),
            Err(Discard::OutOfWindow)
        );
        e.challenge();
        e.is(state);
    }
}

#[test]
fn req_ev_q_6_and_ev_t_4_a_reset_outside_the_window_is_ignored_in_every_state() {
    for state in SYNCHRONIZED {
        let mut e = E::state(state);
        let (rnxt, edge) = (e.rnxt(), e.rnxt() + e.rwnd());
        for seq in [rnxt - 1, edge, edge + 1000, rnxt - 100_000] {
            let outcome = e.lt(&format!("R {seq}:{seq}"));
            assert_eq!(outcome, Err(Discard::ResetOutOfWindow), "{state} {seq}");
            e.silent();
        }
        e.is(state);
    }
}

#[test]
fn req_ev_q_7_and_cve_22_segments_are_cut_to_the_window_on_both_sides() {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(2000))
        .established();
    e.lt("P. 1:501 ack 1").unwrap();
    e.skip();
    // Left overlap, exact duplicate, superset that runs over the right edge with its FIN.
    e.lt("P. 301:601 ack 1").unwrap();
    assert_eq!(e.lt("P. 1:601 ack 1"), Err(Discard::OldDuplicate));
    e.lt("FP. 1:5001 ack 1").unwrap();
    e.is(State::Established);
    assert!(e.rnxt() >= 2001, "{}", e.rnxt());
    let received = (e.rnxt() - 1) as usize;
    e.skip();
    e.read(received);
}

#[test]
fn req_ev_q_9_and_ka_6_and_may_6_keep_alive_probes_are_answered() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.read(10);
    e.wait(secs(1));
    e.skip();
    for _ in 0..3 {
        assert_eq!(e.lt(". 10:10 ack 1"), Err(Discard::KeepAliveProbe));
        e.challenge();
        e.wait(secs(1));
        // With a garbage octet, which is not delivered.
        assert_eq!(e.lt(". 10:11 ack 1"), Err(Discard::KeepAliveProbe));
        e.gt(". 1:1 ack 11");
        e.wait(secs(75));
    }
    e.read(0);
}

#[test]
fn req_ev_q_10_two_sides_that_probe_each_other_make_progress() {
    let mut e = closed_window();
    e.lt(". 2001:2001 ack 1 win 0").unwrap();
    e.skip();
    e.write(10);
    e.wait(secs(2));
    e.gt(". 1:2 ack 2001");
    e.skip();
    // The peer's own probe, left of our window, opens its window and acknowledges our octet.
    assert_eq!(
        e.lt(". 2000:2000 ack 2 win 5000"),
        Err(Discard::KeepAliveProbe)
    );
    assert_eq!(e.una(), 2);
    // Both windows were closed; now what waited goes.
    let mut sent = false;
    while let Some(line) = e.next_line() {
        sent |= line.starts_with("P. 2:11 ack 2001");
    }
    assert!(sent);
}

#[test]
fn req_ev_q_11_the_checks_hold_around_the_wrap() {
    for irs in [u32::MAX, 0, 1 << 31, u32::MAX - 32_768, u32::MAX - 65_535] {
        for iss in [u32::MAX, (1 << 31) - 2, 0] {
            let setup = Setup::default().config(|c| c.recv_buffer(60_000));
            let mut e = setup.numbers(iss, irs).established();
            let edge = e.rnxt() + e.rwnd();
            e.lt("P. 1:1001 ack 1").unwrap();
            e.lt(&format!("P. {}:{edge} ack 1", edge - 10)).unwrap();
            assert_eq!(e.lt("P. 1:1001 ack 1"), Err(Discard::OldDuplicate));
            assert_eq!(
                e.lt(&format!("R {edge}:{edge}")),
                Err(Discard::ResetOutOfWindow)
            );
            e.skip();
            e.read(1000);
            e.write(2000);
            e.gt(". 1:1001 ack 1001");
            e.gt("P. 1001:2001 ack 1001");
            e.lt(". 1001:1001 ack 2001").unwrap();
            assert_eq!(e.una(), 2001);
        }
    }
}

#[test]
fn req_blind_1_and_ev_t_3_and_cve_26_and_cve_27_a_reset_in_the_window_is_challenged_in_every_state()
{
    for state in SYNCHRONIZED {
        let mut e = E::state(state);
        let seq = e.rnxt() + 1;
        assert_eq!(
            e.lt(&format!("R {seq}:{seq}")),
            Err(Discard::ResetChallenged)
        );
        e.challenge();
        e.is(state);
        let rnxt = e.rnxt();
        e.lt(&format!("R {rnxt}:{rnxt}")).unwrap();
        e.silent();
        e.is(State::Closed);
    }
}

#[test]
fn req_blind_2_and_ev_t_7_a_syn_is_challenged_whatever_its_number() {
    for state in SYNCHRONIZED {
        for offset in [-100_000, -1, 0, 1000, 100_000] {
            let mut e = E::state(state);
            let seq = e.rnxt() + offset;
            assert_eq!(
                e.lt(&format!("S {seq}:{seq}")),
                Err(Discard::SynChallenged),
                "{state} {offset}"
            );
            e.challenge();
            e.is(state);
        }
    }
}

#[test]
fn req_blind_5_and_sec_ack_4_the_throttle_of_one_connection_does_not_show_on_another() {
    let mut attacked = E::established();
    let mut other = E::established();
    for _ in 0..100 {
        attacked.lt("S 500:500").ok();
    }
    attacked.challenge();
    other.lt("S 500:500").ok();
    other.challenge();
}

#[test]
fn req_lx_14_a_challenge_every_500_ms() {
    let mut e = E::established();
    for _ in 0..4 {
        e.lt("S 500:500").ok();
        e.challenge();
        e.wait(ms(499));
        e.lt("S 500:500").ok();
        e.silent();
        e.wait(ms(1));
    }
}

#[test]
fn req_blind_6_a_challenge_ack_changes_nothing_else() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.silent();
    let deadline = e.next_deadline();
    // A throttled challenge leaves the delayed acknowledgement as it was.
    e.lt("R 500:500").ok();
    e.gt(". 1:1 ack 11");
    e.lt("P. 11:21 ack 1").unwrap();
    e.lt("R 500:500").ok();
    e.silent();
    assert_eq!(e.next_deadline(), deadline);
    let before = e.conn.info();
    e.lt(". 500:500 ack 1").unwrap();
    assert_eq!(e.conn.info().cwnd, before.cwnd);
}

#[test]
fn req_blind_7_two_ends_out_of_step_do_not_challenge_each_other_for_ever() {
    let mut e = E::established();
    let mut answers = 0;
    for _ in 0..1000 {
        // The peer's idea of the connection is far off, and it answers each of our answers.
        e.lt(". 1000000:1000000 ack 1").ok();
        while e.next().is_some() {
            answers += 1;
        }
        e.wait(ms(1));
    }
    assert!(answers <= 3, "{answers} answers within a second");
}

#[test]
fn req_blind_8_and_ev_t_5_and_lx_18_a_reset_at_the_edge_of_a_sack_block() {
    let setup = || Setup::default().peer("mss 1000,sackOK");
    let mut e = setup().established();
    e.lt("P. 101:201 ack 1").unwrap();
    e.lt("R 201:201").unwrap();
    e.is(State::Closed);
    let strict = |c: Config| c.reset_at_sack_edge(false);
    let mut e = setup().config(strict).established();
    e.lt("P. 101:201 ack 1").unwrap();
    e.skip();
    assert_eq!(e.lt("R 201:201"), Err(Discard::ResetChallenged));
    e.challenge();
}

#[test]
fn req_ev_ho_1_half_open_is_discovered_by_a_syn() {
    // RFC 9293 Figure 9: the peer crashed, came back and opens anew.
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.lt("S 5000:5000").ok();
    e.gt(". 1:1 ack 11");
    // Our acknowledgement tells it where to reset.
    e.lt("R 11:11").unwrap();
    e.is(State::Closed);
}

#[test]
fn req_ev_ho_2_half_open_is_discovered_by_data() {
    let mut e = E::established();
    e.write(10);
    e.gt("P. 1:11 ack 1");
    // RFC 9293 Figure 10: the peer knows nothing of the connection and resets at our SEG.ACK.
    e.lt("R 1:1").unwrap();
    e.is(State::Closed);
}

#[test]
fn req_ev_x_6_a_repeated_syn_ack_is_challenged() {
    let mut e = E::established();
    assert_eq!(e.lt("S. 0:0 ack 1 <mss 1000>"), Err(Discard::SynChallenged));
    e.challenge();
    e.is(State::Established);
}

#[test]
fn req_ev_t_8_no_ack_no_rst_no_syn_is_dropped() {
    for state in SYNCHRONIZED {
        let mut e = E::state(state);
        let rnxt = e.rnxt();
        assert_eq!(
            e.lt(&format!("P {rnxt}:{} ", rnxt + 5)),
            Err(Discard::AckMissing)
        );
        assert_eq!(e.lt(&format!("- {rnxt}:{rnxt}")), Err(Discard::AckMissing));
        e.silent();
        e.is(state);
    }
}
