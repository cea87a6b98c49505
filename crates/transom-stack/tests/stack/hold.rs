//! What is owed may be set aside, so that answers take acknowledgements along.

use bytes::Bytes;
use transom_stack::wire::RxFrame;
use transom_stack::wire::tcp::Flags;

use crate::harness::{at, connected, drain, one_tcp, parse_tcp, stack};

const ACK: Flags = Flags::ACK;

#[test]
fn an_answer_takes_its_own_acknowledgement_along_and_no_other_goes_before_the_release() {
    let mut stack = stack();
    let (one, peer_of_one) = connected(&mut stack, at(0), "10.0.0.2:80");
    let (_, peer_of_other) = connected(&mut stack, at(0), "10.0.0.2:81");
    for peer in [&peer_of_one, &peer_of_other] {
        let question = peer.seg(ACK | Flags::PSH).payload(&[7; 1460]).bytes();
        stack.handle_frame(at(1), RxFrame::from(Bytes::from(question)));
        let finish = peer.seg(ACK | Flags::FIN).seq(peer.snd_nxt + 1460).bytes();
        stack.handle_frame(at(1), RxFrame::from(Bytes::from(finish)));
    }
    assert!(stack.may_owe());

    stack.hold_owed();
    assert!(!stack.may_owe());
    assert!(drain(&mut stack, at(1)).is_empty());
    assert!(stack.poll_timeout(at(1)).is_none_or(|due| due > at(1)));

    stack.tcp_send_slice(at(1), one, b"answer").unwrap();
    let answer = one_tcp(&drain(&mut stack, at(1)));
    assert_eq!(answer.payload, b"answer");
    assert_eq!(answer.ack, peer_of_one.snd_nxt + 1461);

    stack.release_owed();
    assert_eq!(stack.poll_timeout(at(1)), Some(at(1)));
    let rest = drain(&mut stack, at(1));
    let rest: Vec<_> = rest.iter().map(|frame| parse_tcp(frame)).collect();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0].ack, peer_of_other.snd_nxt + 1461);
    assert!(rest[0].payload.is_empty());
}

#[test]
fn what_is_held_twice_is_sent_once_and_who_is_gone_is_forgotten() {
    let mut stack = stack();
    let (one, peer) = connected(&mut stack, at(0), "10.0.0.2:80");
    let finish = peer.seg(ACK | Flags::FIN).bytes();
    stack.handle_frame(at(1), RxFrame::from(Bytes::from(finish)));
    stack.hold_owed();
    stack.hold_owed();
    stack.tcp_abort(at(1), one);
    let reset = one_tcp(&drain(&mut stack, at(1)));
    assert!(reset.flags.contains(Flags::RST));
    stack.release_owed();
    stack.release_owed();
    assert!(drain(&mut stack, at(1)).is_empty());
}
