//! The script language: what is read, what is refused and how.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is how a test fails"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use transom_drill::code::Program;
use transom_drill::packets::{Conversation, Way};
use transom_drill::script::{
    Action, Body, Defines, Definition, EcnMark, IcmpQuote, IpVersion, Place, Script, TcpOption,
    TcpOptions, Time, Value,
};

const ALL: &str = r#"
--ip_version=ipv4 // the default
--tolerance_usecs=7000
--mtu=1500
--define PORT=8080

/* Sysctls. */
`sysctl -q net.ipv4.tcp_timestamps=0`

0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, {sa_family = AF_INET, sin_port = htons(PORT), sin_addr = inet_addr("0.0.0.0")}, ...) = 0
+0 listen(3, 1) = 0
+0...0.200 accept(3, ..., ...) = 4
+.1 < [ect0, ttl 7] S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0~+.010 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 257
0.5 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily (un)available)
* > P. 1:1001(1000) ack 1 win 0x100 <nop,nop,TS val 7 ecr 0>
1~1.5 > . 1001:1001(0) ack 1 <nop,nop,sack 1:2 3:4>
+0 < icmp unreachable frag_needed mtu 1000 [1:1001(1000)]
+0 > [tos 0x10] FPU. 1:2(1) ack 9 urg 1
+0 < 4000 > 5000 - 1:1(0) win 0
+0 > 5. 1:1(0) ack 1 <ECN e0b 1 ceb 2 e1b 3,nop>
+0 < udp (1000)
+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=0}], 1, -1) = 0
+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 9}], msg_flags=0}, 0) = 9
+0 write(4, "a\x00" "b", 3) = 3
+0 %{
assert tcpi_snd_cwnd == 10
}%
`ip tcp_metrics flush`
"#;

fn parse(text: &str) -> Result<Script, String> {
    Script::parse("a.pkt", text, &Defines::new()).map_err(|error| error.to_string())
}

#[test]
fn everything_of_the_language_is_read() {
    let script = parse(ALL).unwrap();
    assert_eq!(script.options.ip_version, Some(IpVersion::V4));
    assert_eq!(script.options.tolerance, Some(Duration::from_millis(7)));
    assert!(script.init.is_some() && script.cleanup.is_some());
    assert_eq!(script.events.len(), 21);

    let event = &script.events[4];
    let span = Time::RelativeSpan(Duration::ZERO, Duration::from_millis(200));
    assert_eq!(event.time, span);
    assert_eq!(
        event.place,
        Place {
            line: 14,
            column: 1
        }
    );

    let Action::Inbound(syn) = &script.events[5].action else {
        panic!("a packet");
    };
    assert_eq!(syn.ip.ecn, Some(EcnMark::Ect0));
    assert_eq!(syn.ip.ttl, Some(7));
    let Body::Tcp(tcp) = &syn.body else {
        panic!("a segment");
    };
    let TcpOptions::Exact(options) = &tcp.options else {
        panic!("options");
    };
    assert_eq!(options.len(), 6);
    assert_eq!(options[5], TcpOption::WindowScale(7));

    let Action::Call(call) = &script.events[9].action else {
        panic!("a call");
    };
    assert_eq!(call.result, Value::Integer(-1));
    assert_eq!(call.errno.as_deref(), Some("EAGAIN"));
    assert_eq!(
        call.note.as_deref(),
        Some("Resource temporarily (un)available")
    );

    let Action::Call(bind) = &script.events[2].action else {
        panic!("a call");
    };
    let port = &bind.args[1].field("sin_port").unwrap().value;
    assert_eq!(
        port,
        &Value::Call("htons".into(), vec![Value::Integer(8080)])
    );

    assert_eq!(script.events[10].time, Time::Any);
    let from_to = Time::AbsoluteRange(Duration::from_secs(1), Duration::from_millis(1500));
    assert_eq!(script.events[11].time, from_to);

    let Action::Inbound(icmp) = &script.events[12].action else {
        panic!("a packet");
    };
    let Body::Icmp(icmp) = &icmp.body else {
        panic!("a message");
    };
    assert_eq!(icmp.mtu, Some(1000));
    let quote = IcmpQuote::Tcp {
        start: 1,
        end: 1001,
        len: 1000,
    };
    assert_eq!(icmp.quote, Some(quote));

    let Action::Call(write) = &script.events[19].action else {
        panic!("a call");
    };
    assert_eq!(write.args[1], Value::Text(b"a\0b".to_vec()));
}

