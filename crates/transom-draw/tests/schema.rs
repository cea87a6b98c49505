//! `docs/explain.schema.json` is what is written: real output is valid, holds no field that the
//! schema does not name, and every field that the schema names is written somewhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../../transom-flow/tests/scene/mod.rs"]
mod scene;

use scene::{SERVER, Scene, packet};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;
use transom_draw::json::{Broken, Capture, Detail, Stream, report};
use transom_flow::wire::tcp::{Flags, Header, Options};
use transom_flow::wire::{Medium, Seq};
use transom_flow::{End, Finding, Frame, Limits, Severity};

const SCHEMA: &str = include_str!("../../../docs/explain.schema.json");

/// Conversations that between them have every kind of step, option, cause and fate.
const SCRIPTS: [&str; 7] = [
    "
    0     process client curl 4242
    0     > S arrives=4
    5     note leg B: connecting
    9     < SA
    9.1   > A
    9.3   > PA 'GET / HTTP/1.1'
    20    < PA len=1638
    20.1  > A
    36    > FA
    48    < FA
    48.1  > A
    ",
    "
    0     > S arrives=10
    0     < S arrives=10
    10    > SA seq=0 arrives=20
    10    < SA seq=0 arrives=20
    30    > PA len=5 lost
    31    state server ESTABLISHED CLOSED
    ",
    "
    0     > S
    1000  > S seq=0
    1003  icmp client host-unreachable
    ",
    "
    0     > S
    1     < SA
    1.1   > A
    2     < A len=1000
    2.1   < A len=1000 seq=2001
    2.2   > A ack=1001 sack=2001-3001
    2.3   > A ack=1001 sack=2001-3001
    2.4   > A ack=1001 sack=2001-3001
    2.5   < A len=1000 seq=1001
    3     > A ack=3001
    4     < A win=0
    9     > A len=0
    10    < RA
    ",
    "0 < A len=100\n1 > A",
    "0 > S\n1 < RA ack=1",
    "0 > S tfo\n1 < SA tfo=0102030405060708",
];

/// A byte for its length, and the bytes.
fn sized<const N: usize>(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&len[4 - N..], bytes].concat()
}

/// A TLS handshake record with a hello, as text: all its bytes are ASCII.
fn hello(kind: u8, middle: &[u8], extensions: &[&[u8]]) -> String {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend(middle);
    body.extend(sized::<2>(&extensions.concat()));
    let message = [vec![kind], sized::<3>(&body)].concat();
    String::from_utf8([vec![22, 3, 1], sized::<2>(&message)].concat()).unwrap()
}

/// Conversations whose first bytes say what they are.
fn applications() -> Vec<String> {
    let name = [
        &[0, 0][..],
        &sized::<2>(&sized::<2>(
            &[&[0][..], &sized::<2>(b"example.com")].concat(),
        )),
    ];
    let alpn = [&[0, 16][..], &sized::<2>(&sized::<2>(&sized::<1>(b"h2")))];
    let client = hello(1, &[0, 2, 0x13, 1, 1, 0], &[&name.concat(), &alpn.concat()]);
    let server = hello(2, &[0x13, 1, 0], &[&[0, 43, 0, 2, 3, 4]]);
    let spoken = [
        (client.as_str(), server.as_str()),
        ("SSH-2.0-a\r", "SSH-2.0-b\r"),
        ("GET / HTTP/1.1\r", "HTTP/1.1 200 OK\r"),
        ("", "220 mail ready\r"),
    ];
    let opening = "0 > S\n1 < SA\n1.1 > A";
    spoken
        .into_iter()
        .map(|(client, server)| match client {
            "" => format!("{opening}\n3 < PA '{server}'"),
            _ => format!("{opening}\n2 > PA '{client}'\n3 < PA '{server}'"),
        })
        .collect()
}

/// A question to a name server.
fn dns() -> Scene {
    let mut scene = Scene::new(Limits::default());
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(b"\x07example\x03com\0\0\x01\0\x01");
    let question = sized::<2>(&message);
    let segments = [(Flags::SYN, &[][..]), (Flags::ACK, &question[..])];
    for (at, (flags, data)) in segments.into_iter().enumerate() {
        let header = Header {
            src_port: 40_000,
            dst_port: 53,
            seq: Seq::new(u32::try_from(at).unwrap()),
            ack: Seq::new(1),
            flags,
            window: 1000,
            urgent: 0,
            options: Options::EMPTY,
        };
        let packet = packet(End::Client, &header, data);
        let time = Duration::from_millis(at as u64);
        let frame = Frame::new(time, Medium::Ip, &packet);
        scene.tracker.frame(&frame).unwrap();
    }
    scene
}

fn scenes() -> Vec<Scene> {
    let mut scenes: Vec<Scene> = SCRIPTS
        .map(String::from)
        .into_iter()
        .chain(applications())
        .map(|script| {
            let mut scene = Scene::new(Limits::default());
            scene.tracker.label(SERVER.0.into(), "example.com");
            scene.play(&script);
            scene
        })
        .collect();
    let mut long = Scene::new(Limits::default());
    long.play("0 > S\n1 < SA\n1.1 > A");
    for round in 10..400 {
        long.play(&format!("{round} < A len=1000\n{round}.5 > A"));
    }
    scenes.push(long);
    scenes.push(dns());
    for scene in &mut scenes {
        scene.tracker.finish();
    }
    scenes
}

