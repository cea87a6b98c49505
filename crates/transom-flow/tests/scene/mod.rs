//! Conversations written as text, turned into frames by `transom-wire`, and followed by a tracker.
//!
//! One event a line: time in milliseconds, then `>` (client to server) or `<`, the control bits, and
//! what differs from the obvious:
//!
//! ```text
//! 0      > S
//! 11.2   < SA
//! 11.3   > A
//! 11.4   > PA 'GET / HTTP/1.1'      data as text, up to the next quote
//! 20     < A  len=1448              data of this length
//! 21     < A  len=0 seq=1 ack=15    relative numbers, counted from each initial one
//! 22     < A  id=7 ttl=63 ts=5/4    identification, hop limit, timestamps (value and echo)
//! 30     > FA win=0 lost            the window field; lost on the way
//! 31     > FA arrives=41            when it arrives (ms)
//! 40     state client FIN-WAIT-1 FIN-WAIT-2
//! 41     sample client ESTABLISHED
//! 42     note what happened elsewhere
//! 43     icmp client port-unreachable
//! 44     icmp client too-big=1400
//! 45     < RA ttl=50                another hop limit
//! 46     > PA hex=15030300020228    data in hexadecimal digits
//! 47     < SA mss=1380 nosack nows nots noopt      other options of a SYN
//! 48     > A len=1448 x20 every=10  twenty of them, ten milliseconds apart
//! 50     talk 20 100 50 60          20 times, each 100 ms: 50 bytes by the client, 60 in answer
//! 100    connect 40001              another connection, from this port of the client
//! 200    again                      another connection between the same sockets
//! 300    end                        the capture goes on to here
//! ```
//!
//! Control bits are `S F R P A U`, `E` for ECE and `W` for CWR.
//!
//! Without `seq` a segment continues where its sender stopped; without `ack` it acknowledges all
//! that was sent to its sender and not lost.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken script is a broken test"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use transom_flow::wire::ip::{Protocol, ipv4};
use transom_flow::wire::tcp::{FastOpen, Flags, Header, Options, Timestamps};
use transom_flow::wire::{Medium, Seq};
use transom_flow::{
    Basis, Connection, End, EndState, Ends, Entry, Fate, Frame, Limits, Meaning, Past, Process,
    State, Step, Tracker, Truth, TruthEvent, Weight, What, parallel::Crew,
};

pub const CLIENT: (Ipv4Addr, u16) = (Ipv4Addr::new(10, 0, 2, 100), 43210);
pub const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(93, 184, 216, 34), 80);
const ISS: [u32; 2] = [0xffff_ff00, 7_000_000];

pub fn addr(end: End) -> SocketAddr {
    let (ip, port) = match end {
        End::Client => CLIENT,
        End::Server => SERVER,
    };
    SocketAddr::new(ip.into(), port)
}

pub fn state(name: &str) -> State {
    State::ALL
        .into_iter()
        .find(|state| state.name() == name)
        .unwrap_or_else(|| panic!("{name}"))
}

#[derive(Clone, Copy, Default)]
struct Side {
    /// Relative number of the next byte to send.
    next: u32,
    /// Relative number up to which the other side has everything.
    heard: u32,
}

/// A conversation under way.
pub struct Scene {
    pub tracker: Tracker,
    /// The frames as sent, with their times.
    pub frames: Vec<(Duration, Vec<u8>)>,
    sides: [Side; 2],
    options: bool,
    /// What the next segment carries, when it cannot be written as text.
    payload: Vec<u8>,
    client_port: u16,
    pub server_port: u16,
    /// How much of each packet is captured.
    pub snap: Option<usize>,
    /// Initial sequence numbers of the connection under way.
    iss: [u32; 2],
    /// The same frames, followed by one that records what is ordinary.
    crew: Crew<Past>,
    /// The tracker was told things that the crew cannot know.
    is_told_more: bool,
}

fn index(end: End) -> usize {
    usize::from(end == End::Server)
}

pub fn millis(text: &str) -> Duration {
    Duration::from_nanos((text.parse::<f64>().unwrap() * 1e6).round() as u64)
}

