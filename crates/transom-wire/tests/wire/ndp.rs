use crate::{A6, B6};
use std::net::Ipv6Addr;
use transom_wire::ethernet::MacAddr;
use transom_wire::ip::{Packet, ipv6};
use transom_wire::ndp::{
    MAX_PREFIXES, Message, PrefixInformation, RouterAdvertisement, solicited_node,
};
use transom_wire::{Malformed, Protocol, Reason, icmpv6};

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn packet(src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 40];
    let header = ipv6::Header {
        hop_limit: 255,
        ..ipv6::Header::new(src, dst, Protocol::ICMPV6)
    };
    header.emit(&mut bytes, message.len());
    bytes.extend(message);
    bytes
}

fn emitted(message: &Message, src: Ipv6Addr, dst: Ipv6Addr) -> Vec<u8> {
    let mut out = vec![0; message.len()];
    assert_eq!(message.emit(&mut out, src, dst), out.len());
    packet(src, dst, &out)
}

fn read(bytes: &[u8]) -> Result<Message, Malformed> {
    let packet = Packet::new(bytes)?;
    Message::parse(&packet, &icmpv6::View::new(packet.payload())?)
}

fn solicitation() -> Message {
    Message::NeighborSolicitation {
        target: B6,
        source_link: Some(MAC),
    }
}

#[test]
fn messages_survive_the_wire() {
    let prefix = PrefixInformation {
        prefix: A6,
        prefix_len: 64,
        on_link: true,
        autonomous: false,
        valid_lifetime: 7200,
        preferred_lifetime: u32::MAX,
    };
    let router = RouterAdvertisement {
        hop_limit: 64,
        managed: true,
        router_lifetime: 1800,
        reachable_ms: 30_000,
        retrans_ms: 1000,
        source_link: Some(MAC),
        mtu: Some(1400),
        prefixes: vec![prefix; 2],
        other_config: false,
    };
    let advertisement = Message::NeighborAdvertisement {
        router: false,
        solicited: true,
        override_cached: true,
        target: A6,
        target_link: Some(MAC),
    };
    for (message, dst) in [
        (
            Message::RouterSolicitation {
                source_link: Some(MAC),
            },
            ALL_NODES,
        ),
        (Message::RouterSolicitation { source_link: None }, ALL_NODES),
        (Message::RouterAdvertisement(router), ALL_NODES),
        (
            Message::RouterAdvertisement(RouterAdvertisement::default()),
            ALL_NODES,
        ),
        (solicitation(), solicited_node(B6)),
        (advertisement, B6),
        (
            Message::Redirect {
                target: A6,
                destination: B6,
                target_link: None,
            },
            B6,
        ),
    ] {
        let bytes = emitted(&message, A6, dst);
        assert!(
            icmpv6::View::new(&bytes[40..])
                .unwrap()
                .verify_checksum(A6, dst)
        );
        assert_eq!(read(&bytes), Ok(message));
    }
}

#[test]
fn req_nd_1_hop_limit_code_length_options_and_fragments_are_checked() {
    let good = emitted(&solicitation(), A6, solicited_node(B6));
    assert_eq!(read(&good), Ok(solicitation()));
    for hop_limit in [0, 1, 64, 254] {
        let mut bytes = good.clone();
        bytes[7] = hop_limit;
        assert_eq!(read(&bytes).unwrap_err().reason, Reason::Value);
    }
    let mut code = good.clone();
    code[41] = 1;
    assert_eq!(read(&code).unwrap_err().reason, Reason::Value);
    // Shorter than 24 bytes, at every length.
    for len in 0..24 {
        let bytes = packet(A6, solicited_node(B6), &good[40..40 + len]);
        assert_eq!(read(&bytes).unwrap_err().reason, Reason::Truncated, "{len}");
    }
    // An option of length 0, one beyond the end, and one of a single byte.
    for len in [0, 2, 255] {
        let mut bytes = good.clone();
        bytes[40 + 25] = len;
        let fault = read(&bytes).unwrap_err();
        assert_eq!((fault.reason, fault.at), (Reason::OptionLength, 24));
    }
    let bytes = packet(A6, solicited_node(B6), &good[40..65]);
    assert_eq!(read(&bytes).unwrap_err().reason, Reason::OptionLength);
    // Even an atomic fragment.
    let mut fragment = good;
    fragment.splice(40..40, [58, 0, 0, 0, 1, 2, 3, 4]);
    fragment[6] = 44;
    fragment[5] += 8;
    assert_eq!(read(&fragment).unwrap_err().reason, Reason::Value);
}

