//! Packets of scripts against live ones: numbers, checksums, parts, differences.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is how a test fails"
)]

use std::net::SocketAddr;
use std::time::Duration;

use transom_drill::packets::{Conversation, Expectation, Taken, Unbuildable};
use transom_drill::script::{Action, Defines, Packet, Script};
use transom_stack::wire::ip::ipv4;
use transom_stack::wire::tcp::{Flags, Header, Options, SackBlocks, TcpView, Timestamps};
use transom_stack::wire::{Protocol, Seq, SeqRange};

const LIVE_ISS: u32 = 0xffff_fff0;

fn ends() -> (SocketAddr, SocketAddr) {
    (
        "192.168.0.1:8080".parse().unwrap(),
        "192.0.2.1:40000".parse().unwrap(),
    )
}

fn conversation() -> Conversation {
    let (local, remote) = ends();
    Conversation::new(local, remote)
}

/// The packet of a line such as `< S 0:0(0) win 1000`.
fn packet(line: &str) -> Packet {
    let script = Script::parse("line", &format!("+0 {line}"), &Defines::new()).unwrap();
    match &script.events[0].action {
        Action::Inbound(packet) | Action::Outbound(packet) => packet.clone(),
        other => panic!("no packet: {other:?}"),
    }
}

/// A segment of the stack, as the wire has it.
fn live(flags: Flags, seq: u32, ack: u32, options: Options, len: usize) -> Vec<u8> {
    let (local, remote) = ends();
    let header = Header {
        src_port: local.port(),
        dst_port: remote.port(),
        seq: Seq::new(LIVE_ISS.wrapping_add(seq)),
        ack: Seq::new(ack),
        flags,
        window: 256,
        urgent: 0,
        options,
    };
    let data = vec![0; len];
    let mut segment = vec![0; header.header_len()];
    header.emit_with_checksum(&mut segment, local.ip(), remote.ip(), &data);
    segment.extend_from_slice(&data);
    let (SocketAddr::V4(local), SocketAddr::V4(remote)) = (local, remote) else {
        panic!("IPv4");
    };
    let ip = ipv4::Header::new(*local.ip(), *remote.ip(), Protocol::TCP);
    let mut packet = vec![0; ipv4::MIN_HEADER_LEN];
    ip.emit(&mut packet, segment.len());
    packet.extend_from_slice(&segment);
    packet
}

const ACK: Flags = Flags::ACK;

fn psh() -> Flags {
    Flags::PSH.union(Flags::ACK)
}

/// A conversation after `< S 123:123(0)`, `> S. 0:0(0) ack 124`.
fn open(mut conversation: Conversation) -> Conversation {
    let syn = conversation
        .build(&packet("< S 123:123(0) win 1000 <mss 1000>"))
        .unwrap();
    assert!(conversation.belongs(&syn));
    expect(
        &mut conversation,
        "> S. 0:0(0) ack 124 <mss 1460>",
        &[live(
            Flags::SYN.union(Flags::ACK),
            0,
            124,
            Options {
                mss: Some(1460),
                ..Options::EMPTY
            },
            0,
        )],
    )
    .unwrap();
    conversation
}

/// Gives live packets to an expectation; the error's text, or what is left of the last packet.
fn expect(
    conversation: &mut Conversation,
    line: &str,
    packets: &[Vec<u8>],
) -> Result<Option<Vec<u8>>, String> {
    let packet = packet(line);
    let mut expectation = Expectation::new(&packet);
    for (at, live) in packets.iter().enumerate() {
        let taken = expectation
            .take(conversation, live)
            .map_err(|difference| difference.to_string())?;
        match taken {
            Taken::More => assert!(at + 1 < packets.len(), "more is expected"),
            Taken::Done { rest } => {
                assert_eq!(at + 1, packets.len(), "done too early");
                return Ok(rest);
            }
        }
    }
    panic!("nothing given")
}

fn tcp(packet: &[u8]) -> TcpView<'_> {
    TcpView::new(&packet[20..]).unwrap()
}

