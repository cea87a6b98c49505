//! `-f`: which connections are shown, and what is said of a filter that cannot be understood.

use crate::capture::{Capture, Talk, UP, mixed};
use crate::{Place, explained, refused, run};

/// The connections that are listed with this filter.
fn listed(capture: Capture, filter: &str) -> Vec<u64> {
    let place = Place::new("listed");
    let file = place.file("capture.pcapng", &capture.pcapng());
    let text = explained(&file, &["--json", "--brief", "--filter", filter]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let connections = document["connections"].as_array().unwrap();
    connections
        .iter()
        .map(|connection| connection["number"].as_u64().unwrap())
        .collect()
}

#[test]
fn connections_are_chosen_by_their_frames_and_by_what_became_of_them() {
    let cases: &[(&str, &[u64])] = &[
        ("tcp.port == 11699", &[2]),
        ("ip.addr == 10.0.0.0/8", &[0, 1, 2]),
        ("tcp.flags.reset == 1", &[1]),
        ("tcp.analysis.retransmission", &[2]),
        ("frame.time_relative < 0.05", &[0]),
        ("frame.number in {1..10}", &[0]),
        ("tcp.payload contains \"GET\"", &[0]),
        ("tcp.payload matches \"^http/1\\\\.[01] 200\"", &[0]),
        ("closed_by == refused", &[1]),
        ("closed_by != refused", &[0, 2]),
        ("finding in {refused, unanswered}", &[1, 2]),
        ("retrans > 1", &[2]),
        ("bytes > 10 and duration < 1s", &[0]),
        ("app == http", &[0]),
        ("app contains \"/hello\"", &[0]),
        ("conn_state == S0 or tcp.dstport == 8080", &[1, 2]),
        ("severity == problem and not tcp.port == 8080", &[2]),
        ("state == TIME-WAIT", &[0]),
        ("rtt < 1h", &[0]),
        ("tcp.len > 9000", &[]),
    ];
    for (filter, numbers) in cases {
        assert_eq!(listed(mixed(), filter), *numbers, "{filter}");
    }
}

#[test]
fn nothing_that_fits_is_said() {
    let place = Place::new("nothing");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let report = explained(&file, &["-f", "tcp.port == 1"]);
    assert!(
        report.contains("None of 3 TCP connections is asked for."),
        "{report}"
    );
}

#[test]
fn a_filter_that_cannot_be_understood_is_shown_with_the_place() {
    let place = Place::new("caret");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let errors = refused(&run(&file, &["-f", "tcp.flags.rst == 1"]), 125);
    assert_eq!(
        errors,
        "transom: cannot understand the filter\n\
         tcp.flags.rst == 1\n\
         ^^^^^^^^^^^^^ there is no field «tcp.flags.rst»; did you mean tcp.flags.reset?\n"
    );
    // The filter is looked at before the file.
    let errors = refused(&run(&place.path("none"), &["-f", "tcp.port =="]), 125);
    assert!(errors.contains("the filter ends where a whole number is expected"));
}

#[test]
fn a_flag_alone_means_what_it_means_in_wireshark_and_is_remarked_on() {
    let place = Place::new("alone");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let output = run(&file, &["--diagram", "none", "-f", "tcp.flags.reset"]);
    assert_eq!(output.status.code(), Some(0));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("3 TCP connections: 2 with"), "{report}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("tcp.flags.reset == 1 asks whether it is set"),
        "{errors}"
    );
}

#[test]
fn filters_hold_for_connections_that_end_long_before_the_capture_does() {
    let mut capture = mixed();
    for n in 0..2000_u16 {
        capture.refused(600_000 + u64::from(n) * 100, 20_000 + n, 9);
    }
    let mut talk = Talk::new(1234, 22);
    capture.segment(900_000, &mut talk, UP, "S", b"");
    assert_eq!(
        listed(capture, "frame.number == 15 or tcp.srcport == 1234"),
        [2, 2003]
    );
}
