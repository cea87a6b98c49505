//! Accurate ECN (RFC 9768): the handshake, and what follows from it for ECT.

use transom_tcp::{AccEcnOption, CloseReason, Config, Discard, EcnUse, State};
use transom_wire::tcp::Flags;
use transom_wire::{Ecn, Seq};

use crate::harness::dialogue::{E, Setup};
use crate::harness::notation::Line;
use crate::harness::secs;

/// Letters of the flags AE, CWR and ECE for each number that they make.
pub(crate) const ACE: [&str; 8] = ["", "E", "W", "EW", "A", "EA", "WA", "EWA"];

pub(crate) fn accurate() -> Setup {
    Setup::default().config(|config| config.ecn(EcnUse::Accurate))
}

fn flags(code: usize) -> Flags {
    let line = Line::parse(&format!("-{} 0:0", ACE[code]));
    line.segment(Seq::new(0), Seq::new(0), 0).flags
}

/// The field that a code of the handshake stands for.
fn field(code: usize) -> Option<Ecn> {
    match code {
        2 => Some(Ecn::NotEct),
        3 => Some(Ecn::Ect1),
        4 => Some(Ecn::Ect0),
        6 => Some(Ecn::Ce),
        _ => None,
    }
}

/// A listener that got a SYN with this code and field; its answer is still to come.
fn listener(ecn: EcnUse, code: usize, field: Ecn) -> E {
    Setup::default()
        .config(|config| config.ecn(ecn))
        .passive(|syn| {
            syn.flags |= flags(code);
            syn.ecn = field;
        })
}

/// E(ESTABLISHED) of a listener; the peer's option comes too.
pub(crate) fn server() -> E {
    server_with(|config| config)
}

pub(crate) fn server_with(change: impl FnOnce(Config) -> Config) -> E {
    let mut e = Setup::default()
        .config(|config| change(config.ecn(EcnUse::Accurate)))
        .passive(|syn| {
            syn.flags |= flags(7);
            syn.options.sack_permitted = true;
        });
    e.gt("SW. 0:0 ack 1");
    e.lt("W. 1:1 ack 1 <ECN e0b 1 ceb 0 e1b 1>").unwrap();
    e.silent();
    e
}

/// E(ESTABLISHED) of who connected, after the acknowledgement of the SYN-ACK.
pub(crate) fn client() -> E {
    let mut e = accurate().syn_sent_with("SEWA 0:0 <noECN>");
    e.lt("SW. 0:0 ack 1 <mss 1000,sackOK,ECN e0b 1 ceb 0 e1b 1>")
        .unwrap();
    e.gt("W. 1:1 ack 1 <ECN e1b 1 ceb 0 e0b 1>");
    e.silent();
    e
}

/// How the next data goes out.
pub(crate) fn codepoint(e: &mut E) -> Ecn {
    e.write(10);
    e.next().unwrap().ecn
}

#[test]
fn req_acc_1_and_acc_3_a_listener_answers_every_code_as_table_2_says() {
    use EcnUse::{AcceptAccurate, Accurate, RequestClassic};
    for ecn in [Accurate, RequestClassic, AcceptAccurate] {
        for code in 0..8 {
            for field in [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce] {
                let mut e = listener(ecn, code, field);
                let expected = match (code, field) {
                    (0, _) => "",
                    (3, Ecn::NotEct) => "E",
                    // RFC 3168: such a field came from a path that misuses it.
                    (3, _) => "",
                    (_, Ecn::NotEct) => "W",
                    (_, Ecn::Ect1) => "EW",
                    (_, Ecn::Ect0) => "A",
                    (_, Ecn::Ce) => "WA",
                };
                e.gt(&format!("S{expected}. 0:0 ack 1"));
                let info = e.conn.info();
                assert_eq!(info.accurate_ecn.is_some(), !matches!(code, 0 | 3));
                assert_eq!(info.ecn, !expected.is_empty(), "{code} {field:?}");
            }
        }
    }
    // Who knows only classic feedback sees a classic SYN, or none.
    for (code, expected) in [(0, ""), (3, "E"), (7, "E"), (4, ""), (5, ""), (6, "")] {
        for ecn in [EcnUse::Accept, EcnUse::Request] {
            listener(ecn, code, Ecn::NotEct).gt(&format!("S{expected}. 0:0 ack 1"));
        }
        listener(EcnUse::Off, code, Ecn::NotEct).gt("S. 0:0 ack 1");
    }
}

