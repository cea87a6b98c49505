//! SYN floods (RFC 4987; requirements C.13, SEC-SYNF-*, SEC-COOKIE-1, SEC-ACCEPT-1).

use transom_stack::tcp::{self, Instant, State};
use transom_stack::wire::tcp::{Flags, Timestamps};
use transom_stack::{Discard, ListenOn, ListenOptions, ListenerId, Stack, StackConfig};

use crate::harness::*;

const BACKLOG: usize = 4;

/// A stack with a listener whose queue of handshakes holds `BACKLOG` and one.
fn small() -> (Stack, ListenerId) {
    let mut stack = stack();
    let on = ListenOptions::new(ListenOn::AnyAddress(80)).backlog(BACKLOG);
    let listener = stack.tcp_listen(on).unwrap();
    (stack, listener)
}

/// The n-th SYN of a flood: each from another address.
fn forged(n: u32) -> Seg {
    let [_, b, c, d] = n.to_be_bytes();
    let peer = format!("{}.{b}.{c}.{d}:{}", 20 + n % 50, 1 + n % 65_535);
    seg(&peer, "10.0.0.1:80", SYN)
        .seq(n.wrapping_mul(0x9e37_79b1))
        .mss(1460)
}

/// Fills the queue of handshakes at `now`.
fn flood(stack: &mut Stack, now: Instant) {
    for n in 0..20 {
        exchange(stack, now, forged(n).bytes());
    }
    assert!(stack.counters().syn_cookies_out > 0);
}

fn with_everything(mut syn: Seg) -> Seg {
    syn.options.window_scale = Some(9);
    syn.options.sack_permitted = true;
    syn.options.timestamps = Some(Timestamps { val: 4711, ecr: 0 });
    syn
}

/// The acknowledgement of a SYN-ACK.
fn acknowledging(syn: &Seg, syn_ack: &Seg) -> Seg {
    let mut ack = syn.clone();
    ack.flags = ACK;
    ack.payload.clear();
    ack.seq = syn.seq.wrapping_add(1);
    ack.ack = syn_ack.seq.wrapping_add(1);
    ack.options = transom_stack::wire::tcp::Options::EMPTY;
    ack.options.timestamps = syn_ack.options.timestamps.map(|ours| Timestamps {
        val: 4712,
        ecr: ours.val,
    });
    ack
}

#[test]
fn req_sec_synf_1_and_synf_2_and_cve_25_a_flood_takes_no_memory_and_others_connect() {
    let (mut stack, listener) = small();
    let mut old = Peer::open(&mut stack, at(0), "10.0.0.2:9", "10.0.0.1:80");
    let established = stack.tcp_accept(listener).unwrap();
    let count = 20_000;
    for n in 0..count {
        let sent = exchange(&mut stack, at(1 + u64::from(n / 100)), forged(n).bytes());
        // SYNF-9: one SYN-ACK each, no larger than what it answers.
        let syn_ack = one_tcp(&sent);
        assert_eq!((syn_ack.flags, syn_ack.payload.len()), (SYN | ACK, 0));
        assert!(sent[0].len() <= forged(n).bytes().len());
    }
    assert_eq!(stack.connections().count(), 1 + BACKLOG + 1);
    let cookies = stack.counters().syn_cookies_out;
    assert_eq!(cookies, u64::from(count) - (BACKLOG as u64 + 1));
    // The connection of before goes on.
    exchange(&mut stack, at(300), old.seg(ACK).payload(b"hello").bytes());
    old.snd_nxt += 5;
    let data = stack.tcp_recv(at(300), established, 10).unwrap().unwrap();
    assert_eq!(data, "hello");
    drain(&mut stack, at(300));
    // Somebody honest connects, and nobody notices that it was by a cookie.
    let syn = with_everything(seg("10.0.0.3:9", "10.0.0.1:80", SYN).mss(1460));
    let syn_ack = one_tcp(&exchange(&mut stack, at(300), syn.bytes()));
    let ack = acknowledging(&syn, &syn_ack);
    exchange(&mut stack, at(310), ack.payload(b"GET").bytes());
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(stack.tcp_state(id), Some(State::Established));
    assert_eq!(stack.tcp_recv(at(310), id, 10).unwrap().unwrap(), "GET");
    assert_eq!(stack.counters().syn_cookies_in, 1);
    // When the embryos are given up, nothing of the flood is left.
    let sent = run_until(&mut stack, at(310), at(700_000));
    let again = |flags| {
        let tcp = sent.iter().map(|(_, frame)| parse_tcp(frame).flags);
        tcp.filter(|sent| *sent == flags).count()
    };
    assert_eq!(again(SYN | ACK), 5 * (BACKLOG + 1), "bounded repetition");
    assert_eq!(stack.connections().count(), 2);
}