/// Plays a whole conversation and ends the capture.
pub fn play(script: &str) -> Scene {
    let mut scene = Scene::new(Limits::default());
    scene.play(script);
    scene.tracker.finish();
    if !scene.is_told_more {
        scene.compare_with_records();
    }
    scene
}

/// All that can be asked of a connection, as text.
pub fn everything(connection: &Connection) -> String {
    let entries: Vec<String> = connection.entries().map(|e| format!("{e:?}")).collect();
    format!(
        "{}\n{:?}\n{:?}\n{:?}\n{:?} {:?} {:?}\n{} {}\n{:?}\n{:#?}\n{}",
        connection.number(),
        connection.totals(),
        connection.measures(),
        connection.handshake(),
        connection.closed_by(),
        connection.duration_until_closed(),
        connection.states(),
        connection.conn_state(),
        connection.history(),
        connection.application(),
        connection.verdict(),
        entries.join("\n")
    )
}

impl Scene {
    pub fn new(limits: Limits) -> Self {
        let tracker = Tracker::new(limits);
        Self {
            tracker,
            frames: Vec::new(),
            sides: [Side::default(); 2],
            options: true,
            payload: Vec::new(),
            client_port: CLIENT.1,
            server_port: SERVER.1,
            snap: None,
            iss: ISS,
            crew: Crew::new(limits, 1, |past| past),
            is_told_more: false,
        }
    }

    /// What is made of records is what following at once makes, and so is their place in a list.
    fn compare_with_records(&mut self) {
        self.crew.finish();
        let pasts: Vec<Past> = self.crew.take().collect();
        assert_eq!(pasts.len(), self.tracker.connections().count());
        for (past, connection) in pasts.iter().zip(self.tracker.connections()) {
            assert_eq!(
                past.weight(),
                Weight::of(connection),
                "{}",
                everything(connection)
            );
            assert_eq!(everything(past.connection()), everything(connection));
        }
    }

    /// Starts another connection, from `port` of the client.
    pub fn connect(&mut self, port: u16) {
        self.client_port = port;
        self.sides = [Side::default(); 2];
        self.iss = self.iss.map(|iss| iss.wrapping_add(100_000_007));
    }

    /// The last connection of several.
    pub fn last_connection(&self) -> &Connection {
        self.tracker.connections().last().unwrap()
    }

    /// The only connection.
    pub fn connection(&self) -> &Connection {
        let mut all = self.tracker.connections();
        let connection = all.next().unwrap();
        assert!(all.next().is_none(), "one connection expected");
        connection
    }