#[test]
fn req_acc_2_a_client_takes_every_answer_as_table_2_says() {
    for (code, letters) in ACE.into_iter().enumerate() {
        let mut e = accurate().syn_sent_with("SEWA 0:0");
        e.lt(&format!("S{letters}. 0:0 ack 1 <mss 1000>")).unwrap();
        e.is(State::Established);
        let (is_accurate, is_classic) = match code {
            0 | 7 => (false, false),
            1 => (false, true),
            _ => (true, false),
        };
        assert_eq!(e.conn.info().accurate_ecn.is_some(), is_accurate, "{code}");
        e.gt(if is_accurate {
            "W. 1:1 ack 1"
        } else {
            ". 1:1 ack 1"
        });
        // 010 says that our SYN arrived as it was sent; 101 counts as if it did; 011, 100 and 110 that it did not.
        let ect = is_classic || matches!(code, 2 | 5);
        assert_eq!(codepoint(&mut e) == Ecn::Ect0, ect, "{code}");
    }
}

#[test]
fn req_acc_4_a_first_decision_stands() {
    // A SYN without flags after one with them: an answer that feeds back the later one.
    let mut e = listener(EcnUse::Accurate, 7, Ecn::NotEct);
    e.gt("SW. 0:0 ack 1");
    let mut again = e.segment("S 0:0 <mss 1000>");
    again.ecn = Ecn::Ect0;
    e.lt_segment(&again).unwrap_err();
    e.gt("SA. 0:0 ack 1 <noECN>");
    e.lt("W. 1:1 ack 1").unwrap();
    assert!(e.conn.info().accurate_ecn.is_some());
    // The other way round nothing is agreed on any more.
    let mut e = listener(EcnUse::Accurate, 0, Ecn::NotEct);
    e.gt("S. 0:0 ack 1");
    e.lt("SEWA 0:0 <mss 1000>").unwrap_err();
    e.gt("S. 0:0 ack 1");
    e.lt(". 1:1 ack 1").unwrap();
    assert_eq!(codepoint(&mut e), Ecn::NotEct);
}

#[test]
fn req_acc_4_classic_and_accurate_in_one_handshake_are_answered_by_a_reset() {
    for (first, second) in [(7, 3), (3, 7), (3, 5), (1, 3)] {
        let mut e = listener(EcnUse::Accurate, first, Ecn::NotEct);
        e.skip();
        let again = format!("S{} 0:0 <mss 1000>", ACE[second]);
        assert_eq!(e.lt(&again), Err(Discard::EcnModesMixed));
        let reset = e.next().unwrap();
        assert!(reset.flags.contains(Flags::RST), "{first} then {second}");
        e.closed(CloseReason::Aborted);
    }
    // Where only classic feedback is known, both ask for that.
    let mut e = listener(EcnUse::Accept, 7, Ecn::NotEct);
    e.gt("SE. 0:0 ack 1");
    assert_eq!(e.lt("SEW 0:0 <mss 1000>"), Err(Discard::SynRetransmitted));
    e.gt("SE. 0:0 ack 1");
}

#[test]
fn req_acc_4_one_kind_of_syn_is_sent_and_after_two_none() {
    let mut e = accurate().syn_sent_with("SEWA 0:0");
    e.wait(secs(1));
    e.gt("SEWA 0:0");
    e.wait(secs(2));
    e.gt("S 0:0");
    e.wait(secs(4));
    e.gt("S 0:0");
    // Even so, an answer that agrees counts, and a client may send ECT.
    e.lt("SW. 0:0 ack 1 <mss 1000>").unwrap();
    e.gt("W. 1:1 ack 1");
    assert_eq!(codepoint(&mut e), Ecn::Ect0);

    // Classic feedback after a SYN that did not ask: RFC 3168 §6.1.1.
    let mut e = accurate().syn_sent_with("SEWA 0:0");
    e.wait(secs(3));
    e.skip();
    e.lt("SE. 0:0 ack 1 <mss 1000>").unwrap();
    e.gt(". 1:1 ack 1");
    assert_eq!(codepoint(&mut e), Ecn::NotEct);
}

#[test]
fn req_ecn_13_a_reset_of_an_accurate_syn_is_tried_again_without() {
    let mut e = accurate().syn_sent_with("SEWA 0:0");
    e.lt("R. 0:0 ack 1").unwrap();
    e.gt("S 0:0");
    e.lt("R. 0:0 ack 1").unwrap();
    e.closed(CloseReason::Refused);
}

