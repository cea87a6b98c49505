//! What each format says is read, as Wireshark reads it.

use crate::scene::{self, addr, play};
use crate::tools::{Temporary, run, tshark_fields};
use std::time::Duration;
use transom_flow::capture::{Decapsulator, Error, Format, LinkType, Reader};
use transom_flow::pcapng::{Direction, Interface, Packet, Writer};
use transom_flow::wire::Medium;
use transom_flow::{ClosedBy, End, Limits, Tracker};

const EPOCH: Duration = Duration::from_secs(1_700_000_000);
const CONVERSATION: &str = "
    0     > S
    11.2  < SA
    11.3  > A
    11.4  > PA 'GET / HTTP/1.1'
    20    < A
    21    < PA len=1200
    21.1  > A
    30    < FA
    31    > FA
    31.1  < A
";

/// The conversation in our own pcapng, with times, directions, a name and comments.
pub(crate) fn capture() -> Vec<u8> {
    let scene = play(CONVERSATION);
    let mut writer = Writer::new(Vec::new(), "Transom 0.1.0").unwrap();
    let interface = writer
        .interface(&Interface {
            name: "transom0",
            description: "a test",
            medium: Medium::Ip,
            snaplen: 0,
            comment: "",
        })
        .unwrap();
    writer
        .names(&[(addr(End::Server).ip(), "example.com")])
        .unwrap();
    writer.tls_secrets(b"CLIENT_RANDOM 00 11\n").unwrap();
    for (at, (time, frame)) in scene.frames.iter().enumerate() {
        let is_out = frame[12..16] == scene::SERVER.0.octets();
        let packet = Packet {
            direction: if is_out {
                Direction::Out
            } else {
                Direction::In
            },
            comments: if at == 7 {
                &["one", "zwei – 二"]
            } else {
                &[]
            },
            ..Packet::new(interface, EPOCH + *time + Duration::from_nanos(7), frame)
        };
        writer.packet(&packet).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn our_own_pcapng_is_read_back_whole() {
    let file = capture();
    let mut reader = Reader::new(&file[..]).unwrap();
    let mut decapsulator = Decapsulator::new();
    let mut tracker = Tracker::new(Limits::default());
    let scene = play(CONVERSATION);
    let mut numbers = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let (time, frame) = &scene.frames[numbers.len()];
        numbers.push(record.number);
        assert_eq!(record.data, frame);
        assert_eq!(record.time, EPOCH + *time + Duration::from_nanos(7));
        assert_eq!(record.link, LinkType::RAW);
        assert_eq!(record.orig_len as usize, frame.len());
        let is_out = frame[12..16] == scene::SERVER.0.octets();
        assert_eq!(record.direction == Direction::Out, is_out);
        let comments: Vec<_> = record.comments().collect();
        assert_eq!(comments.len(), if record.number == 8 { 2 } else { 0 });
        if record.number == 8 {
            assert_eq!(comments, ["one", "zwei – 二"]);
        }
        tracker
            .frame(&decapsulator.frame(&record).unwrap())
            .unwrap();
    }
    reader.finish().unwrap();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    assert_eq!(reader.format(), Some(Format::Pcapng));
    assert_eq!(reader.offset(), file.len() as u64);
    assert_eq!(reader.interface(0).unwrap().name, "transom0");
    let names: Vec<_> = reader.names().collect();
    assert_eq!(names, [(addr(End::Server).ip(), "example.com".to_owned())]);
    assert_eq!(reader.names().count(), 0, "each name is told once");
    let secrets: Vec<_> = reader.secrets().collect();
    assert_eq!(secrets[0].data, b"CLIENT_RANDOM 00 11\n");
    tracker.finish();
    let connection = tracker.connections().next().unwrap();
    assert_eq!(connection.closed_by(), ClosedBy::Fin(End::Server));
}

/// Number, time, length on the wire and bytes of a record.
pub(crate) type Read = (u64, Duration, u32, Vec<u8>);

/// All records of a capture, and how it ended.
pub(crate) fn records(file: &[u8]) -> (Vec<Read>, Result<(), Error>) {
    let mut records = Vec::new();
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (records, Err(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push((
                record.number,
                record.time,
                record.orig_len,
                record.data.to_vec(),
            )),
            Ok(None) => return (records, reader.finish()),
            Err(error) => return (records, Err(error)),
        }
    }
}

/// What editcap makes of a capture in each format that we read.
#[test]
fn conversions_by_editcap_hold_the_same_packets() {
    let original = Temporary::new("original.pcapng", &capture());
    let (expected, end) = records(&original.bytes());
    end.unwrap();
    for format in ["pcap", "nsecpcap", "modpcap", "pcapng"] {
        let converted = Temporary::new(&format!("converted.{format}"), b"");
        run(
            "editcap",
            &["-F", format, original.path(), converted.path()],
        );
        let (read, end) = records(&converted.bytes());
        end.unwrap();
        assert_eq!(read.len(), expected.len(), "{format}");
        let is_coarse = matches!(format, "pcap" | "modpcap");
        for (read, expected) in read.iter().zip(&expected) {
            let time = if is_coarse {
                Duration::from_micros(u64::try_from(expected.1.as_micros()).unwrap())
            } else {
                expected.1
            };
            assert_eq!(
                *read,
                (expected.0, time, expected.2, expected.3.clone()),
                "{format}"
            );
        }
    }
    let fields = tshark_fields(&original.0, &["frame.number", "frame.time_epoch"]);
    let ours: Vec<_> = expected
        .iter()
        .map(|(number, time, ..)| {
            vec![
                number.to_string(),
                format!("{}.{:09}", time.as_secs(), time.subsec_nanos()),
            ]
        })
        .collect();
    assert_eq!(fields, ours);
}
