//! Sending: segment size, PSH, Nagle's algorithm, silly windows, cork, closed windows, path MTU.

use transom_tcp::congestion::Algorithm;
use transom_tcp::{Config, Path, PathError, State, TransmitKind};

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, secs};

#[test]
fn req_must_16_and_shld_28_bulk_is_sent_in_full_segments() {
    let mut e = E::established();
    e.write(3500);
    for start in [1, 1001, 2001] {
        e.gt(&format!(". {start}:{} ack 1", start + 1000));
    }
    e.gt("P. 3001:3501 ack 1");
    e.silent();
}

#[test]
fn req_must_61_push_is_on_the_last_segment_of_a_write() {
    let mut e = Setup::default().peer("mss 1460").established();
    e.write(3000);
    e.gt(". 1:1461 ack 1");
    e.gt(". 1461:2921 ack 1");
    e.gt("P. 2921:3001 ack 1");
    // With offload the device gives PSH to the last piece.
    let mut e = Setup::default()
        .peer("mss 1460")
        .max_payload(64_000)
        .established();
    e.write(3000);
    e.gt("P. 1:3001 ack 1");
}

#[test]
fn req_shld_27_and_may_15_and_may_16_several_writes_become_one_segment_with_one_push() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    for _ in 0..3 {
        e.write(300);
    }
    e.silent();
    e.lt(". 1:1 ack 1 win 60000").unwrap();
    e.gt("P. 1:901 ack 1");
    e.silent();
}

#[test]
fn req_must_17_and_shld_7_and_nag_1_small_segments_wait_for_the_one_before() {
    let mut e = E::established();
    for _ in 0..3 {
        e.write(1);
    }
    e.gt("P. 1:2 ack 1");
    e.silent();
    e.lt(". 1:1 ack 2").unwrap();
    e.gt("P. 2:4 ack 1");
    e.silent();
    // Full segments go all the same.
    e.write(1500);
    e.gt(". 4:1004 ack 1");
    e.silent();
    let mut e = Setup::default().config(|c| c.nodelay(true)).established();
    for n in 1..4 {
        e.write(1);
        e.gt(&format!("P. {n}:{} ack 1", n + 1));
    }
}

#[test]
fn req_must_17_nodelay_may_be_set_at_any_time() {
    let mut e = E::established();
    e.write(1);
    e.write(1);
    e.gt("P. 1:2 ack 1");
    e.silent();
    e.conn.set_nodelay(e.now, true);
    e.gt("P. 2:3 ack 1");
}

#[test]
fn req_nag_2_only_a_small_segment_holds_another() {
    let mut e = E::established();
    e.write(1000);
    e.gt("P. 1:1001 ack 1");
    e.write(1);
    e.gt("P. 1001:1002 ack 1");
    e.write(1);
    e.silent();
}

#[test]
fn req_nag_4_and_may_16_a_cork_holds_at_most_200_ms() {
    let mut e = E::established();
    e.conn.set_cork(e.now, true);
    e.write(1500);
    e.gt(". 1:1001 ack 1");
    e.silent();
    e.wait(ms(199));
    e.silent();
    e.wait(ms(1));
    // As Linux, with PSH: nothing has followed.
    e.gt("P. 1001:1501 ack 1");
    e.lt(". 1:1 ack 1501").unwrap();
    // Letting go sends at once.
    e.write(10);
    e.silent();
    e.conn.set_cork(e.now, false);
    e.gt("P. 1501:1511 ack 1");
}

#[test]
fn req_nag_5_and_must_60_small_data_leaves_with_the_peers_delayed_acknowledgement() {
    let mut e = E::established();
    e.write(1);
    e.write(1);
    e.gt("P. 1:2 ack 1");
    e.wait(ms(40));
    e.lt(". 1:1 ack 2").unwrap();
    e.gt("P. 2:3 ack 1");
}

#[test]
fn req_must_38_and_sws_1_and_zwp_7_a_sliver_of_window_waits_for_the_override() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 400").unwrap();
    e.write(2000);
    e.silent();
    e.wait(ms(199));
    e.silent();
    e.wait(ms(1));
    e.gt(". 1:401 ack 1");
    e.silent();
    // What fits wholly needs no patience.
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 400").unwrap();
    e.write(300);
    e.gt("P. 1:301 ack 1");
}

