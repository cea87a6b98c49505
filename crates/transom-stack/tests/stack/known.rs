//! A segment of a connection that was heard lately takes a shorter way in: what comes of it has to be the same.

use bytes::Bytes;
use transom_stack::wire::{RxChecksum, RxFrame};
use transom_stack::{Discard, RouteTarget, Stack, StackEvent};

use crate::harness::*;

/// A step of a generator.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Nothing that was known of addresses holds any more.
fn forget(stack: &mut Stack) {
    let prefix = cidr("203.0.113.0/24");
    stack.add_route(prefix, RouteTarget::OnLink);
    assert!(stack.remove_route(prefix));
}

/// All that can be seen of a stack after a frame.
fn seen(stack: &mut Stack, ms: u64, frame: RxFrame) -> (Vec<Vec<u8>>, Vec<StackEvent>, String) {
    stack.handle_frame(at(ms), frame);
    let events: Vec<_> = core::iter::from_fn(|| stack.poll_event()).collect();
    for event in &events {
        if let StackEvent::Tcp(id, transom_stack::tcp::Event::Readable) = event {
            while let Ok(Some(data)) = stack.tcp_recv(at(ms), *id, 700) {
                if data.is_empty() {
                    break;
                }
            }
        }
    }
    let sent = drain(stack, at(ms));
    let states: Vec<_> = stack.connections().collect();
    let told = format!("{:?} {states:?}", stack.counters());
    (sent, events, told)
}

/// Something that a peer, or a stranger, may send.
fn frame(peer: &mut Peer, chance: &mut u64) -> RxFrame {
    let payload = [7; 1400];
    let len = match next(chance) % 3 {
        0 => 0,
        1 => 1 + next(chance) as usize % 20,
        _ => 1400,
    };
    let mut seg = peer.seg(ACK).payload(&payload[..len]);
    match next(chance) % 12 {
        0 => seg.seq = seg.seq.wrapping_sub(300),
        1 => seg.seq = seg.seq.wrapping_add(1400),
        2 => seg.ack = seg.ack.wrapping_add(100),
        3 => seg.flags = ACK | FIN,
        4 => seg.flags = SYN,
        5 if next(chance).is_multiple_of(8) => seg.flags = RST,
        _ => peer.snd_nxt = peer.snd_nxt.wrapping_add(len as u32),
    }
    let mut bytes = seg.bytes();
    match next(chance) % 16 {
        0 => bytes.truncate(next(chance) as usize % bytes.len()),
        1 => {
            let at = next(chance) as usize % bytes.len();
            bytes[at] ^= 1 << (next(chance) % 8);
        }
        // Padding of a link.
        2 => bytes.extend_from_slice(&[0; 6]),
        _ => {}
    }
    RxFrame {
        data: bytes.into(),
        checksum: if next(chance).is_multiple_of(2) {
            RxChecksum::Valid
        } else {
            RxChecksum::Unverified
        },
        gso_size: if next(chance).is_multiple_of(4) {
            536
        } else {
            0
        },
    }
}

#[test]
fn the_short_way_and_the_long_way_lead_to_the_same() {
    for seed in 1..200_u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (us, remote) = match seed % 2 {
            0 => (US, "10.0.0.2:80"),
            _ => (US6, "[2001:db8::2]:80"),
        };
        let (mut short, mut long) = (stack(), stack());
        let (id, mut peer) = connected(&mut short, at(0), remote);
        let (same, other_end) = connected(&mut long, at(0), remote);
        assert_eq!((id, peer.rcv_nxt), (same, other_end.rcv_nxt));
        let mut written = 0;
        for ms in 1..60 {
            if next(&mut chance).is_multiple_of(4) {
                for stack in [&mut short, &mut long] {
                    // Not, when it is over.
                    let _ = stack.tcp_send_slice(at(ms), id, b"data");
                }
                written += 4;
            }
            if written > 0 && next(&mut chance).is_multiple_of(3) {
                peer.rcv_nxt = peer.rcv_nxt.wrapping_add(written);
                written = 0;
            }
            let frame = frame(&mut peer, &mut chance);
            forget(&mut long);
            let (one, other) = (
                seen(&mut short, ms, frame.clone()),
                seen(&mut long, ms, frame),
            );
            assert_eq!(one, other, "seed {seed}, {ms} ms, {us}");
        }
    }
}

#[test]
fn an_address_that_was_taken_away_is_no_longer_good() {
    let mut stack = stack();
    let (_, mut peer) = connected(&mut stack, at(0), "10.0.0.2:80");
    for _ in 0..3 {
        let data = peer.seg(ACK).payload(&[7; 100]);
        peer.snd_nxt += 100;
        stack.handle_frame(at(1), RxFrame::from(Bytes::from(data.bytes())));
    }
    drain(&mut stack, at(1));
    assert!(stack.remove_address(ip(US)));
    let data = peer.seg(ACK).payload(&[7; 100]);
    assert_dropped(&mut stack, data.bytes(), Discard::IpNotOurs);
}

#[test]
fn who_comes_to_the_place_of_another_does_not_get_its_segments() {
    let mut stack = stack();
    let (id, peer) = connected(&mut stack, at(0), "10.0.0.2:80");
    let data = peer.seg(ACK).payload(b"first");
    exchange(&mut stack, at(1), data.bytes());
    // Another connection, in the same place of memory, between other sockets.
    stack.tcp_abort(at(2), id);
    stack.tcp_close(at(2), id);
    stack.tcp_release(at(2), id);
    drain(&mut stack, at(2));
    let (other, _) = connected(&mut stack, at(3), "10.0.0.2:81");
    let late = peer.seg(ACK).payload(b"second");
    let answer = one_tcp(&exchange(&mut stack, at(4), late.bytes()));
    assert!(answer.flags.contains(RST), "{answer:?}");
    assert_eq!(stack.tcp_recv(at(4), other, 100).ok().flatten(), None);
}
