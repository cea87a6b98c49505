//! A table of link types and tunnels, with Wireshark as a witness that each frame is what it is called.

use crate::build::{client, ethernet, ip, pcap, prefixed, server, tcp4, tcp6, udp};
use crate::tools::{Temporary, run, tshark_fields};
use std::time::Duration;
use transom_flow::capture::{Decapsulator, LinkType, Reader, Record};
use transom_flow::{Checksum, Ignored, Limits, Tracker};

fn gre(flags: u8, version: u8, kind: u16, fields: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flags, version];
    bytes.extend(kind.to_be_bytes());
    bytes.extend(fields);
    bytes.extend(payload);
    ip(client(), server(), 47, &bytes)
}

/// A data frame of 802.11 from a station to its access point.
fn wireless(flags: u8, kind: u8, more_header: &[u8], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind, flags, 0, 0];
    frame.extend([2, 0, 0, 0, 0, 9]);
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 2]);
    frame.extend([0, 0]);
    frame.extend(more_header);
    frame.extend([0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
    frame.extend(packet);
    frame
}

/// Name, link type, frame.
type Row = (&'static str, u16, Vec<u8>);

/// What is tunnelled in UDP beside VXLAN and Geneve.
fn tunnels_in_udp() -> Vec<Row> {
    let (v4, v6) = (tcp4(), tcp6());
    let row = |name, port, prefix: &[u8], inner: &[u8]| {
        let datagram = udp(port, &prefixed(prefix, inner));
        (name, 101, ip(client(), server(), 17, &datagram))
    };
    let gtp = |flags: u8, more: &[u8], packet: &[u8]| {
        let len = (more.len() + packet.len()) as u16;
        let header = [&[flags, 0xff][..], &len.to_be_bytes(), &[0, 0, 0, 7]].concat();
        prefixed(&header, more)
    };
    // The other way round: the well-known port is the sender's.
    let mut answer = udp(40_000, &prefixed(&gtp(0x30, &[], &v4), &v4));
    answer[..2].copy_from_slice(&2152_u16.to_be_bytes());
    let authentication = [0, 1, 2, 3, 1, 2, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0];
    let origin = [0, 0, 0x12, 0x34, 1, 2, 3, 4];
    let both = [&authentication[..], &origin].concat();
    let ayiya = [&[0x42, 0x52, 0x11, 41, 0, 0, 0, 0][..], &[3; 16 + 20]].concat();
    vec![
        row("gre-in-udp", 4754, &[0, 0, 8, 0], &v4),
        row("gtp-u", 2152, &gtp(0x30, &[], &v4), &v4),
        row("gtp-u-sequence", 2152, &gtp(0x32, &[0, 9, 0, 0], &v6), &v6),
        row(
            "gtp-u-extension",
            2152,
            &gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0], &v4),
            &v4,
        ),
        ("gtp-u-answer", 101, ip(client(), server(), 17, &answer)),
        row("teredo", 3544, &[], &v6),
        row("teredo-origin", 3544, &origin, &v6),
        row("teredo-authentication", 3544, &both, &v6),
        row("ayiya", 5072, &ayiya, &v6),
    ]
}

/// Tags in front of another Ethernet type, some with addresses.
fn tags() -> Vec<Row> {
    let v4 = tcp4();
    let eth4 = ethernet(0x0800, &v4);
    vec![
        (
            "backbone",
            1,
            ethernet(0x88e7, &prefixed(&[0, 0, 0, 5], &eth4)),
        ),
        (
            "vn-tag",
            1,
            ethernet(0x8926, &prefixed(&[0, 0, 0, 5, 8, 0], &v4)),
        ),
        (
            "fabric-path",
            1,
            // Wireshark takes the last four bytes for a check sequence.
            ethernet(0x8903, &[&[0, 0x60][..], &eth4, &[0; 4]].concat()),
        ),
    ]
}

/// Each holds the segment of `tcp4` or `tcp6`.
fn table() -> Vec<Row> {
    [links(), tunnels_in_udp(), tags()].concat()
}

