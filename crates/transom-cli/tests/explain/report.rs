//! The report for people, and the same as JSON and as Zeek's log.

use serde_json::Value;

use crate::capture::{Capture, mixed};
use crate::{Place, command, explained};

#[test]
fn the_worst_comes_first_and_the_whole_is_summed_up() {
    let place = Place::new("worst");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let report = explained(&file, &[]);
    let words = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let at = |part: &str| {
        report
            .find(part)
            .unwrap_or_else(|| panic!("{part} is missing in\n{report}"))
    };
    // The list, then a diagram of each, as there are only three.
    assert!(at("finding") < at("192.0.2.80:443"));
    assert!(at("192.0.2.80:8080") < at("normal_close"));
    assert!(at("normal_close") < at("#2  10.0.0.1:11699"));
    assert!(at("#1  10.0.0.1:40001") < at("#0  10.0.0.1:40000"));
    at("GET /hello");
    at("3 TCP connections: 2 with a problem, 1 as it should be.");
    assert!(
        words.contains("15 frames in 3.2 s from 2023-11-14 22:13:20 UTC"),
        "{words}"
    );
}

#[test]
fn the_limit_bounds_the_list_and_none_leaves_the_diagrams_out() {
    let place = Place::new("limit");
    let mut capture = Capture::default();
    for n in 0..30_u16 {
        capture.normal(u64::from(n) * 100, 40_000 + n, 80);
    }
    capture.refused(5_000, 50_000, 8080);
    let file = place.file("many.pcap", &capture.pcap());
    let report = explained(&file, &["--limit", "5", "--diagram", "none"]);
    assert_eq!(report.matches("→ 192.0.2.80:").count(), 5, "{report}");
    assert!(report.contains("… and 26 connections more"), "{report}");
    assert!(!report.contains("ESTABLISHED"), "{report}");
    assert!(
        report.contains("31 TCP connections: 1 with a problem"),
        "{report}"
    );
    // By itself it draws what went wrong, and a few more.
    let report = explained(&file, &[]);
    assert_eq!(report.matches("\n#").count(), 3, "{report}");
    assert!(report.contains("\n#30  "), "{report}");
    let report = explained(&file, &["--diagram", "all"]);
    assert_eq!(report.matches("\n#").count(), 31);
}

#[test]
fn numbers_are_those_of_wireshark() {
    let place = Place::new("numbers");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    for (stream, port) in [("0", ":80"), ("1", ":8080"), ("2", ":443")] {
        let report = explained(&file, &["--stream", stream]);
        assert_eq!(report.matches("\n#").count(), 1, "{report}");
        assert!(report.contains(&format!("\n#{stream}  ")), "{report}");
        assert!(report.contains(&format!("192.0.2.80{port}")), "{report}");
        let filtered = explained(&file, &["-f", &format!("tcp.stream == {stream}")]);
        assert_eq!(report, filtered);
    }
    let tshark = std::process::Command::new("tshark")
        .args([
            "-n",
            "-T",
            "fields",
            "-e",
            "tcp.stream",
            "-e",
            "tcp.dstport",
            "-Y",
        ])
        .args(["tcp.flags.syn == 1 and tcp.flags.ack == 0", "-r"])
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("this test needs tshark (package tshark): {error}"));
    let theirs = String::from_utf8(tshark.stdout).unwrap();
    assert_eq!(theirs, "0\t80\n1\t8080\n2\t443\n2\t443\n2\t443\n");
}

#[test]
fn json_is_one_document_with_the_capture_at_its_end() {
    let place = Place::new("json");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let document: Value = serde_json::from_str(&explained(&file, &["--json"])).unwrap();
    assert_eq!(document["format"], "transom.connections");
    let connections = document["connections"].as_array().unwrap();
    let of = |n: usize| (&connections[n]["number"], &connections[n]["closed_by"]);
    assert_eq!(of(0), (&0.into(), &"server_fin".into()));
    assert_eq!(of(1), (&1.into(), &"refused".into()));
    assert_eq!(of(2), (&2.into(), &"unanswered".into()));
    assert!(connections[0]["steps"].as_array().unwrap().len() >= 10);
    assert_eq!(document["capture"]["frames"], 15);
    assert_eq!(document["capture"]["counters"]["connections"], 3);
    let brief = explained(&file, &["--json", "--brief", "-f", "closed_by == refused"]);
    let brief: Value = serde_json::from_str(&brief).unwrap();
    assert_eq!(brief["connections"].as_array().unwrap().len(), 1);
    assert!(brief["connections"][0].get("steps").is_none());
}

#[test]
fn conn_log_has_a_line_for_each_connection() {
    let place = Place::new("conn-log");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let log = explained(&file, &["--conn-log"]);
    let lines: Vec<Vec<&str>> = log
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    let states: Vec<&str> = lines.iter().map(|fields| fields[11]).collect();
    assert_eq!(states, ["SF", "REJ", "S0"], "{log}");
    assert!(log.starts_with("#separator \\x09\n"));
    assert!(log.lines().last().unwrap().starts_with("#close"));
}

#[test]
fn mermaid_draws_what_the_report_would_draw() {
    let place = Place::new("mermaid");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let text = explained(&file, &["--mermaid"]);
    assert_eq!(text.matches("sequenceDiagram").count(), 3, "{text}");
    let text = explained(&file, &["--mermaid", "--stream", "0"]);
    assert_eq!(text.matches("sequenceDiagram").count(), 1, "{text}");
}

#[test]
fn every_finding_is_listed_with_its_meaning() {
    let output = command(&["--findings"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for known in transom_flow::verdict::CATALOGUE {
        let line = format!("\n  {} ({})\n", known.id, known.severity.id());
        assert!(text.contains(&line), "{}", known.id);
    }
}

#[test]
fn ascii_is_ascii_and_colour_only_where_asked() {
    let place = Place::new("ascii");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let plain = explained(&file, &["--ascii"]);
    assert!(plain.is_ascii(), "{plain}");
    let coloured = explained(&file, &["--color", "always"]);
    assert!(coloured.contains("\x1b["));
}

#[test]
fn the_help_says_what_exit_codes_mean() {
    let output = command(&["--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["Exit codes:", "--annotate", "tcp.port == 11699", "--stream"] {
        assert!(text.contains(part), "{part}");
    }
}
