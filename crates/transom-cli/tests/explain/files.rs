//! The files beside the report: whole or not at all, and readable by others.

use std::process::Command;

use crate::capture::mixed;
use crate::{Place, command, explained, refused, run};

#[test]
fn pictures_are_written_for_what_is_drawn() {
    let place = Place::new("svg");
    let mut capture = mixed();
    capture.bulk(5000, 40_009, 443);
    let file = place.file("mixed.pcapng", &capture.pcapng());
    let directory = place.path("pictures/of/it");
    explained(
        &file,
        &["--diagram", "all", "--svg", directory.to_str().unwrap()],
    );
    let graphs = [
        "3-sequence-server",
        "3-window-server",
        "3-round-trips",
        "3-throughput",
    ];
    for name in ["0", "1", "2", "3"].iter().chain(&graphs) {
        let picture = std::fs::read_to_string(directory.join(format!("connection-{name}.svg")));
        let picture = picture.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            picture.starts_with("<svg") || picture.starts_with("<?xml"),
            "{picture:.60}"
        );
        assert!(picture.trim_end().ends_with("</svg>"));
    }
}

#[test]
fn the_page_opens_offline_and_lists_everything() {
    let place = Place::new("html");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    let page = place.path("page.html");
    explained(
        &file,
        &["--html", page.to_str().unwrap(), "--diagram", "none"],
    );
    let listed = std::fs::read_to_string(&page).unwrap();
    explained(&file, &["--html", page.to_str().unwrap()]);
    let drawn = std::fs::read_to_string(&page).unwrap();
    for text in [&listed, &drawn] {
        assert!(text.starts_with("<!DOCTYPE html>") || text.starts_with("<!doctype html>"));
        for socket in ["192.0.2.80:443", "192.0.2.80:8080", "10.0.0.1:40000"] {
            assert!(text.contains(socket), "{socket}");
        }
        for fetched in ["src=\"http", "href=\"http", "@import", "url(http"] {
            assert!(!text.contains(fetched), "{fetched}");
        }
    }
    assert!(drawn.len() > listed.len() && drawn.contains("<svg"));
}

#[test]
fn wireshark_reads_what_was_found_as_comments() {
    let place = Place::new("annotate");
    let file = place.file("mixed.pcap", &mixed().pcap());
    let annotated = place.path("annotated.pcapng");
    explained(&file, &["--annotate", annotated.to_str().unwrap()]);
    let output = Command::new("tshark")
        .args([
            "-n",
            "-T",
            "fields",
            "-e",
            "frame.number",
            "-e",
            "tcp.stream",
        ])
        .args(["-e", "frame.comment", "-r"])
        .arg(&annotated)
        .output()
        .unwrap_or_else(|error| panic!("this test needs tshark (package tshark): {error}"));
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 15);
    let mut commented = 0;
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[2].is_empty() {
            continue;
        }
        commented += 1;
        let start = format!("transom: tcp.stream {}: ", fields[1]);
        assert!(fields[2].starts_with(&start), "{line}");
    }
    assert!(commented >= 3, "{text}");
    assert!(text.contains("1: refused: Refused"), "{text}");
    // Nothing else changed: we read the copy as we read the capture.
    let copy = explained(&annotated, &["--json"]);
    let copy: serde_json::Value = serde_json::from_str(&copy).unwrap();
    let first: serde_json::Value = serde_json::from_str(&explained(&file, &["--json"])).unwrap();
    assert_eq!(copy["connections"], first["connections"]);
}

#[test]
fn a_filter_chooses_what_is_annotated() {
    let place = Place::new("annotate-some");
    let file = place.file("mixed.pcap", &mixed().pcap());
    let annotated = place.path("annotated.pcapng");
    let arguments = [
        "-f",
        "tcp.port == 8080",
        "--annotate",
        annotated.to_str().unwrap(),
    ];
    explained(&file, &arguments);
    let bytes = std::fs::read(&annotated).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("transom: tcp.stream 1: refused"));
    assert!(!text.contains("transom: tcp.stream 0:"));
}

#[test]
fn what_cannot_be_written_is_told_before_any_work() {
    let place = Place::new("unwritable");
    let file = place.file("mixed.pcap", &mixed().pcap());
    let here = file.to_str().unwrap();
    let below = place.path("missing/page.html");
    let cases = [
        (vec!["--html", below.to_str().unwrap()], "cannot write"),
        (vec!["--html", place.0.to_str().unwrap()], "is a directory"),
        (vec!["--svg", here], "cannot make the directory"),
        (vec!["--annotate", here], "over the capture itself"),
    ];
    for (arguments, part) in cases {
        let output = run(&file, &arguments);
        let errors = refused(&output, 125);
        assert!(errors.contains(part), "{arguments:?}: {errors}");
        assert_eq!(output.stdout, b"");
    }
    let out = place.path("out.pcapng");
    let output = command(&["--annotate", out.to_str().unwrap(), "-"])
        .output()
        .unwrap();
    assert!(refused(&output, 125).contains("reads the capture twice"));
    let output = command(&["--annotate", out.to_str().unwrap(), here, here])
        .output()
        .unwrap();
    assert!(refused(&output, 125).contains("copies one capture"));
    assert_eq!(place.names(), ["mixed.pcap"]);
}

#[test]
fn a_good_file_is_replaced_as_a_whole_and_nothing_is_left_beside() {
    let place = Place::new("replaced");
    let file = place.file("mixed.pcap", &mixed().pcap());
    let page = place.file("page.html", b"an older page");
    // A run that fails leaves what was there.
    let text = place.file("text", b"no capture");
    refused(&run(&text, &["--html", page.to_str().unwrap()]), 125);
    assert_eq!(std::fs::read(&page).unwrap(), b"an older page");
    explained(&file, &["--html", page.to_str().unwrap()]);
    assert!(std::fs::read(&page).unwrap().len() > 1000);
    assert_eq!(place.names(), ["mixed.pcap", "page.html", "text"]);
}
