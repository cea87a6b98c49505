//! Accurate ECN (RFC 9768): what is counted, when it is fed back, and what the sender makes of it.

use transom_tcp::{AccEcnOption, Discard};
use transom_wire::Ecn;
use transom_wire::tcp::Flags;

use crate::accecn::{ACE, accurate, client, codepoint, server, server_with};
use crate::harness::dialogue::E;
use crate::harness::{ms, secs};

/// A line of the peer's, with this field in its IP header.
fn arrives(e: &mut E, field: Ecn, line: &str) -> Result<(), Discard> {
    let mut segment = e.segment(line);
    segment.ecn = field;
    e.lt_segment(&segment)
}

#[test]
fn req_acc_5_counters_begin_at_5_1_0_and_1() {
    let mut e = server();
    e.write(10);
    e.gt("PEA. 1:11 ack 1 <ECN e1b 1 ceb 0 e0b 1>");
    let counted = e.conn.info().accurate_ecn.unwrap();
    assert_eq!(counted.received_ce + counted.delivered_ce, 0);
}

#[test]
fn req_acc_6_and_acc_8_every_mark_is_counted_and_the_count_wraps() {
    let mut e = server_with(|c| c.nodelay(true));
    let mut seq = 1;
    for count in 1..20_usize {
        arrives(&mut e, Ecn::Ce, &format!("P. {seq}:{} ack 1", seq + 100)).unwrap();
        seq += 100;
        e.skip();
        e.write(1);
        let sent = e.next_line().unwrap();
        let letters = format!("P{}. ", ACE[(5 + count) % 8]);
        assert!(sent.starts_with(&letters), "{count}: {sent}");
    }
}

#[test]
fn req_acc_8_marks_of_acknowledgements_and_of_what_comes_again_count_but_not_of_what_is_refused() {
    let mut e = server();
    let count = |e: &E| {
        let counted = e.conn.info().accurate_ecn.unwrap();
        (counted.received_ce, counted.received_ce_bytes)
    };
    arrives(&mut e, Ecn::Ce, ". 1:1 ack 1").unwrap();
    assert_eq!(count(&e), (1, 0));
    arrives(&mut e, Ecn::Ce, "P. 1:101 ack 1").unwrap();
    assert_eq!(count(&e), (2, 100));
    // Partly new.
    arrives(&mut e, Ecn::Ce, "P. 51:151 ack 1").unwrap();
    assert_eq!(count(&e), (3, 200));
    // Out of order.
    arrives(&mut e, Ecn::Ce, "P. 301:351 ack 1").unwrap();
    assert_eq!(count(&e), (4, 250));
    // Outside the window; old; an acknowledgement of what was never sent.
    arrives(&mut e, Ecn::Ce, "P. 9000000:9000100 ack 1").unwrap_err();
    arrives(&mut e, Ecn::Ce, "P. 1:101 ack 1").unwrap_err();
    arrives(&mut e, Ecn::Ce, "P. 151:251 ack 999").unwrap_err();
    assert_eq!(count(&e), (4, 250));
    // A merged segment stands for several.
    let mut merged = e.segment("P. 151:301 ack 1");
    merged.ecn = Ecn::Ce;
    merged.gso_size = 50;
    e.lt_segment(&merged).unwrap();
    assert_eq!(count(&e), (7, 400));
    // The others are counted by octets alone.
    arrives(&mut e, Ecn::Ect0, "P. 351:361 ack 1").unwrap();
    arrives(&mut e, Ecn::Ect1, "P. 361:381 ack 1").unwrap();
    arrives(&mut e, Ecn::NotEct, "P. 381:391 ack 1").unwrap();
    let counted = e.conn.info().accurate_ecn.unwrap();
    assert_eq!(counted.received_ect0_bytes, 10);
    assert_eq!(counted.received_ect1_bytes, 20);
    assert_eq!(count(&e), (7, 400));
}

