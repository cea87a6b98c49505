//! What must still hold after the sequence numbers have gone round, and other marks that are left
//! behind by a long transfer.

use bytes::Bytes;
use transom_tcp::{CloseReason, Event, Segment};
use transom_wire::Ecn;
use transom_wire::Seq;
use transom_wire::tcp::{Flags, Options};

use crate::harness::dialogue::{E, Setup};
use crate::harness::secs;

/// Octets of a super-segment: whole segments of 1000.
const PIECE: u32 = 60_000;

/// A bare acknowledgement from the peer, which has sent nothing.
fn acknowledgement(e: &E, ack: Seq) -> Segment {
    Segment {
        seq: e.irs + 1,
        ack,
        flags: Flags::ACK,
        window: 60_000,
        urgent: 0,
        options: Options::EMPTY,
        payload: Bytes::new(),
        ecn: Ecn::NotEct,
        received: e.now,
        gso_size: 0,
    }
}

/// The application writes so many octets, in full segments wherever possible, and the peer
/// acknowledges each.
fn transfer(e: &mut E, octets: u32) {
    let zeros = Bytes::from(vec![0; PIECE as usize]);
    let mut left = octets;
    let mut acked = e.conn.info().snd_una;
    while left > 0 {
        let len = left.min(PIECE);
        let taken = e.conn.send(e.now, zeros.slice(..len as usize));
        assert_eq!(taken, Ok(len as usize));
        let mut sent = 0;
        // The congestion window may ask for more than one turn at first.
        while sent < len {
            let segment = e.conn.poll_transmit(e.now, PIECE as usize);
            let segment = segment.unwrap_or_else(|| panic!("stuck {left} octets before the end"));
            sent += u32::try_from(segment.payload.len()).unwrap();
            acked += u32::try_from(segment.payload.len()).unwrap();
            let ack = acknowledgement(e, acked);
            assert_eq!(e.lt_segment_unanswered(&ack), Ok(()));
        }
        left -= len;
    }
    e.drain();
    while e.conn.poll_event().is_some() {}
}

#[test]
fn req_ev_q_11_and_sec_seq_2_after_four_gibioctets_una_may_equal_the_initial_number() {
    let mut e = Setup::default().max_payload(PIECE as usize).established();
    // 2^32 − 1 octets: SND.UNA is the number that our SYN had.
    transfer(&mut e, u32::MAX);
    assert_eq!(e.conn.info().snd_una, e.iss);
    // A keep-alive or a window update acknowledges nothing new, and is no mistake of the peer's.
    let ack = acknowledgement(&e, e.iss);
    assert_eq!(e.lt_segment_unanswered(&ack), Ok(()));
    e.silent();
    assert_eq!(e.conn.info().snd_una, e.iss, "nothing was acknowledged");
}

#[test]
fn req_nag_1_a_small_segment_is_not_held_for_one_sent_two_gibioctets_ago() {
    let mut e = Setup::default().max_payload(PIECE as usize).established();
    // Nothing but full segments for more than half of the sequence space.
    transfer(&mut e, (1 << 31) / PIECE * PIECE + PIECE);
    assert_eq!(e.conn.send(e.now, Bytes::from_static(b"tail")), Ok(4));
    let segment = e.conn.poll_transmit(e.now, 0).expect("the small segment");
    assert_eq!(segment.payload.len(), 4);
}

#[test]
fn req_must_21_a_user_timeout_for_the_handshake_ends_with_the_handshake() {
    let config = |config: transom_tcp::Config| config.user_timeout(Some(secs(30)));
    let mut e = Setup::default().config(config).established();
    e.wait(secs(3600));
    e.silent();
    assert_eq!(e.conn.closed(), None);
    // Once something waits it counts, from then on.
    e.write(10);
    e.skip();
    e.wait(secs(31));
    e.closed(CloseReason::UserTimeout);
}

#[test]
fn req_must_21_a_simultaneous_open_does_not_stop_the_user_timeout() {
    let config = |config: transom_tcp::Config| config.user_timeout(Some(secs(5)));
    let mut e = Setup::default().config(config).syn_sent();
    e.lt("S 0:0 <mss 1000>").unwrap();
    e.gt("S. 0:0 ack 1");
    e.wait(secs(5));
    e.closed(CloseReason::UserTimeout);
}

#[test]
fn req_sec_data_3_a_syn_ack_of_a_simultaneous_open_is_cut_to_the_window() {
    let config = |config: transom_tcp::Config| config.recv_buffer(2000);
    let mut e = Setup::default().config(config).syn_sent();
    e.lt("S 0:0 <mss 1000>").unwrap();
    e.gt("S. 0:0 ack 1");
    let mut segment = e.segment("S. 0:0 ack 1");
    segment.payload = crate::harness::stream(0, 50_000);
    e.lt_segment(&segment).ok();
    e.skip();
    let received = e.conn.info().recv_queue;
    assert!(
        received <= 2000 + 4096,
        "{received} octets taken into a window of 2000"
    );
    assert!(e.events().contains(&Event::Connected));
}

#[test]
fn req_must_62_and_urg_1_each_urgent_segment_has_a_pointer_of_its_own() {
    // A device that cuts super-segments would repeat the first piece's pointer on all of them.
    let mut e = Setup::default().max_payload(60_000).established();
    let data = crate::harness::stream(0, 5000);
    assert_eq!(e.conn.send_urgent(e.now, data), Ok(5000));
    e.wrote(5000);
    for n in 0..5_i64 {
        let (start, end) = (1 + n * 1000, 1001 + n * 1000);
        let push = if n == 4 { "P" } else { "" };
        e.gt(&format!(
            "{push}U. {start}:{end} ack 1 urg {}",
            5001 - start
        ));
    }
    e.silent();
    // Again in the same way when it got lost.
    let timeout = e.next_deadline().unwrap();
    e.wait(timeout);
    e.gt("U. 1:1001 ack 1 urg 5000");
    e.silent();
    // Afterwards, super-segments again.
    e.lt(". 1:1 ack 5001").unwrap();
    e.write(4000);
    let line = e.next_line().unwrap();
    assert!(!line.contains('U'), "{line}");
}

#[test]
fn req_must_33_and_must_32_urgent_data_read_two_gibioctets_ago_is_over() {
    let mut e = E::established();
    e.lt("PU. 1:11 ack 1 urg 10").unwrap();
    e.skip();
    e.read(10);
    e.events();
    let zeros = Bytes::from(vec![0; PIECE as usize]);
    let mut segment = e.segment(". 11:11 ack 1");
    segment.payload = zeros;
    for _ in 0..(1_u32 << 31) / PIECE + 1 {
        assert_eq!(e.lt_segment_unanswered(&segment), Ok(()));
        while e.conn.poll_transmit(e.now, 0).is_some() {}
        while e
            .conn
            .recv(e.now, usize::MAX)
            .unwrap()
            .is_some_and(|data| !data.is_empty())
        {}
        segment.seq += PIECE;
    }
    assert_eq!(e.conn.urgent_remaining(), 0);
    e.events();
    // A new pointer is news.
    segment.flags |= Flags::URG;
    segment.urgent = 5;
    segment.payload = Bytes::from_static(b"hello");
    e.lt_segment_unanswered(&segment).unwrap();
    assert!(e.events().contains(&Event::Urgent));
    assert_eq!(e.conn.urgent_remaining(), 5);
}