#[test]
fn req_synf_5_and_synf_4_a_cookie_remembers_the_options_in_its_timestamp() {
    let (mut stack, listener) = small();
    flood(&mut stack, at(1_000_000));
    let now = at(1_000_000);
    let mut syn = with_everything(seg("10.0.0.3:9", "10.0.0.1:80", SYN).mss(1459));
    syn.flags = SYN | Flags::ECE | Flags::CWR;
    let syn_ack = one_tcp(&exchange(&mut stack, now, syn.bytes()));
    assert_eq!(syn_ack.flags, SYN | ACK | Flags::ECE);
    assert!(syn_ack.options.sack_permitted && syn_ack.options.window_scale.is_some());
    let later = at(1_000_020);
    exchange(&mut stack, later, acknowledging(&syn, &syn_ack).bytes());
    let id = stack.tcp_accept(listener).unwrap();
    let info = stack.tcp_info(id).unwrap();
    assert!(info.sack && info.timestamps && info.ecn);
    assert_eq!(info.snd_wind_shift, Some(9));
    // 1440 is the largest of the table that the peer takes; timestamps take twelve.
    assert_eq!(info.eff_snd_mss, 1440 - 12);
    assert_eq!((info.irs.raw(), info.iss.raw()), (syn.seq, syn_ack.seq));
    // The window of the acknowledgement is scaled.
    assert_eq!(info.snd_wnd, 65_535 << 9);
    // Data flows both ways, with timestamps that go on from those of the handshake.
    stack.tcp_send(later, id, "answer".into()).unwrap();
    let data = one_tcp(&drain(&mut stack, later));
    assert_eq!(data.payload, b"answer");
    let (sent, shown) = (
        data.options.timestamps.unwrap(),
        syn_ack.options.timestamps.unwrap(),
    );
    assert!(sent.val.wrapping_sub(shown.val) < 1000);
    assert_eq!(sent.ecr, 4712);
}

#[test]
fn req_synf_5_without_timestamps_a_cookie_offers_nothing_but_the_mss() {
    let (mut stack, listener) = small();
    flood(&mut stack, at(0));
    let mut syn = with_everything(seg("10.0.0.3:9", "10.0.0.1:80", SYN).mss(1460));
    syn.options.timestamps = None;
    syn.flags = SYN | Flags::ECE | Flags::CWR;
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    assert_eq!(syn_ack.flags, SYN | ACK);
    assert_eq!(syn_ack.options.mss, Some(1460));
    assert!(!syn_ack.options.sack_permitted);
    assert_eq!(syn_ack.options.window_scale, None);
    assert_eq!(syn_ack.options.timestamps, None);
    exchange(&mut stack, at(5), acknowledging(&syn, &syn_ack).bytes());
    let id = stack.tcp_accept(listener).unwrap();
    let info = stack.tcp_info(id).unwrap();
    assert!(!info.sack && !info.timestamps && !info.ecn);
    assert_eq!((info.snd_wind_shift, info.rcv_wind_shift), (None, None));
    assert_eq!((info.eff_snd_mss, info.snd_wnd), (1460, 65_535));
}