#[test]
fn req_sws_5_a_tiny_buffer_still_makes_progress() {
    let mut e = Setup::default().syn_sent();
    e.lt("S. 0:0 ack 1 win 100 <mss 1000>").unwrap();
    e.skip();
    e.write(1000);
    let mut acked = 1;
    let begin = e.now;
    while acked < 1001 {
        let line = e.next_line().expect("half of the largest window is enough");
        let end: i64 = line.split([':', ' ']).nth(2).unwrap().parse().unwrap();
        assert!(end - acked <= 100, "{line}");
        acked = end;
        e.lt(&format!(". 1:1 ack {acked} win 100")).unwrap();
    }
    assert_eq!(e.now, begin);
}

#[test]
fn req_must_39_and_sws_2_and_sws_3_the_window_opens_in_segments_not_in_octets() {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(10_000))
        .established();
    for n in 0..10 {
        e.lt(&format!("P. {}:{} ack 1", 1 + n * 1000, 1001 + n * 1000))
            .unwrap();
    }
    let mut last = None;
    while let Some(line) = e.next_line() {
        last = Some(line);
    }
    assert_eq!(last.unwrap(), ". 1:1 ack 10001 win 0");
    // Octet by octet: nothing is said before the gain is worth it.
    for _ in 0..1999 {
        e.read_some(1);
        e.silent();
    }
    e.read_some(1);
    e.gt(". 1:1 ack 10001 win 2000");
    e.silent();
}

#[test]
fn req_sws_2_an_acknowledgement_does_not_advance_the_edge_by_a_sliver() {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(10_000))
        .established();
    e.lt("P. 1:1001 ack 1").unwrap();
    e.read_some(400);
    e.lt("P. 1001:2001 ack 1").unwrap();
    // 8400 are free, but the edge would move by 400 only.
    e.gt(". 1:1 ack 2001 win 8000");
}

#[test]
fn req_sws_4_a_window_update_after_two_segments_were_read() {
    let mut e = Setup::default()
        .config(|c| c.recv_buffer(4000))
        .established();
    for n in 0..4 {
        e.lt(&format!("P. {}:{} ack 1", 1 + n * 1000, 1001 + n * 1000))
            .unwrap();
    }
    e.skip();
    e.read_some(1000);
    e.silent();
    e.read_some(1000);
    let update = e.next().unwrap();
    assert_eq!(
        (update.kind, update.window),
        (TransmitKind::WindowUpdate, 2000)
    );
    e.silent();
}

#[test]
fn req_ws_10_a_small_buffer_is_not_rounded_to_a_closed_window() {
    let config = |c: Config| c.recv_buffer(6 << 20).recv_buffer_initial(100);
    let mut e = Setup::default()
        .config(config)
        .peer("mss 1000,wscale 2")
        .established();
    e.conn.set_memory_pressure(true);
    // The window's unit is larger than the buffer, which does not grow.
    let unit = 1 << e.conn.info().rcv_wind_shift.unwrap();
    assert_eq!(unit, 128);
    e.lt("P. 1:101 ack 1").unwrap();
    e.wait(secs(1));
    e.gt(". 1:1 ack 101");
    // Everything was read: the window that is offered now must not be 0.
    e.read(100);
    let mut offered = e.next().map(|transmit| transmit.window);
    e.lt(". 100:100 ack 1").unwrap_err();
    offered = e.next().map(|transmit| transmit.window).or(offered);
    assert_eq!(offered, Some(1));
    e.lt("P. 101:151 ack 1").unwrap();
    e.read(50);
}

#[test]
fn req_must_36_and_zwp_1_and_shld_29_and_shld_30_and_ev_o_4_a_closed_window_is_probed() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    e.silent();
    let rto = e.conn.info().rto;
    let mut interval = rto;
    for _ in 0..12 {
        e.wait(interval - ms(1));
        e.silent();
        e.wait(ms(1));
        let probe = e.next().unwrap();
        assert_eq!((probe.kind, probe.payload.len()), (TransmitKind::Probe, 1));
        e.silent();
        e.lt(". 1:1 ack 1 win 0").unwrap();
        interval = (interval * 2).min(secs(60));
    }
    assert_eq!(interval, secs(60));
}

#[test]
fn req_must_37_and_may_8_a_closed_window_may_stay_closed_for_a_day() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    let end = e.now + secs(24 * 3600);
    while e.now < end {
        let deadline = e.next_deadline().unwrap();
        e.wait(deadline);
        e.skip();
        e.lt(". 1:1 ack 1 win 0").unwrap();
    }
    e.is(State::Established);
    // Unanswered probes are counted, and end it.
    e.wait(secs(20 * 60));
    e.closed(transom_tcp::CloseReason::TimedOut);
}

