//! Every parser of `transom-wire`: any bytes, and what was read is written so that it reads the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use transom_wire::icmpv6::Report;
use transom_wire::ip::{Packet, ipv4, ipv6};
use transom_wire::quote::Quoted;
use transom_wire::tcp::{Flags, Header, Options, TcpView};
use transom_wire::{Protocol, Seq, arp, ethernet, icmpv4, icmpv6, ndp, udp};

const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

/// Reads the bytes as everything.
pub fn run(bytes: &[u8]) {
    if let Ok(view) = ethernet::View::new(bytes) {
        let header = ethernet::Header::from_view(&view);
        let mut again = vec![0xee; 14 + view.payload().len()];
        header.emit(&mut again);
        if view.vlan().is_none() {
            let read = ethernet::View::new(&again).map(|view| ethernet::Header::from_view(&view));
            assert_eq!(read, Ok(header));
        }
        packet(view.payload());
    }
    if let Ok(view) = arp::View::new(bytes)
        && let Some(header) = arp::Header::from_view(&view)
    {
        let mut again = [0xee; 28];
        header.emit(&mut again);
        let read = arp::View::new(&again)
            .ok()
            .and_then(|view| arp::Header::from_view(&view));
        assert_eq!(read, Some(header));
    }
    packet(bytes);
    transport(bytes);
    assert!(icmpv4::quote(bytes).len() <= bytes.len());
    assert!(icmpv6::quote(bytes).len() <= bytes.len());
    if let Ok(quoted) = Quoted::new(bytes) {
        let _ = (quoted.src(), quoted.dst(), quoted.ports());
        let _ = (quoted.tcp_seq(), quoted.echo());
        assert!(quoted.transport().len() <= bytes.len());
    }
    options(bytes);
}

/// The options alone: the first 40 bytes.
fn options(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(40)];
    let (read, _) = Options::parse(bytes);
    let len = read.emitted_len();
    assert!(len <= 40 && len.is_multiple_of(4), "{len} bytes of options");
    let mut out = [0xee; 40];
    assert_eq!(read.emit(&mut out[..len]), len);
    let (again, fault) = Options::parse(&out[..len]);
    assert_eq!(fault, None);
    let sack = read.sack.iter().take(read.emitted_sack_blocks()).collect();
    let accecn = read.emitted_accecn();
    assert_eq!(
        again,
        Options {
            sack,
            accecn,
            ..read
        }
    );
}

fn packet(bytes: &[u8]) {
    match Packet::new(bytes) {
        Ok(packet) => {
            assert!(packet.header_len() + packet.payload().len() <= bytes.len());
            network(&packet, bytes);
            transport(packet.payload());
        }
        Err(fault) => {
            let _ = (Report::for_fault(fault), fault.to_string());
        }
    }
    if let Ok(packet) = Packet::lax(bytes) {
        assert!(packet.header_len() + packet.payload().len() <= bytes.len());
        let _ = packet.fragment();
        transport(packet.payload());
    }
}

fn network(packet: &Packet<'_>, bytes: &[u8]) {
    match packet {
        Packet::V4(view) => {
            assert_eq!(view.check(), Ok(()));
            let header = ipv4::Header::from_view(view);
            let mut again = vec![0; 20 + view.payload().len()];
            header.emit(&mut again, view.payload().len());
            let read = ipv4::View::new(&again).map(|view| ipv4::Header::from_view(&view));
            assert_eq!(read, Ok(header));
        }
        Packet::V6(view, chain) => {
            assert!(chain.len <= ipv6::MAX_CHAIN_LEN);
            let _ = Report::for_unknown_protocol(chain);
            let header = ipv6::Header::from_view(view);
            let mut again = vec![0; 40 + view.payload().len()];
            header.emit(&mut again, view.payload().len());
            let read = ipv6::View::new(&again).map(|view| ipv6::Header::from_view(&view));
            assert_eq!(read, Ok(header));
        }
    }
    if let Ok(icmp) = icmpv6::View::new(packet.payload())
        && let Ok(message) = ndp::Message::parse(packet, &icmp)
    {
        let len = message.len();
        assert!(len <= 24 + 16 + 32 * ndp::MAX_PREFIXES && len <= bytes.len() + 64);
        let mut again = vec![0xee; len];
        assert_eq!(message.emit(&mut again, A6, B6), len);
    }
}