#[test]
fn req_synf_5_and_acc_6_the_acknowledgement_of_a_cookie_shows_accurate_ecn() {
    let letters = Flags::AE | Flags::CWR | Flags::ECE;
    // (AE,CWR,ECE) of the acknowledgement, timestamps, what is agreed on.
    for (code, timestamps, agreed) in [
        (Flags::CWR, true, true),
        (Flags::CWR, false, true),
        (Flags::AE | Flags::CWR, true, true),
        (Flags::EMPTY, true, false),
        (Flags::ECE, false, false),
    ] {
        let config = tcp::Config::default().ecn(tcp::EcnUse::AcceptAccurate);
        let mut stack = stack_with(StackConfig::default().tcp(config));
        let on = ListenOptions::new(ListenOn::AnyAddress(80)).backlog(BACKLOG);
        let listener = stack.tcp_listen(on).unwrap();
        flood(&mut stack, at(0));
        let mut syn = with_everything(seg("10.0.0.3:9", "10.0.0.1:80", SYN).mss(1460));
        syn.flags = SYN | letters;
        if !timestamps {
            syn.options.timestamps = None;
        }
        let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
        assert_eq!(syn_ack.flags, SYN | ACK | Flags::CWR);
        let mut ack = acknowledging(&syn, &syn_ack);
        ack.flags = ACK | code;
        exchange(&mut stack, at(5), ack.bytes());
        let id = stack.tcp_accept(listener).unwrap();
        let info = stack.tcp_info(id).unwrap();
        assert_eq!(info.accurate_ecn.is_some(), agreed, "{code}");
        assert!(agreed || !info.ecn, "{code}");
        let marked = info.accurate_ecn.map_or(0, |ecn| ecn.delivered_ce);
        assert_eq!(marked == 1, code == Flags::AE | Flags::CWR, "{code}");
    }
}

#[test]
fn req_acc_4_a_listener_resets_a_handshake_that_mixes_classic_and_accurate_ecn() {
    let config = tcp::Config::default().ecn(tcp::EcnUse::AcceptAccurate);
    let mut stack = stack_with(StackConfig::default().tcp(config));
    let on = ListenOptions::new(ListenOn::AnyAddress(80)).backlog(BACKLOG);
    let listener = stack.tcp_listen(on).unwrap();
    let classic = Flags::ECE | Flags::CWR;
    let asks = |more| seg("10.0.0.3:9", "10.0.0.1:80", SYN | more).mss(1460);
    let accurate = asks(classic | Flags::AE);
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), accurate.bytes()));
    assert_eq!(syn_ack.flags, SYN | ACK | Flags::CWR);
    let reset = one_tcp(&exchange(&mut stack, at(1), asks(classic).bytes()));
    assert!(reset.flags.contains(RST));
    assert_eq!((reset.seq, reset.ack), (syn_ack.seq + 1, accurate.seq + 1));
    assert_eq!(stack.connections().count(), 0);
    assert!(stack.tcp_accept(listener).is_none());
    // Without flags it goes on, and the answer is the same.
    exchange(&mut stack, at(2), accurate.bytes());
    let again = one_tcp(&exchange(&mut stack, at(3), asks(Flags::EMPTY).bytes()));
    assert_eq!(again.flags, SYN | ACK | Flags::CWR);
    assert_eq!(again.options.accecn, None);
}

#[test]
fn req_synf_6_and_sec_cookie_1_a_wrong_or_late_acknowledgement_is_reset() {
    let invalid = Discard::SynCookieInvalid;
    let (mut stack, listener) = small();
    // Before any overflow nobody looks for cookies.
    let stray = seg("10.0.0.3:9", "10.0.0.1:80", ACK).ack(5);
    let reset = one_tcp(&exchange(&mut stack, at(0), stray.bytes()));
    assert_eq!((reset.flags, reset.seq), (RST, 5));
    assert_eq!(stack.counters().discarded(invalid), 0);
    flood(&mut stack, at(0));
    let syn = seg("10.0.0.3:9", "10.0.0.1:80", SYN).mss(1460);
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    let good = acknowledging(&syn, &syn_ack);
    let mut refused = 0;
    for wrong in [
        good.clone().ack(good.ack.wrapping_add(1 << 24)),
        good.clone().ack(good.ack ^ 0x100),
        good.clone().seq(good.seq + 1),
        good.clone().seq(good.seq - 1),
    ] {
        let reset = one_tcp(&exchange(&mut stack, at(1), wrong.bytes()));
        assert_eq!((reset.flags, reset.seq), (RST, wrong.ack));
        refused += 1;
        assert_eq!(stack.counters().discarded(invalid), refused);
    }
    // Replayed when its two slots are over: reset, whether or not another overflow is on.
    for (late, by_cookie) in [(at(129_000), false), (at(200_000), true)] {
        if by_cookie {
            flood(&mut stack, late);
            refused += 1;
        }
        let reset = one_tcp(&exchange(&mut stack, late, good.bytes()));
        assert_eq!(reset.flags, RST);
        assert_eq!(stack.counters().discarded(invalid), refused);
    }
    assert_eq!(stack.tcp_accept(listener), None);
}

