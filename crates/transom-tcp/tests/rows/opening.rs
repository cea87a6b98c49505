//! Opening: LISTEN, SYN-SENT, SYN-RECEIVED, and what the SYNs agree on.

use transom_tcp::{
    CloseReason, Config, Connection, Discard, Event, Identity, Path, PathError, State, closed,
    listen,
};
use transom_wire::Seq;

use crate::harness::dialogue::{E, Setup};
use crate::harness::notation::Line;
use crate::harness::{ms, secs, start, stream};

fn verdict(line: &str) -> listen::Verdict {
    listen::verdict(&Line::parse(line).segment(Seq::new(0), Seq::new(0), 1000))
}

fn reply(line: &str) -> Result<String, Discard> {
    let segment = Line::parse(line).segment(Seq::new(0), Seq::new(0), 1000);
    closed::reply(&segment).map(|reset| {
        format!(
            "{} seq {} ack {} len {}",
            reset.flags,
            reset.seq,
            reset.ack,
            reset.payload.len()
        )
    })
}

#[test]
fn req_ev_c_1_closed_does_not_answer_a_reset() {
    for line in ["R 5:5", "R. 5:5 ack 7", "SR 5:5"] {
        assert_eq!(reply(line), Err(Discard::ResetWithoutConnection));
    }
}

#[test]
fn req_ev_c_2_closed_acknowledges_what_has_no_ack() {
    assert_eq!(reply("- 5:15").unwrap(), "RST,ACK seq 0 ack 15 len 0");
    assert_eq!(reply("S 5:5").unwrap(), "RST,ACK seq 0 ack 6 len 0");
    assert_eq!(reply("F 5:15").unwrap(), "RST,ACK seq 0 ack 16 len 0");
    assert_eq!(reply("SF 5:15").unwrap(), "RST,ACK seq 0 ack 17 len 0");
}

#[test]
fn req_ev_c_3_closed_resets_at_the_acknowledged_number() {
    assert_eq!(reply(". 5:5 ack 77").unwrap(), "RST seq 77 ack 0 len 0");
    assert_eq!(reply("S. 5:5 ack 77").unwrap(), "RST seq 77 ack 0 len 0");
}

#[test]
fn req_ev_l_1_listen_ignores_a_reset() {
    assert!(matches!(
        verdict("R 5:5"),
        listen::Verdict::Drop(Discard::ResetWithoutConnection)
    ));
}

#[test]
fn req_ev_l_2_listen_resets_an_acknowledgement() {
    for line in [". 5:5 ack 9", "F. 5:5 ack 9", "P. 5:8 ack 9"] {
        let listen::Verdict::Reset(discard, reset) = verdict(line) else {
            panic!("no reset")
        };
        assert_eq!(discard, Discard::ListenUnexpectedAck);
        assert_eq!(
            (reset.seq, reset.flags.to_string().as_str()),
            (Seq::new(9), "RST")
        );
    }
}

#[test]
fn req_ev_l_3_listen_opens_on_a_syn() {
    let mut e = Setup::default().syn_received();
    e.is(State::SynReceived);
    assert_eq!((e.rnxt(), e.una(), e.snxt()), (1, 0, 1));
    assert_eq!(e.conn.info().snd_wnd, 60_000);
    let opened = Event::State {
        from: State::Listen,
        to: State::SynReceived,
    };
    assert_eq!(e.events(), [opened]);
}

#[test]
fn req_ev_l_4_text_in_a_syn_is_not_delivered_and_not_acknowledged() {
    let syn = Line::parse("S 0:0 <mss 1000>");
    let mut syn = syn.segment(Seq::new(100), Seq::new(0), 1000);
    syn.payload = stream(0, 10);
    let identity = Identity::new(Seq::new(0), 0);
    let path = Path::new(1500, 20);
    let mut conn = Connection::accept(Config::default(), path, identity, &syn, start()).unwrap();
    let syn_ack = conn.poll_transmit(start(), 0).unwrap();
    assert_eq!(syn_ack.ack, Seq::new(101));
    assert_eq!(conn.recv(start(), 100), Ok(None));
}

#[test]
fn req_ev_l_5_listen_drops_a_syn_with_fin() {
    assert!(matches!(
        verdict("SF 5:5"),
        listen::Verdict::Drop(Discard::SynWithFin)
    ));
}

#[test]
fn req_ev_l_6_listen_looks_at_rst_then_ack_then_syn() {
    assert!(matches!(verdict("SR 5:5"), listen::Verdict::Drop(_)));
    assert!(matches!(
        verdict("S. 5:5 ack 3"),
        listen::Verdict::Reset(..)
    ));
}