#[test]
fn req_acc_9_a_reduction_is_not_told() {
    let mut e = client();
    e.write(4000);
    e.skip();
    let before = e.conn.info().cwnd;
    e.lt("WA. 1:1 ack 1001").unwrap();
    assert!(e.conn.info().cwnd < before);
    // ACE is our count of the peer's marks and nothing else: still 5.
    e.lt("WA. 1:1 ack 4001").unwrap();
    e.write(100);
    e.gt("PEA. 4001:4101 ack 1");
}

#[test]
fn req_ecn_7_and_acc_16_the_window_is_reduced_once_a_round_trip_however_many_marks() {
    let mut e = client();
    e.write(8000);
    e.skip();
    e.lt("WA. 1:1 ack 1001").unwrap();
    let reduced = e.conn.info().cwnd;
    e.lt("EWA. 1:1 ack 2001").unwrap();
    e.lt("E. 1:1 ack 5001").unwrap();
    assert_eq!(e.conn.info().cwnd, reduced);
    assert_eq!(e.conn.info().accurate_ecn.unwrap().delivered_ce, 4);
    e.lt("E. 1:1 ack 8001").unwrap();
    e.write(2000);
    e.skip();
    e.lt("W. 1:1 ack 10001").unwrap();
    assert!(e.conn.info().cwnd < reduced);
}

#[test]
fn req_acc_10_and_dack_3_a_mark_after_none_is_acknowledged_at_once() {
    let mut e = server();
    arrives(&mut e, Ecn::Ect0, "P. 1:101 ack 1").unwrap();
    e.silent();
    arrives(&mut e, Ecn::Ce, "P. 101:201 ack 1").unwrap();
    e.gt("WA. 1:1 ack 201");
    // One more of the same is not; nor is the change back.
    arrives(&mut e, Ecn::Ce, "P. 201:301 ack 1").unwrap();
    e.silent();
    e.wait(ms(40));
    e.gt("EWA. 1:1 ack 301");
    arrives(&mut e, Ecn::Ect0, "P. 301:401 ack 1").unwrap();
    e.silent();
    // The packet before may be any: an acknowledgement without mark makes the next mark a change.
    arrives(&mut e, Ecn::NotEct, ". 401:401 ack 1").unwrap();
    arrives(&mut e, Ecn::Ce, "P. 401:501 ack 1").unwrap();
    e.gt(". 1:1 ack 501");
}

#[test]
fn req_acc_11_two_marks_beside_data_and_three_without_are_acknowledged_at_once() {
    let mut e = server();
    arrives(&mut e, Ecn::Ce, "P. 1:101 ack 1").unwrap();
    e.gt("WA. 1:1 ack 101");
    arrives(&mut e, Ecn::Ce, "P. 101:201 ack 1").unwrap();
    e.silent();
    // With the data that waits, the second.
    arrives(&mut e, Ecn::Ce, ". 201:201 ack 1").unwrap();
    e.gt(". 1:1 ack 201");
    for _ in 0..2 {
        arrives(&mut e, Ecn::Ce, ". 201:201 ack 1").unwrap();
        e.silent();
    }
    arrives(&mut e, Ecn::Ce, ". 201:201 ack 1").unwrap();
    e.gt("EW. 1:1 ack 201");
    // What we send meanwhile tells it too.
    arrives(&mut e, Ecn::Ce, ". 201:201 ack 1").unwrap();
    e.write(10);
    e.gt("PA. 1:11 ack 201");
    arrives(&mut e, Ecn::Ce, ". 201:201 ack 11").unwrap();
    arrives(&mut e, Ecn::Ce, ". 201:201 ack 11").unwrap();
    e.silent();
}