fn links() -> Vec<Row> {
    let (v4, v6) = (tcp4(), tcp6());
    let (long4, long6): (&[u8], &[u8]) = (&v4, &v6);
    let eth4 = ethernet(0x0800, long4);
    // Addresses of a vendor, by which Wireshark knows a frame within MPLS.
    let mut vendor4 = eth4.clone();
    vendor4[..12].copy_from_slice(&[0, 0, 12, 1, 2, 3, 0, 0, 12, 1, 2, 4]);
    let in_ethernet = |prefix: &[u8], kind: u16, rest: &[u8]| {
        let tagged = [prefix, &kind.to_be_bytes(), rest].concat();
        // The first type of the prefix goes into the header.
        ethernet(u16::from_be_bytes([tagged[0], tagged[1]]), &tagged[2..])
    };
    let vxlan_header = [8, 0, 0, 0, 0, 0, 42, 0];
    let udp_in_ip = |port, payload: &[u8]| ip(client(), server(), 17, &udp(port, payload));
    let mut sll = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
    sll.extend(long4);
    let mut sll2 = vec![
        0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0,
    ];
    sll2.extend(long6);
    let radiotap = [0, 0, 9, 0, 2, 0, 0, 0, 0];
    let padded_radiotap = [0, 0, 9, 0, 2, 0, 0, 0, 0x20];
    let timed_radiotap = [
        &[0, 0, 25, 0][..],
        &0x8000_0003_u32.to_le_bytes(),
        &[0; 4 + 4],
        &[7; 8],
        &[0x20],
    ]
    .concat();
    let qos_padded = wireless(1, 0x88, &[0, 0, 0, 0], long4);
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let snap_len = (long4.len() + 8) as u16;
    let ppi = [&[0, 0, 8, 0][..], &1_u32.to_le_bytes(), &eth4].concat();
    let nflog_len = (long4.len() + 4) as u16;
    let nflog = [
        &[2, 0, 0, 5][..],
        &[8, 0, 1, 0, 8, 0, 1, 0],
        &nflog_len.to_le_bytes(),
        &[9, 0],
        long4,
    ]
    .concat();
    let erspan = [&[0x10, 1, 0, 0, 0, 0, 0, 0][..], &eth4].concat();
    let mpls = [0, 0x01, 0x01, 64];
    let label = [0, 0x01, 0x00, 64];
    let pppoe = |payload: &[u8]| {
        let len = (payload.len() as u16).to_be_bytes();
        [&[0x11, 0, 0, 1][..], &len, payload].concat()
    };
    vec![
        ("ethernet", 1, eth4.clone()),
        ("ethernet-ipv6", 1, ethernet(0x86dd, long6)),
        ("vlan", 1, in_ethernet(&[0x81, 0, 0, 7], 0x0800, long4)),
        (
            "qinq",
            1,
            in_ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9], 0x86dd, long6),
        ),
        (
            "qinq-9100",
            1,
            in_ethernet(&[0x91, 0, 0, 7, 0x81, 0, 0, 9], 0x0800, long4),
        ),
        (
            "mpls",
            1,
            ethernet(0x8847, &[&label, &mpls, long4].concat()),
        ),
        (
            "mpls-ethernet",
            1,
            ethernet(0x8847, &[&mpls[..], &[0; 4], &vendor4].concat()),
        ),
        (
            "mpls-ethernet-bare",
            1,
            ethernet(0x8847, &[&mpls[..], &vendor4].concat()),
        ),
        (
            "pppoe",
            1,
            ethernet(0x8864, &pppoe(&prefixed(&[0, 0x21], long4))),
        ),
        ("llc-snap", 1, ethernet(snap_len, &prefixed(&snap, long4))),
        ("sll", 113, sll),
        ("sll2", 276, sll2),
        ("raw-12", 12, v4.clone()),
        ("raw-14", 14, v6.clone()),
        ("raw-101", 101, v6.clone()),
        ("ipv4", 228, v4.clone()),
        ("ipv6", 229, v6.clone()),
        ("null", 0, prefixed(&[2, 0, 0, 0], long4)),
        ("null-big-endian", 0, prefixed(&[0, 0, 0, 30], long6)),
        ("loop", 108, prefixed(&[0, 0, 0, 24], long6)),
        ("ppp", 9, prefixed(&[0xff, 3, 0, 0x21], long4)),
        ("ppp-bare", 9, prefixed(&[0, 0x57], long6)),
        ("ppp-hdlc", 50, prefixed(&[0xff, 3, 0, 0x21], long4)),
        ("ppp-with-dir", 204, prefixed(&[1, 0xff, 3, 0, 0x21], long4)),
        ("ppp-ether", 51, pppoe(&prefixed(&[0, 0x21], long4))),
        ("cisco-hdlc", 104, prefixed(&[0x0f, 0, 8, 0], long4)),
        ("wlan", 105, wireless(1, 0x08, &[], long4)),
        ("wlan-qos", 105, wireless(1, 0x88, &[0, 0], long4)),
        (
            "wlan-four-addresses",
            105,
            wireless(3, 0x08, &[2, 0, 0, 0, 0, 5], long4),
        ),
        (
            "radiotap",
            127,
            prefixed(&radiotap, &wireless(2, 0x08, &[], long4)),
        ),
        (
            "radiotap-padded",
            127,
            prefixed(&padded_radiotap, &qos_padded),
        ),
        (
            "radiotap-timed",
            127,
            prefixed(&timed_radiotap, &qos_padded),
        ),
        ("ppi", 192, ppi),
        ("nflog", 239, nflog),
        ("ipoib", 242, [&[0; 40][..], &[8, 0, 0, 0], long4].concat()),
        ("wccp-1", 101, gre(0, 0, 0x883e, &[], long4)),
        ("wccp-2", 101, gre(0, 0, 0x883e, &[5, 0x59, 0, 0], long4)),
        ("gre", 101, gre(0, 0, 0x0800, &[], long4)),
        (
            "gre-key-sequence",
            101,
            gre(0xb0, 0, 0x86dd, &[0; 12], long6),
        ),
        ("gre-teb", 101, gre(0x20, 0, 0x6558, &[0, 0, 0, 5], &eth4)),
        ("gre-mpls", 101, gre(0, 0, 0x8847, &mpls, long4)),
        (
            "pptp",
            101,
            gre(
                0x30,
                0x81,
                0x880b,
                &[0; 12],
                &prefixed(&[0xff, 3, 0, 0x21], long4),
            ),
        ),
        ("erspan", 101, gre(0x10, 0, 0x88be, &[0; 4], &erspan)),
        (
            "vxlan",
            1,
            ethernet(0x0800, &udp_in_ip(4789, &prefixed(&vxlan_header, &eth4))),
        ),
        (
            "geneve",
            101,
            udp_in_ip(
                6081,
                &prefixed(&[1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 1, 0, 0], &eth4),
            ),
        ),
        ("4in4", 101, ip(client(), server(), 4, long4)),
        ("6in4", 101, ip(client(), server(), 41, long6)),
        (
            "4in6",
            101,
            ip(
                "fd00::3".parse().unwrap(),
                "fd00::4".parse().unwrap(),
                4,
                long4,
            ),
        ),
        (
            "extension-headers",
            101,
            ip(
                "fd00::1".parse().unwrap(),
                "fd00::2".parse().unwrap(),
                0,
                &[
                    &[60, 0, 1, 4, 0, 0, 0, 0][..],
                    &[6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                    &long6[40..],
                ]
                .concat(),
            ),
        ),
        (
            "vlan-gre-vxlan-4in4",
            1,
            in_ethernet(
                &[0x81, 0, 0, 7],
                0x0800,
                &gre(
                    0,
                    0,
                    0x0800,
                    &[],
                    &udp_in_ip(
                        4789,
                        &prefixed(
                            &vxlan_header,
                            &ethernet(0x0800, &ip(client(), server(), 4, long4)),
                        ),
                    ),
                ),
            ),
        ),
    ]
}

