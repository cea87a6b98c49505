//! Sixth to eighth: URG, text, FIN; and when text is acknowledged.

use transom_tcp::{CloseReason, Config, Discard, Event, State};

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs, stream};

#[test]
fn req_must_32_and_ev_t_13_urgent_is_told_on_each_advance() {
    let mut e = E::established();
    let urgent = |e: &mut E| e.events().contains(&Event::Urgent);
    e.lt("U. 1:1 ack 1 urg 10").unwrap();
    assert!(urgent(&mut e));
    e.lt("U. 1:1 ack 1 urg 10").unwrap();
    assert!(!urgent(&mut e));
    e.lt("U. 1:1 ack 1 urg 20").unwrap();
    assert!(urgent(&mut e));
}

#[test]
fn req_must_33_the_application_learns_how_much_urgent_data_remains() {
    let mut e = E::established();
    assert_eq!(e.conn.urgent_remaining(), 0);
    e.lt("UP. 1:6 ack 1 urg 10").unwrap();
    assert_eq!(e.conn.urgent_remaining(), 10);
    e.read(5);
    assert_eq!(e.conn.urgent_remaining(), 5);
    e.lt("P. 6:16 ack 1").unwrap();
    e.read(10);
    assert_eq!(e.conn.urgent_remaining(), 0);
}

#[test]
fn req_urg_2_and_lx_15_urgent_octets_stay_in_the_stream() {
    let mut e = E::established();
    e.lt("UP. 1:11 ack 1 urg 4").unwrap();
    e.read(10);
}

#[test]
fn req_urg_3_and_must_30_pointers_at_every_edge() {
    for urg in [0, 1, 9, 10, 11, 65_535] {
        let mut e = E::established();
        e.lt(&format!("UP. 1:11 ack 1 urg {urg}")).unwrap();
        assert_eq!(e.conn.urgent_remaining(), urg);
        e.read(10);
        assert_eq!(e.conn.urgent_remaining(), urg.saturating_sub(10));
    }
}

#[test]
fn req_urg_4_the_pointer_never_goes_back() {
    let mut e = Setup::default().numbers(5, u32::MAX - 20).established();
    e.lt("U. 1:1 ack 1 urg 50").unwrap();
    e.lt("U. 1:1 ack 1 urg 40").unwrap();
    assert_eq!(e.conn.urgent_remaining(), 50);
}

#[test]
fn req_urg_5_without_the_flag_the_field_means_nothing() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1 urg 5").unwrap();
    assert_eq!(e.conn.urgent_remaining(), 0);
    assert!(!e.events().contains(&Event::Urgent));
}

#[test]
fn req_ev_t_13_urgent_is_ignored_after_the_peers_fin() {
    for state in [State::CloseWait, State::Closing, State::LastAck] {
        let mut e = E::state(state);
        e.lt("U. 2:2 ack 1 urg 9").ok();
        assert!(!e.events().contains(&Event::Urgent), "{state}");
    }
}

#[test]
fn req_must_62_and_urg_1_our_pointer_names_the_octet_after_the_urgent_data() {
    let mut e = E::established();
    e.wrote(3);
    e.conn.send_urgent(e.now, stream(0, 3)).unwrap();
    e.gt("PU. 1:4 ack 1 urg 3");
}

#[test]
fn req_must_31_urgent_data_may_be_longer_than_the_pointer_reaches() {
    let mut e = Setup::default().peer("mss 1000,wscale 7").established();
    e.lt(". 1:1 ack 1 win 60000").unwrap();
    e.conn.send_urgent(e.now, stream(0, 200_000)).unwrap();
    e.gt("U. 1:1001 ack 1 urg 65535");
    // Acknowledged until the end is in reach.
    let mut acked = 1;
    for _ in 0..1000 {
        e.skip();
        let snxt = e.snxt();
        if snxt >= 200_001 {
            break;
        }
        acked = snxt;
        e.lt(&format!(". 1:1 ack {acked} win 60000")).unwrap();
    }
    assert!(acked > 100_000);
    e.lt(&format!(". 1:1 ack {} win 60000", 200_001 - 1000))
        .unwrap();
    e.wait(secs(3));
    let line = e.next_line().unwrap();
    assert!(line.contains("urg 1000") && line.contains('U'), "{line}");
}