#[test]
fn the_other_words_ask_for_what_they_say() {
    for (ecn, syn) in [
        (EcnUse::RequestClassic, "SEW 0:0"),
        (EcnUse::AcceptAccurate, "S 0:0"),
    ] {
        let mut e = Setup::default()
            .config(|config| config.ecn(ecn))
            .syn_sent_with(syn);
        // An answer that was not asked for agrees to nothing.
        e.lt("SW. 0:0 ack 1 <mss 1000>").unwrap();
        assert!(e.conn.info().accurate_ecn.is_none());
    }
}

#[test]
fn req_acc_1_a_simultaneous_open_is_answered_as_by_a_listener() {
    for (syn, answer, accurate) in [
        ("SEWA", "SW.", true),
        ("SEW", "SE.", false),
        ("S", "S.", false),
    ] {
        let mut e = self::accurate().syn_sent_with("SEWA 0:0");
        e.lt(&format!("{syn} 0:0 <mss 1000>")).unwrap();
        e.gt(&format!("{answer} 0:0 ack 1"));
        assert_eq!(e.conn.info().accurate_ecn.is_some(), accurate);
        e.lt(&format!("{answer} 0:0 ack 1 <mss 1000>")).unwrap();
        e.is(State::Established);
    }
}

#[test]
fn req_acc_6_the_first_acknowledgement_feeds_back_the_syn_acks_field() {
    for (code, letters) in ACE.into_iter().enumerate() {
        let Some(field) = field(code) else { continue };
        let mut e = accurate().syn_sent_with("SEWA 0:0");
        // Data that waits comes after it.
        e.write(10);
        let mut syn_ack = e.segment("SW. 0:0 ack 1 <mss 1000>");
        syn_ack.ecn = field;
        e.lt_segment(&syn_ack).unwrap();
        e.gt(&format!("{letters}. 1:1 ack 1"));
        let counter = if field == Ecn::Ce { "WA" } else { "EA" };
        e.gt(&format!("P{counter}. 1:11 ack 1"));
        // The SYN-ACK again: its code again, and the mark is not counted twice.
        e.wait(secs(1));
        e.skip();
        syn_ack.received = e.now;
        e.lt_segment(&syn_ack).unwrap_err();
        e.gt(&format!("{letters}. 11:11 ack 1"));
        e.lt(". 1:11 ack 11").unwrap();
        e.skip();
        e.write(10);
        e.gt(&format!("P{counter}. 11:21 ack 11"));
    }
}

#[test]
fn req_acc_7_and_acc_19_a_server_takes_the_first_acknowledgement_as_table_4_says() {
    for (code, letters) in ACE.into_iter().enumerate() {
        let mut e = listener(EcnUse::Accurate, 7, Ecn::NotEct);
        e.gt("SW. 0:0 ack 1");
        let before = e.conn.info().cwnd;
        e.lt(&format!("{letters}. 1:1 ack 1")).unwrap();
        let info = e.conn.info();
        assert_eq!(
            info.accurate_ecn.unwrap().delivered_ce,
            u32::from(code == 6)
        );
        // A mark of the SYN-ACK is answered.
        assert_eq!(info.cwnd < before, code == 6, "{code}");
        // 000: the peer feeds nothing back. 011, 100, 110: somebody changed what we sent.
        let ect = matches!(code, 1 | 2 | 5 | 7);
        assert_eq!(codepoint(&mut e) == Ecn::Ect0, ect, "{code}");
        // We go on feeding back.
        let mut marked = e.segment("P. 1:501 ack 11");
        marked.ecn = Ecn::Ce;
        e.lt_segment(&marked).unwrap();
        e.gt("WA. 11:11 ack 501");
        if code == 0 {
            assert_eq!(e.conn.info().cwnd, before, "its marks are not heeded");
        }
    }
}

#[test]
fn req_acc_8_the_mark_of_a_syn_is_not_counted() {
    let mut e = listener(EcnUse::Accurate, 7, Ecn::Ce);
    e.gt("SWA. 0:0 ack 1");
    e.lt("W. 1:1 ack 1").unwrap();
    e.write(10);
    e.gt("PEA. 1:11 ack 1");
}

