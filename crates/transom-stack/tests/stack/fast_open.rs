//! TCP Fast Open (RFC 7413; requirements C.12, SEC-TFO-1): listeners, and what clients remember.

use core::time::Duration;

use transom_stack::tcp::{CloseReason, Event, FastOpenUse, Instant, RecvError, State};
use transom_stack::wire::tcp::{FastOpen, Flags, Timestamps};
use transom_stack::{
    ConnId, ConnectOptions, FastOpenKeys, FastOpenListen, ListenOn, ListenOptions, ListenerId,
    Stack, StackConfig, StackEvent,
};

use crate::harness::*;

const SERVER: &str = "10.0.0.1:80";

/// A stack with a listener that takes data of up to `pending` SYNs.
fn listening(pending: usize) -> (Stack, ListenerId) {
    let mut stack = stack();
    let options = ListenOptions::new(ListenOn::AnyAddress(80));
    let options = options.fast_open(FastOpenListen::new(pending));
    let listener = stack.tcp_listen(options).unwrap();
    (stack, listener)
}

fn client(port: u16, flags: Flags) -> Seg {
    seg(&format!("{PEER}:{port}"), SERVER, flags).mss(1460)
}

fn with_option(mut syn: Seg, option: FastOpen) -> Seg {
    syn.options.fast_open = Some(option);
    syn
}

/// The cookie that the listener gives the client.
fn cookie(stack: &mut Stack, now: Instant) -> FastOpen {
    let request = with_option(client(1, SYN), FastOpen::REQUEST);
    let syn_ack = one_tcp(&exchange(stack, now, request.bytes()));
    assert_eq!(syn_ack.ack, 1001);
    let given = syn_ack.options.fast_open.unwrap();
    exchange(stack, now, client(1, RST).seq(1001).bytes());
    given
}

/// A SYN with a valid cookie and `data`, and its SYN-ACK.
fn open(stack: &mut Stack, port: u16, data: &[u8]) -> (Seg, Seg) {
    let cookie = cookie(stack, at(0));
    let syn = with_option(client(port, SYN), cookie).payload(data);
    let syn_ack = one_tcp(&exchange(stack, at(0), syn.bytes()));
    assert_eq!(syn_ack.flags, SYN | ACK);
    (syn, syn_ack)
}

fn events(stack: &mut Stack) -> Vec<StackEvent> {
    core::iter::from_fn(|| stack.poll_event()).collect()
}

#[test]
fn req_tfo_3_data_with_a_valid_cookie_is_delivered_and_answered_in_syn_received() {
    let (mut stack, listener) = listening(10);
    let (_, syn_ack) = open(&mut stack, 2, b"request");
    assert_eq!(syn_ack.ack, 1008);
    assert_eq!(syn_ack.options.fast_open, None);
    // What the SYN brought takes up window.
    assert_eq!(syn_ack.window, 65_535 - 7);
    assert!(events(&mut stack).contains(&StackEvent::Acceptable(listener)));
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(stack.tcp_state(id), Some(State::SynReceived));
    assert_eq!(
        stack.tcp_recv(at(1), id, 100).unwrap().unwrap(),
        &b"request"[..]
    );
    assert_eq!(stack.tcp_info(id).unwrap().syn_data_taken, 7);
    assert!(drain(&mut stack, at(1)).is_empty());
    stack.tcp_send(at(2), id, "answer".into()).unwrap();
    let answer = one_tcp(&drain(&mut stack, at(2)));
    assert_eq!((answer.seq, answer.ack), (syn_ack.seq + 1, 1008));
    assert_eq!(answer.payload, b"answer");
    // One acknowledgement for the SYN-ACK and the answer.
    let ack = client(2, ACK).seq(1008).ack(answer.seq + 6);
    assert!(exchange(&mut stack, at(3), ack.bytes()).is_empty());
    assert_eq!(stack.tcp_state(id), Some(State::Established));
    let info = stack.tcp_info(id).unwrap();
    assert_eq!((info.send_queue, info.counters.bytes_acked), (0, 6));
    assert_eq!(stack.counters().fast_opens_in, 1);
}

#[test]
fn req_tfo_3_a_syn_with_a_cookie_and_no_data_lets_the_server_speak_first() {
    let (mut stack, listener) = listening(10);
    let (_, syn_ack) = open(&mut stack, 2, b"");
    assert_eq!(syn_ack.ack, 1001);
    let id = stack.tcp_accept(listener).unwrap();
    stack.tcp_send(at(0), id, vec![1; 20_000].into()).unwrap();
    // No more than the initial window, and than the window of the SYN.
    let sent: usize = drain(&mut stack, at(0))
        .iter()
        .map(|frame| parse_tcp(frame).payload.len())
        .sum();
    assert_eq!(sent, 14_600);
    assert_eq!(stack.tcp_info(id).unwrap().syn_data_taken, 0);
}