#[test]
fn req_ev_t_14_text_is_delivered_and_acknowledged() {
    for state in [State::Established, State::FinWait1, State::FinWait2] {
        let mut e = E::state(state);
        let snxt = e.snxt();
        e.lt("P. 1:11 ack 1").unwrap();
        e.wait(ms(40));
        e.gt(&format!(". {snxt}:{snxt} ack 11"));
        e.read(10);
        e.is(state);
    }
}

#[test]
fn req_ev_t_14_and_ev_t_18_and_ev_da_1_and_cve_26_text_after_the_peers_fin_is_not_taken() {
    for state in [State::CloseWait, State::Closing, State::LastAck] {
        let mut e = E::state(state);
        assert_eq!(e.lt("P. 2:12 ack 1"), Err(Discard::DataAfterFin), "{state}");
        assert_eq!(e.rnxt(), 2);
        e.challenge();
        e.is(state);
    }
}

#[test]
fn req_ev_t_15_and_shld_3_and_ev_da_2_text_after_close_is_answered_with_a_reset() {
    for state in [State::FinWait1, State::FinWait2] {
        let mut e = E::established();
        e.conn.close(e.now);
        e.gt("F. 1:1 ack 1");
        if state == State::FinWait2 {
            e.lt(". 1:1 ack 2").unwrap();
        }
        e.is(state);
        assert_eq!(e.lt("P. 1:11 ack 2"), Err(Discard::DataAfterClose));
        e.gt("R. 2:2 ack 1");
        e.silent();
        e.closed(CloseReason::Aborted);
    }
}

#[test]
fn req_ev_t_16_a_fin_in_each_state() {
    for (before, ack, after) in [
        (State::Established, 1, State::CloseWait),
        (State::FinWait1, 1, State::Closing),
        (State::FinWait1, 2, State::TimeWait),
        (State::FinWait2, 2, State::TimeWait),
    ] {
        let mut e = E::state(before);
        e.lt(&format!("F. 1:1 ack {ack}")).unwrap();
        e.is(after);
        let snxt = e.snxt();
        e.gt(&format!(". {snxt}:{snxt} ack 2"));
        e.silent();
        assert!(e.events().contains(&Event::PeerFinished));
        assert_eq!(e.conn.recv(e.now, 10), Ok(Some(bytes::Bytes::new())));
    }
}

#[test]
fn req_ev_t_17_a_fin_beyond_a_gap_waits() {
    for state in [State::Established, State::FinWait1, State::FinWait2] {
        let mut e = E::state(state);
        e.lt("F. 11:21 ack 1").unwrap();
        e.is(state);
        let snxt = e.snxt();
        e.gt(&format!(". {snxt}:{snxt} ack 1"));
        e.lt("P. 1:11 ack 1").unwrap();
        e.gt(&format!(". {snxt}:{snxt} ack 22"));
        assert!(e.conn.state().has_peer_finished(), "{state}");
        e.read(20);
    }
    // A FIN alone beyond a gap.
    let mut e = E::established();
    e.lt("F. 11:11 ack 1").unwrap();
    e.gt(". 1:1 ack 1");
    e.lt("P. 1:11 ack 1").unwrap();
    e.is(State::CloseWait);
}

#[test]
fn req_ev_t_18_text_beyond_a_waiting_fin_is_never_delivered() {
    let mut e = E::established();
    e.lt("F. 6:11 ack 1").unwrap();
    e.lt("P. 6:31 ack 1").ok();
    e.lt("P. 1:6 ack 1").unwrap();
    e.is(State::CloseWait);
    assert_eq!(e.rnxt(), 12);
    e.read(10);
}

#[test]
fn req_ev_t_18_a_fin_before_octets_that_were_received_is_ignored() {
    // The peer, or somebody in its name, contradicts itself: what was received first stands.
    let mut e = Setup::default().peer("mss 1000,sackOK").established();
    e.lt("P. 11:21 ack 1").unwrap();
    e.lt("F. 11:11 ack 1").ok();
    e.lt("P. 1:11 ack 1").unwrap();
    e.is(State::Established);
    assert_eq!(e.rnxt(), 21);
    e.read(20);
    e.lt("F. 21:21 ack 1").unwrap();
    e.is(State::CloseWait);
}