#[test]
fn req_ev_l_7_listen_drops_what_has_no_syn() {
    for line in ["- 5:5", "F 5:5", "P 5:9"] {
        assert!(matches!(
            verdict(line),
            listen::Verdict::Drop(Discard::ListenWithoutSyn)
        ));
    }
}

#[test]
fn req_ev_s_1_syn_sent_resets_an_acknowledgement_of_something_else() {
    let mut e = Setup::default().syn_sent();
    assert_eq!(
        e.lt(". 500:500 ack 77"),
        Err(Discard::SynSentUnacceptableAck)
    );
    e.gt("R 77:77");
    // The first time the SYN follows at once: the reset has cleared the peer's old connection.
    e.gt("S 0:0");
    e.is(State::SynSent);
    // SEG.ACK ≤ ISS is no better, and a reset gets no answer.
    assert_eq!(
        e.lt("S. 500:500 ack 0"),
        Err(Discard::SynSentUnacceptableAck)
    );
    e.gt("R 0:0");
    assert_eq!(
        e.lt("R. 500:500 ack 77"),
        Err(Discard::SynSentUnacceptableAck)
    );
    e.silent();
    e.is(State::SynSent);
}

#[test]
fn req_ev_s_2_syn_sent_is_refused_by_a_reset_that_acknowledges_the_syn() {
    let mut e = Setup::default().syn_sent();
    e.lt("R. 0:0 ack 1").unwrap();
    e.silent();
    e.is(State::Closed);
    e.closed(CloseReason::Refused);
    assert!(e.events().contains(&Event::Closed(CloseReason::Refused)));
}

#[test]
fn req_ev_s_3_syn_sent_ignores_a_reset_without_ack() {
    let mut e = Setup::default().syn_sent();
    assert_eq!(e.lt("R 0:0"), Err(Discard::SynSentBlindReset));
    e.silent();
    e.is(State::SynSent);
}

#[test]
fn req_ev_s_4_syn_sent_is_established_by_a_syn_ack() {
    let mut e = Setup::default().syn_sent();
    e.write(10);
    e.lt("S. 0:0 ack 1 win 3000 <mss 1000>").unwrap();
    // What was written rides on the acknowledgement.
    e.gt("P. 1:11 ack 1");
    e.silent();
    e.is(State::Established);
    assert_eq!((e.una(), e.conn.info().snd_wnd), (1, 3000));
    let changes = [
        Event::State {
            from: State::Closed,
            to: State::SynSent,
        },
        Event::State {
            from: State::SynSent,
            to: State::Established,
        },
        Event::Connected,
    ];
    assert_eq!(e.events(), changes);
}

#[test]
fn req_ev_s_6_and_ev_so_1_and_must_10_simultaneous_open() {
    let mut e = Setup::default().syn_sent();
    e.lt("S 0:0 <mss 1000>").unwrap();
    e.gt("S. 0:0 ack 1");
    e.silent();
    e.is(State::SynReceived);
    e.lt("S. 0:0 ack 1 <mss 1000>").unwrap();
    e.is(State::Established);
    assert!(e.events().contains(&Event::Connected));
}

#[test]
fn req_ev_so_2_simultaneous_open_with_a_peer_that_only_challenges() {
    let mut e = Setup::default().syn_sent();
    e.lt("S 0:0 <mss 1000>").unwrap();
    e.gt("S. 0:0 ack 1");
    e.lt(". 1:1 ack 1").unwrap();
    e.is(State::Established);
    e.silent();
}

#[test]
fn req_ev_so_3_simultaneous_open_takes_the_options_of_the_first_syn() {
    let mut e = Setup::default().syn_sent();
    e.lt("S 0:0 win 100 <mss 1000,wscale 3,sackOK>").unwrap();
    e.gt("S. 0:0 ack 1 <mss 1460,wscale 7,sackOK>");
    e.lt("S. 0:0 ack 1 win 100 <mss 500>").unwrap();
    let info = e.conn.info();
    assert_eq!(
        (info.peer_mss, info.snd_wind_shift, info.sack),
        (1000, Some(3), true)
    );
}

#[test]
fn req_ev_so_4_a_lost_syn_ack_of_a_simultaneous_open_is_sent_again() {
    let mut e = Setup::default().syn_sent();
    e.lt("S 0:0 <mss 1000>").unwrap();
    e.gt("S. 0:0 ack 1");
    e.wait(ms(1100));
    e.gt("S. 0:0 ack 1");
    e.silent();
}