#[test]
fn req_tfo_3_until_the_syn_ack_is_acknowledged_nothing_else_is_sent_again() {
    let (mut stack, listener) = listening(10);
    let (_, syn_ack) = open(&mut stack, 2, b"request");
    let id = stack.tcp_accept(listener).unwrap();
    stack.tcp_send(at(0), id, "answer".into()).unwrap();
    assert_eq!(one_tcp(&drain(&mut stack, at(0))).payload, b"answer");
    let again = run_until(&mut stack, at(0), at(3500));
    let [(first, one), (second, two)] = again.as_slice() else {
        panic!("{} segments sent again", again.len());
    };
    assert_eq!((*first, *second), (at(1000), at(3000)));
    for frame in [one, two] {
        let again = parse_tcp(frame);
        assert_eq!((again.flags, again.seq), (SYN | ACK, syn_ack.seq));
        assert_eq!((again.ack, again.payload.len()), (1008, 0));
    }
    // Then what is missing is.
    let ack = client(2, ACK).seq(1008).ack(syn_ack.seq + 1);
    let at_once = exchange(&mut stack, at(3500), ack.bytes());
    assert!(at_once.is_empty());
    let rest = run_until(&mut stack, at(3500), at(8000));
    assert_eq!(parse_tcp(&rest[0].1).payload, b"answer");
}

#[test]
fn req_tfo_3_the_syn_again_is_answered_again_and_delivers_nothing_twice() {
    let (mut stack, listener) = listening(10);
    let (syn, syn_ack) = open(&mut stack, 2, b"request");
    let mut plain = syn.clone().payload(b"");
    plain.options.fast_open = None;
    // As sent, and as a client sends it after a timeout.
    for again in [syn, plain] {
        let again = one_tcp(&exchange(&mut stack, at(10), again.bytes()));
        assert_eq!((again.flags, again.seq), (SYN | ACK, syn_ack.seq));
        assert_eq!(again.ack, 1008);
    }
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(stack.tcp_accept(listener), None);
    assert_eq!(
        stack.tcp_recv(at(10), id, 100).unwrap().unwrap(),
        &b"request"[..]
    );
    assert_eq!(stack.tcp_recv(at(10), id, 100).unwrap(), None);
    // The client that was told of the SYN only sends the data again.
    let ack = client(2, ACK)
        .seq(1001)
        .ack(syn_ack.seq + 1)
        .payload(b"request");
    let reply = one_tcp(&exchange(&mut stack, at(11), ack.bytes()));
    assert_eq!((reply.flags, reply.ack), (ACK, 1008));
    assert_eq!(stack.tcp_recv(at(11), id, 100).unwrap(), None);
}

#[test]
fn req_tfo_4_data_with_a_cookie_that_is_not_valid_is_dropped_and_a_better_one_given() {
    for experimental in [false, true] {
        let (mut stack, listener) = listening(10);
        let valid = cookie(&mut stack, at(0));
        let wrong = FastOpen::new(&[9; 8]).unwrap().experimental(experimental);
        let syn = with_option(client(2, SYN), wrong).payload(b"request");
        let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
        assert_eq!(syn_ack.ack, 1001);
        // In the form in which the client speaks.
        assert_eq!(
            syn_ack.options.fast_open,
            Some(valid.experimental(experimental))
        );
        assert_eq!(stack.tcp_accept(listener), None);
        let ack = client(2, ACK).seq(1001).ack(syn_ack.seq + 1);
        exchange(&mut stack, at(0), ack.bytes());
        let id = stack.tcp_accept(listener).unwrap();
        assert_eq!(stack.tcp_recv(at(0), id, 100).unwrap(), None);
        assert_eq!(stack.counters().fast_open_refusals, 1);
    }
}

#[test]
fn req_tfo_4_cookies_are_given_in_the_first_syn_ack_only() {
    let (mut stack, _) = listening(10);
    let request = with_option(client(2, SYN), FastOpen::REQUEST);
    let first = one_tcp(&exchange(&mut stack, at(0), request.bytes()));
    assert!(first.options.fast_open.is_some());
    let again = run_until(&mut stack, at(0), at(1000));
    assert_eq!(parse_tcp(&again[0].1).options.fast_open, None);
    assert_eq!(stack.counters().fast_open_cookies_out, 1);
}