#[test]
fn every_link_type_and_tunnel_gives_its_innermost_packet() {
    for (name, link, frame) in table() {
        let record = Record::new(1, Duration::ZERO, LinkType(link), &frame);
        let mut decapsulator = Decapsulator::new().with_checksums();
        let inner = decapsulator
            .frame(&record)
            .unwrap_or_else(|ignored| panic!("{name}: {ignored}"));
        assert_eq!(inner.checksum, Checksum::Right, "{name}");
        assert_eq!(inner.wire_len as usize, inner.data.len(), "{name}");
        let mut tracker = Tracker::new(Limits::default());
        tracker
            .frame(&inner)
            .unwrap_or_else(|ignored| panic!("{name}: {ignored}"));
        let connection = tracker.connections().next().unwrap();
        let ports: Vec<u16> = transom_flow::End::BOTH
            .map(|end| connection.endpoint(end).addr.port())
            .into();
        assert_eq!(ports, [43_210, 80], "{name}");
    }
}

/// The frames are what they are called: Wireshark finds the same segment in each.
#[test]
fn wireshark_finds_the_same_segment_in_every_frame() {
    let mut files = Vec::new();
    for (name, link, frame) in table() {
        files.push((
            name,
            Temporary::new(&format!("{name}.pcap"), &pcap(u32::from(link), &[&frame])),
        ));
    }
    let merged = Temporary::new("merged.pcapng", b"");
    let mut arguments = vec!["-a", "-F", "pcapng", "-w", merged.path()];
    arguments.extend(files.iter().map(|(_, file)| file.path()));
    run("mergecap", &arguments);
    let fields = tshark_fields(
        &merged.0,
        &["frame.number", "tcp.srcport", "tcp.len", "frame.protocols"],
    );
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    assert_eq!(fields.len(), names.len());
    for (name, line) in names.iter().zip(&fields) {
        assert_eq!(line[1..3], ["43210", "5"], "{name}: {line:?}");
    }
    // And so do we, in the file that mergecap wrote: one interface for each.
    let file = merged.bytes();
    let mut reader = Reader::new(&file[..]).unwrap();
    let mut decapsulator = Decapsulator::new();
    let mut tracker = Tracker::new(Limits::default());
    while let Some(record) = reader.next().unwrap() {
        let name = names[record.interface as usize];
        let frame = decapsulator
            .frame(&record)
            .unwrap_or_else(|ignored| panic!("{name}: {ignored}"));
        tracker.frame(&frame).unwrap();
    }
    assert_eq!(reader.packets(), names.len() as u64);
    assert_eq!(tracker.counters().segments, names.len() as u64);
}

#[test]
fn what_is_not_ip_is_counted_by_its_reason() {
    let cases: [(u16, Vec<u8>, Ignored); 4] = [
        (1, ethernet(0x0806, &[0; 28]), Ignored::NotIp),
        (147, vec![1, 2, 3], Ignored::NotIp),
        (105, wireless(0x41, 0x08, &[], &tcp4()), Ignored::NotIp),
        (105, vec![0x80, 0, 0, 0], Ignored::NotIp),
    ];
    let mut decapsulator = Decapsulator::new();
    for (link, frame, expected) in cases {
        let record = Record::new(1, Duration::ZERO, LinkType(link), &frame);
        assert_eq!(decapsulator.frame(&record).unwrap_err(), expected);
    }
    let record = Record::new(1, Duration::ZERO, LinkType::ETHERNET, &[0; 13]);
    assert!(matches!(
        decapsulator.frame(&record),
        Err(Ignored::Malformed(_))
    ));
    let counters = decapsulator.counters();
    assert_eq!(counters.records, 5);
    assert_eq!((counters.not_ip, counters.encrypted), (2, 1));
    assert_eq!((counters.unknown_link, counters.short), (1, 1));
    assert_eq!(counters.unknown_link_type, Some(LinkType(147)));
}