#[test]
fn req_synf_7_and_cve_27_connections_and_embryos_come_before_cookies() {
    let (mut stack, listener) = small();
    let syn = forged(0);
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    flood(&mut stack, at(0));
    // The embryo from before the overflow completes by its own numbers.
    exchange(&mut stack, at(1), acknowledging(&syn, &syn_ack).bytes());
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(stack.counters().syn_cookies_in, 0);
    // What arrives for it now is the connection's business, not a cookie to be checked.
    let stray = acknowledging(&syn, &syn_ack).ack(syn_ack.seq.wrapping_add(1_000_000));
    exchange(&mut stack, at(2), stray.bytes());
    assert_eq!(stack.counters().discarded(Discard::SynCookieInvalid), 0);
    assert_eq!(stack.tcp_state(id), Some(State::Established));
}

#[test]
fn req_sec_synf_2_data_and_options_of_a_syn_take_no_memory() {
    let (mut stack, listener) = small();
    for n in 0..BACKLOG as u32 + 20 {
        let syn = forged(n).payload(&[7; 1400]);
        let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
        // The data is not acknowledged, so it is not kept.
        assert_eq!(syn_ack.ack, syn.seq.wrapping_add(1));
        exchange(&mut stack, at(0), acknowledging(&syn, &syn_ack).bytes());
        if let Some(id) = stack.tcp_accept(listener) {
            assert_eq!(stack.tcp_recv(at(0), id, 2000).unwrap(), None);
        }
    }
    // SYNs that wait for the application hold neither their data nor their frames.
    let on = ListenOptions::new(ListenOn::AnyAddress(81)).manual(true);
    stack.tcp_listen(on).unwrap();
    let frame = bytes::Bytes::from(
        seg("10.0.0.2:9", "10.0.0.1:81", SYN)
            .payload(&[7; 1400])
            .bytes(),
    );
    stack.handle_frame(at(0), frame.clone().into());
    assert!(frame.is_unique(), "something still refers to the frame");
}

#[test]
fn req_lx_19_without_cookies_an_overflow_drops() {
    let mut stack = stack_with(StackConfig::default().syn_cookies(false));
    let on = ListenOptions::new(ListenOn::AnyAddress(80)).backlog(BACKLOG);
    stack.tcp_listen(on).unwrap();
    for n in 0..=BACKLOG as u32 {
        one_tcp(&exchange(&mut stack, at(0), forged(n).bytes()));
    }
    assert_dropped(&mut stack, forged(99).bytes(), Discard::BacklogFull);
    assert_eq!(stack.counters().syn_cookies_out, 0);
}

#[test]
fn req_synf_1_and_sec_res_1_embryos_of_all_listeners_together_are_bounded() {
    let mut stack = stack_with(StackConfig::default().max_embryos(10));
    for port in 80..84 {
        let on = ListenOptions::new(ListenOn::AnyAddress(port)).backlog(1000);
        stack.tcp_listen(on).unwrap();
    }
    for n in 0..40 {
        let mut syn = forged(n);
        syn.dst.set_port(80 + (n % 4) as u16);
        one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    }
    assert_eq!(stack.connections().count(), 10);
    assert_eq!(stack.counters().syn_cookies_out, 30);
}

#[test]
fn req_sec_accept_1_connections_that_nobody_takes_are_bounded() {
    let (mut stack, listener) = small();
    let mut complete = 0;
    for n in 0..1000 {
        let syn = forged(n);
        let sent = exchange(&mut stack, at(0), syn.bytes());
        let Some(syn_ack) = sent.first().map(|frame| parse_tcp(frame)) else {
            continue;
        };
        exchange(&mut stack, at(0), acknowledging(&syn, &syn_ack).bytes());
        complete += 1;
    }
    // As Linux: the backlog and one more; afterwards not even a cookie.
    assert_eq!(complete, BACKLOG + 1);
    assert_eq!(stack.connections().count(), BACKLOG + 1);
    assert_eq!(stack.counters().discarded(Discard::BacklogFull), 995);
    // They stay, idle, and cost no timer.
    assert_eq!(run_until(&mut stack, at(0), at(3_600_000)), []);
    let taken = (0..1000).filter_map(|_| stack.tcp_accept(listener)).count();
    assert_eq!(taken, BACKLOG + 1);
}