#[test]
fn req_tfo_2_and_tfo_12_the_cookie_is_siphash_of_the_addresses_and_keys_change_with_grace() {
    let keys = FastOpenKeys::new([1; 16]);
    let (mut stack, listener) = listening(10);
    let derived = cookie(&mut stack, at(0));
    assert_eq!(derived.cookie().len(), 8);
    stack.set_fast_open_keys(Some(keys));
    let first = cookie(&mut stack, at(0));
    assert_ne!(first, derived);
    stack.set_fast_open_keys(Some(FastOpenKeys::new([2; 16]).backup([1; 16])));
    let second = cookie(&mut stack, at(0));
    let syn = with_option(client(2, SYN), first).payload(b"old key");
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    assert_eq!(syn_ack.ack, 1008);
    assert_eq!(syn_ack.options.fast_open, Some(second));
    // The one before is no longer good.
    let syn = with_option(client(3, SYN), derived).payload(b"older");
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    assert_eq!(
        (syn_ack.ack, syn_ack.options.fast_open),
        (1001, Some(second))
    );
    // Another address cannot use it.
    let mut syn = with_option(client(4, SYN), second).payload(b"stolen");
    syn.src = socket("10.0.0.77:4");
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    assert_eq!(syn_ack.ack, 1001);
    assert_ne!(syn_ack.options.fast_open, Some(second));
    // A listener may have keys of its own.
    let own = FastOpenListen::new(10).keys(keys);
    assert!(stack.tcp_set_fast_open(listener, Some(own)));
    assert_eq!(cookie(&mut stack, at(0)), first);
}

#[test]
fn req_tfo_5_and_sec_tfo_1_too_many_unfinished_handshakes_with_data_are_ordinary_ones() {
    let (mut stack, listener) = listening(2);
    let cookie = cookie(&mut stack, at(0));
    let syn = |port: u16| with_option(client(port, SYN), cookie).payload(b"request");
    let ack_of = |stack: &mut Stack, now, port| one_tcp(&exchange(stack, now, syn(port).bytes()));
    let first = ack_of(&mut stack, at(0), 11);
    assert_eq!(first.ack, 1008);
    assert_eq!(ack_of(&mut stack, at(0), 12).ack, 1008);
    // Accepted or not: what counts is the handshake.
    stack.tcp_accept(listener).unwrap();
    let third = ack_of(&mut stack, at(0), 13);
    assert_eq!((third.ack, third.options.fast_open), (1001, None));
    assert_eq!(stack.counters().fast_open_overflows, 1);
    // A complete one makes room, a reset one does not for a minute.
    let ack = client(11, ACK).seq(1008).ack(first.seq + 1);
    exchange(&mut stack, at(1), ack.bytes());
    exchange(&mut stack, at(1), client(12, RST).seq(1008).bytes());
    assert_eq!(ack_of(&mut stack, at(2), 14).ack, 1008);
    assert_eq!(ack_of(&mut stack, at(3), 15).ack, 1001);
    assert_eq!(ack_of(&mut stack, at(59_900), 16).ack, 1001);
    assert_eq!(ack_of(&mut stack, at(60_001), 17).ack, 1008);
}

#[test]
fn req_tfo_5_a_connection_that_is_closed_before_its_handshake_is_complete_still_counts() {
    let (mut stack, listener) = listening(1);
    let (_, _) = open(&mut stack, 2, b"request");
    let id = stack.tcp_accept(listener).unwrap();
    stack.tcp_recv(at(0), id, 100).unwrap();
    stack.tcp_release(at(0), id);
    assert_eq!(one_tcp(&drain(&mut stack, at(0))).flags, FIN | ACK);
    let request = with_option(client(3, SYN), FastOpen::REQUEST);
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), request.bytes()));
    assert_eq!(syn_ack.options.fast_open, None);
}

#[test]
fn req_tfo_11_and_sec_tfo_1_it_is_off_until_it_is_asked_for() {
    let mut stack = stack();
    let on = ListenOptions::new(ListenOn::AnyAddress(80));
    let listener = stack.tcp_listen(on).unwrap();
    for option in [FastOpen::REQUEST, FastOpen::new(&[1; 8]).unwrap()] {
        let syn = with_option(client(2, SYN), option).payload(b"request");
        let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
        assert_eq!((syn_ack.ack, syn_ack.options.fast_open), (1001, None));
    }
    assert_eq!(stack.tcp_accept(listener), None);
    let to = ConnectOptions::new(socket("10.0.0.2:80"));
    let id = stack.tcp_connect(at(0), to).unwrap();
    stack.tcp_send(at(0), id, "request".into()).unwrap();
    let syn = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!((syn.payload.len(), syn.options.fast_open), (0, None));
}