#[test]
fn req_acc_11_an_acknowledgement_of_acknowledgements_has_no_sack_blocks_and_is_no_duplicate() {
    let mut e = server();
    arrives(&mut e, Ecn::NotEct, "P. 101:201 ack 1").unwrap();
    e.gt("EA. 1:1 ack 1 <sack 101:201>");
    for _ in 0..3 {
        arrives(&mut e, Ecn::Ce, ". 1:1 ack 1").unwrap();
    }
    e.gt(". 1:1 ack 1 <nosack>");
    // The other side: data is outstanding, and such acknowledgements come.
    let mut e = client();
    e.write(6000);
    e.skip();
    for _ in 0..6 {
        e.lt("EA. 1:1 ack 1").unwrap();
    }
    assert!(!e.conn.info().in_recovery);
    assert_eq!(e.conn.info().counters.retransmissions, 0);
}

#[test]
fn req_acc_12_and_acc_13_an_option_has_the_counters_that_ever_changed() {
    let mut e = server();
    e.wait(secs(1));
    arrives(&mut e, Ecn::Ect0, "P. 1:101 ack 1").unwrap();
    e.wait(ms(40));
    e.gt("EA. 1:1 ack 101 <ECN e0b 101>");
    arrives(&mut e, Ecn::Ce, "P. 101:201 ack 1").unwrap();
    e.gt("WA. 1:1 ack 201 <ECN e0b 101 ceb 100>");
    arrives(&mut e, Ecn::Ect1, "P. 201:301 ack 1").unwrap();
    e.wait(ms(40));
    e.gt("WA. 1:1 ack 301 <ECN e0b 101 ceb 100 e1b 101>");
    // Only ECT(1) and CE: the other order is shorter.
    let mut e = server();
    arrives(&mut e, Ecn::Ect1, "P. 1:101 ack 1").unwrap();
    e.wait(ms(40));
    e.gt("EA. 1:1 ack 101 <ECN e1b 101>");
    arrives(&mut e, Ecn::Ce, "P. 101:201 ack 1").unwrap();
    e.gt("WA. 1:1 ack 201 <ECN e1b 101 ceb 100>");
}

#[test]
fn req_acc_12_without_ect_no_option_is_sent() {
    let mut e = server();
    e.write(10);
    e.skip();
    e.lt("P. 1:101 ack 11").unwrap();
    e.wait(ms(40));
    e.gt("EA. 11:11 ack 101 <noECN>");
}

#[test]
fn req_acc_15_two_sack_blocks_come_before_the_option() {
    let mut e = server();
    let out_of_order = |e: &mut E, field, from: i64| {
        arrives(e, field, &format!("P. {from}:{} ack 1", from + 100)).unwrap();
        e.next_line().unwrap()
    };
    let sent = out_of_order(&mut e, Ecn::Ect0, 201);
    assert!(sent.ends_with("<ECN e0b 101,sack 201:301>"), "{sent}");
    let sent = out_of_order(&mut e, Ecn::Ce, 401);
    let blocks = "sack 401:501 201:301";
    assert!(
        sent.ends_with(&format!("<ECN e0b 101 ceb 100,{blocks}>")),
        "{sent}"
    );
    let sent = out_of_order(&mut e, Ecn::Ce, 601);
    assert!(
        sent.contains("ECN e0b 101 ceb 200,sack 601:701 401:501"),
        "{sent}"
    );
    // A counter that changed is never left out, even if the fourth block must go.
    let sent = out_of_order(&mut e, Ecn::Ce, 801);
    assert!(
        sent.contains("ceb 300,sack 801:901 601:701 401:501"),
        "{sent}"
    );
}

