//! Lines of a `conn.log`, and that they are what Zeek's readers expect.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../../transom-flow/tests/scene/mod.rs"]
mod scene;

use scene::play;
use std::collections::BTreeMap;
use std::time::Duration;
use transom_draw::conn_log::{footer, header, line};

/// The columns of the only connection, by name.
fn columns(script: &str) -> BTreeMap<String, String> {
    let scene = play(script);
    let header = header(Duration::ZERO);
    let fields = header
        .lines()
        .find_map(|line| line.strip_prefix("#fields\t"))
        .unwrap();
    let line = line(scene.connection());
    let values = line.strip_suffix('\n').unwrap();
    assert_eq!(fields.split('\t').count(), values.split('\t').count());
    fields
        .split('\t')
        .zip(values.split('\t'))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Compares the columns that are named.
#[track_caller]
fn assert_columns(script: &str, expected: &[(&str, &str)]) {
    let columns = columns(script);
    for (name, value) in expected {
        assert_eq!(columns[*name], *value, "{name}");
    }
}

#[test]
fn the_header_names_separators_fields_and_types() {
    let header = header(Duration::from_secs(1_400_868_124));
    let lines: Vec<&str> = header.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "#separator \\x09",
            "#set_separator\t,",
            "#empty_field\t(empty)",
            "#unset_field\t-",
            "#path\tconn",
            "#open\t2014-05-23-18-02-04",
        ]
    );
    assert!(
        lines[6]
            .starts_with("#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\t")
    );
    assert!(
        lines[7]
            .starts_with("#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\t")
    );
    assert_eq!(lines.len(), 8);
    assert_eq!(
        footer(Duration::from_secs(1_400_868_125)),
        "#close\t2014-05-23-18-02-05\n"
    );
}

#[test]
fn a_whole_conversation() {
    assert_columns(
        "
        1000    > S
        1009    < SA
        1009.1  > A
        1009.3  > PA 'GET / HTTP/1.1\r'
        1020    < PA len=1638
        1020.1  > A
        1036    > FA
        1048.25 < FA
        1090    > A
        ",
        &[
            ("ts", "1.000000"),
            ("id.orig_h", "10.0.2.100"),
            ("id.orig_p", "43210"),
            ("id.resp_h", "93.184.216.34"),
            ("id.resp_p", "80"),
            ("proto", "tcp"),
            ("service", "http"),
            ("conn_state", "SF"),
            ("history", "ShADdFf"),
            ("duration", "0.048250"),
            ("orig_bytes", "15"),
            ("resp_bytes", "1638"),
            ("local_orig", "T"),
            ("local_resp", "F"),
            ("missed_bytes", "0"),
            ("orig_pkts", "6"),
            ("resp_pkts", "3"),
            ("tunnel_parents", "-"),
            ("ip_proto", "6"),
        ],
    );
}

#[test]
fn a_connection_of_one_packet_has_no_duration_and_no_bytes() {
    assert_columns(
        "0 > S",
        &[
            ("service", "-"),
            ("conn_state", "S0"),
            ("history", "S"),
            ("duration", "-"),
            ("orig_bytes", "-"),
            ("resp_bytes", "-"),
            ("orig_pkts", "1"),
            ("resp_pkts", "0"),
            ("resp_ip_bytes", "0"),
        ],
    );
}

#[test]
fn bytes_that_were_not_captured_are_missed_and_counted() {
    assert_columns(
        "
        0     > S
        1     < SA
        1.1   > A
        2     < A len=1000
        3     < A len=1000 seq=2001
        4     > A ack=3001
        5     > FA ack=3001
        ",
        &[("resp_bytes", "3000"), ("missed_bytes", "1000")],
    );
}

#[test]
fn the_same_capture_gives_the_same_uid_and_a_later_one_another() {
    let uid = |script: &str| columns(script)["uid"].clone();
    let first = uid("0 > S");
    assert_eq!(first, uid("0 > S"));
    assert_ne!(first, uid("1 > S"));
    let community = |script: &str| columns(script)["community_id"].clone();
    assert_eq!(community("0 > S"), community("1 > S"));
    assert!(community("0 > S").starts_with("1:"));
}

#[test]
fn of_an_end_that_was_not_captured_nothing_is_told() {
    assert_columns(
        "
        0     > S
        1.1   > A ack=1
        2     > PA len=10 ack=1
        3     > PA len=10 seq=31 ack=501
        4     > FA ack=1001
        ",
        &[
            ("orig_bytes", "40"),
            ("resp_bytes", "0"),
            ("missed_bytes", "0"),
            ("resp_pkts", "0"),
        ],
    );
}