#[test]
fn without_cookies_data_is_taken_from_everybody() {
    let (mut stack, listener) = listening(10);
    let open = FastOpenListen::new(10).without_cookie(true);
    assert!(stack.tcp_set_fast_open(listener, Some(open)));
    let syn = client(2, SYN).payload(b"request");
    let syn_ack = one_tcp(&exchange(&mut stack, at(0), syn.bytes()));
    assert_eq!((syn_ack.ack, syn_ack.options.fast_open), (1008, None));
}

#[test]
fn req_tfo_13_an_answer_and_a_close_go_out_in_syn_received() {
    let (mut stack, listener) = listening(10);
    let (_, syn_ack) = open(&mut stack, 2, b"request");
    let id = stack.tcp_accept(listener).unwrap();
    stack.tcp_recv(at(0), id, 100).unwrap();
    stack.tcp_send(at(0), id, "answer".into()).unwrap();
    stack.tcp_close(at(0), id);
    assert_eq!(stack.tcp_state(id), Some(State::FinWait1));
    let answer = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!(
        (answer.payload.as_slice(), answer.seq),
        (&b"answer"[..], syn_ack.seq + 1)
    );
    assert!(answer.flags.contains(FIN));
    // The acknowledgement of all of it.
    let ack = client(2, ACK).seq(1008).ack(answer.seq + 7);
    exchange(&mut stack, at(1), ack.bytes());
    assert_eq!(stack.tcp_state(id), Some(State::FinWait2));
    let fin = client(2, FIN | ACK).seq(1008).ack(answer.seq + 7);
    assert_eq!(one_tcp(&exchange(&mut stack, at(2), fin.bytes())).ack, 1009);
    assert_eq!(stack.tcp_state(id), Some(State::TimeWait));
}

#[test]
fn req_tfo_13_a_fin_waits_for_its_acknowledgement_behind_the_syn_acks() {
    let (mut stack, listener) = listening(10);
    let (_, syn_ack) = open(&mut stack, 2, b"request");
    let id = stack.tcp_accept(listener).unwrap();
    stack.tcp_recv(at(0), id, 100).unwrap();
    stack.tcp_close(at(0), id);
    let fin = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!((fin.flags, fin.seq), (FIN | ACK, syn_ack.seq + 1));
    // The SYN-ACK only is acknowledged: the FIN was lost.
    let ack = client(2, ACK).seq(1008).ack(syn_ack.seq + 1);
    exchange(&mut stack, at(1), ack.bytes());
    assert_eq!(stack.tcp_state(id), Some(State::FinWait1));
    let again = run_until(&mut stack, at(1), at(5000));
    assert_eq!(parse_tcp(&again[0].1).flags, FIN | ACK);
}

#[test]
fn req_tfo_13_a_listener_that_is_closed_resets_what_nobody_has_taken() {
    let (mut stack, listener) = listening(10);
    let (_, syn_ack) = open(&mut stack, 2, b"request");
    stack.tcp_close_listener(at(0), listener);
    let reset = one_tcp(&drain(&mut stack, at(0)));
    assert_eq!((reset.flags, reset.seq), (RST | ACK, syn_ack.seq + 1));
    assert_eq!(reset.ack, 1008);
    assert_eq!(stack.connections().count(), 0);
}

#[test]
fn req_tfo_13_closing_with_the_data_of_the_syn_unread_resets() {
    let (mut stack, listener) = listening(10);
    open(&mut stack, 2, b"request");
    let id = stack.tcp_accept(listener).unwrap();
    stack.tcp_release(at(0), id);
    assert!(one_tcp(&drain(&mut stack, at(0))).flags.contains(RST));
}

#[test]
fn req_tfo_5_what_a_reset_ends_can_still_be_accepted_and_read() {
    let (mut stack, listener) = listening(10);
    open(&mut stack, 2, b"request");
    exchange(&mut stack, at(1), client(2, RST).seq(1008).bytes());
    let id = stack.tcp_accept(listener).unwrap();
    assert_eq!(
        stack.tcp_recv(at(1), id, 100).unwrap().unwrap(),
        &b"request"[..]
    );
    let gone = RecvError::Closed(CloseReason::ResetByPeer);
    assert_eq!(stack.tcp_recv(at(1), id, 100), Err(gone.into()));
}