    pub fn play(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            self.line(line);
        }
    }

    fn line(&mut self, line: &str) {
        let (time, rest) = line.split_once(char::is_whitespace).unwrap();
        let time = millis(time);
        let rest = rest.trim();
        let (verb, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let rest = rest.trim();
        let end_named = |name: &str| {
            if name == "client" {
                End::Client
            } else {
                End::Server
            }
        };
        let words: Vec<&str> = rest.split_whitespace().collect();
        self.is_told_more |= matches!(verb, "state" | "sample" | "note" | "process" | "end");
        match verb {
            ">" => self.segments(time, End::Client, rest),
            "<" => self.segments(time, End::Server, rest),
            "state" => {
                let event = TruthEvent::State {
                    from: state(words[1]),
                    to: state(words[2]),
                };
                self.truth(time, end_named(words[0]), event);
            }
            "sample" => self.truth(
                time,
                end_named(words[0]),
                TruthEvent::Sample(state(words[1])),
            ),
            "note" => self.truth(time, End::Server, TruthEvent::Note(rest.into())),
            "process" => {
                let process = Process {
                    name: words[1].into(),
                    pid: words[2].parse().unwrap(),
                };
                self.truth(time, end_named(words[0]), TruthEvent::Process(process));
            }
            "connect" => self.connect(words[0].parse().unwrap()),
            "talk" => {
                let numbers: Vec<u32> = words.iter().map(|word| word.parse().unwrap()).collect();
                let &[times, every, sent, answered] = numbers.as_slice() else {
                    panic!("talk TIMES EVERY SENT ANSWERED");
                };
                for at in 0..times {
                    let then = time + Duration::from_millis(u64::from(every * at));
                    let later = then + Duration::from_millis(u64::from(every / 2));
                    self.segment(then, End::Client, &format!("PA len={sent}"));
                    self.segment(later, End::Server, &format!("PA len={answered}"));
                }
            }
            "again" => self.connect(self.client_port),
            "end" => self.tracker.pass_time(time),
            "icmp" => self.icmp(time, end_named(words[0]), words[1]),
            other => panic!("unknown verb {other}"),
        }
    }

    pub fn truth(&mut self, time: Duration, end: End, event: TruthEvent) {
        let truth = Truth {
            time,
            local: addr(end),
            peer: addr(end.other()),
            event,
        };
        self.tracker.truth(truth);
    }

    /// An end sends text, which may hold line ends.
    pub fn data(&mut self, time: f64, from: End, text: &str) {
        self.bytes(time, from, text.as_bytes());
    }

    /// An end sends bytes.
    pub fn bytes(&mut self, time: f64, from: End, bytes: &[u8]) {
        self.payload = bytes.to_vec();
        self.segment(millis(&time.to_string()), from, "PA");
    }

    /// A segment, or several alike.
    fn segments(&mut self, time: Duration, from: End, words: &str) {
        let mut count = 1;
        let mut every = Duration::ZERO;
        let mut rest = Vec::new();
        for word in words.split(' ') {
            match (word.strip_prefix('x'), word.strip_prefix("every=")) {
                (Some(times), _) if times.parse::<u32>().is_ok() => count = times.parse().unwrap(),
                (_, Some(step)) => every = millis(step),
                _ => rest.push(word),
            }
        }
        let words = rest.join(" ");
        for at in 0..count {
            self.segment(time + every * at, from, &words);
        }
    }

    fn segment(&mut self, time: Duration, from: End, words: &str) {
        let (words, data) = match words.split_once('\'') {
            Some((words, data)) => (words, data.split('\'').next().unwrap().as_bytes().to_vec()),
            None => (words, std::mem::take(&mut self.payload)),
        };
        let mut words = words.split_whitespace();
        let flags = words
            .next()
            .unwrap()
            .chars()
            .fold(Flags::EMPTY, |flags, c| {
                flags
                    | match c {
                        'S' => Flags::SYN,
                        'F' => Flags::FIN,
                        'R' => Flags::RST,
                        'P' => Flags::PSH,
                        'A' => Flags::ACK,
                        'U' => Flags::URG,
                        'E' => Flags::ECE,
                        'W' => Flags::CWR,
                        'a' => Flags::AE,
                        other => panic!("unknown flag {other}"),
                    }
            });
        let (own, peer) = (index(from), index(from.other()));
        let mut seq = self.sides[own].next;
        let mut ack = self.sides[own].heard;
        let mut data = data;
        let mut window = 64_240;
        let mut fate = Fate::Unknown;
        let mut gso_size = 0;
        let mut bare_options = Options::EMPTY;
        let mut identity = (0, 64);
        let mut syn_options = self.syn_options();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "seq" => seq = value.parse().unwrap(),
                "ack" => ack = value.parse().unwrap(),
                "len" => data = vec![0xa5; value.parse().unwrap()],
                "hex" => data = unhex(value),
                "mss" => syn_options.mss = Some(value.parse().unwrap()),
                "nosack" => syn_options.sack_permitted = false,
                "nows" => syn_options.window_scale = None,
                "nots" => syn_options.timestamps = None,
                "noopt" => syn_options = Options::EMPTY,
                "tfo" => syn_options.fast_open = FastOpen::new(&unhex(value)),
                "win" => window = value.parse().unwrap(),
                "gso" => gso_size = value.parse().unwrap(),
                "lost" => fate = Fate::Lost,
                "id" => identity.0 = value.parse().unwrap(),
                "ttl" => identity.1 = value.parse().unwrap(),
                "ts" => {
                    let (val, ecr) = value.split_once('/').unwrap();
                    let (val, ecr) = (val.parse().unwrap(), ecr.parse().unwrap());
                    bare_options.timestamps = Some(Timestamps { val, ecr });
                }
                "arrives" => fate = Fate::Arrives(millis(value)),
                "sack" => {
                    let (start, end) = value.split_once('-').unwrap();
                    let at = |n: &str| Seq::new(self.iss[peer]) + n.parse::<u32>().unwrap();
                    let range = transom_flow::wire::SeqRange {
                        start: at(start),
                        end: at(end),
                    };
                    assert!(bare_options.sack.push(range));
                }
                other => panic!("unknown word {other}"),
            }
        }
        let options = if flags.contains(Flags::SYN) {
            syn_options
        } else {
            bare_options
        };
        let is_reset_of_nothing = flags.contains(Flags::RST) && self.sides[own].next == 0;
        let raw_seq = if is_reset_of_nothing {
            Seq::new(0)
        } else {
            Seq::new(self.iss[own]) + seq
        };
        let header = Header {
            src_port: self.port(from),
            dst_port: self.port(from.other()),
            seq: raw_seq,
            ack: Seq::new(self.iss[peer]) + ack,
            flags,
            window,
            urgent: 0,
            options,
        };
        let len = u32::try_from(data.len()).unwrap()
            + u32::from(flags.contains(Flags::SYN))
            + u32::from(flags.contains(Flags::FIN));
        if !flags.contains(Flags::RST) {
            self.sides[own].next = self.sides[own].next.max(seq + len);
            if fate != Fate::Lost && self.sides[peer].heard >= seq {
                self.sides[peer].heard = self.sides[peer].heard.max(seq + len);
            }
        }
        let packet = identified(from, &header, &data, identity);
        let captured = packet.get(..self.snap.unwrap_or(packet.len()));
        let captured = captured.unwrap_or(&packet);
        let frame = Frame {
            fate,
            gso_size,
            ..Frame::new(time, Medium::Ip, captured)
        };
        self.tracker.frame(&frame).unwrap();
        self.crew.frame(&frame).unwrap();
        self.frames.push((time, packet));
    }

    fn port(&self, end: End) -> u16 {
        match end {
            End::Client => self.client_port,
            End::Server => self.server_port,
        }
    }

    fn syn_options(&self) -> Options {
        if !self.options {
            return Options::EMPTY;
        }
        Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { val: 1, ecr: 0 }),
            ..Options::EMPTY
        }
    }

    /// An ICMP error about the last segment that `to` sent.
    fn icmp(&mut self, time: Duration, to: End, what: &str) {
        let (src, _) = if to == End::Client { CLIENT } else { SERVER };
        let quoted = self
            .frames
            .iter()
            .rev()
            .map(|(_, frame)| frame)
            .find(|frame| frame[12..16] == src.octets())
            .unwrap();
        let (what, mtu) = what.split_once('=').unwrap_or((what, "0"));
        let mtu = mtu.parse::<u16>().unwrap().to_be_bytes();
        let code = match what {
            "too-big" => 4,
            "no-route" => 0,
            "host-unreachable" => 1,
            "port-unreachable" => 3,
            "prohibited" => 13,
            other => panic!("unknown error {other}"),
        };
        let mut message = vec![3, code, 0, 0, 0, 0, mtu[0], mtu[1]];
        message.extend(&quoted[..28]);
        let sum = transom_flow::wire::checksum::checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let ip = ipv4::Header::new(Ipv4Addr::new(10, 0, 2, 2), src, Protocol::ICMP);
        let mut packet = vec![0; ipv4::Header::LEN];
        ip.emit(&mut packet, message.len());
        packet.extend(message);
        let frame = Frame::new(time, Medium::Ip, &packet);
        self.tracker.frame(&frame).unwrap();
        self.crew.frame(&frame).unwrap();
        self.frames.push((time, packet));
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let bytes = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    bytes.map(byte).collect()
}