#[test]
fn req_cve_14_options_of_odd_and_zero_length_condemn_the_packet() {
    // Recursive DNS server (25) with an even length, as in CVE-2020-16898, is passed over; it is not understood.
    let router = Message::RouterAdvertisement(RouterAdvertisement::default());
    let bytes = emitted(&router, A6, ALL_NODES);
    for (len, ok) in [(0u8, false), (1, true), (2, true), (3, true), (4, false)] {
        let mut message = bytes[40..].to_vec();
        message.extend([25, len]);
        message.extend([0; 22]);
        // The rest, if any, is one well-formed unknown option.
        let rest = usize::from(len) * 8;
        if (8..24).contains(&rest) {
            message[16 + rest] = 200;
            message[16 + rest + 1] = ((24 - rest) / 8) as u8;
        }
        assert_eq!(
            read(&packet(A6, ALL_NODES, &message)).is_ok(),
            ok,
            "length {len}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused = |message: &Message, src, dst| {
        assert_eq!(
            read(&emitted(message, src, dst)).unwrap_err().reason,
            Reason::Value
        );
    };
    let unspecified = Ipv6Addr::UNSPECIFIED;
    // Multicast target.
    refused(
        &Message::NeighborSolicitation {
            target: ALL_NODES,
            source_link: None,
        },
        A6,
        B6,
    );
    // From ::, a link-layer address, or to another group than the target's.
    refused(&solicitation(), unspecified, solicited_node(B6));
    refused(
        &Message::RouterSolicitation {
            source_link: Some(MAC),
        },
        unspecified,
        ALL_NODES,
    );
    let probe = Message::NeighborSolicitation {
        target: B6,
        source_link: None,
    };
    refused(&probe, unspecified, ALL_NODES);
    assert_eq!(
        read(&emitted(&probe, unspecified, solicited_node(B6))),
        Ok(probe)
    );
    // Solicited, yet sent to many.
    let advertisement = Message::NeighborAdvertisement {
        router: false,
        solicited: true,
        override_cached: false,
        target: A6,
        target_link: None,
    };
    refused(&advertisement, A6, ALL_NODES);
}

#[test]
fn prefixes_are_bounded() {
    let prefix = PrefixInformation {
        prefix: A6,
        prefix_len: 64,
        on_link: true,
        autonomous: true,
        valid_lifetime: 1,
        preferred_lifetime: 1,
    };
    let router = RouterAdvertisement {
        prefixes: vec![prefix; 40],
        ..Default::default()
    };
    let mut bytes = emitted(&Message::RouterAdvertisement(router), A6, ALL_NODES)[40..].to_vec();
    let one = bytes[16..48].to_vec();
    for _ in 0..10 {
        bytes.extend(&one);
    }
    let Ok(Message::RouterAdvertisement(read)) = read(&packet(A6, ALL_NODES, &bytes)) else {
        panic!("an advertisement");
    };
    assert_eq!(read.prefixes, vec![prefix; MAX_PREFIXES]);
    // 129 bits are no prefix.
    bytes.truncate(48);
    bytes[18] = 129;
    let Ok(Message::RouterAdvertisement(read)) = self::read(&packet(A6, ALL_NODES, &bytes)) else {
        panic!("an advertisement");
    };
    assert!(read.prefixes.is_empty());
}

#[test]
fn solicited_node_takes_the_last_three_bytes() {
    let addr: Ipv6Addr = "fe80::2aa:ff:fe28:9c5a".parse().unwrap();
    assert_eq!(
        solicited_node(addr),
        "ff02::1:ff28:9c5a".parse::<Ipv6Addr>().unwrap()
    );
}