#[test]
fn packets_print_as_they_were_written() {
    for line in [
        "> S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 8>",
        "< [ce] FP. 1:1001(1000) ack 1 win 257",
        "> [tos 0x10, ttl 64] . 1:1(0) ack 1 win 0 urg 5",
        "< . 1:1(0) ack 1 win 514 <md5 000102030405060708090a0b0c0d0e0f,nop,nop>",
        "> S 0:10(10) <mss 1460,FO abcd1234,nop,nop>",
        "< S 0:0(0) win 9 <FOEXP>",
        "< S 0:0(0) win 9 <kind 9 aabb,bytes 0300,nop,eol>",
        "> 7. 1:1(0) ack 1 <ECN e1b 1 ceb 2,nop,nop,nop,nop>",
        "> . 1:1(0) ack 1 <...>",
        "< icmp unreachable host_unreachable [udp (9)]",
        "> udp (10)",
        "< encap psp spi 7 . 1:1(0) ack 1 win 9",
        "> ipv4 10.0.0.1 > 10.0.0.2: 1000 > 2000 R 1:1(0)",
        "> mpls (label 7, tc 1, [S], ttl 9): R. 1:1(0) ack 1",
        "> ipv6 fd00::1 > fd00::: . 1:1(0)",
    ] {
        let script = parse(&format!("+0 {line}")).unwrap();
        let shown = match &script.events[0].action {
            Action::Inbound(packet) => packet.notation(Way::In).to_string(),
            Action::Outbound(packet) => packet.notation(Way::Out).to_string(),
            other => panic!("no packet: {other:?}"),
        };
        assert_eq!(shown, line);
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, error) in [
        ("+0 > S. 0:5(4)", "1:11: found `5`, expected `4`"),
        (
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP = 3",
            "1:40: found `=`, expected `,` or `)`",
        ),
        ("\n+0 foo", "2:7: found the end of the file, expected `(`"),
        (
            "+0 < . 1:1(0) ack 1",
            "1:20: found the end of the file, expected `win` and a window, which a packet with `<` needs",
        ),
        (
            "* < . 1:1(0) ack 1 win 1",
            "1:1: found this time, expected one time: only a packet with `>` may have a range or `*`",
        ),
        (
            "+0 > SX 0:0(0)",
            "1:6: found `SX`, expected control bits: letters of SFRPUEWA, a digit up to 7, `.`; or `-` for none",
        ),
        (
            "+0 > S 0:0(0) <mss 1460,nop>",
            "1:16: found options of 5 octets, expected a multiple of 4 up to 40",
        ),
        (
            "+0 < S 0:0(0) win 9 <mss 70000>",
            "1:26: found `70000`, expected a size below 65536",
        ),
        (
            "--tolerance=5\n",
            "1:1: found `--tolerance=5`, expected the name of an option",
        ),
        (
            "--mtu=big\n",
            "1:1: found `--mtu=big`, expected octets, at most 65535",
        ),
        (
            "/* no end",
            "1:1: found a comment without end, expected `*/`",
        ),
        (
            "+0 `ls",
            "1:4: found a shell command without end, expected ```",
        ),
        (
            "+0 %{ assert",
            "1:4: found a block of code without end, expected `}%`",
        ),
        (
            "+0 write(3, \"a",
            "1:13: found text without end, expected `\"`",
        ),
        (
            "+0 < . 1:1(0) ack 1 win 9 foo",
            "1:27: found `foo`, expected ack, win, urg, `<` or the next event",
        ),
        (
            "`a`\n+0 `b`\n`c`\n+0 `d`",
            "4:1: found `+`, expected the end of the file after a command without a time",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), format!("a.pkt:{error}"), "{text}");
    }
    let deep = format!("+0 f({}{}) = 0", "[".repeat(50_000), "]".repeat(50_000));
    assert!(parse(&deep).unwrap_err().contains("at most 32 levels"));
}