/// An IPv4 packet with this segment, checksums filled.
pub fn packet(from: End, header: &Header, data: &[u8]) -> Vec<u8> {
    identified(from, header, data, (0, 64))
}

/// The same with an identification and a hop limit.
fn identified(from: End, header: &Header, data: &[u8], (id, ttl): (u16, u8)) -> Vec<u8> {
    let (src, dst) = match from {
        End::Client => (CLIENT.0, SERVER.0),
        End::Server => (SERVER.0, CLIENT.0),
    };
    let header_len = header.header_len();
    let mut packet = vec![0; ipv4::Header::LEN + header_len];
    let mut ip = ipv4::Header::new(src, dst, Protocol::TCP);
    (ip.id, ip.ttl) = (id, ttl);
    ip.emit(&mut packet, header_len + data.len());
    header.emit_with_checksum(
        &mut packet[ipv4::Header::LEN..],
        IpAddr::V4(src),
        IpAddr::V4(dst),
        data,
    );
    packet.extend(data);
    packet
}

/// What a connection did, one step a line: direction, flags, meaning, then the client's state and the
/// server's, with `*` where it was observed.
pub fn story(connection: &Connection) -> String {
    let mut lines = vec![format!("{:<44}{}", "", states(connection.initial_states()))];
    for entry in connection.entries() {
        let line = match entry {
            Entry::Step(step) => format!("{:<44}{}", step_words(step), states(step.states)),
            Entry::Fold(fold) => format!(
                "{:<44}{}",
                format!(
                    "fold of {}: > {} segments {} B, < {} segments {} B",
                    fold.steps,
                    fold.sent.client.segments,
                    fold.sent.client.bytes,
                    fold.sent.server.segments,
                    fold.sent.server.bytes
                ),
                states(fold.states)
            ),
        };
        lines.push(line);
    }
    lines.join("\n")
}

