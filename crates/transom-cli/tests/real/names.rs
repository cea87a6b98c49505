//! Names and datagrams.

use std::fs;

use crate::capture;
use crate::ended::{Ended, Status};
use crate::host::{Host, Place, SERVERS_V4, SERVERS_V6, script};
use crate::server::Server;
use crate::ways::{Run, WAYS, Way};

fn dns(host: &Host) -> Server {
    let many: Vec<_> = (1..=60).map(|n| format!("198.51.100.{n}")).collect();
    let words = [
        "python3".to_owned(),
        script("dns.py").display().to_string(),
        "192.0.2.53".to_owned(),
        format!("web.example={SERVERS_V4},{SERVERS_V6}"),
        format!("many.example={}", many.join(",")),
    ];
    Server::start(host, Place::Servers, words, "ready")
}

#[test]
fn names_are_those_of_the_hosts_resolver() {
    let host = Host::new();
    let _dns = dns(&host);
    for question in [
        "ahostsv4 web.example",
        "ahostsv6 web.example",
        // More than a datagram holds: asked again over TCP.
        "ahostsv4 many.example",
        "ahosts nowhere.example",
        "hosts localhost",
    ] {
        let words = ["getent"].into_iter().chain(question.split(' '));
        let plain = Run::new(&host, WAYS[0].plain(), words.clone()).end();
        for way in WAYS {
            assert_eq!(
                Run::new(&host, way, words.clone()).end(),
                plain,
                "{way:?} {question}"
            );
        }
    }
    capture::check(&host);
}

#[test]
fn a_name_server_that_is_not_there_is_missed_as_in_a_plain_run() {
    let host = Host::new();
    let words = ["getent", "ahosts", "web.example"];
    let plain = Run::new(&host, WAYS[0].plain(), words).end();
    assert_eq!(plain.status, Status::Code(2));
    for way in WAYS {
        assert_eq!(Run::new(&host, way, words).end(), plain, "{way:?}");
    }
    capture::check(&host);
}

#[test]
fn the_report_knows_names_processes_and_who_closed() {
    let host = Host::new();
    let _dns = dns(&host);
    fs::write(host.folder().join("page"), "page\n").unwrap();
    let folder = host.folder().to_str().unwrap();
    let words = [
        "python3",
        "-u",
        "-m",
        "http.server",
        "8000",
        "--directory",
        folder,
    ];
    let _server = Server::start(&host, Place::Servers, words, "Serving HTTP");
    for way in WAYS {
        let none: [&str; 0] = [];
        let words = ["curl", "-sS", "http://web.example:8000/page"];
        let ended = Run::new(&host, way, words).options(none).end();
        assert_eq!(
            (ended.status, ended.stdout().as_str()),
            (Status::Code(0), "page\n"),
            "{way:?}"
        );
        let report = ended.stderr();
        for part in ["web.example:8000", "curl", "(FIN)", "SYN,ACK", "FIN-WAIT-1"] {
            assert!(report.contains(part), "{way:?}: no '{part}' in {ended:?}");
        }
        assert!(!report.contains('\u{1b}'), "{way:?}: colours in a pipe");
        for line in report.lines() {
            assert!(
                line.chars().count() <= 80,
                "{way:?}: wider than 80 columns: {line}"
            );
        }
        let file = host.new_file("json");
        let options = ["--json", "--report", file.to_str().unwrap()];
        let ended = Run::new(&host, way, words).options(options).end();
        assert_eq!(ended.stderr(), "", "{way:?}");
        let report: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let text = report.to_string();
        assert!(
            text.contains("web.example") && text.contains("curl"),
            "{way:?}: {text}"
        );
    }
    capture::check(&host);
}

fn datagrams(host: &Host, way: Way, case: &str, address: &str) -> (Ended, Vec<String>) {
    let server = Server::case(host, Place::Servers, case, address);
    let cases = host.folder().join("cases.py");
    let words = [
        "python3",
        cases.to_str().unwrap(),
        "program",
        case,
        address,
        server.port(),
    ];
    (Run::new(host, way, words).end(), server.finish())
}

fn compare_datagrams(case: &str) {
    let host = Host::new();
    for address in [SERVERS_V4, SERVERS_V6] {
        let plain = datagrams(&host, WAYS[0].plain(), case, address);
        for way in WAYS {
            assert_eq!(
                datagrams(&host, way, case, address),
                plain,
                "{way:?} {address}"
            );
        }
    }
    capture::check(&host);
}

#[test]
fn datagrams_are_echoed() {
    compare_datagrams("datagrams_are_echoed");
}

#[test]
fn datagrams_are_refused() {
    compare_datagrams("datagrams_are_refused");
}

#[test]
fn datagrams_in_vain() {
    let host = Host::new();
    let cases = host.folder().join("cases.py");
    for address in ["198.51.100.10", "203.0.113.1", "2001:db8:2::10"] {
        let words = [
            "python3",
            cases.to_str().unwrap(),
            "program",
            "datagrams_in_vain",
            address,
            "9",
        ];
        let plain = Run::new(&host, WAYS[0].plain(), words).end();
        for way in WAYS {
            assert_eq!(
                Run::new(&host, way, words).end(),
                plain,
                "{way:?} {address}"
            );
        }
    }
    capture::check(&host);
}