#[test]
fn req_acc_15_beside_timestamps_too() {
    let mut e = crate::harness::dialogue::Setup::default()
        .config(|c| c.ecn(transom_tcp::EcnUse::Accurate).timestamps(true))
        .passive(|syn| {
            syn.flags |= Flags::AE | Flags::CWR | Flags::ECE;
            syn.options.sack_permitted = true;
            syn.options.timestamps = Some(transom_wire::tcp::Timestamps { val: 7, ecr: 0 });
        });
    e.skip();
    e.lt("W. 1:1 ack 1 <TS val 7 ecr 0>").unwrap();
    for (from, fields) in [
        (201, &[Ecn::Ect0][..]),
        (401, &[Ecn::Ect1]),
        (601, &[Ecn::Ce, Ecn::Ect0, Ecn::Ect1]),
    ] {
        for (at, field) in (from..).step_by(10).zip(fields) {
            let mut segment = e.segment(&format!("P. {at}:{} ack 1 <TS val 8 ecr 0>", at + 10));
            segment.ecn = *field;
            e.lt_segment_unanswered(&segment).unwrap();
        }
        let sent = e.next().unwrap();
        let blocks = sent.options.emitted_sack_blocks();
        assert!(sent.options.emitted_len() <= 40);
        assert_eq!(blocks, sent.options.sack.len());
        assert!(blocks > usize::from(from > 201), "{from}: {blocks}");
        // Three counters and two blocks do not fit: then there is no option.
        assert_eq!(sent.options.accecn.is_none(), from == 601, "{from}");
    }
}

#[test]
fn req_acc_16_without_options_what_may_have_wrapped_is_taken_to_have() {
    let run = |first: i64, then: i64, letters: &str| {
        let mut e = accurate()
            .config(|c| c.initial_window_segs(40))
            .syn_sent_with("SEWA 0:0");
        e.lt("SW. 0:0 ack 1 <mss 1000>").unwrap();
        e.write(30_000);
        e.skip();
        e.lt(&format!("EA. 1:1 ack {first}")).unwrap();
        e.lt(&format!("{letters}. 1:1 ack {then}")).unwrap();
        e.conn.info().accurate_ecn.unwrap().delivered_ce
    };
    // Appendix A.2.1: nine packets and two marks are two; ten may be ten.
    assert_eq!(run(1001, 10_001, "EWA"), 2);
    assert_eq!(run(1001, 11_001, "EWA"), 10);
    assert_eq!(run(1001, 9001, "EA"), 8);
    assert_eq!(run(1001, 8001, "EA"), 0);
    assert_eq!(run(1001, 8001, "A"), 7);
    // Where acknowledgements are thinned, one that covers many is nothing special.
    assert_eq!(run(10_001, 20_001, "EA"), 0);
}

#[test]
fn req_acc_16_with_options_the_octets_say_how_often_it_wrapped() {
    for (marks, octets) in [(0, 0), (1, 1000), (9, 9000), (17, 17_000), (8, 7600)] {
        let mut e = accurate()
            .config(|c| c.initial_window_segs(40))
            .syn_sent_with("SEWA 0:0");
        e.lt("SW. 0:0 ack 1 <mss 1000,ECN e0b 1 ceb 0 e1b 1>")
            .unwrap();
        e.write(30_000);
        e.skip();
        e.lt("EA. 1:1 ack 1001 <ECN e0b 1001>").unwrap();
        let letters = ACE[(5 + marks) % 8];
        e.lt(&format!(
            "{letters}. 1:1 ack 21001 <ECN e0b 1001 ceb {octets}>"
        ))
        .unwrap();
        let counted = e.conn.info().accurate_ecn.unwrap();
        assert_eq!(counted.delivered_ce, marks as u32, "{octets}");
        assert_eq!(counted.delivered_ce_bytes, octets);
    }
}

#[test]
fn req_acc_16_what_was_superseded_is_ignored() {
    let mut e = client();
    e.write(4000);
    e.skip();
    e.lt("WA. 1:1 ack 3001 <ECN e0b 2001 ceb 1000>").unwrap();
    let after = e.conn.info().accurate_ecn.unwrap();
    assert_eq!((after.delivered_ce, after.delivered_ce_bytes), (1, 1000));
    // Sent before it, and late: the counters do not go back, nor round.
    e.lt("EA. 1:1 ack 1001 <ECN e0b 1001 ceb 0>").unwrap();
    e.lt("EWA. 1:1 ack 3001 <ECN e0b 1 ceb 4000>").unwrap();
    assert_eq!(e.conn.info().accurate_ecn.unwrap(), after);
    e.lt("WA. 1:1 ack 4001 <ECN e0b 3001 ceb 1000>").unwrap();
    assert_eq!(e.conn.info().accurate_ecn.unwrap().delivered_ce, 1);
}