#[test]
fn words_are_replaced_and_the_caller_wins() {
    let text = "--define A=1\n--define=B=\"x y\"\n0 f(A, B, C) = 0";
    let given: Defines = [
        ("A".to_owned(), Definition::from_text("2")),
        ("C".to_owned(), Definition::from_text("SOL_TCP")),
    ]
    .into();
    let script = Script::parse("a.pkt", text, &given).unwrap();
    let Action::Call(call) = &script.events[0].action else {
        panic!("a call");
    };
    let args = [
        Value::Integer(2),
        Value::Text(b"x y".to_vec()),
        Value::Symbol("SOL_TCP".into()),
    ];
    assert_eq!(call.args, args);
}

#[test]
fn numbers_come_from_symbols_and_bits() {
    let script = parse("0 f(O_RDWR|0x800, [1]) = -1").unwrap();
    let Action::Call(call) = &script.events[0].action else {
        panic!("a call");
    };
    let symbol = |name: &str| (name == "O_RDWR").then_some(2);
    assert_eq!(call.args[0].resolve(&symbol), Ok(0x802));
    assert_eq!(call.args[0].to_string(), "O_RDWR|2048");
    assert!(call.args[0].resolve(&|_| None).is_err());
    assert!(call.args[1].resolve(&symbol).is_err());
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// Pieces that are moved, doubled and left out.
fn mutate(dice: &mut Dice, text: &mut Vec<char>) {
    const SPICE: &str = "+-.~*<>[]{}()\"`%/\\|&=:,0179aSxé\u{0}\n ";
    let spice: Vec<char> = SPICE.chars().collect();
    for _ in 0..=dice.below(3) / 2 {
        let at = dice.below(text.len());
        let len = dice.below(12).min(text.len() - at);
        match dice.below(4) {
            0 => drop(text.drain(at..at + len)),
            1 => text.insert(at, spice[dice.below(spice.len())]),
            2 => {
                let piece: Vec<char> = text[at..at + len].to_vec();
                let to = dice.below(text.len());
                drop(text.splice(to..to, piece));
            }
            _ => {
                if let Some(place) = text.get_mut(at) {
                    *place = spice[dice.below(spice.len())];
                }
            }
        }
        if text.is_empty() {
            return;
        }
    }
}

#[test]
fn any_text_is_read_or_refused_without_harm() {
    let seed: Vec<char> = ALL.chars().collect();
    let mut dice = Dice(0x5eed_cafe);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..4000 {
        let mut text = seed.clone();
        mutate(&mut dice, &mut text);
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(script) => {
                good += 1;
                exercise(&script);
            }
            Err(error) => {
                bad += 1;
                assert!(error.starts_with("a.pkt:"), "{error}");
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} {bad}");
}

/// What a script's parts are used for must not fail hard either; what prints must read back the same.
fn exercise(script: &Script) {
    let ends = ["192.168.0.1:8080", "192.0.2.1:4000"].map(|end| end.parse().unwrap());
    let mut conversation = Conversation::new(ends[0], ends[1]);
    let mut program = Program::new("a.pkt");
    for event in &script.events {
        match &event.action {
            Action::Inbound(packet) => {
                if let Ok(bytes) = conversation.build(packet) {
                    let _ = conversation.print(&bytes);
                }
                reread(&packet.notation(Way::In).to_string());
            }
            Action::Outbound(packet) => reread(&packet.notation(Way::Out).to_string()),
            Action::Code(code) => {
                let _ = program.run(code, &BTreeMap::new());
            }
            Action::Call(_) | Action::Shell(_) => {}
        }
    }
}

fn reread(line: &str) {
    let script = parse(&format!("+0 {line}")).unwrap();
    let again = match &script.events[0].action {
        Action::Inbound(packet) => packet.notation(Way::In).to_string(),
        Action::Outbound(packet) => packet.notation(Way::Out).to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(again, line);
}
