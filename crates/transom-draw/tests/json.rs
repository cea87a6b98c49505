//! The JSON view: names and values that programs rely on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../../transom-flow/tests/scene/mod.rs"]
mod scene;

use scene::{SERVER, Scene, play};
use serde_json::{Value, json};
use transom_draw::json::{connection, report};
use transom_flow::Limits;

/// Whether `part` is in `whole`: the fields it names have these values.
#[track_caller]
fn assert_holds(whole: &Value, part: &Value, path: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                let path = format!("{path}.{name}");
                assert_holds(whole.get(name).unwrap_or(&Value::Null), value, &path);
            }
        }
        _ => assert_eq!(whole, part, "{path}"),
    }
}

#[test]
fn a_connection_has_its_ends_totals_states_and_verdict() {
    let mut scene = Scene::new(Limits::default());
    scene.tracker.label(SERVER.0.into(), "example.com");
    scene.play(
        "
        0     process client curl 4242
        0     > S
        9     < SA
        9.1   > A
        9.3   > PA 'GET / HTTP/1.1'
        20    < PA len=1638
        20.1  > A
        36    > FA
        48    < FA
        48.1  > A
        ",
    );
    let all: Vec<_> = scene.tracker.connections().collect();
    let document = serde_json::to_value(report(&all)).unwrap();
    assert_holds(
        &document,
        &json!({ "format": "transom.connections", "version": 1 }),
        "",
    );
    let first = &document["connections"][0];
    let expected = json!({
        "number": 1,
        "client": {
            "address": "10.0.2.100", "port": 43210, "process": { "name": "curl", "pid": 4242 },
        },
        "server": { "address": "93.184.216.34", "port": 80, "host": "example.com" },
        "roles_known": true,
        "start": "0.000000000",
        "duration_ns": 48_100_000,
        "handshake_ns": 9_100_000,
        "state": "CLOSED",
        "states": {
            "client": { "state": "TIME-WAIT", "basis": "inferred" },
            "server": { "state": "CLOSED", "basis": "inferred" },
        },
        "closed": true,
        "closed_by": "client_fin",
        "sent": {
            "client": { "bytes": 14, "segments": 6, "retransmitted": 0, "resets": 0 },
            "server": { "bytes": 1638, "segments": 3 },
        },
        "verdict": {
            "severity": "fine",
            "ending": { "id": "normal_close", "severity": "fine", "frames": [7, 8] },
            "findings": [],
        },
        "initial_states": { "server": { "state": "LISTEN", "basis": "inferred" } },
    });
    assert_holds(first, &expected, "connection");
    assert!(
        first["client"].get("host").is_none(),
        "what is not known is left out"
    );
    assert_eq!(first["steps"].as_array().unwrap().len(), 9);
    let syn = json!({
        "kind": "segment", "time_ns": 0, "frame": 1, "from": "client", "flags": "SYN", "seq": 0,
        "len": 0, "window": 64240, "segments": 1, "meaning": "syn",
        "options": { "mss": 1460, "window_scale": 7, "sack_permitted": true, "timestamps": true },
        "states": { "client": { "state": "SYN-SENT" }, "server": { "state": "SYN-RECEIVED" } },
    });
    assert_holds(&first["steps"][0], &syn, "steps[0]");
    let get = json!({ "seq": 1, "ack": 1, "len": 14, "hint": "GET / HTTP/1.1", "meaning": "data" });
    assert_holds(&first["steps"][3], &get, "steps[3]");
}

#[test]
fn every_kind_of_step_is_told() {
    let scene = play(
        "
        0     > S arrives=10
        5     note leg B: connecting
        10    state server LISTEN SYN-RECEIVED
        10    < SA arrives=20
        21    > A lost
        22    > PA len=100 arrives=32
        32    state server SYN-RECEIVED ESTABLISHED
        300   > PA len=100 seq=1
        301   icmp client host-unreachable
        400   state server ESTABLISHED CLOSED
        ",
    );
    let document = serde_json::to_value(connection(scene.connection())).unwrap();
    let steps = document["steps"].as_array().unwrap();
    let kinds: Vec<&str> = steps
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    let segment = "segment";
    assert_eq!(
        kinds,
        [
            segment, "note", segment, segment, segment, segment, "icmp", "state"
        ]
    );
    assert_holds(
        &steps[0],
        &json!({ "fate": "arrives", "arrives_ns": 10_000_000 }),
        "arrival",
    );
    assert_holds(&steps[1], &json!({ "text": "leg B: connecting" }), "note");
    assert_holds(&steps[3], &json!({ "fate": "lost" }), "loss");
    let again = json!({ "meaning": "retransmission", "cause": "timeout", "original_frame": 4 });
    assert_holds(&steps[5], &again, "retransmission");
    let icmp = json!({ "reporter": "10.0.2.2", "to": "client", "error": "host unreachable" });
    assert_holds(&steps[6], &icmp, "icmp");
    let gone = json!({
        "end": "server", "from_state": "ESTABLISHED", "to_state": "CLOSED",
        "states": { "server": { "state": "CLOSED", "basis": "observed" } },
    });
    assert_holds(&steps[7], &gone, "state");
}

#[test]
fn a_folded_run_has_counts_for_both_directions() {
    let mut scene = Scene::new(Limits::default());
    scene.play("0 > S\n1 < SA\n1.1 > A");
    for round in 0..500 {
        scene.play(&format!(
            "{} < A len=1000\n{}.5 > A",
            10 + round,
            10 + round
        ));
    }
    let document = serde_json::to_value(connection(scene.connection())).unwrap();
    let steps = document["steps"].as_array().unwrap();
    let fold = steps.iter().find(|step| step["kind"] == "fold").unwrap();
    let (sent, received) = (&fold["folded"]["server"], &fold["folded"]["client"]);
    assert_eq!(
        sent["bytes"].as_u64().unwrap(),
        sent["segments"].as_u64().unwrap() * 1000
    );
    let folded = sent["segments"].as_u64().unwrap() + received["segments"].as_u64().unwrap();
    assert_eq!(fold["steps"].as_u64().unwrap(), folded);
    assert_eq!(folded, 1003 - 128);
}