/// E(ESTABLISHED) of a listener, with timestamps; `syn_acks`: so many SYN-ACKs were sent.
fn with_timestamps(syn_acks: u32) -> E {
    let mut e = crate::harness::dialogue::Setup::default()
        .config(|c| c.ecn(transom_tcp::EcnUse::Accurate).timestamps(true))
        .passive(|syn| {
            syn.flags |= Flags::AE | Flags::CWR | Flags::ECE;
            syn.options.timestamps = Some(transom_wire::tcp::Timestamps { val: 7, ecr: 0 });
        });
    for _ in 1..syn_acks {
        e.skip();
        e.lt("SEWA 0:0 <mss 1000,TS val 7 ecr 0>").unwrap_err();
    }
    e.skip();
    e.lt("W. 1:1 ack 1 <TS val 8 ecr 0>").unwrap();
    e
}

#[test]
fn req_acc_7_and_acc_16_a_code_of_the_handshake_is_no_count_and_newer_timestamps_are_news() {
    let counted = |e: &E| e.conn.info().accurate_ecn.unwrap().delivered_ce;
    let mut e = with_timestamps(1);
    assert_eq!(counted(&e), 0);
    e.write(10);
    e.skip();
    // Nothing new is acknowledged: whether it is later than the first, the clock tells.
    e.lt("WA. 1:1 ack 1 <TS val 8 ecr 0>").unwrap();
    assert_eq!(counted(&e), 0);
    e.lt("WA. 1:1 ack 1 <TS val 9 ecr 0>").unwrap();
    assert_eq!(counted(&e), 1);
    // After a second SYN-ACK its code may come late.
    let mut e = with_timestamps(2);
    e.lt("W. 1:1 ack 1 <TS val 9 ecr 0>").unwrap();
    assert_eq!(counted(&e), 0);
}

#[test]
fn req_acc_17_marked_octets_without_a_marked_packet_end_ect() {
    let mut e = client();
    assert_eq!(codepoint(&mut e), Ecn::Ect0);
    e.lt("EA. 1:1 ack 11 <ECN e0b 1 ceb 10>").unwrap();
    assert_eq!(codepoint(&mut e), Ecn::NotEct);
    // What the counter told before, on an acknowledgement without the option, explains it.
    let mut e = client();
    e.write(2000);
    e.skip();
    e.lt("WA. 1:1 ack 1001").unwrap();
    e.lt("WA. 1:1 ack 2001 <ECN e0b 1001 ceb 1000>").unwrap();
    e.lt("WA. 1:1 ack 2001").unwrap();
    assert_eq!(codepoint(&mut e), Ecn::Ect0);
}

#[test]
fn req_acc_20_a_counter_that_changed_is_repeated_three_times_in_a_round_trip() {
    let mut e = accurate()
        .config(|c| c.nodelay(true))
        .syn_sent_with("SEWA 0:0");
    e.wait(ms(300));
    e.lt("SW. 0:0 ack 1 <mss 1000,ECN e0b 1 ceb 0 e1b 1>")
        .unwrap();
    e.skip();
    arrives(&mut e, Ecn::Ect0, "P. 1:101 ack 1").unwrap();
    e.wait(ms(40));
    e.skip();
    // A round trip is 300 ms, so that one goes every 100 ms with what is sent anyway.
    let mut had = 0;
    for _ in 0..30 {
        e.wait(ms(10));
        e.write(1);
        had += u32::from(e.next().unwrap().options.accecn.is_some());
    }
    assert!((3..=4).contains(&had), "{had}");
}