fn step_words(step: &Step) -> String {
    match &step.what {
        What::Segment(segment) => {
            let arrow = if segment.from == End::Client {
                '>'
            } else {
                '<'
            };
            let mut words = format!("{arrow} {} {}", segment.flags, segment.meaning.id());
            if segment.len > 0 {
                words.push_str(&format!(" {}", segment.len));
            }
            match segment.meaning {
                Meaning::Retransmission { cause, original } => {
                    words.push_str(&format!(" {}", cause.id()));
                    if let Some(frame) = original {
                        words.push_str(&format!(" of {frame}"));
                    }
                }
                Meaning::DuplicateAck(n) => words.push_str(&format!(" {n}")),
                Meaning::Duplicate { original } => words.push_str(&format!(" of {original}")),
                _ => {}
            }
            if segment.fills_window {
                words.push_str(" fills");
            }
            if segment.needless {
                words.push_str(" needless");
            }
            if segment.fate == Fate::Lost {
                words.push_str(" lost");
            }
            words
        }
        What::Icmp(icmp) => format!("icmp to {}: {}", icmp.to, icmp.kind),
        What::State(change) => match change.arrival_of {
            Some(frame) => format!("{} {} by frame {frame}", change.end, change.to),
            None => format!("{} {}", change.end, change.to),
        },
        What::Note(note) => format!("note {}", note.text),
        other => panic!("{other:?}"),
    }
}

fn states(states: Ends<EndState>) -> String {
    let name = |state: EndState| {
        let mark = if state.basis == Basis::Observed {
            "*"
        } else {
            ""
        };
        state
            .state
            .map_or_else(|| "?".into(), |state| format!("{state}{mark}"))
    };
    format!("{:<14}{}", name(states.client), name(states.server))
}

/// The story, who closed, the identifiers of what the verdict says, and its words.
pub fn account(connection: &Connection) -> String {
    let verdict = connection.verdict();
    let mut ids = vec![verdict.ending.id];
    ids.extend(verdict.findings.iter().map(|finding| finding.id));
    let mut lines = vec![story(connection)];
    lines.push(format!(
        "{}: {}",
        connection.closed_by().id(),
        ids.join(", ")
    ));
    let mut line = String::new();
    for word in verdict.text().split(' ') {
        if line.len() + word.len() > 88 {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

/// Plays a script and compares what is told of it; indentation and blanks at line ends do not count.
#[track_caller]
pub fn assert_account(script: &str, expected: &str) {
    let scene = play(script);
    let trimmed = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    };
    let account = account(scene.connection());
    assert_eq!(trimmed(&account), trimmed(expected), "\n{account}\n");
}

/// Removes the indentation that all lines share, and what is blank around them.
pub fn flush_left(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| line.trim().is_empty())
        .map(str::trim_end)
        .collect();
    let indents = lines.iter().filter(|line| !line.is_empty());
    let indent = indents
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let cut = |line: &&str| line.get(indent..).unwrap_or("").to_owned();
    lines
        .iter()
        .map(cut)
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}