#[test]
fn numbers_are_mapped_in_both_directions() {
    let mut conversation = open(conversation());
    let line = "< . 1:11(10) ack 1 win 100 <nop,nop,sack 5:9>";
    let bytes = conversation.build(&packet(line)).unwrap();
    let view = tcp(&bytes);
    let (local, remote) = ends();
    assert!(view.verify_checksum(remote.ip(), local.ip()));
    assert_eq!(view.seq(), Seq::new(124));
    assert_eq!(view.ack(), Seq::new(LIVE_ISS) + 1);
    let sack = view.options().0.sack;
    let block = SeqRange::new(Seq::new(LIVE_ISS) + 5, Seq::new(LIVE_ISS) + 9);
    assert_eq!(sack.as_slice(), &[block]);
    assert_eq!(view.payload(), &[0; 10]);
    assert_eq!(conversation.print(&bytes), line);

    let sack: SackBlocks = [SeqRange::new(Seq::new(223), Seq::new(323))]
        .into_iter()
        .collect();
    let options = Options {
        sack,
        ..Options::EMPTY
    };
    let answer = live(ACK, 1, 134, options, 0);
    expect(
        &mut conversation,
        "> . 1:1(0) ack 11 win 256 <nop,nop,sack 100:200>",
        std::slice::from_ref(&answer),
    )
    .unwrap();
    let error = expect(&mut conversation, "> . 1:1(0) ack 12", &[answer]).unwrap_err();
    assert_eq!(
        error,
        "the stack sent another packet than the script expects\n  \
           expected: > . 1:1(0) ack 12\n  \
           actual:   > . 1:1(0) ack 11 win 256 <nop,nop,sack 100:200>\n  \
           acknowledgement: expected 12, got 11\n  \
           options: expected <>, got <nop,nop,sack 100:200>"
    );
}

#[test]
fn a_syn_has_absolute_numbers_and_an_answer_to_none_is_relative() {
    let mut conversation = conversation();
    let syn = live(Flags::SYN, 0, 0, Options::EMPTY, 0);
    expect(&mut conversation, "> S 700:700(0)", &[syn]).unwrap();
    let bytes = conversation
        .build(&packet("< S. 50:50(0) ack 701 win 9"))
        .unwrap();
    assert_eq!(tcp(&bytes).seq(), Seq::new(50));
    assert_eq!(tcp(&bytes).ack(), Seq::new(LIVE_ISS) + 1);
    let ack = live(ACK, 1, 51, Options::EMPTY, 0);
    expect(&mut conversation, "> . 1:1(0) ack 1", &[ack]).unwrap();
}

#[test]
fn a_second_syn_counts_when_the_stack_takes_it() {
    let mut conversation = open(conversation());
    // A challenge: numbers stay those of the connection.
    conversation
        .build(&packet("< S 5000:5000(0) win 1000"))
        .unwrap();
    let challenge = live(ACK, 1, 124, Options::EMPTY, 0);
    expect(&mut conversation, "> . 1:1(0) ack 1", &[challenge]).unwrap();
    // A new connection.
    conversation
        .build(&packet("< S 90000:90000(0) win 1000"))
        .unwrap();
    let reopened = live(Flags::SYN.union(ACK), 1_000_000, 90001, Options::EMPTY, 0);
    expect(&mut conversation, "> S. 0:0(0) ack 90001", &[reopened]).unwrap();
    let data = live(ACK, 1_000_001, 90001, Options::EMPTY, 10);
    expect(&mut conversation, "> . 1:11(10) ack 1", &[data]).unwrap();
}

#[test]
fn several_segments_make_up_one_packet() {
    let mut conversation = open(conversation());
    let segment = |flags, seq, len| live(flags, seq, 124, Options::EMPTY, len);
    let parts = [
        segment(ACK, 1, 1000),
        segment(psh(), 1001, 1000),
        segment(ACK, 2001, 500),
    ];
    expect(&mut conversation, "> P. 1:2501(2500) ack 1", &parts).unwrap();
    let parts = [segment(ACK, 2501, 400), segment(ACK, 2901, 1000)];
    let error = expect(&mut conversation, "> . 2501:4001(1500) ack 1", &parts).unwrap_err();
    assert!(
        error.contains("sequence") || error.contains("size"),
        "{error}"
    );
    let parts = [segment(ACK, 2501, 1000), segment(ACK, 4501, 1000)];
    let error = expect(&mut conversation, "> . 2501:4501(2000) ack 1", &parts).unwrap_err();
    assert!(
        error.contains("sequence number: expected 3501, got 4501"),
        "{error}"
    );
    assert!(error.contains("1000 octets of the expected"), "{error}");

    let mut strict = open(self::conversation()).strict_segments(true);
    let error = expect(
        &mut strict,
        "> . 1:2001(2000) ack 1",
        &[segment(ACK, 1, 1000)],
    )
    .unwrap_err();
    assert!(
        error.contains("octets of data: expected 2000, got 1000"),
        "{error}"
    );
}