#[test]
fn req_ev_t_19_a_repeated_fin_is_acknowledged_in_each_state() {
    for state in [
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
    ] {
        let mut e = E::state(state);
        let snxt = e.snxt();
        let ack = e.una();
        assert_eq!(
            e.lt(&format!("F. 1:1 ack {ack}")),
            Err(Discard::OldDuplicate),
            "{state}"
        );
        e.gt(&format!(". {snxt}:{snxt} ack 2"));
        e.silent();
        e.is(state);
    }
}

#[test]
fn req_shld_31_and_may_13_and_sack_7_segments_out_of_order_are_held_and_acknowledged_at_once() {
    let mut e = Setup::default().peer("mss 1000,sackOK").established();
    e.lt("P. 1001:2001 ack 1").unwrap();
    e.gt(". 1:1 ack 1 <sack 1001:2001>");
    e.lt("P. 2001:3001 ack 1").unwrap();
    e.gt(". 1:1 ack 1 <sack 1001:3001>");
    e.lt("P. 1:1001 ack 1").unwrap();
    e.gt(". 1:1 ack 3001 <nosack>");
    e.silent();
    e.read(3000);
}

#[test]
fn req_sack_2_without_agreement_no_sack_is_sent() {
    let mut e = E::established();
    e.lt("P. 1001:2001 ack 1").unwrap();
    e.gt(". 1:1 ack 1 <nosack>");
}

#[test]
fn duplicates_without_sack_are_counted_out_to_the_peer() {
    let mut e = E::established();
    for start in [1001, 2001, 3001] {
        e.lt_unanswered(&format!("P. {start}:{} ack 1", start + 1000));
    }
    // Fast retransmit without SACK needs three.
    for _ in 0..3 {
        e.gt(". 1:1 ack 1");
    }
    e.silent();
}

#[test]
fn req_must_58_and_must_59_a_batch_is_answered_once() {
    let mut e = Setup::default().peer("mss 1000,sackOK").established();
    for start in (1..10_000).step_by(1000).skip(1) {
        e.lt_unanswered(&format!("P. {start}:{} ack 1", start + 1000));
    }
    e.lt_unanswered("P. 1:1001 ack 1");
    e.gt(". 1:1 ack 10001");
    e.silent();
}

#[test]
fn req_must_40_and_dack_1_and_lx_4_an_acknowledgement_waits_40_ms() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.silent();
    e.wait(ms(39));
    e.silent();
    e.wait(ms(1));
    e.gt(". 1:1 ack 11");
}

#[test]
fn req_shld_18_and_shld_19_and_dack_2_every_second_full_segment() {
    let mut e = E::established();
    e.lt("P. 1:1001 ack 1").unwrap();
    e.silent();
    e.lt("P. 1001:2001 ack 1").unwrap();
    e.gt(". 1:1 ack 2001");
    e.lt("P. 2001:3001 ack 1").unwrap();
    e.silent();
}

#[test]
fn req_dack_3_what_is_acknowledged_at_once() {
    let fresh = || {
        let mut e = Setup::default().peer("mss 1000,sackOK").established();
        e.lt("P. 1:1001 ack 1").unwrap();
        e.lt("P. 1001:2001 ack 1").unwrap();
        e.gt(". 1:1 ack 2001");
        e
    };
    let mut out_of_order = fresh();
    out_of_order.lt(". 2101:2201 ack 1").unwrap();
    out_of_order.gt(". 1:1 ack 2001");
    // Filling the gap partly, then wholly.
    out_of_order.lt(". 2001:2051 ack 1").unwrap();
    out_of_order.gt(". 1:1 ack 2051");
    out_of_order.lt(". 2051:2101 ack 1").unwrap();
    out_of_order.gt(". 1:1 ack 2201");
    let mut duplicate = fresh();
    duplicate.lt(". 1001:2001 ack 1").unwrap_err();
    duplicate.gt(". 1:1 ack 2001 <sack 1001:2001>");
    let mut fin = fresh();
    fin.lt("F. 2001:2001 ack 1").unwrap();
    fin.gt(". 1:1 ack 2002");
    // PSH alone does not force one.
    let mut push = fresh();
    push.lt("P. 2001:2011 ack 1").unwrap();
    push.silent();
}

#[test]
fn req_dack_4_data_carries_the_acknowledgement() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.write(5);
    e.gt("P. 1:6 ack 11");
    e.lt(". 11:11 ack 6").unwrap();
    e.wait(secs(1));
    e.silent();
}