/// The document of all scenes as a stream writes it, with everything that may be said of a capture.
fn document(detail: Detail) -> Value {
    let scenes = scenes();
    let findings = [Finding {
        id: "port_reuse",
        severity: Severity::Note,
        text: "The same port again.".into(),
        frames: vec![1, 2],
    }];
    let mut capture = Capture::default();
    capture.source = Some("a.pcapng");
    capture.format = Some("pcapng");
    capture.frames = 60;
    capture.bytes = Some(9000);
    capture.first = Some(Duration::from_millis(1500));
    capture.last = Some(Duration::from_secs(2));
    capture.counters = Some(*scenes[0].tracker.counters());
    capture.broken = Some(Broken {
        offset: 9000,
        what: "cut off".into(),
    });
    capture.findings = &findings;
    let mut stream = Stream::start(Vec::new()).unwrap();
    for scene in &scenes {
        stream.connection(scene.connection(), detail).unwrap();
    }
    assert_eq!(stream.written(), scenes.len() as u64);
    serde_json::from_slice(&stream.finish(Some(&capture)).unwrap()).unwrap()
}

/// The schema, refusing fields that it does not name. The committed one lets them pass, so that
/// documents of a later Transom are valid too.
fn strict() -> Value {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                if map.contains_key("properties") && map.get("type") == Some(&json!("object")) {
                    map.insert("additionalProperties".into(), json!(false));
                }
                map.values_mut().for_each(close);
            }
            Value::Array(values) => values.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema = serde_json::from_str(SCHEMA).unwrap();
    close(&mut schema);
    schema
}

#[track_caller]
fn assert_valid(schema: Value, document: &Value) {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("explain.json", schema).unwrap();
    let index = compiler.compile("explain.json", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(document, index) {
        panic!("{error:#}");
    }
}

#[test]
fn what_is_written_is_valid_and_has_no_other_fields() {
    assert_valid(strict(), &document(Detail::Steps));
    assert_valid(strict(), &document(Detail::Summary));
    let scenes = scenes();
    let all: Vec<_> = scenes.iter().map(Scene::connection).collect();
    assert_valid(strict(), &serde_json::to_value(report(&all)).unwrap());
    let empty = Stream::start(Vec::new()).unwrap().finish(None).unwrap();
    assert_valid(strict(), &serde_json::from_slice(&empty).unwrap());
}

#[test]
fn what_is_wrong_is_refused() {
    let good = document(Detail::Steps);
    for (path, value) in [
        ("/version", json!(2)),
        ("/connections/0/state", json!("OPEN")),
        ("/connections/0/client/port", json!("80")),
        ("/connections/0/steps/0/meaning", json!("unheard_of")),
        ("/connections/0/steps/0/unheard_of", json!(1)),
        ("/connections/0/sent/client/bytes", json!(-1)),
    ] {
        let mut bad = good.clone();
        match bad.pointer_mut(path) {
            Some(place) => *place = value,
            None => {
                let (parent, name) = path.rsplit_once('/').unwrap();
                bad.pointer_mut(parent).unwrap()[name] = value;
            }
        }
        let refused = std::panic::catch_unwind(|| assert_valid(strict(), &bad));
        assert!(refused.is_err(), "{path}");
    }
}

/// Notes which properties of the schema a document uses.
fn used(root: &Value, name: &str, schema: &Value, value: &Value, seen: &mut BTreeSet<String>) {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').unwrap();
        let definition = root.pointer(target).unwrap();
        return used(root, target, definition, value, seen);
    }
    for choice in schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let target = choice["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
        let definition = root.pointer(target).unwrap();
        let tag = ["kind", "protocol"]
            .into_iter()
            .find(|tag| definition["properties"][tag].get("const").is_some())
            .unwrap();
        if definition["properties"][tag]["const"] == value[tag] {
            used(root, target, definition, value, seen);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        if let Some(items) = schema.get("items") {
            used(root, name, items, item, seen);
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (property, inner) in properties.into_iter().flatten() {
        let name = format!("{name}/properties/{property}");
        if let Some(value) = value.get(property) {
            used(root, &name, inner, value, seen);
            seen.insert(name);
        }
    }
}

/// All properties that the schema names.
fn named(path: &str, schema: &Value, names: &mut BTreeSet<String>) {
    for (key, inner) in schema.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        if key == "properties" {
            for (property, inner) in inner.as_object().into_iter().flatten() {
                let path = format!("{path}/{property}");
                named(&path, inner, names);
                names.insert(path);
            }
        } else {
            named(&path, inner, names);
        }
    }
}

#[test]
fn every_field_of_the_schema_is_written_somewhere() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    named("", &root, &mut names);
    used(&root, "", &root, &document(Detail::Steps), &mut seen);
    let missing: Vec<_> = names.difference(&seen).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn each_connection_is_a_line_and_a_stream_holds_what_a_report_holds() {
    let scenes = scenes();
    let all: Vec<_> = scenes.iter().map(Scene::connection).collect();
    let mut stream = Stream::start(Vec::new()).unwrap();
    for connection in &all {
        stream.connection(connection, Detail::Steps).unwrap();
    }
    let written = String::from_utf8(stream.finish(None).unwrap()).unwrap();
    assert_eq!(written.lines().count(), all.len() + 2);
    let streamed: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(streamed, serde_json::to_value(report(&all)).unwrap());
}

/// A disk that is full after some bytes.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_wherever_it_happens() {
    let scenes = scenes();
    let write = |room: usize| -> io::Result<()> {
        let mut stream = Stream::start(Full(room))?;
        stream.connection(scenes[0].connection(), Detail::Steps)?;
        stream.finish(Some(&Capture::default()))?;
        Ok(())
    };
    for room in [0, 10, 60, 500] {
        assert_eq!(write(room).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
    write(1 << 20).unwrap();
}