#[test]
fn an_option_that_does_not_arrive_is_given_up() {
    let mut e = client();
    e.write(10);
    e.gt("PEA. 1:11 ack 1 <ECN e1b 1 ceb 0 e0b 1>");
    e.wait(secs(3));
    let again = e.next().unwrap();
    assert!(again.options.accecn.is_none());
    e.skip();
    let una = e.snxt();
    arrives(&mut e, Ecn::Ect0, &format!("P. 1:101 ack {una}")).unwrap();
    e.wait(ms(40));
    // What comes in is still read.
    e.gt(&format!("EA. {una}:{una} ack 101 <noECN>"));
    e.write(10);
    e.skip();
    e.lt(&format!("EA. 101:101 ack {} <ECN e0b 11>", una + 10))
        .unwrap();
    assert_eq!(e.conn.info().accurate_ecn.unwrap().delivered_ect0_bytes, 10);
}

#[test]
fn acknowledgements_with_the_option_that_do_not_arrive_are_sent_without() {
    let mut e = server();
    for round in 0..6 {
        let line = format!("P. {}:{} ack 1", 1 + 100 * round, 101 + 100 * round);
        arrives(&mut e, Ecn::Ect0, &line).unwrap();
        e.wait(ms(40));
        let is_tried = round < 5;
        assert_eq!(e.next().unwrap().options.accecn.is_some(), is_tried);
        for again in 0..3 {
            e.wait(secs(1));
            arrives(&mut e, Ecn::Ect0, &line).unwrap_err();
            // The second repetition is answered without, so that data flows.
            let expected = is_tried && again < 1;
            assert_eq!(e.next().unwrap().options.accecn.is_some(), expected);
        }
    }
}

#[test]
fn a_segment_that_a_device_would_cut_does_not_show_cwr() {
    // Devices clear CWR on all but the first piece.
    let run = |marks: usize| {
        let mut e = server_with(|c| c.initial_window_segs(20));
        e.max_payload = 60_000;
        for count in 0..marks {
            let seq = 1 + 10 * count as i64;
            arrives(&mut e, Ecn::Ce, &format!("P. {seq}:{} ack 1", seq + 10)).unwrap();
        }
        e.skip();
        e.write(8000);
        e.next().unwrap()
    };
    for marks in 0..8 {
        let sent = run(marks);
        let shows_cwr = sent.flags.contains(Flags::CWR);
        assert_eq!(sent.payload.len() <= 1000, shows_cwr, "{marks} marks");
    }
}

#[test]
fn req_ecn_4_only_with_the_option_for_it_is_everything_ecn_capable() {
    for everywhere in [false, true] {
        let mut e = server_with(|c| c.ecn_everywhere(everywhere));
        let expected = if everywhere { Ecn::Ect0 } else { Ecn::NotEct };
        e.lt("P. 1:101 ack 1").unwrap();
        e.wait(ms(40));
        assert_eq!(e.next().unwrap().ecn, expected, "an acknowledgement");
        e.write(10);
        assert_eq!(e.next().unwrap().ecn, Ecn::Ect0);
        e.wait(secs(2));
        assert_eq!(e.next().unwrap().ecn, expected, "a retransmission");
        e.skip();
        e.conn.abort(e.now);
        assert_eq!(e.next().unwrap().ecn, Ecn::NotEct, "a reset");
    }
}

#[test]
fn req_dsack_7_duplicates_are_reported_beside_accurate_feedback() {
    for policy in [AccEcnOption::Needed, AccEcnOption::Always] {
        let mut e = server_with(|c| c.accecn_option(policy));
        arrives(&mut e, Ecn::Ect0, "P. 1:101 ack 1").unwrap();
        e.wait(ms(40));
        e.skip();
        arrives(&mut e, Ecn::Ect0, "P. 1:101 ack 1").unwrap_err();
        e.gt("EA. 1:1 ack 101 <sack 1:101>");
        // With a gap too: the duplicate and the block around it.
        arrives(&mut e, Ecn::Ect0, "P. 201:301 ack 1").unwrap();
        e.skip();
        arrives(&mut e, Ecn::Ce, "P. 201:301 ack 1").unwrap();
        e.gt("WA. 1:1 ack 101 <sack 201:301 201:301>");
    }
}