#[test]
fn req_ev_so_5_a_connection_to_itself_opens() {
    let identity = Identity::new(Seq::new(9), 0);
    let config = Config::default().timestamps(false);
    let mut conn = Connection::connect(config, Path::new(1500, 20), identity, start());
    // Bounded: each round delivers what the last one sent.
    let mut segments = 0;
    while let Some(transmit) = conn.poll_transmit(start(), 0) {
        let segment = crate::harness::pair::arriving(&transmit, start());
        conn.handle_segment(start(), &segment).ok();
        segments += 1;
        assert!(segments < 10, "it answers itself for ever");
    }
    assert_eq!(conn.state(), State::Established);
}

#[test]
fn req_ev_s_7_syn_ack_with_text_and_fin() {
    let mut e = Setup::default().syn_sent();
    let mut segment = e.segment("SF. 0:0 ack 1 <mss 1000>");
    segment.payload = stream(0, 10);
    e.lt_segment(&segment).unwrap();
    e.gt(". 1:1 ack 12");
    e.silent();
    e.is(State::CloseWait);
    e.read(10);
}

#[test]
fn req_ev_s_8_syn_sent_drops_an_acknowledgement_without_syn() {
    let mut e = Setup::default().syn_sent();
    assert_eq!(e.lt(". 0:0 ack 1"), Err(Discard::SynSentWithoutSyn));
    e.silent();
}

#[test]
fn req_ev_s_9_syn_sent_drops_a_fin() {
    let mut e = Setup::default().syn_sent();
    assert_eq!(e.lt("F 0:0"), Err(Discard::SynSentWithoutSyn));
    e.silent();
    e.is(State::SynSent);
}

#[test]
fn req_ev_s_10_syn_sent_a_reset_wins_over_the_syn() {
    let mut e = Setup::default().syn_sent();
    e.lt("SR. 0:0 ack 1").unwrap();
    e.closed(CloseReason::Refused);
}

#[test]
fn req_ev_s_11_and_icmpa_3_syn_sent_ends_on_a_hard_error() {
    let mut e = Setup::default().syn_sent();
    let forged = e.iss + 1;
    let error = PathError::PortUnreachable;
    let outcome = e.conn.handle_path_error(e.now, error, forged);
    assert_eq!(outcome, Err(Discard::PathErrorNotInFlight));
    e.is(State::SynSent);
    e.conn.handle_path_error(e.now, error, e.iss).unwrap();
    e.closed(CloseReason::Unreachable(error));
}

#[test]
fn req_ev_s_12_a_small_mtu_does_not_touch_the_syn() {
    let mut e = Setup::default().syn_sent();
    e.conn.handle_packet_too_big(e.now, 600, e.iss).unwrap();
    e.silent();
    e.lt("S. 0:0 ack 1 <mss 1460>").unwrap();
    e.gt(". 1:1 ack 1");
    e.write(2000);
    e.gt(". 1:561 ack 1");
}

#[test]
fn req_ev_s_13_syn_ack_with_options_that_were_not_offered() {
    let plain = |c: Config| c.window_scaling(false).sack(false);
    let mut e = Setup::default().config(plain).syn_sent();
    e.lt("S. 0:0 ack 1 win 100 <mss 1000,wscale 7,sackOK,TS val 1 ecr 0>")
        .unwrap();
    e.gt(". 1:1 ack 1 <nots>");
    let info = e.conn.info();
    assert_eq!(
        (info.timestamps, info.sack, info.snd_wind_shift),
        (false, false, None)
    );
    e.lt(". 1:1 ack 1 win 100").unwrap();
    assert_eq!(e.conn.info().snd_wnd, 100);
}

#[test]
fn req_must_14_and_may_3_and_shld_5_the_mss_option_is_sent_and_taken() {
    for mtu in [576, 1500, 9000] {
        let setup = || Setup::default().path(Path::new(mtu, 20)).peer("mss 300");
        let syn = setup().fresh().next().unwrap();
        assert_eq!(syn.options.mss.map(usize::from), Some(mtu - 40));
        let mut e = setup().passive(|_| {});
        let syn_ack = e.next().unwrap();
        assert_eq!(syn_ack.options.mss.map(usize::from), Some(mtu - 40));
        e.lt(". 1:1 ack 1").unwrap();
        e.write(1000);
        e.gt(". 1:301 ack 1");
    }
}

#[test]
fn req_must_15_without_an_mss_option_536_or_1220() {
    for (header, mss) in [(20, 536), (40, 1220)] {
        let setup = Setup::default().path(Path::new(1500, header)).peer("");
        let mut e = setup.syn_received();
        e.lt(". 1:1 ack 1").unwrap();
        e.write(5000);
        e.gt(&format!(". 1:{} ack 1", 1 + mss));
    }
}

