//! A packet script: parsed in bounds; what it says of packets can be built, read and printed.

use std::net::SocketAddr;

use transom_drill::packets::Conversation;
use transom_drill::script::{Action, Defines, Packet, Script};
use transom_wire::ip::Packet as IpPacket;

/// Parses the text, and builds its packets.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Script::parse("fuzz.pkt", &text, &Defines::new()) {
        Ok(script) => {
            assert!(script.events.len() <= text.len());
            for ends in [
                ("192.168.0.1:8080", "192.0.2.1:40000"),
                ("[fd3d::1]:8080", "[2001:db8::1]:40000"),
            ] {
                play(&script, ends);
            }
        }
        Err(error) => {
            let lines = text.lines().count();
            assert!(error.place.line as usize <= lines + 1, "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
}

fn play(script: &Script, (local, remote): (&str, &str)) {
    let end = |text: &str| -> SocketAddr { text.parse().expect("an address") };
    let mut conversation = Conversation::new(end(local), end(remote));
    // A packet of 64 KiB each would make one input last a second.
    for event in script.events.iter().take(40) {
        if let Action::Inbound(packet) | Action::Outbound(packet) = &event.action {
            build(&mut conversation, packet);
        }
    }
}

fn build(conversation: &mut Conversation, packet: &Packet) {
    match conversation.build(packet) {
        Ok(bytes) => {
            assert!(bytes.len() <= 65_575, "{} bytes", bytes.len());
            assert!(IpPacket::lax(&bytes).is_ok(), "{packet:?}");
            let _ = conversation.belongs(&bytes);
            assert!(!conversation.print(&bytes).is_empty());
        }
        Err(reason) => assert!(!reason.to_string().is_empty()),
    }
}

/// Scripts that use the language widely.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n\
         0.1 < S 0:0(0) win 32792 <mss 1460,sackOK,nop,nop,nop,wscale 7>\n\
         0.1 > S. 0:0(0) ack 1 <...>\n+.1 < . 1:1(0) ack 1 win 257\n+0 accept(3, ..., ...) = 4\n",
        "--ip_version=ipv6\n--tolerance_usecs=4000\n`sysctl -q net.ipv4.tcp_sack=1`\n\
         0 < [ect0] P. 1:1001(1000) ack 1 win 257 <TS val 100 ecr 200,sack 1:2 3:4>\n\
         *  > [noecn] .E 1:1(0) ack 1001 <nop,nop,TS val 5 ecr 100>\n`echo done`\n",
        "0.0 write(4, ..., 1000) = 1000\n+0~+.01 > P. 1:1001(1000) ack 1\n\
         +0...0.200 read(4, ..., 10) = -1 EAGAIN (Resource temporarily unavailable)\n\
         +0 %{\nassert tcpi_snd_cwnd == 10, tcpi_snd_cwnd\nassert (tcpi_rtt + 1) // 2 < 100 and tcpi_unacked != 3\n}%\n",
        "+0 setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n\
         +0 sendmsg(3, {msg_name(...)=..., msg_iov(1)=[{..., 100}], msg_flags=0}, MSG_ZEROCOPY|0x10) = 100\n\
         +0 poll([{fd=3, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1\n// a comment\n/* another\n*/\n",
        "0 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]\n\
         1~2 > F. 1:1(0) ack 1 win 100 urg 7 <eol>\n+1 < udp (100)\n2 < R 1:1(0) <FO 0102030405060708,FOEXP,mss 1>\n",
        "--define=X=10\n--local_port=8080\n0 < 1234 > 80 SWE 4294967295:4294967295(0) win 0 <wscale 255>\n\
         0 < gre: ipv4 1.1.1.1 > 2.2.2.2: S 0:0(0) win 1\n0 < mpls (label 1, tc 2, [S], ttl 3): . 1:1(0) ack 1 win 1\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
