//! What the report says of our own connections to the real peers.

use std::fs;

use serde_json::Value;

use crate::capture;
use crate::ended::{Running, Status};
use crate::host::{Host, Place, SERVERS_V4, User};
use crate::ways::{LIMIT, ROOT_TUN, Run};
use crate::web::nginx;

/// A command on the host, which must not fail.
fn on(host: &Host, place: Place, line: &str) -> String {
    let mut command = host.command(place, User::Root);
    command.args(line.split(' '));
    let ended = Running::start(command, Vec::new()).end(LIMIT);
    assert_eq!(ended.status, Status::Code(0), "{line}: {ended:?}");
    ended.stdout()
}

/// The looks at the only connection of a report.
fn samples(report: &Value) -> &[Value] {
    let connections = report["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 1, "{report:#}");
    connections[0]["leg_b"]["samples"].as_array().unwrap()
}

fn numbers(samples: &[Value], name: &str) -> Vec<u64> {
    let number = |sample: &Value| sample[name].as_u64().unwrap();
    samples.iter().map(number).collect()
}

#[test]
fn leg_b_is_looked_at_while_bytes_pass_and_only_then() {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Servers);
    let body = host.folder().join("upload");
    fs::write(&body, vec![7; 1 << 19]).unwrap();
    let report = |script: &str| -> Value {
        let run = Run::new(&host, ROOT_TUN, ["bash", "-c", script])
            .without_capture()
            .options(["--json"]);
        let ended = run.end();
        assert_eq!(ended.status, Status::Code(0), "{ended:?}");
        serde_json::from_str(&ended.stderr()).unwrap()
    };
    let busy = report(&format!(
        "curl -sS --limit-rate 400K -T {} http://{SERVERS_V4}/uploads/body",
        body.display()
    ));
    let looks = samples(&busy);
    assert!(looks.len() >= 2 && looks.len() <= 64, "{looks:#?}");
    let times = numbers(looks, "time_ns");
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] > 90_000_000),
        "{times:?}"
    );
    let acked = numbers(looks, "bytes_acked");
    assert!(acked.is_sorted() && acked[0] > 0, "{acked:?}");
    let idle = report(&format!("exec 3<>/dev/tcp/{SERVERS_V4}/80; sleep 0.5"));
    assert_eq!(samples(&idle).len(), 0, "{idle:#}");
}

#[test]
fn what_leg_b_sends_again_is_noted_when_it_happens() {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Servers);
    let body = host.folder().join("upload");
    fs::write(&body, vec![7; 1 << 19]).unwrap();
    let (file, report) = (host.new_file("pcapng"), host.new_file("json"));
    let (body, file, report) = (
        body.to_str().unwrap(),
        file.to_str().unwrap(),
        report.to_str().unwrap(),
    );
    let url = format!("http://{SERVERS_V4}/uploads/body");
    let words = ["curl", "-sS", "--limit-rate", "200K", "-T", body, &url];
    let run = Run::new(&host, ROOT_TUN, words)
        .without_capture()
        .options(["-w", file, "--json", "--report", report]);
    let running = Running::start(run.command(), Vec::new());
    let sockets = format!("ss -tinH dst {SERVERS_V4}");
    let until = |sign: &str| while !on(&host, Place::Here, &sockets).contains(sign) {};
    // Once it sends, nothing comes back until it has sent something again.
    until("bytes_acked:");
    let route = "blackhole 192.0.2.1/32";
    on(&host, Place::Servers, &format!("ip route add {route}"));
    until("retrans:");
    on(&host, Place::Servers, &format!("ip route del {route}"));
    let ended = running.end(LIMIT);
    assert_eq!(ended.status, Status::Code(0), "{ended:?}");
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let again = numbers(samples(&report), "retransmitted_segments");
    assert!(again.is_sorted() && *again.last().unwrap() > 0, "{again:?}");
    let note = "sent again so far on the way to 192.0.2.2:80 (rtt ";
    assert!(report.to_string().contains(note), "{report:#}");
    let comments = capture::comments(&host, file);
    assert!(comments.contains(note), "{comments}");
    capture::check(&host);
}