#[test]
fn req_must_67_and_mss_1_and_pmtu_12_the_offer_follows_the_link() {
    for (mtu, header, mss) in [(1500, 20, 1460), (1500, 40, 1440), (9000, 20, 8960)] {
        // The path may be narrower; the offer is about what our own link takes.
        let path = Path {
            mtu: 1280,
            link_mtu: mtu,
            ip_header_len: header,
        };
        let identity = Identity::new(Seq::new(0), 0);
        let mut conn = Connection::connect(Config::default(), path, identity, start());
        let syn = conn.poll_transmit(start(), 0).unwrap();
        assert_eq!(syn.options.mss, Some(mss));
    }
}

#[test]
fn req_ws_2_and_sack_1_a_syn_ack_repeats_only_what_was_offered() {
    let setup = |peer: &str| Setup::default().config(|c| c.timestamps(true)).peer(peer);
    let line = |mut e: E| {
        e.lt("S 0:0").ok();
        e.next_line().unwrap()
    };
    assert_eq!(
        line(setup("mss 1000").syn_received()),
        "S. 0:0 ack 1 win 65535 <mss 1460>"
    );
    let all = line(setup("mss 1000,sackOK,wscale 2,TS val 5 ecr 0").syn_received());
    assert_eq!(
        all,
        "S. 0:0 ack 1 win 65535 <mss 1460,sackOK,TS val 1000000 ecr 5,wscale 7>"
    );
}

#[test]
fn req_ws_4_the_window_of_a_syn_is_not_scaled() {
    let mut e = Setup::default().peer("mss 1000,wscale 7").syn_sent();
    e.lt("S. 0:0 ack 1 win 1000 <mss 1000,wscale 7>").unwrap();
    assert_eq!(e.conn.info().snd_wnd, 1000);
    e.lt(". 1:1 ack 1 win 1000").unwrap();
    assert_eq!(e.conn.info().snd_wnd, 128_000);
}

#[test]
fn req_ws_6_and_cve_26_our_window_is_scaled_on_every_segment_but_the_syn() {
    let config = |c: Config| c.recv_buffer(1 << 20);
    let mut e = Setup::default().config(config).syn_sent();
    e.lt("S. 0:0 ack 1 <mss 1000,wscale 0>").unwrap();
    // 2^20 >> 5.
    e.gt(". 1:1 ack 1 win 32768");
    e.conn.abort(e.now);
    e.gt("R. 1:1 ack 1");
}

#[test]
fn req_must_1_and_rec_1_windows_are_unsigned_and_have_32_bits() {
    for (win, shift, octets) in [(65_535, 14, 65_535 << 14), (0x8000, 0, 0x8000_u32)] {
        let mut e = Setup::default().syn_sent();
        e.lt(&format!("S. 0:0 ack 1 <mss 1000,wscale {shift}>"))
            .unwrap();
        e.lt(&format!(". 1:1 ack 1 win {win}")).unwrap();
        assert_eq!(e.conn.info().snd_wnd, octets);
        e.skip();
        e.write(3000);
        e.gt(". 1:1001 ack 1");
    }
}

#[test]
fn req_must_11_and_ev_t_2_a_reset_before_the_handshake_is_complete() {
    let mut passive = Setup::default().syn_received();
    passive.lt("R 1:1").unwrap();
    passive.silent();
    passive.closed(CloseReason::ResetByPeer);
    let mut active = Setup::default().syn_sent();
    active.lt("S 0:0 <mss 1000>").unwrap();
    active.skip();
    active.lt("R. 1:1 ack 1").unwrap();
    active.closed(CloseReason::Refused);
}

#[test]
fn req_ev_x_2_and_ev_x_3_text_with_the_handshakes_ack() {
    let mut e = Setup::default().syn_received();
    assert_eq!(e.conn.recv(e.now, 10), Ok(None));
    e.lt("P. 1:11 ack 1").unwrap();
    e.is(State::Established);
    e.read(10);
}

#[test]
fn req_ev_da_4_text_beyond_a_gap_in_syn_received_is_delivered_after_the_handshake() {
    let mut e = Setup::default().syn_received();
    e.lt("P. 11:21 ack 1").unwrap();
    e.is(State::Established);
    e.lt("P. 1:11 ack 1").unwrap();
    e.read(20);
}