#[test]
fn req_sec_synf_2_data_of_a_syn_takes_no_memory_before_its_cookie_was_found_valid() {
    let (mut stack, _) = listening(10);
    let wrong = FastOpen::new(&[9; 8]).unwrap();
    for option in [None, Some(FastOpen::REQUEST), Some(wrong)] {
        let mut syn = client(2, SYN).payload(&[7; 1400]);
        syn.options.fast_open = option;
        let frame = bytes::Bytes::from(syn.bytes());
        stack.handle_frame(at(0), frame.clone().into());
        assert!(
            frame.is_unique(),
            "something refers to the frame of {option:?}"
        );
        drain(&mut stack, at(0));
        exchange(&mut stack, at(0), client(2, RST).seq(1001).bytes());
    }
    // When the queue of handshakes is full, not even then.
    let mut stack = stack_with(StackConfig::default().max_embryos(0));
    let options = ListenOptions::new(ListenOn::AnyAddress(80));
    let open = FastOpenListen::new(10).without_cookie(true);
    stack.tcp_listen(options.fast_open(open)).unwrap();
    let syn = client(2, SYN).payload(&[7; 1400]);
    assert_eq!(one_tcp(&exchange(&mut stack, at(0), syn.bytes())).ack, 1001);
    assert_eq!(stack.counters().syn_cookies_out, 1);
}

// The other side.

fn connect(stack: &mut Stack, now: Instant, data: &[u8]) -> (ConnId, Seg) {
    connect_to(stack, now, data, ConnectOptions::new(socket("10.0.0.2:80")))
}

fn connect_to(stack: &mut Stack, now: Instant, data: &[u8], to: ConnectOptions) -> (ConnId, Seg) {
    let to = to.fast_open(FastOpenUse::Cookie);
    let id = stack.tcp_connect(now, to).unwrap();
    stack.tcp_send_slice(now, id, data).unwrap();
    let syn = one_tcp(&drain(stack, now));
    assert_eq!(syn.flags, SYN);
    (id, syn)
}

/// The server's SYN-ACK to `syn`, which acknowledges `taken` octets of its data.
fn syn_ack(syn: &Seg, taken: u32, mss: u16, cookie: Option<FastOpen>) -> Seg {
    let mut answer = seg(&syn.dst.to_string(), &syn.src.to_string(), SYN | ACK);
    answer.seq = 5000;
    answer.ack = syn.seq.wrapping_add(1 + taken);
    answer.options.mss = Some(mss);
    answer.options.fast_open = cookie;
    answer
}

fn given() -> FastOpen {
    FastOpen::new(b"cookie").unwrap()
}

/// A stack whose server has given out a cookie and accepts segments of `mss`.
fn knowing(mss: u16) -> Stack {
    let mut stack = stack();
    learn(&mut stack, mss);
    stack
}

fn learn(stack: &mut Stack, mss: u16) {
    let (id, syn) = connect(stack, at(0), b"");
    assert_eq!(syn.options.fast_open, Some(FastOpen::REQUEST));
    let answer = syn_ack(&syn, 0, mss, Some(given()));
    exchange(stack, at(1), answer.bytes());
    stack.tcp_abort(at(1), id);
    stack.tcp_release(at(1), id);
    drain(stack, at(1));
}

#[test]
fn req_tfo_6_and_ev_u_3_a_cookie_is_asked_for_then_used_with_data_written_in_syn_sent() {
    let mut stack = stack();
    let (id, syn) = connect(&mut stack, at(0), b"request");
    // Without a cookie the data waits for the handshake, and goes with its end.
    assert_eq!(syn.options.fast_open, Some(FastOpen::REQUEST));
    assert_eq!(syn.payload, b"");
    let answer = syn_ack(&syn, 0, 1400, Some(given()));
    let request = one_tcp(&exchange(&mut stack, at(10), answer.bytes()));
    assert_eq!(request.payload, b"request");
    assert_eq!(stack.tcp_info(id).unwrap().syn_data_acked, 0);
    // To another port of the same server, for cookies are the address's.
    let to = ConnectOptions::new(socket("10.0.0.2:81"));
    let (id, syn) = connect_to(&mut stack, at(20), b"request", to);
    assert_eq!(syn.options.fast_open, Some(given()));
    assert_eq!(syn.payload, b"request");
    let taken = exchange(&mut stack, at(30), syn_ack(&syn, 7, 1400, None).bytes());
    assert_eq!(one_tcp(&taken).payload, b"");
    let info = stack.tcp_info(id).unwrap();
    assert_eq!((info.state, info.syn_data_acked), (State::Established, 7));
    assert_eq!((info.send_queue, info.counters.retransmissions), (0, 0));
    assert_eq!(info.srtt, Some(Duration::from_millis(10)));
    assert_eq!(stack.counters().fast_opens_out, 1);
    // Another server is another matter, and so is one that was forgotten.
    let to = ConnectOptions::new(socket("10.0.0.3:80"));
    let (_, syn) = connect_to(&mut stack, at(40), b"request", to);
    assert_eq!(syn.options.fast_open, Some(FastOpen::REQUEST));
    stack.forget_fast_open();
    let (_, syn) = connect(&mut stack, at(50), b"request");
    assert_eq!(syn.options.fast_open, Some(FastOpen::REQUEST));
}