#[test]
fn req_zwp_2_and_lx_17_and_zwp_3_a_probe_is_one_new_octet_and_may_be_taken() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    e.wait(ms(300));
    e.gt(". 1:2 ack 1");
    e.lt(". 1:1 ack 2 win 0").unwrap();
    assert_eq!((e.una(), e.snxt()), (2, 2));
    e.wait(ms(700));
    e.gt(". 2:3 ack 1");
    e.lt(". 1:1 ack 3 win 5000").unwrap();
    e.gt("P. 3:11 ack 1");
}

#[test]
fn req_zwp_4_an_opening_window_sends_at_once() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    e.wait(secs(10));
    e.skip();
    e.lt(". 1:1 ack 1 win 5000").unwrap();
    e.gt("P. 1:11 ack 1");
    e.lt(". 1:1 ack 11 win 0").unwrap();
    // Closed again: probing starts from one RTO, not where it left off.
    e.write(10);
    e.wait(ms(300));
    e.gt(". 11:12 ack 1");
}

#[test]
fn req_zwp_5_probes_are_no_sign_of_congestion() {
    let mut e = E::established();
    let before = e.conn.info();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    for _ in 0..6 {
        let deadline = e.next_deadline().unwrap();
        e.wait(deadline);
        e.skip();
    }
    let after = e.conn.info();
    assert_eq!(
        (after.cwnd, after.ssthresh, after.rto),
        (before.cwnd, before.ssthresh, before.rto)
    );
    assert_eq!(after.counters.timeouts, 0);
    // Nor does a probe measure a round trip.
    e.lt(". 1:1 ack 2 win 0").unwrap();
    assert_eq!(e.conn.info().srtt, before.srtt);
}

#[test]
fn req_zwp_6_a_lost_window_update_does_no_harm() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    // The update is lost; the answer to the probe tells.
    e.wait(ms(300));
    e.gt(". 1:2 ack 1");
    e.lt(". 1:1 ack 2 win 5000").unwrap();
    e.gt("P. 2:11 ack 1");
}

#[test]
fn req_zwp_8_and_cve_26_an_orphan_in_persist_is_given_up_sooner() {
    let mut e = E::established();
    e.lt(". 1:1 ack 1 win 0").unwrap();
    e.write(10);
    e.conn.close(e.now);
    let mut probes = 0;
    while e.conn.state() != State::Closed {
        e.wait(secs(1));
        while e.next().is_some() {
            probes += 1;
        }
    }
    assert_eq!(probes, 8);
}

#[test]
fn req_mss_2_sack_blocks_take_their_room_from_the_payload() {
    let mut e = Setup::default().peer("mss 1460,sackOK").established();
    for start in [11, 31, 51] {
        e.lt(&format!("P. {start}:{} ack 1", start + 10)).unwrap();
    }
    e.skip();
    e.write(3000);
    let first = e.next().unwrap();
    let len = first.payload.len() + first.options.emitted_len() + 20 + 20;
    assert_eq!((first.options.sack.len(), len), (3, 1500));
}

#[test]
fn req_must_65_no_mss_option_after_the_syn() {
    let mut e = E::established();
    e.write(3000);
    e.lt("P. 1:11 ack 1").unwrap();
    e.conn.abort(e.now);
    while let Some(transmit) = e.next() {
        assert_eq!(transmit.options.mss, None);
        assert_eq!(transmit.options.window_scale, None);
        assert!(!transmit.options.sack_permitted);
    }
}

#[test]
fn req_pmtu_4_and_pmtu_13_a_smaller_mtu_sends_again_in_smaller_pieces_without_congestion() {
    let mut e = Setup::default().peer("mss 1460").established();
    e.write(4000);
    e.skip();
    let before = e.conn.info();
    e.conn
        .handle_packet_too_big(e.now, 1000, e.iss + 1)
        .unwrap();
    e.gt(". 1:961 ack 1");
    e.gt(". 961:1921 ack 1");
    e.gt(". 1921:2881 ack 1");
    let after = e.conn.info();
    assert_eq!(
        (after.eff_snd_mss, after.rto, after.backoff),
        (960, before.rto, 0)
    );
    assert!(
        after.cwnd >= before.cwnd,
        "{} < {}",
        after.cwnd,
        before.cwnd
    );
    assert!(!after.in_recovery);
}