#[test]
fn a_burst_is_cut_where_the_script_cuts_it() {
    let mut conversation = open(conversation());
    let burst = live(psh(), 1, 124, Options::EMPTY, 3000);
    let rest = expect(&mut conversation, "> . 1:2001(2000) ack 1", &[burst]).unwrap();
    let rest = rest.expect("1000 octets are left");
    assert_eq!(
        expect(&mut conversation, "> P. 2001:3001(1000) ack 1", &[rest]),
        Ok(None)
    );
    // One segment is no burst.
    let one = live(psh(), 3001, 124, Options::EMPTY, 1000);
    let error = expect(&mut conversation, "> P. 3001:3501(500) ack 1", &[one]).unwrap_err();
    assert!(
        error.contains("octets of data: expected 500, got 1000"),
        "{error}"
    );
}

#[test]
fn psh_counts_in_single_segments() {
    let mut conversation = open(conversation());
    let data = live(ACK, 1, 124, Options::EMPTY, 100);
    let error = expect(&mut conversation, "> P. 1:101(100) ack 1", &[data]).unwrap_err();
    assert!(
        error.contains("control bits: expected P., got ."),
        "{error}"
    );
}

fn stamped(val: u32, ecr: u32) -> Options {
    Options {
        timestamps: Some(Timestamps { val, ecr }),
        ..Options::EMPTY
    }
}

#[test]
fn timestamps_are_remembered_for_echoes() {
    let mut conversation = open(conversation());
    let data = live(ACK, 1, 124, stamped(777_000, 5), 100);
    expect(
        &mut conversation,
        "> . 1:101(100) ack 1 <nop,nop,TS val 100 ecr 9>",
        &[data],
    )
    .unwrap();
    let echo = packet("< . 1:1(0) ack 101 win 9 <nop,nop,TS val 6 ecr 100>");
    let bytes = conversation.build(&echo).unwrap();
    let timestamps = tcp(&bytes).options().0.timestamps;
    assert_eq!(
        timestamps,
        Some(Timestamps {
            val: 6,
            ecr: 777_000
        })
    );
    let never = packet("< . 1:1(0) ack 101 win 9 <nop,nop,TS val 6 ecr 107>");
    let error = conversation.build(&never).unwrap_err();
    assert_eq!(error, Unbuildable::UnknownEcho(107));
    let mut conversation = conversation.timestamps(Duration::ZERO, true);
    let bytes = conversation.build(&never).unwrap();
    assert_eq!(tcp(&bytes).options().0.timestamps.unwrap().ecr, 777_007);
}

#[test]
fn packets_are_shown_in_the_scripts_numbers() {
    let syn = live(Flags::SYN, 0, 0, Options::EMPTY, 0);
    assert_eq!(conversation().print(&syn), "> S 0:0(0) win 256");
    let mut conversation = open(conversation());
    let data = live(ACK, 1, 124, stamped(777_000, 5), 100);
    let line = "> . 1:101(100) ack 1 <nop,nop,TS val 100 ecr 5>";
    expect(&mut conversation, line, &[data]).unwrap();
    let later = live(ACK, 101, 124, stamped(777_250, 5), 100);
    assert_eq!(
        conversation.print(&later),
        "> . 101:201(100) ack 1 win 256 <nop,nop,TS val 350 ecr 5>"
    );
}