fn transport(bytes: &[u8]) {
    for view in [TcpView::new(bytes), TcpView::lax(bytes)]
        .into_iter()
        .flatten()
    {
        assert_eq!(view.header_len() + view.payload().len(), bytes.len());
        let _ = (view.reserved(), view.checksum(), view.segment_len());
        let _ = view.verify_checksum(A4.into(), B4.into());
        assert!(view.iter_options().count() <= 41);
        tcp(&Header::from_view(&view), view.payload());
    }
    if let Ok(view) = udp::View::new(bytes) {
        assert!(view.payload().len() + 8 <= bytes.len());
        let _ = view.verify_checksum(A6.into(), B6.into());
    }
    if let Ok(view) = icmpv4::View::new(bytes) {
        let message = view.message();
        let mut again = vec![0xee; message.len()];
        assert_eq!(message.emit(&mut again), bytes.len());
        let read = icmpv4::View::new(&again).expect("what was written is read");
        assert!(read.verify_checksum());
        assert_eq!(read.message(), message);
    }
    if let Ok(view) = icmpv6::View::new(bytes) {
        let message = view.message();
        let mut again = vec![0xee; message.len()];
        assert_eq!(message.emit(&mut again, A6, B6), bytes.len());
        let read = icmpv6::View::new(&again).expect("what was written is read");
        assert!(read.verify_checksum(A6, B6));
        assert_eq!(read.message(), message);
    }
}

fn tcp(header: &Header, payload: &[u8]) {
    let mut options = header.options.allowed_in(header.flags.contains(Flags::SYN));
    options.sack = options
        .sack
        .iter()
        .take(options.emitted_sack_blocks())
        .collect();
    let has = |flag| header.flags.contains(flag);
    let written = Header {
        ack: if has(Flags::ACK) {
            header.ack
        } else {
            Seq::new(0)
        },
        urgent: if has(Flags::URG) { header.urgent } else { 0 },
        options,
        ..*header
    };
    let mut again = vec![0xee; written.header_len()];
    assert!(again.len() <= 60);
    let (a, b): (IpAddr, IpAddr) = (A6.into(), B6.into());
    assert_eq!(
        written.emit_with_checksum(&mut again, a, b, payload),
        again.len()
    );
    again.extend_from_slice(payload);
    let view = TcpView::new(&again).expect("what was written is read");
    assert!(view.verify_checksum(a, b));
    assert_eq!(view.options().1, None);
    assert_eq!(Header::from_view(&view), written);
}

/// One packet of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for protocol in [
        Protocol::TCP,
        Protocol::UDP,
        Protocol::ICMP,
        Protocol::ICMPV6,
    ] {
        let mut body = vec![0; 64];
        match protocol {
            Protocol::TCP => {
                body[12] = 0xf0;
                let options = [
                    2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7,
                ];
                body[20..40].copy_from_slice(&options);
                body[40..52].copy_from_slice(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9]);
            }
            Protocol::UDP => body[5] = 64,
            Protocol::ICMP => body[0] = 3,
            _ => {
                body[0] = 134;
                body[16..24].copy_from_slice(&[5, 1, 0, 0, 0, 0, 5, 0xdc]);
            }
        }
        let mut v4 = vec![0; 20];
        ipv4::Header::new(A4, B4, protocol).emit(&mut v4, body.len());
        let mut v6 = vec![0; 40];
        let header = ipv6::Header {
            hop_limit: 255,
            ..ipv6::Header::new(A6, B6, protocol)
        };
        header.emit(&mut v6, body.len());
        let mut extended = v6.clone();
        extended[6] = 0;
        extended[5] += 16;
        extended.extend([60, 0, 1, 4, 0, 0, 0, 0]);
        extended.extend([protocol.raw(), 0, 1, 4, 0, 0, 0, 0]);
        let ethernet = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &v4].concat();
        seeds.extend([v4, v6, extended, ethernet].map(|head| [head, body.clone()].concat()));
        seeds.push(body);
    }
    seeds.push(vec![
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1,
    ]);
    seeds
}