#[test]
fn req_dack_5_the_first_16_segments_are_acknowledged_at_once() {
    let mut e = Setup::default().config(|c| c.quick_acks(16)).established();
    for n in 0..16 {
        e.lt(&format!("P. {}:{} ack 1", 1 + n * 10, 11 + n * 10))
            .unwrap();
        e.gt(&format!(". 1:1 ack {}", 11 + n * 10));
    }
    e.lt("P. 161:171 ack 1").unwrap();
    e.silent();
    // An application that answers ends it early.
    let mut e = Setup::default().config(|c| c.quick_acks(16)).established();
    e.lt("P. 1:11 ack 1").unwrap();
    e.gt(". 1:1 ack 11");
    e.write(5);
    e.skip();
    e.lt("P. 11:21 ack 6").unwrap();
    e.silent();
}

#[test]
fn req_dack_6_a_super_segment_is_acknowledged_at_once() {
    let mut e = E::established();
    let mut segment = e.segment("P. 1:1 ack 1");
    segment.payload = stream(0, 20_000);
    segment.gso_size = 1000;
    e.lt_segment(&segment).unwrap();
    e.gt(". 1:1 ack 20001");
    assert_eq!(e.conn.info().counters.segments_received, 1 + 20);
    e.read(20_000);
}

#[test]
fn req_may_17_and_ev_x_19_after_shutdown_of_reading_text_is_acknowledged_and_dropped() {
    let mut e = E::established();
    e.conn.shutdown_read(e.now);
    assert_eq!(e.conn.recv(e.now, 10), Ok(Some(bytes::Bytes::new())));
    for n in 0..200 {
        let start = 1 + n * 1000;
        e.lt(&format!("P. {start}:{} ack 1", start + 1000)).unwrap();
    }
    assert_eq!((e.rnxt(), e.conn.recv_queue()), (200_001, 0));
    e.is(State::Established);
}

#[test]
fn req_must_5_options_on_any_segment_do_not_disturb() {
    let mut e = E::established();
    e.lt("P. 1:11 ack 1 <mss 20,wscale 9,sackOK>").unwrap();
    e.write(1500);
    // An MSS in a segment that is no SYN changes nothing.
    e.gt(". 1:1001 ack 11");
    e.lt("F. 11:11 ack 1 <mss 20>").unwrap();
    e.is(State::CloseWait);
}

#[test]
fn req_shld_14_and_ws_7_the_right_edge_never_moves_left() {
    for (buffer, shift) in [
        (10_000, false),
        (100_000, true),
        (1 << 20, true),
        (6 << 20, true),
    ] {
        let config = |c: Config| c.recv_buffer(buffer).window_scaling(shift);
        let mut e = Setup::default()
            .config(config)
            .peer("mss 1000,wscale 2")
            .established();
        let scale = e.conn.info().rcv_wind_shift.unwrap_or(0);
        let (mut edge, mut next, mut random) = (0, 1_i64, 7_u64);
        for _ in 0..3000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let len = (random >> 33) as i64 % 1500;
            let gap = if random >> 60 == 0 { 10 } else { 0 };
            e.lt_unanswered(&format!("P. {}:{} ack 1", next + gap, next + gap + len));
            if (random >> 50).is_multiple_of(3) {
                e.read_some((random >> 40) as usize % 5000);
            }
            while let Some(transmit) = e.next() {
                let ack = i64::from(transmit.ack.offset_from(e.irs));
                let offered = ack + (i64::from(transmit.window) << scale);
                assert!(offered >= edge, "{offered} < {edge}");
                edge = offered;
            }
            next = e.rnxt();
        }
    }
}

#[test]
fn memory_is_bounded_although_the_window_is_rounded_up() {
    let config = |c: Config| c.recv_buffer(1 << 20);
    let mut e = Setup::default()
        .config(config)
        .peer("mss 1000,wscale 0")
        .established();
    // Nobody reads, and each octet is acknowledged on its own.
    let mut next = 1;
    for _ in 0..1050 {
        e.lt(&format!("P. {next}:{} ack 1", next + 1000)).ok();
        next = e.rnxt();
    }
    for _ in 0..20_000 {
        e.lt(&format!("P. {next}:{} ack 1", next + 1)).ok();
        e.lt(&format!("P. {}:{} ack 1", next - 1, next)).ok();
        next = e.rnxt();
    }
    assert!(
        e.conn.recv_queue() <= (1 << 20) + 8192,
        "{}",
        e.conn.recv_queue()
    );
}