#[test]
fn req_tfo_6_a_cookie_that_nobody_asked_for_is_not_kept() {
    let mut stack = stack();
    let to = ConnectOptions::new(socket("10.0.0.2:80"));
    stack.tcp_connect(at(0), to).unwrap();
    let syn = one_tcp(&drain(&mut stack, at(0)));
    let answer = syn_ack(&syn, 0, 1400, Some(given()));
    exchange(&mut stack, at(1), answer.bytes());
    let (_, syn) = connect(&mut stack, at(2), b"request");
    assert_eq!(syn.options.fast_open, Some(FastOpen::REQUEST));
}

#[test]
fn req_tfo_6_as_many_servers_are_remembered_as_was_chosen() {
    let mut stack = stack_with(StackConfig::default().max_fast_open_servers(2));
    let to = |last: u8| ConnectOptions::new(socket(&format!("10.0.0.{last}:80")));
    for last in [2, 3, 4] {
        let now = at(u64::from(last));
        let (_, syn) = connect_to(&mut stack, now, b"", to(last));
        exchange(
            &mut stack,
            now,
            syn_ack(&syn, 0, 1400, Some(given())).bytes(),
        );
    }
    // The one that was not asked for the longest had to go.
    let asks = [2, 3, 4].map(|last| {
        let (_, syn) = connect_to(&mut stack, at(10), b"", to(last));
        syn.options.fast_open == Some(FastOpen::REQUEST)
    });
    assert_eq!(asks, [true, false, false]);
}

#[test]
fn req_tfo_7_the_data_is_what_the_servers_segment_size_leaves_beside_options() {
    for (mss, room) in [(1000, 960), (9000, 1420), (536, 496)] {
        let mut stack = knowing(mss);
        let (id, syn) = connect(&mut stack, at(10), &[1; 3000]);
        assert_eq!(syn.payload.len(), room, "{mss}");
        // The rest follows with the acknowledgement.
        let taken = syn_ack(&syn, room as u32, mss, None);
        let rest: usize = exchange(&mut stack, at(20), taken.bytes())
            .iter()
            .map(|frame| parse_tcp(frame).payload.len())
            .sum();
        assert_eq!(rest, 3000 - room);
        assert_eq!(stack.tcp_info(id).unwrap().counters.retransmissions, 0);
    }
    // A server that does not say takes 536 octets (RFC 9293 MUST-15).
    let mut stack = stack();
    let (_, syn) = connect(&mut stack, at(0), b"");
    let mut answer = syn_ack(&syn, 0, 0, Some(given()));
    answer.options.mss = None;
    exchange(&mut stack, at(1), answer.bytes());
    let (_, syn) = connect(&mut stack, at(2), &[1; 3000]);
    assert_eq!(syn.payload.len(), 536 - 40);
    // Six bytes of cookie, timestamps and all other options: nothing is longer than the path carries.
    assert!(20 + 20 + syn.options.emitted_len() + syn.payload.len() <= 1500);
}

#[test]
fn req_tfo_8_a_syn_that_is_sent_again_carries_neither_data_nor_cookie() {
    let mut stack = knowing(1460);
    let (id, syn) = connect(&mut stack, at(10), b"request");
    assert_eq!(syn.payload, b"request");
    let again = run_until(&mut stack, at(10), at(1500));
    let again = parse_tcp(&again[0].1);
    assert_eq!((again.flags, again.seq), (SYN, syn.seq));
    assert_eq!((again.payload.len(), again.options.fast_open), (0, None));
    // The first may have arrived all the same.
    let taken = exchange(&mut stack, at(1600), syn_ack(&syn, 7, 1460, None).bytes());
    assert_eq!(one_tcp(&taken).payload, b"");
    assert_eq!(stack.tcp_info(id).unwrap().syn_data_acked, 7);
    // Which of them is answered, nobody knows: there is no round trip to be measured.
    assert_eq!(stack.tcp_info(id).unwrap().srtt, None);
}

#[test]
fn req_tfo_9_and_ev_s_5_data_that_was_not_acknowledged_is_sent_again_at_once_and_nothing_cut() {
    for taken in [0, 3] {
        let mut stack = knowing(1460);
        let (id, syn) = connect(&mut stack, at(10), b"request");
        let answer = syn_ack(&syn, taken, 1460, None);
        let again = one_tcp(&exchange(&mut stack, at(20), answer.bytes()));
        assert_eq!(again.payload, b"request"[taken as usize..]);
        assert_eq!(again.seq, syn.seq.wrapping_add(1 + taken));
        let info = stack.tcp_info(id).unwrap();
        assert_eq!(info.cwnd, 14_600);
        assert!(info.ssthresh > 1 << 32);
        assert_eq!((info.syn_data_acked, info.counters.timeouts), (0, 0));
        assert_eq!(info.counters.retransmissions, 1);
        let ack = seg("10.0.0.2:80", &syn.src.to_string(), ACK);
        let ack = ack.seq(5001).ack(syn.seq.wrapping_add(8));
        exchange(&mut stack, at(30), ack.bytes());
        assert_eq!(stack.tcp_info(id).unwrap().send_queue, 0);
        assert_eq!(stack.counters().fast_open_failures, 1);
    }
}

