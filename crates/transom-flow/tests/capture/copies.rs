//! Copies with comments, as tshark and capinfos see them.

use crate::build::{Blocks, ethernet, pcap, tcp4, tcp6};
use crate::formats::{capture, every_block, records};
use crate::tools::{Temporary, run, tshark_fields};
use std::collections::HashMap;
use transom_flow::capture::{CopyError, Error, copy};

fn comments(of: &[(u64, &[&str])]) -> HashMap<u64, Vec<String>> {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    of.iter()
        .map(|(number, texts)| (*number, owned(texts)))
        .collect()
}

const FIELDS: [&str; 7] = [
    "frame.number",
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.interface_name",
    "frame.encap_type",
    "frame.packet_flags",
];

fn comments_of(file: &Temporary) -> Vec<String> {
    tshark_fields(&file.0, &["frame.comment"])
        .into_iter()
        .map(|line| line[0].clone())
        .collect()
}

#[test]
fn a_copy_of_pcapng_keeps_everything_and_adds_comments() {
    let original = Temporary::new("keep.pcapng", &every_block());
    let added = comments(&[
        (1, &["retransmission of 7 – «late»"]),
        (2, &["second", "third"]),
        (4, &["on a frame that is no packet"]),
        (7, &["on a simple packet"]),
        (8, &["on an obsolete packet"]),
        (10, &["big-endian"]),
        (99, &["beyond the end"]),
    ]);
    let mut bytes = Vec::new();
    let copied = copy(&original.bytes()[..], &mut bytes, &added).unwrap();
    assert_eq!((copied.packets, copied.commented), (10, 5));
    let kept = Temporary::new("kept.pcapng", &bytes);
    assert_eq!(records(&bytes).0, records(&original.bytes()).0);
    let mut before = tshark_fields(&original.0, &FIELDS);
    let after = tshark_fields(&kept.0, &FIELDS);
    // A simple packet has no time; the enhanced one that takes its place has the start of the epoch.
    before[6][1] = "0.000000000".to_owned();
    assert_eq!(before, after);
    let expected = [
        "retransmission of 7 – «late»",
        "first,second,third",
        "zwei,drei",
        "",
        "",
        "",
        "on a simple packet",
        "obsolete,on an obsolete packet",
        "",
        "big,big-endian",
    ];
    assert_eq!(comments_of(&kept), expected);
    // A copy without anything to add is the same file.
    let mut same = Vec::new();
    copy(&original.bytes()[..], &mut same, &HashMap::new()).unwrap();
    assert_eq!(same, original.bytes());
    // Secrets, names and interfaces too, as capinfos counts them.
    let infos = |file: &Temporary| {
        let lines = run("capinfos", &["-M", "-c", "-I", "-n", "-D", file.path()]);
        let lines = lines.lines().filter(|line| !line.starts_with("File name"));
        lines
            .filter(|line| !line.contains("omment"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(infos(&original), infos(&kept));
}

#[test]
fn a_stated_section_length_is_no_longer_stated() {
    let eth = ethernet(0x0800, &tcp4());
    let mut blocks = Blocks::new(true);
    blocks.bytes.clear();
    let mut rest = blocks.clone();
    rest.interface(1, 0, &[])
        .packet(0, 1_000_000, &eth, 60, &[]);
    blocks.section(true, rest.bytes.len() as u64);
    blocks.bytes.extend(&rest.bytes);
    let mut bytes = Vec::new();
    copy(&blocks.bytes[..], &mut bytes, &comments(&[(1, &["x"])])).unwrap();
    assert_eq!(bytes[16..24], [0xff; 8]);
    let file = Temporary::new("stated.pcapng", &bytes);
    assert_eq!(comments_of(&file), ["x"]);
}

#[test]
fn a_copy_of_pcap_is_pcapng_with_the_same_packets() {
    let ours = Temporary::new("ours.pcapng", &capture());
    for format in ["pcap", "nsecpcap", "modpcap"] {
        let original = Temporary::new(&format!("copied.{format}"), b"");
        run(
            "editcap",
            &["-F", format, "-s", "60", ours.path(), original.path()],
        );
        let mut bytes = Vec::new();
        let added = comments(&[(3, &["three"]), (10, &["ten"])]);
        let copied = copy(&original.bytes()[..], &mut bytes, &added).unwrap();
        assert_eq!((copied.packets, copied.commented), (10, 2));
        let file = Temporary::new(&format!("copy-of-{format}.pcapng"), &bytes);
        let fields = &FIELDS[..4];
        assert_eq!(
            tshark_fields(&original.0, fields),
            tshark_fields(&file.0, fields)
        );
        let comments = comments_of(&file);
        assert_eq!(
            (comments[2].as_str(), comments[9].as_str()),
            ("three", "ten")
        );
        assert_eq!(
            comments.iter().filter(|comment| comment.is_empty()).count(),
            8
        );
        assert_eq!(records(&bytes).0, records(&original.bytes()).0);
    }
}

#[test]
fn what_could_be_read_is_in_the_copy() {
    let (v4, v6) = (tcp4(), tcp6());
    let file = pcap(101, &[&v4, &v6]);
    let mut bytes = Vec::new();
    let result = copy(
        &file[..file.len() - 1],
        &mut bytes,
        &comments(&[(1, &["one"])]),
    );
    assert!(
        matches!(result, Err(CopyError::Read(Error::Truncated { .. }))),
        "{result:?}"
    );
    let (read, end) = records(&bytes);
    end.unwrap();
    assert_eq!(read.len(), 1);
    let result = copy(&b"no capture"[..], &mut Vec::new(), &HashMap::new());
    assert!(matches!(
        result,
        Err(CopyError::Read(Error::NotACapture { .. }))
    ));
}

#[test]
fn a_comment_of_any_length_fits() {
    let file = pcap(101, &[&tcp4()]);
    let long = "é".repeat(40_000);
    let mut bytes = Vec::new();
    copy(
        &file[..],
        &mut bytes,
        &comments(&[(1, &[&long, "and more"])]),
    )
    .unwrap();
    let copy = Temporary::new("long.pcapng", &bytes);
    let comments = comments_of(&copy);
    assert!(comments[0].ends_with("and more"));
    assert!(comments[0].len() > 60_000);
}