#[test]
fn req_synf_8_a_cookie_finds_the_accept_queue_full_and_is_not_reset() {
    let (mut stack, listener) = small();
    flood(&mut stack, at(0));
    let syns: Vec<_> = (100..107).map(forged).collect();
    let acks: Vec<_> = syns
        .iter()
        .map(|syn| {
            let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
            acknowledging(syn, &syn_ack)
        })
        .collect();
    let (fit, rest) = acks.split_at(BACKLOG + 1);
    for ack in fit {
        exchange(&mut stack, at(0), ack.bytes());
    }
    for ack in rest {
        assert_dropped(&mut stack, ack.bytes(), Discard::AcceptQueueFull);
    }
    // Those who came back are remembered: the SYN-ACK comes again, and by then there is room.
    assert!(stack.tcp_accept(listener).is_some());
    let again = run_until(&mut stack, at(0), at(1_000));
    let again: Vec<_> = again.iter().map(|(_, frame)| parse_tcp(frame)).collect();
    for ack in rest {
        let repeated = |sent: &&Seg| sent.flags == SYN | ACK && sent.dst == ack.src;
        let syn_ack = again.iter().find(repeated).unwrap();
        assert_eq!(syn_ack.seq.wrapping_add(1), ack.ack);
    }
    exchange(&mut stack, at(1_001), rest[0].bytes());
    let taken = (0..100).filter_map(|_| stack.tcp_accept(listener)).count();
    assert_eq!(taken, BACKLOG + 1);
}

#[test]
fn an_embryo_follows_the_rules_of_syn_received() {
    let (mut stack, listener) = small();
    let syn = with_everything(forged(0));
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    let ack = acknowledging(&syn, &syn_ack);
    // RFC 9293 §3.10.7.4, fifth: an acknowledgement of something else is reset, and the embryo stays.
    let wrong = ack.clone().ack(ack.ack.wrapping_add(7));
    let reset = one_tcp(&exchange(&mut stack, at(1), wrong.bytes()));
    assert_eq!((reset.flags, reset.seq), (RST, wrong.ack));
    // First: outside the window, an acknowledgement, and at most one in half a second.
    let outside = ack.clone().seq(ack.seq.wrapping_add(1 << 20));
    let challenge = one_tcp(&exchange(&mut stack, at(2), outside.bytes()));
    assert_eq!((challenge.flags, challenge.ack), (ACK, ack.seq));
    for ms in 3..500 {
        assert!(exchange(&mut stack, at(ms), outside.bytes()).is_empty());
    }
    one_tcp(&exchange(&mut stack, at(502), outside.bytes()));
    // Second: a reset in the window but not at its start is challenged, one outside is not heard.
    let rst = |seq: u32| {
        let mut rst = ack.clone().seq(seq);
        rst.flags = RST;
        rst.bytes()
    };
    let edge = ack.seq;
    one_tcp(&exchange(&mut stack, at(1_100), rst(edge.wrapping_add(9))));
    let reason = Discard::Tcp(tcp::Discard::ResetOutOfWindow);
    assert_dropped(&mut stack, rst(edge.wrapping_sub(9)), reason);
    // The SYN once more is answered once more; the handshake then completes.
    let again = one_tcp(&exchange(&mut stack, at(1_101), syn.bytes()));
    assert_eq!((again.flags, again.seq), (SYN | ACK, syn_ack.seq));
    let mut fin = acknowledging(&syn, &again).payload(b"all");
    fin.flags = FIN | ACK;
    exchange(&mut stack, at(1_102), fin.bytes());
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(stack.tcp_state(id), Some(State::CloseWait));
    assert_eq!(stack.tcp_recv(at(1_102), id, 9).unwrap().unwrap(), "all");
    let info = stack.tcp_info(id).unwrap();
    // Two SYN-ACKs, and the answer to the FIN.
    assert_eq!(info.counters.segments_sent, 3);
    assert_eq!(info.srtt.map(|srtt| srtt.as_millis()), Some(1));
}