#[test]
fn req_icmpa_1_and_must_54_only_what_is_in_flight_can_be_quoted() {
    let mut e = E::established();
    e.write(10);
    e.skip();
    for (offset, accepted) in [
        (0_u32, false),
        (1, true),
        (10, true),
        (11, false),
        (5000, false),
    ] {
        let quoted = e.iss + offset;
        let error = PathError::HostUnreachable;
        let outcome = e.conn.handle_path_error(e.now, error, quoted);
        assert_eq!(outcome.is_ok(), accepted, "{offset}");
        let outcome = e.conn.handle_packet_too_big(e.now, 1400, quoted);
        let proof = outcome != Err(transom_tcp::Discard::PathErrorNotInFlight);
        assert_eq!(proof, accepted, "{offset}");
    }
}

#[test]
fn req_icmpa_4_a_report_about_a_size_that_got_through_waits_for_a_loss() {
    let mut e = Setup::default().peer("mss 1460").established();
    e.write(4000);
    e.skip();
    e.lt(". 1:1 ack 2921").unwrap();
    e.conn
        .handle_packet_too_big(e.now, 600, e.iss + 2921)
        .unwrap();
    e.silent();
    assert_eq!(e.conn.info().eff_snd_mss, 1460);
    // The data does not get through after all.
    e.wait(ms(250));
    assert_eq!(e.conn.info().eff_snd_mss, 560);
    e.gt(". 2921:3481 ack 1");
}

#[test]
fn req_icmpa_5_the_mtu_is_never_raised_by_a_report() {
    let mut e = E::established();
    e.write(3000);
    e.skip();
    for mtu in [1500, 9000, 65_535, 100, 0] {
        let outcome = e.conn.handle_packet_too_big(e.now, mtu, e.iss + 1);
        assert_eq!(outcome, Err(transom_tcp::Discard::PathMtuNotLower), "{mtu}");
    }
    // IPv6: never below 1280.
    let mut e = Setup::default().path(Path::new(1500, 40)).established();
    e.write(3000);
    e.skip();
    assert!(
        e.conn
            .handle_packet_too_big(e.now, 1279, e.iss + 1)
            .is_err()
    );
    e.conn
        .handle_packet_too_big(e.now, 1280, e.iss + 1)
        .unwrap();
}

#[test]
fn req_must_48_and_shld_21_and_shld_22_the_code_point_is_on_every_segment() {
    let mut e = Setup::default().config(|c| c.dscp(46)).established();
    e.write(10);
    e.lt("P. 1:11 ack 11").unwrap();
    e.wait(ms(50));
    let mut seen = 0;
    while let Some(transmit) = e.next() {
        assert_eq!(transmit.dscp, 46);
        seen += 1;
    }
    assert_eq!(seen, 2);
    e.conn.set_dscp(8);
    e.conn.abort(e.now);
    assert_eq!(e.next().unwrap().dscp, 8);
}

#[test]
fn super_segments_are_whole_segments_within_the_windows() {
    let mut e = Setup::default().max_payload(64_000).established();
    e.write(200_000);
    e.gt("P. 1:10001 ack 1");
    e.silent();
    e.lt(". 1:1 ack 10001").unwrap();
    let burst = e.next().unwrap();
    assert_eq!((burst.segment_size, burst.payload.len() % 1000), (1000, 0));
    assert!(burst.payload.len() >= 10_000);
}

#[test]
fn req_may_18_the_congestion_controller_can_be_chosen() {
    for (algorithm, name) in [(Algorithm::Reno, "reno"), (Algorithm::Cubic, "cubic")] {
        let mut e = Setup::default()
            .config(|c| c.congestion(algorithm))
            .established();
        assert_eq!(e.conn.info().congestion, name);
        e.write(50_000);
        e.skip();
        e.lt(". 1:1 ack 10001").unwrap();
        // Either begins with slow start.
        assert_eq!(e.conn.info().cwnd, 20_000);
    }
}

#[test]
fn req_cve_20_an_mss_of_zero_still_transfers() {
    let mut e = Setup::default().peer("mss 0").established();
    e.write(1000);
    let mut acked = 1;
    while acked < 1001 {
        e.skip();
        let snxt = e.snxt();
        assert!(snxt > acked, "no progress at {acked}");
        acked = snxt;
        e.lt(&format!(". 1:1 ack {acked}")).unwrap();
    }
    assert_eq!(e.conn.info().eff_snd_mss, 88);
}