#[test]
fn req_ev_x_4_and_ev_o_9_and_lx_9_syn_ack_is_repeated_and_given_up() {
    let mut e = Setup::default().syn_received();
    assert_eq!(e.lt("S 0:0 <mss 1000>"), Err(Discard::SynRetransmitted));
    e.gt("S. 0:0 ack 1");
    e.silent();
    let mut times = 1;
    while e.conn.state() != State::Closed {
        e.wait(ms(500));
        while let Some(line) = e.next_line() {
            assert!(line.starts_with("S. 0:0 ack 1"), "{line}");
            times += 1;
        }
        assert!(times < 20);
    }
    // Once by the listener, once for the duplicate, then until five repetitions are reached.
    assert_eq!(times, 5);
    e.closed(CloseReason::TimedOut);
}

#[test]
fn req_ev_x_5_fin_with_the_handshakes_ack() {
    let mut e = Setup::default().syn_received();
    e.events();
    e.lt("F. 1:1 ack 1").unwrap();
    e.gt(". 1:1 ack 2");
    e.is(State::CloseWait);
    let passed = [
        Event::State {
            from: State::SynReceived,
            to: State::Established,
        },
        Event::Connected,
        Event::PeerFinished,
        Event::State {
            from: State::Established,
            to: State::CloseWait,
        },
    ];
    assert_eq!(e.events(), passed);
}

#[test]
fn req_rto_1_and_must_22_and_must_23_and_lx_8_a_syn_is_repeated_for_three_minutes() {
    let mut e = Setup::default().syn_sent();
    let begin = e.now;
    let mut at = Vec::new();
    while e.conn.state() == State::SynSent {
        e.wait(ms(500));
        while let Some(line) = e.next_line() {
            assert!(line.starts_with("S 0:0"), "{line}");
            at.push((e.now - begin).as_secs());
        }
    }
    assert_eq!(at, [1, 3, 7, 15, 31, 63, 123]);
    assert!(e.now - begin >= secs(180), "{:?}", e.now - begin);
    e.closed(CloseReason::TimedOut);
    assert!(e.events().contains(&Event::RetransmittingExcessively));
}

#[test]
fn req_cc_2_and_rto_9_a_repeated_syn_means_one_segment_and_three_seconds() {
    // RFC 6928 §2: one repetition alone leaves the initial window.
    for (repetitions, window) in [(1, 10_000), (2, 1000)] {
        let mut e = Setup::default().syn_sent();
        for doubled in 0..repetitions {
            e.wait(secs(1 << doubled));
            e.gt("S 0:0");
        }
        e.lt("S. 0:0 ack 1 <mss 1000>").unwrap();
        e.skip();
        assert_eq!(e.conn.info().cwnd, window);
        assert_eq!(e.conn.info().rto, secs(3));
    }
}

#[test]
fn req_cc_2_a_simultaneous_open_is_no_repetition() {
    for (lost, window) in [(0, 10_000), (1, 10_000), (2, 1000)] {
        let mut e = Setup::default().syn_sent();
        for doubled in 0..lost {
            e.wait(secs(1 << doubled));
            e.gt("S 0:0");
        }
        e.lt("S 0:0 <mss 1000>").unwrap();
        e.gt("S. 0:0 ack 1");
        e.lt("S. 0:0 ack 1 <mss 1000>").unwrap();
        e.is(State::Established);
        assert_eq!(e.conn.info().cwnd, window);
        assert_eq!(e.conn.info().rto, if lost > 0 { secs(3) } else { secs(1) });
    }
}

#[test]
fn req_ts_1_and_ts_5_a_syn_offers_timestamps_without_an_echo() {
    let mut e = Setup::default().config(|c| c.timestamps(true));
    e = e.peer("mss 1000,TS val 7 ecr 0");
    let mut e = e.syn_received();
    e.lt("S 0:0").ok();
    e.gt("S. 0:0 ack 1 <TS val 1000000 ecr 7>");
    let identity = Identity::new(Seq::new(0), 50);
    let mut conn = Connection::connect(Config::default(), Path::new(1500, 20), identity, start());
    let timestamps = conn
        .poll_transmit(start(), 0)
        .unwrap()
        .options
        .timestamps
        .unwrap();
    assert_eq!((timestamps.val, timestamps.ecr), (1_000_050, 0));
}

#[test]
fn req_ev_ho_3_an_old_duplicate_syn_is_undone_by_the_real_one() {
    // RFC 9293 Figure 8: the listener answers an old SYN, and a reset takes it back.
    let mut e = Setup::default().syn_received();
    e.lt("R 1:1").unwrap();
    e.is(State::Closed);
    e.silent();
}

#[test]
fn req_ev_t_7_who_connects_to_a_listener_has_no_syn_ack_to_send() {
    let mut e = Setup::default().syn_received();
    assert_eq!(e.lt("S. 0:0 ack 1"), Err(Discard::SynChallenged));
    e.is(State::SynReceived);
    e.challenge();
}