#[test]
fn timestamps_are_compared_when_asked() {
    let tick = Duration::from_millis(1);
    let mut conversation = open(conversation()).timestamps(tick, false);
    let first = live(ACK, 1, 124, stamped(777_000, 5), 100);
    let line = "> . 1:101(100) ack 1 <nop,nop,TS val 100 ecr 5>";
    expect(&mut conversation, line, &[first]).unwrap();
    let line = "> . 101:201(100) ack 1 <nop,nop,TS val 1100 ecr 5>";
    let later = |val, ecr| live(ACK, 101, 124, stamped(val, ecr), 100);
    expect(&mut conversation, line, &[later(778_003, 5)]).unwrap();
    let error = expect(&mut conversation, line, &[later(778_009, 5)]).unwrap_err();
    assert!(error.contains("TS val 1109 ecr 5"), "{error}");
    expect(&mut conversation, line, &[later(778_000, 6)]).unwrap_err();
}

#[test]
fn fields_of_the_ip_header_count_where_they_are_given() {
    let mut conversation = open(conversation());
    let data = live(ACK, 1, 124, Options::EMPTY, 10);
    let give = |conversation: &mut Conversation, line: &str| {
        expect(conversation, line, std::slice::from_ref(&data))
    };
    give(&mut conversation, "> [noecn] . 1:11(10) ack 1").unwrap();
    give(&mut conversation, "> [ttl 64, tos 0] . 1:11(10) ack 1").unwrap();
    let error = give(&mut conversation, "> [ect01] . 1:11(10) ack 1").unwrap_err();
    assert!(error.contains("actual:   > [noecn] . 1:11(10)"), "{error}");
    let error = give(&mut conversation, "> [ttl 63] . 1:11(10) ack 1").unwrap_err();
    assert!(
        error.contains("time to live: expected 63, got 64"),
        "{error}"
    );
    let bytes = conversation
        .build(&packet("< [ce, ttl 7] . 1:1(0) ack 1 win 9"))
        .unwrap();
    assert_eq!((bytes[1], bytes[8]), (3, 7));
}

#[test]
fn what_is_broken_is_no_match() {
    let mut conversation = open(conversation());
    let line = "> . 1:11(10) ack 1";
    let good = live(ACK, 1, 124, Options::EMPTY, 10);
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let error = expect(&mut conversation, line, &[wrong]).unwrap_err();
    assert!(error.contains("wrong checksum"), "{error}");
    for at in 0..good.len() {
        let mut short = good.clone();
        short.truncate(at);
        assert!(expect(&mut conversation, line, &[short]).is_err());
    }
}

#[test]
fn icmp_quotes_the_stacks_segment() {
    let mut conversation = open(conversation());
    let line = "< icmp unreachable frag_needed mtu 800 [1:1001(1000)]";
    let bytes = conversation.build(&packet(line)).unwrap();
    assert!(conversation.belongs(&bytes));
    assert_eq!(conversation.print(&bytes), line);
    let other = "< icmp unreachable frag_needed mtu 800 [1:901(900)]";
    assert_ne!(conversation.print(&bytes), other);
    let error = conversation
        .build(&packet("< icmp packet_too_big"))
        .unwrap_err();
    assert_eq!(error, Unbuildable::IcmpType("packet_too_big".into()));
}

#[test]
fn udp_and_ipv6_have_their_checksums() {
    let mut conversation = Conversation::new(
        "[fd00::1]:8080".parse().unwrap(),
        "[fd00::2]:9".parse().unwrap(),
    );
    for line in [
        "< udp (100)",
        "< S 7:7(0) win 100 <mss 1000>",
        "< icmp packet_too_big mtu 1280 [0:1440(1440)]",
        "< icmp echo_request id 7",
    ] {
        let bytes = conversation.build(&packet(line)).unwrap();
        assert_eq!(bytes[0] >> 4, 6);
        assert_eq!(conversation.print(&bytes), line);
    }
}

#[test]
fn ace_digits_are_the_three_bits() {
    let mut conversation = open(conversation());
    let flags = ACK.union(Flags::AE).union(Flags::ECE);
    let data = live(flags, 1, 124, Options::EMPTY, 10);
    let give = |conversation: &mut Conversation, line: &str| {
        expect(conversation, line, std::slice::from_ref(&data))
    };
    give(&mut conversation, "> 5. 1:11(10) ack 1").unwrap();
    give(&mut conversation, "> EA. 1:11(10) ack 1").unwrap();
    let error = give(&mut conversation, "> 6. 1:11(10) ack 1").unwrap_err();
    assert!(
        error.contains("control bits: expected 6., got 5."),
        "{error}"
    );
}