#[test]
fn req_ev_s_2_a_reset_that_acknowledges_a_part_of_what_was_sent_is_a_refusal() {
    for acknowledged in [0, 1, 7] {
        let mut stack = knowing(1460);
        let (id, syn) = connect(&mut stack, at(10), b"request");
        let mut reset = syn_ack(&syn, acknowledged, 1460, None);
        reset.flags = RST | ACK;
        exchange(&mut stack, at(20), reset.bytes());
        let closed = stack.tcp_connection(id).unwrap().closed();
        assert_eq!(closed, Some(CloseReason::Refused));
    }
    // Beyond what was sent it is some other connection's.
    let mut stack = knowing(1460);
    let (id, syn) = connect(&mut stack, at(10), b"request");
    let mut stray = syn_ack(&syn, 8, 1460, None);
    let answer = exchange(&mut stack, at(20), stray.bytes());
    assert_eq!(parse_tcp(&answer[0]).flags, RST);
    stray.flags = RST | ACK;
    assert!(exchange(&mut stack, at(20), stray.bytes()).is_empty());
    assert_eq!(stack.tcp_state(id), Some(State::SynSent));
}

#[test]
fn both_ends_may_open_at_once_with_data() {
    let mut stack = knowing(1460);
    let (id, syn) = connect(&mut stack, at(10), b"request");
    let mut theirs = syn_ack(&syn, 0, 1460, None);
    theirs.flags = SYN;
    theirs.payload = b"theirs".to_vec();
    let answer = one_tcp(&exchange(&mut stack, at(20), theirs.bytes()));
    assert_eq!(
        (answer.flags, answer.ack, answer.payload.len()),
        (SYN | ACK, 5001, 0)
    );
    // They take our SYN without the data.
    let answer = syn_ack(&syn, 0, 1460, None);
    let again = exchange(&mut stack, at(30), answer.bytes());
    assert_eq!(parse_tcp(again.last().unwrap()).payload, b"request");
    assert_eq!(stack.tcp_state(id), Some(State::Established));
}

#[test]
fn req_tfo_10_after_data_was_in_vain_twice_it_rests_with_that_server() {
    let mut stack = knowing(1460);
    let mut now = 1000;
    let lose = |stack: &mut Stack, now: u64| {
        let (id, syn) = connect(stack, at(now), b"request");
        let used = syn.options.fast_open.is_some();
        run_until(stack, at(now), at(now + 1000));
        exchange(stack, at(now + 1100), syn_ack(&syn, 0, 1460, None).bytes());
        stack.tcp_abort(at(now + 1200), id);
        stack.tcp_release(at(now + 1200), id);
        drain(stack, at(now + 1200));
        used
    };
    assert!(lose(&mut stack, now));
    now += 2000;
    assert!(lose(&mut stack, now));
    now += 2000;
    // Neither data nor option, and no other server is concerned.
    let (id, syn) = connect(&mut stack, at(now), b"request");
    assert_eq!((syn.payload.len(), syn.options.fast_open), (0, None));
    stack.tcp_abort(at(now), id);
    let to = ConnectOptions::new(socket("10.0.0.3:80"));
    let (_, syn) = connect_to(&mut stack, at(now), b"", to);
    assert_eq!(syn.options.fast_open, Some(FastOpen::REQUEST));
    // Four minutes later once more; a success makes it forget.
    now += 240_000;
    let (_, syn) = connect(&mut stack, at(now), b"request");
    assert_eq!(syn.options.fast_open, Some(given()));
    exchange(
        &mut stack,
        at(now + 1),
        syn_ack(&syn, 7, 1460, None).bytes(),
    );
    now += 1000;
    assert!(lose(&mut stack, now));
    assert!(lose(&mut stack, now + 2000));
}

#[test]
fn req_tfo_10_a_server_without_cookies_is_asked_in_the_other_form_once() {
    let mut stack = stack();
    let forms: Vec<_> = (0..4)
        .map(|n| {
            let (_, syn) = connect(&mut stack, at(n * 10), b"request");
            let answer = syn_ack(&syn, 0, 1460, None);
            exchange(&mut stack, at(n * 10 + 1), answer.bytes());
            assert_eq!(syn.payload, b"");
            syn.options.fast_open.unwrap().is_experimental()
        })
        .collect();
    assert_eq!(forms, [false, true, false, false]);
}