#[test]
fn progress_at_a_closed_window_does_not_bring_the_next_probe_forward() {
    let mut e = E::established();
    e.write(3000);
    e.skip();
    // The peer takes its window back under what is in flight, and says so again on each probe.
    e.lt(". 1:1 ack 1 win 0").unwrap();
    let mut last = e.next_deadline().unwrap();
    for acked in [1001, 2001] {
        e.wait(last);
        assert!(e.next_line().is_some(), "a probe");
        let interval = e.next_deadline().unwrap();
        assert!(interval >= last, "{interval:?} after {last:?}");
        e.lt(&format!(". 1:1 ack {acked} win 0")).unwrap();
        assert_eq!(e.next_deadline(), Some(interval), "the probe's timer alone");
        last = interval;
    }
    // An open window ends it, and what is missing is sent again in its time.
    e.lt(". 1:1 ack 2001 win 60000").unwrap();
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    e.gt("P. 2001:3001 ack 1");
}

#[test]
fn req_sec_zwp_2_an_orphan_whose_peer_keeps_the_window_closed_is_given_up() {
    for state in [State::Established, State::CloseWait] {
        let mut e = E::state(state);
        let rnxt = e.rnxt();
        let closed = |ack| format!(". {rnxt}:{rnxt} ack {ack} win 0");
        e.lt(&closed(1)).unwrap();
        e.write(10);
        let begin = e.now;
        // As long as an application waits, any number of answered probes is fine.
        let answered = |e: &mut E| {
            let deadline = e.next_deadline().unwrap();
            e.wait(deadline);
            if e.conn.state() == State::Closed {
                return false;
            }
            e.gt(&format!(". 1:2 ack {rnxt}"));
            e.lt(&closed(1)).unwrap();
            true
        };
        for _ in 0..3 {
            assert!(answered(&mut e));
        }
        e.conn.close(e.now);
        e.silent();
        let mut probes = 3;
        while answered(&mut e) {
            probes += 1;
            assert!(probes < 20, "kept alive for ever");
        }
        assert_eq!(probes, 8);
        assert!(e.now - begin < secs(300), "{:?}", e.now - begin);
        e.gt(&format!("R. 1:1 ack {rnxt}"));
        e.closed(transom_tcp::CloseReason::TimedOut);
    }
}

#[test]
fn more_to_come_holds_a_partial_segment_until_it_comes_or_an_acknowledgement_does() {
    let mut e = E::established();
    e.conn.set_more(true);
    e.write(100);
    e.silent();
    // What follows and is the last of it sends everything.
    e.conn.set_more(false);
    e.write(50);
    e.gt("P. 1:151 ack 1");
    e.lt(". 1:1 ack 151").unwrap();
    // Full segments go, and the acknowledgement lets go of the rest, without PSH.
    e.conn.set_more(true);
    e.write(1100);
    e.gt(". 151:1151 ack 1");
    e.silent();
    e.lt(". 1:1 ack 1151").unwrap();
    e.gt(". 1151:1251 ack 1");
    // Without either the timer does.
    e.lt(". 1:1 ack 1251").unwrap();
    e.conn.set_more(true);
    e.write(10);
    e.wait(ms(199));
    e.silent();
    e.wait(ms(1));
    e.gt("P. 1251:1261 ack 1");
}

#[test]
fn req_must_17_switching_nagle_off_lets_go_of_what_a_cork_holds() {
    let mut e = E::established();
    e.conn.set_cork(e.now, true);
    e.write(40);
    e.silent();
    e.conn.set_nodelay(e.now, true);
    e.gt("P. 1:41 ack 1");
    e.write(40);
    e.silent();
}

#[test]
fn an_application_is_told_of_room_by_what_is_unsent_too() {
    let mut e = Setup::default()
        .config(|c| c.unsent_limit(Some(2000)))
        .established();
    assert_eq!(e.conn.send_capacity(), 2000);
    assert!(e.conn.has_room());
    e.lt(". 1:1 ack 1 win 1000").unwrap();
    e.write(2000);
    e.gt(". 1:1001 ack 1");
    assert_eq!(e.conn.unsent(), 1000);
    assert!(!e.conn.has_room());
    assert_eq!(e.conn.send_capacity(), 1000);
}
