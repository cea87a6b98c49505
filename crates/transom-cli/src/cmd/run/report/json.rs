//! `--json`: everything that is known of a run.
//!
//! ```text
//! format       "transom.run"
//! version      1
//! program      { command, exit_code | signal, duration_ns }
//! network      { device, mtu, inside: [ { program, gateway, dns, prefix_len } ] }
//! connections  as in "transom.connections", each with what only a run knows:
//!   program_socket  the last look at the kernel's socket of the program
//!                   { state, recv_queue, send_queue, tcp_info }
//!   leg_b           our own connection to the real peer: { address, opened_ns | failed, to_peer,
//!                   to_program, tcp_info, samples }
//!   tcp_info        { rtt_us, rttvar_us, min_rtt_us, rto_us, cwnd_segments, ssthresh_segments,
//!                   mss, pmtu, retransmitted_segments, bytes_acked, bytes_received }
//!   samples         tcp_info of leg_b while bytes passed, at most 64, each with its time_ns
//!                   since the connection's start
//! discards     how often our stack discarded something, by reason
//! notices      sentences for the user
//! ```

use std::time::Duration;

use serde_json::{Map, Value, json};
use transom_flow::{Connection, End};

use super::Facts;
use crate::cmd::run::diag::KernelSocket;
use crate::cmd::run::legs::Leg;
use crate::cmd::run::observe::Collected;
use crate::failure::Outcome;
use crate::kernel::tcp_info::TcpInfo;

/// The whole run, with a final newline.
pub(super) fn run(collected: &Collected, facts: &Facts<'_>) -> String {
    let connections: Vec<&Connection> = collected.tracker.connections().collect();
    let drawn = serde_json::to_value(transom_draw::json::report(&connections));
    let mut list = match drawn {
        Ok(Value::Object(mut report)) => report.remove("connections").unwrap_or_default(),
        _ => Value::Null,
    };
    if let Value::Array(list) = &mut list {
        for (value, connection) in list.iter_mut().zip(&connections) {
            if let Value::Object(object) = value {
                add(object, collected, connection);
            }
        }
    }
    let notices: Vec<_> = collected
        .notices
        .iter()
        .chain(&collected.capture_error)
        .collect();
    let whole = json!({
        "format": "transom.run",
        "version": 1,
        "program": program(facts),
        "network": network(facts),
        "connections": list,
        "discards": collected.discards,
        "notices": notices,
    });
    format!("{whole:#}\n")
}

fn program(facts: &Facts<'_>) -> Value {
    let command: Vec<_> = facts
        .command
        .iter()
        .map(|word| word.to_string_lossy())
        .collect();
    let mut program = json!({
        "command": command,
        "duration_ns": nanos(facts.duration),
    });
    match facts.outcome {
        Outcome::Exited(code) => program["exit_code"] = code.into(),
        Outcome::Signaled(signal) => program["signal"] = signal.into(),
    }
    program
}

fn network(facts: &Facts<'_>) -> Value {
    let inside: Vec<_> = facts
        .inside
        .iter()
        .map(|addresses| {
            json!({
                "program": addresses.program.to_string(),
                "gateway": addresses.gateway.to_string(),
                "dns": addresses.dns.to_string(),
                "prefix_len": addresses.prefix_len,
            })
        })
        .collect();
    json!({ "device": facts.device, "mtu": facts.mtu, "inside": inside })
}

/// What only a run knows of a connection.
fn add(object: &mut Map<String, Value>, collected: &Collected, connection: &Connection) {
    let [client, server] = End::BOTH.map(|end| connection.endpoint(end).addr);
    let keys = [(client, server), (server, client)];
    if let Some(socket) = keys.iter().find_map(|key| collected.sockets.get(key)) {
        object.insert("program_socket".to_owned(), self::socket(socket));
    }
    if let Some(leg) = keys.iter().find_map(|key| collected.legs.get(key)) {
        object.insert("leg_b".to_owned(), self::leg(leg, connection.start()));
    }
}

fn socket(socket: &KernelSocket) -> Value {
    let mut value = json!({
        "state": socket.state.name(),
        "recv_queue": socket.recv_queue,
        "send_queue": socket.send_queue,
    });
    if let Some(info) = &socket.info {
        value["tcp_info"] = tcp_info(info);
    }
    value
}

fn leg(leg: &Leg, start: Duration) -> Value {
    let mut value = json!({
        "address": leg.outside.to_string(),
        "to_peer": leg.to_peer,
        "to_program": leg.to_program,
    });
    match &leg.opened {
        Ok(took) => value["opened_ns"] = nanos(*took).into(),
        Err(why) => value["failed"] = why.as_str().into(),
    }
    if let Some(info) = &leg.info {
        value["tcp_info"] = tcp_info(info);
    }
    let samples = leg.samples.iter().map(|sample| {
        let mut value = tcp_info(&sample.info);
        value["time_ns"] = nanos(sample.time.saturating_sub(start)).into();
        value
    });
    value["samples"] = samples.collect();
    value
}

fn tcp_info(info: &TcpInfo) -> Value {
    let mut value = json!({
        "rtt_us": micros(info.rtt),
        "rttvar_us": micros(info.rttvar),
        "rto_us": micros(info.rto),
        "cwnd_segments": info.cwnd_segs,
        "mss": info.snd_mss,
        "pmtu": info.pmtu,
        "retransmitted_segments": info.retransmitted_segs,
        "bytes_acked": info.bytes_acked,
        "bytes_received": info.bytes_received,
    });
    // What is not known is left out.
    if let Some(ssthresh) = info.ssthresh_segs {
        value["ssthresh_segments"] = ssthresh.into();
    }
    if !info.min_rtt.is_zero() {
        value["min_rtt_us"] = micros(info.min_rtt).into();
    }
    value
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