#[test]
fn req_tfo_10_signs_of_a_black_hole_make_it_pause_for_everybody() {
    let mut stack = knowing(1460);
    let (id, syn) = connect(&mut stack, at(1000), b"request");
    exchange(&mut stack, at(1001), syn_ack(&syn, 7, 1460, None).bytes());
    // A reset, and what was sent before it never came.
    let mut reset = syn_ack(&syn, 7, 1460, None);
    reset.flags = RST;
    reset.seq = 5101;
    exchange(&mut stack, at(1002), reset.bytes());
    stack.tcp_abort(at(1003), id);
    drain(&mut stack, at(1003));
    let tries = |stack: &mut Stack, ms: u64| {
        let (id, syn) = connect(stack, at(ms), b"request");
        stack.tcp_abort(at(ms), id);
        drain(stack, at(ms));
        syn.options.fast_open.is_some()
    };
    assert!(!tries(&mut stack, 2000));
    let hour = 3_600_000;
    assert!(!tries(&mut stack, hour));
    assert!(tries(&mut stack, hour + 2000));
    // Three timeouts in a row are another sign: this time it takes two hours.
    let (id, _) = connect(&mut stack, at(hour + 3000), b"request");
    run_until(&mut stack, at(hour + 3000), at(hour + 11_000));
    stack.tcp_abort(at(hour + 11_000), id);
    drain(&mut stack, at(hour + 11_000));
    assert!(!tries(&mut stack, 3 * hour));
    // Once data of a server has come, the next pause would be an hour again.
    let (id, syn) = connect(&mut stack, at(4 * hour), b"request");
    assert_eq!(syn.payload, b"request");
    let mut answer = syn_ack(&syn, 7, 1460, None);
    exchange(&mut stack, at(4 * hour + 1), answer.bytes());
    answer.flags = ACK;
    answer.seq = 5001;
    answer.payload = b"answer".to_vec();
    exchange(&mut stack, at(4 * hour + 2), answer.bytes());
    // Its FIN comes, and something before it never does.
    answer.flags = FIN | ACK;
    answer.seq = 5107;
    exchange(&mut stack, at(4 * hour + 3), answer.bytes());
    stack.tcp_abort(at(4 * hour + 4), id);
    drain(&mut stack, at(4 * hour + 4));
    assert!(!tries(&mut stack, 4 * hour + 1000));
    assert!(tries(&mut stack, 5 * hour + 1000));
    // Switched off, as Linux's default is.
    stack.set_fast_open_pause(Duration::ZERO);
    assert!(tries(&mut stack, 5 * hour + 2000));
}

#[test]
fn a_syn_may_wait_for_the_first_write_where_a_cookie_is_known() {
    let mut stack = stack();
    let to = ConnectOptions::new(socket("10.0.0.2:80"))
        .fast_open(FastOpenUse::Cookie)
        .wait_for_data(true);
    let id = stack.tcp_connect(at(0), to.clone()).unwrap();
    // Without a cookie there is nothing to wait for.
    assert_eq!(one_tcp(&drain(&mut stack, at(0))).flags, SYN);
    stack.tcp_abort(at(0), id);
    learn(&mut stack, 1460);
    let id = stack.tcp_connect(at(10), to.clone()).unwrap();
    assert!(run_until(&mut stack, at(10), at(60_000)).is_empty());
    stack.tcp_send(at(60_000), id, "request".into()).unwrap();
    let syn = one_tcp(&drain(&mut stack, at(60_000)));
    assert_eq!((syn.flags, syn.payload.as_slice()), (SYN, &b"request"[..]));
    exchange(&mut stack, at(60_010), syn_ack(&syn, 7, 1460, None).bytes());
    let connected = StackEvent::Tcp(id, Event::Connected);
    assert!(events(&mut stack).contains(&connected));
    // Given up before that, nobody is told.
    let id = stack.tcp_connect(at(60_020), to).unwrap();
    stack.tcp_close(at(60_020), id);
    assert!(run_until(&mut stack, at(60_020), at(90_000)).is_empty());
}

#[test]
fn timestamps_find_room_beside_the_cookie() {
    let mut stack = knowing(1460);
    let (_, syn) = connect(&mut stack, at(10), &[1; 2000]);
    assert!(matches!(
        syn.options.timestamps,
        Some(Timestamps { ecr: 0, .. })
    ));
    assert_eq!(syn.options.fast_open, Some(given()));
    assert_eq!(syn.payload.len(), 1420);
}