#[test]
fn a_client_whose_syn_was_marked_begins_with_less() {
    let cwnd = |answer: &str| {
        let mut e = accurate().syn_sent_with("SEWA 0:0");
        e.lt(&format!("{answer} 0:0 ack 1 <mss 1000>")).unwrap();
        let info = e.conn.info();
        assert_eq!(info.accurate_ecn.unwrap().delivered_ce, 0);
        info.cwnd
    };
    assert!(cwnd("SWA.") < cwnd("SW."));
}

#[test]
fn req_acc_14_a_syn_ack_without_answer_is_sent_without_the_option_then_without_flags() {
    let mut e = listener(EcnUse::Accurate, 7, Ecn::NotEct);
    e.gt("SW. 0:0 ack 1 <ECN e1b 1 ceb 0 e0b 1>");
    e.wait(secs(1));
    e.gt("SW. 0:0 ack 1 <noECN>");
    e.wait(secs(2));
    e.gt("S. 0:0 ack 1 <noECN>");
    // ACC-19: the mode stays, and no ECT.
    e.lt("W. 1:1 ack 1").unwrap();
    assert!(e.conn.info().accurate_ecn.is_some());
    assert_eq!(codepoint(&mut e), Ecn::NotEct);
}

#[test]
fn req_acc_19_a_server_that_got_a_syn_without_flags_sends_no_ect() {
    let mut e = listener(EcnUse::Accurate, 7, Ecn::NotEct);
    e.gt("SW. 0:0 ack 1");
    e.lt("S 0:0 <mss 1000>").unwrap_err();
    e.gt("SW. 0:0 ack 1");
    e.lt("W. 1:1 ack 1").unwrap();
    assert_eq!(codepoint(&mut e), Ecn::NotEct);
    // It answers marks all the same.
    let before = e.conn.info().cwnd;
    e.lt("WA. 1:1 ack 11").unwrap();
    assert!(e.conn.info().cwnd < before);
}

#[test]
fn req_acc_18_only_zero_is_taken_for_clearing() {
    for (first, ect) in [("", false), ("E", true), ("EA", true), ("EWA", true)] {
        let mut e = client();
        e.write(1);
        e.skip();
        e.lt(&format!("{first}. 1:1 ack 2")).unwrap();
        assert_eq!(codepoint(&mut e) == Ecn::Ect0, ect, "ACE {first:?}");
    }
    // Options that begin with other counts than ours are used; zeros are not.
    for (option, used) in [
        ("e0b 77 ceb 9 e1b 3000", true),
        ("e0b 0 ceb 0 e1b 1", false),
        ("e0b 1 ceb 0 e1b 0", false),
    ] {
        let mut e = accurate().syn_sent_with("SEWA 0:0");
        e.lt(&format!("SW. 0:0 ack 1 <mss 1000,ECN {option}>"))
            .unwrap();
        let info = e.conn.info().accurate_ecn.unwrap();
        assert_eq!(info.options, used, "{option}");
    }
}

#[test]
fn req_acc_13_the_option_is_on_the_syn_ack_the_first_acknowledgement_and_the_first_data() {
    for (policy, has) in [
        (AccEcnOption::Needed, true),
        (AccEcnOption::Always, true),
        (AccEcnOption::Never, false),
    ] {
        let config = |config: Config| config.ecn(EcnUse::Accurate).accecn_option(policy);
        let mut e = Setup::default()
            .config(config)
            .syn_sent_with("SEWA 0:0 <noECN>");
        e.lt("SW. 0:0 ack 1 <mss 1000,ECN e0b 1 ceb 0 e1b 1>")
            .unwrap();
        let whole = if has {
            "ECN e1b 1 ceb 0 e0b 1"
        } else {
            "noECN"
        };
        e.gt(&format!("W. 1:1 ack 1 <{whole}>"));
        e.write(10);
        e.gt(&format!("PEA. 1:11 ack 1 <{whole}>"));
        let mut e = Setup::default()
            .config(config)
            .passive(|syn| syn.flags |= flags(7));
        e.gt(&format!("SW. 0:0 ack 1 <{whole}>"));
    }
    // As needed: not on the second.
    let mut e = client();
    e.write(10);
    e.gt("PEA. 1:11 ack 1 <ECN e1b 1 ceb 0 e0b 1>");
    e.lt("EA. 1:1 ack 11").unwrap();
    e.write(10);
    e.gt("PEA. 11:21 ack 1 <noECN>");
}
