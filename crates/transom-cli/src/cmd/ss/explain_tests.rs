//! Sentences, from what the kernel says.

use super::*;
use crate::kernel::inet_diag::{Attributes, Family, Identity};

/// A `struct tcp_info` with some fields set.
fn info(fields: &[(usize, u32)], bytes: &[(usize, u8)]) -> Vec<u8> {
    let mut info = vec![0; 248];
    for &(at, value) in fields {
        info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    for &(at, value) in bytes {
        info[at] = value;
    }
    info
}

const LAST_SENT: usize = 44;
const LAST_RECEIVED: usize = 52;
const LAST_ACK: usize = 56;

fn socket<'a>(state: KernelState, info: &'a [u8]) -> Socket<'a> {
    let address = "127.0.0.1:1".parse().unwrap();
    Socket {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state,
        timer: 0,
        retransmits: 0,
        identity: Identity {
            local: address,
            peer: address,
            interface: 0,
            cookie: 1,
        },
        expires: 0,
        recv_queue: 0,
        send_queue: 0,
        uid: 0,
        inode: u32::MAX,
        attributes: Attributes::with_info(info),
    }
}

fn words(socket: &Socket<'_>) -> String {
    Explainer::default().words(socket).unwrap_or_default()
}

#[test]
fn close_wait_says_for_how_long_and_when_that_is_only_a_bound() {
    let quiet = info(&[(LAST_ACK, 7_200_000), (LAST_SENT, 7_300_000)], &[]);
    let mut it = socket(KernelState::CLOSE_WAIT, &quiet);
    it.recv_queue = 1;
    let text = words(&it);
    assert!(
        text.starts_with("CLOSE-WAIT for 2 h: the other end has closed, its program"),
        "{text}"
    );
    assert!(
        !text.contains("left to read") && text.contains("RFC 9293 §3.6"),
        "{text}"
    );
    it.recv_queue = 101;
    assert!(words(&it).contains("100 B left to read"), "{}", words(&it));
    let busy = info(&[(LAST_ACK, 90_000), (LAST_SENT, 10)], &[]);
    let it = socket(KernelState::CLOSE_WAIT, &busy);
    assert!(
        words(&it).starts_with("CLOSE-WAIT for at least 1 min:"),
        "{}",
        words(&it)
    );
    let mut it = socket(KernelState::CLOSE_WAIT, &quiet);
    it.inode = 0;
    assert!(words(&it).contains("nobody has accepted"), "{}", words(&it));
}

#[test]
fn syn_sent_counts_the_tries_with_and_without_linear_timeouts() {
    // Four timeouts of a second, then one more before the first that was doubled.
    let linear = info(&[(8, 2_000_000)], &[(2, 5), (4, 1)]);
    let mut it = socket(KernelState::SYN_SENT, &linear);
    it.expires = 1_500;
    assert_eq!(words(&it), "SYN-SENT: 6th try, no answer for 5 s");
    // 1 s, 2 s, and 4 of the next 4 s.
    let doubled = info(&[(8, 4_000_000)], &[(2, 2), (4, 2)]);
    let it = socket(KernelState::SYN_SENT, &doubled);
    assert_eq!(words(&it), "SYN-SENT: 3rd try, no answer for 7 s");
    let first = info(&[(8, 1_000_000)], &[]);
    let mut it = socket(KernelState::SYN_SENT, &first);
    it.expires = 700;
    assert_eq!(words(&it), "SYN-SENT: 1st try, no answer for 300 ms");
}

#[test]
fn a_full_backlog_is_told_from_one_that_fills() {
    let nothing = info(&[], &[]);
    let mut it = socket(KernelState::LISTEN, &nothing);
    (it.recv_queue, it.send_queue) = (129, 128);
    assert!(words(&it).starts_with("listen backlog full: 129 of 128;"));
    it.recv_queue = 64;
    assert_eq!(
        words(&it),
        "64 connections wait to be accepted: listen backlog 64 of 128"
    );
    it.recv_queue = 3;
    assert_eq!(words(&it), "");
    (it.recv_queue, it.send_queue) = (0, 0);
    assert_eq!(words(&it), "");
}

#[test]
fn an_open_connection_is_explained_only_when_something_waits() {
    let fresh = info(&[(LAST_RECEIVED, 100), (228, 65_535)], &[]);
    let mut it = socket(KernelState::ESTABLISHED, &fresh);
    assert_eq!(words(&it), "");
    it.recv_queue = 500;
    assert_eq!(words(&it), "", "data that has just come");
    let unread = info(&[(LAST_RECEIVED, 120_000), (228, 65_535)], &[]);
    let mut it = socket(KernelState::ESTABLISHED, &unread);
    it.recv_queue = 500;
    assert!(words(&it).starts_with("Recv-Q 500 B: "), "{}", words(&it));
    assert!(
        words(&it).ends_with("has not read it for at least 2 min"),
        "{}",
        words(&it)
    );
    let closed = info(&[(144, 10)], &[(3, 2)]);
    let mut it = socket(KernelState::ESTABLISHED, &closed);
    (it.timer, it.send_queue) = (PROBE, 2_000_000);
    let text = words(&it);
    assert!(
        text.contains("the peer's window is closed, 2 probes unanswered"),
        "{text}"
    );
    let lost = info(&[(LAST_ACK, 12_000), (228, 9)], &[(2, 5)]);
    let mut it = socket(KernelState::ESTABLISHED, &lost);
    it.timer = RETRANSMISSION;
    assert!(words(&it).contains("sent 5 times again, no acknowledgement for at least 12 s"));
    it.inode = 0;
    assert!(words(&it).contains("accepted"));
}

#[test]
fn closing_states_say_what_they_wait_for() {
    let some = info(&[(LAST_ACK, 5_000), (LAST_RECEIVED, 9_000)], &[]);
    let text = |state, timer, retransmits| {
        let mut it = socket(state, &some);
        (it.timer, it.retransmits, it.send_queue) = (timer, retransmits, 4801);
        words(&it)
    };
    let text_of = text(KernelState::FIN_WAIT_1, PROBE, 0);
    assert!(text_of.contains("its FIN waits behind"), "{text_of}");
    let text_of = text(KernelState::LAST_ACK, RETRANSMISSION, 2);
    assert!(
        text_of.contains("was sent twice again, the last acknowledgement came 5 s ago"),
        "{text_of}"
    );
    let text_of = text(KernelState::CLOSING, 0, 0);
    assert!(
        text_of.contains("not acknowledged yet") && text_of.contains("case 3"),
        "{text_of}"
    );
    let text_of = text(KernelState::FIN_WAIT_2, 0, 0);
    assert!(
        text_of.starts_with("FIN-WAIT-2 for 5 s: its program"),
        "{text_of}"
    );
    let text_of = text(KernelState::SYN_RECV, RETRANSMISSION, 1);
    assert!(text_of.contains("SYN,ACK sent once again"), "{text_of}");
}

#[test]
fn time_wait_is_explained_once() {
    let nothing = info(&[], &[]);
    let mut explainer = Explainer::default();
    let it = socket(KernelState::TIME_WAIT, &nothing);
    assert!(
        explainer
            .words(&it)
            .is_some_and(|text| text.contains("§3.6.1"))
    );
    assert_eq!(explainer.words(&it), None);
}

#[test]
fn ages_have_one_unit() {
    let of = |seconds| age(Duration::from_secs(seconds));
    assert_eq!(of(59), "59 s");
    assert_eq!(of(3599), "59 min");
    assert_eq!(of(2 * 86_400 - 1), "47 h");
    assert_eq!(of(2 * 86_400), "2 d");
}
