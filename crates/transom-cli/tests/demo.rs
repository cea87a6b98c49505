//! The scenes of `transom demo`: what each teaches is really what its two TCPs did.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use std::process::Command;

use serde_json::Value;

fn transom(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_transom"))
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code().unwrap())
}

fn play(case: &str) -> Value {
    let (text, code) = transom(&["demo", "--json", case]);
    assert_eq!(code, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let connections = report["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 1, "{case}: one connection");
    connections[0].clone()
}

/// The states that an end went through, each once, in order.
fn states(connection: &Value, end: &str) -> Vec<String> {
    let first = connection["initial_states"][end]["state"].as_str();
    let rest = connection["steps"].as_array().unwrap().iter();
    let mut states: Vec<String> = Vec::new();
    for state in first
        .into_iter()
        .chain(rest.filter_map(|step| step["states"][end]["state"].as_str()))
    {
        if states.last().is_none_or(|last| last != state) {
            states.push(state.to_owned());
        }
    }
    states
}

/// The segments as `client FIN,ACK`, in order.
fn segments(connection: &Value) -> Vec<String> {
    let steps = connection["steps"].as_array().unwrap().iter();
    steps
        .filter(|step| step["kind"] == "segment")
        .map(|step| {
            format!(
                "{} {}",
                step["from"].as_str().unwrap(),
                step["flags"].as_str().unwrap()
            )
        })
        .collect()
}

const OPEN_CLIENT: [&str; 3] = ["CLOSED", "SYN-SENT", "ESTABLISHED"];
const OPEN_SERVER: [&str; 3] = ["LISTEN", "SYN-RECEIVED", "ESTABLISHED"];

fn path(start: [&str; 3], rest: &[&str]) -> Vec<String> {
    start.iter().chain(rest).map(ToString::to_string).collect()
}

#[test]
fn the_first_scene_is_the_textbooks_capture() {
    let connection = play("http");
    assert_eq!(connection["client"]["port"], 11699);
    assert_eq!(connection["closed_by"], "server_fin");
    assert_eq!(
        states(&connection, "client"),
        path(OPEN_CLIENT, &["CLOSE-WAIT", "LAST-ACK", "CLOSED"])
    );
    assert_eq!(
        states(&connection, "server"),
        path(
            OPEN_SERVER,
            &["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
        )
    );
    assert_eq!(
        segments(&connection),
        [
            "client SYN",
            "server SYN,ACK",
            "client ACK",
            "client PSH,ACK",
            "server ACK",
            "server PSH,ACK",
            "client ACK",
            "server FIN,ACK",
            "client ACK",
            "client FIN,ACK",
            "server ACK",
        ]
    );
}

#[test]
fn the_answer_to_a_fin_is_one_segment_or_two() {
    let closing = |case| {
        let segments = segments(&play(case));
        let first = segments
            .iter()
            .position(|segment| segment.contains("FIN"))
            .unwrap();
        segments[first..].to_vec()
    };
    assert_eq!(
        closing("fin-ack"),
        ["client FIN,ACK", "server FIN,ACK", "client ACK"]
    );
    assert_eq!(
        closing("ack-then-fin"),
        [
            "client FIN,ACK",
            "server ACK",
            "server FIN,ACK",
            "client ACK"
        ]
    );
}

#[test]
fn data_flows_on_in_a_half_closed_connection() {
    let connection = play("half-close");
    let steps = connection["steps"].as_array().unwrap();
    let late = steps.iter().filter(|step| {
        step["from"] == "server"
            && step["len"].as_u64().is_some_and(|len| len > 0)
            && step["states"]["client"]["state"] == "FIN-WAIT-2"
            && step["states"]["server"]["state"] == "CLOSE-WAIT"
    });
    assert_eq!(late.count(), 2);
}

#[test]
fn an_abort_is_one_reset_and_no_time_wait() {
    let connection = play("abort");
    assert_eq!(connection["closed_by"], "client_reset");
    assert_eq!(segments(&connection).last().unwrap(), "client RST,ACK");
    for end in ["client", "server"] {
        assert_eq!(states(&connection, end).last().unwrap(), "CLOSED");
        assert!(!states(&connection, end).contains(&"TIME-WAIT".to_owned()));
    }
}

#[test]
fn a_lost_reset_is_sent_again_for_every_further_segment() {
    let connection = play("rst-lost");
    let resets: Vec<_> = segments(&connection)
        .into_iter()
        .filter(|segment| segment.contains("RST"))
        .collect();
    assert_eq!(
        resets,
        ["client RST,ACK", "client RST", "client RST", "client RST"]
    );
    assert_eq!(connection["sent"]["client"]["lost"], 3);
    assert_eq!(states(&connection, "server").last().unwrap(), "CLOSED");
}

#[test]
fn a_refusal_acknowledges_the_syn() {
    let connection = play("refused");
    assert_eq!(connection["closed_by"], "refused");
    assert_eq!(segments(&connection), ["client SYN", "server RST,ACK"]);
}

#[test]
fn simultaneous_open_makes_one_connection() {
    let connection = play("simultaneous-open");
    for end in ["client", "server"] {
        let states = states(&connection, end);
        assert_eq!(
            states[..4],
            ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"],
            "{end}"
        );
    }
}

#[test]
fn simultaneous_close_goes_through_closing_on_both_sides() {
    let connection = play("simultaneous-close");
    assert_eq!(connection["closed_by"], "both_fin");
    for (end, start) in [("client", OPEN_CLIENT), ("server", OPEN_SERVER)] {
        assert_eq!(
            states(&connection, end),
            path(start, &["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"])
        );
    }
}

#[test]
fn a_closed_window_is_probed_until_it_opens() {
    let connection = play("zero-window");
    assert!(
        connection["sent"]["client"]["window_probes"]
            .as_u64()
            .unwrap()
            >= 2
    );
    assert!(
        connection["sent"]["server"]["zero_windows"]
            .as_u64()
            .unwrap()
            >= 2
    );
    assert_eq!(connection["sent"]["client"]["bytes"], 10_000);
}

#[test]
fn losses_are_repaired_by_the_timer_or_by_duplicate_acks() {
    let connection = play("lost-segment");
    assert_eq!(connection["sent"]["client"]["lost"], 1);
    assert_eq!(connection["sent"]["client"]["retransmitted"], 1);
    let connection = play("fast-retransmit");
    assert_eq!(connection["sent"]["client"]["lost"], 1);
    assert!(
        connection["sent"]["server"]["duplicate_acks"]
            .as_u64()
            .unwrap()
            >= 3
    );
    let again = connection["steps"].as_array().unwrap().iter().find(|step| {
        step["meaning"]
            .as_str()
            .is_some_and(|meaning| meaning.contains("retransmission"))
    });
    let time = again.unwrap()["time_ns"].as_u64().unwrap();
    assert!(time < 150_000_000, "not before the timer: {time} ns");
}

#[test]
fn every_scene_is_drawn_within_eighty_columns_and_plays_the_same_twice() {
    let (list, code) = transom(&["demo"]);
    assert_eq!(code, 0);
    let names: Vec<_> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names.len(), 12, "{list}");
    for name in names {
        let (text, code) = transom(&["demo", name]);
        assert_eq!(code, 0, "{text}");
        assert_eq!(text, transom(&["demo", name]).0, "{name}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
            assert!(!line.contains('\x1b'), "{name}: colour without a terminal");
        }
        let (ascii, _) = transom(&["demo", "--ascii", name]);
        assert!(
            ascii
                .lines()
                .skip(6)
                .all(|line| line.is_ascii() || line.starts_with("  ")),
            "{name}:\n{ascii}"
        );
    }
}

#[test]
fn an_unknown_scene_is_named_with_the_known_ones() {
    let (text, code) = transom(&["demo", "nonsense"]);
    assert_eq!(code, 125);
    assert!(
        text.contains("nonsense") && text.contains("half-close"),
        "{text}"
    );
}

/// The pictures of the documentation are what the command draws.
#[test]
fn pictures_in_the_documentation_are_up_to_date() {
    for case in ["http", "rst-lost", "fast-retransmit"] {
        let (drawn, code) = transom(&["demo", case, "--svg"]);
        assert_eq!(code, 0, "{drawn}");
        let path = format!(
            "{}/../../docs/pictures/{case}.svg",
            env!("CARGO_MANIFEST_DIR")
        );
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            drawn == kept,
            "run: transom demo {case} --svg > docs/pictures/{case}.svg"
        );
    }
}

#[test]
fn pages_and_mermaid_are_drawn_of_every_case() {
    let (list, _) = transom(&["demo"]);
    let cases = list
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for case in cases {
        let (page, code) = transom(&["demo", case, "--html"]);
        assert_eq!(code, 0, "{page}");
        assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
        let (mermaid, code) = transom(&["demo", case, "--mermaid"]);
        assert_eq!(code, 0, "{mermaid}");
        assert!(mermaid.starts_with("sequenceDiagram\n    participant C as client"));
    }
}
