//! `--json`: everything that is known, under names that stay (docs/SS.md).

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::holders::Holders;
use super::line::protocol_name;
use super::names::Names;
use super::stacks::End;
use super::states;
use crate::kernel::inet_diag::{Family, Protocol, Socket};
use crate::kernel::tcp_info::Raw;

/// Of the names.
const VERSION: u32 = 1;

/// The array on its way to a stream, one socket a line.
pub(crate) struct Array<W: Write> {
    out: W,
    any: bool,
}

impl<W: Write> Array<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, any: false }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, value: &Value) -> io::Result<()> {
        if self.any {
            self.out.write_all(b",\n")?;
        } else {
            writeln!(self.out, "{{\"version\":{VERSION},\"sockets\":[")?;
        }
        self.any = true;
        write!(self.out, "{value}")
    }

    /// Ends it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if !self.any {
            write!(self.out, "{{\"version\":{VERSION},\"sockets\":[")?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()
    }
}

/// A socket of the kernel.
pub(crate) fn socket(
    socket: &Socket<'_>,
    names: &Names,
    holders: Option<&Holders>,
    words: Option<String>,
) -> Value {
    let identity = &socket.identity;
    let mut value = Map::new();
    let mut set = |name: &str, field: Value| {
        value.insert(name.to_owned(), field);
    };
    set("stack", "kernel".into());
    set("protocol", protocol_name(socket.protocol).into());
    set(
        "family",
        if socket.family == Family::V4 {
            "inet"
        } else {
            "inet6"
        }
        .into(),
    );
    set("state", states::name(socket.state).into());
    if socket.protocol == Protocol::Tcp
        && let Some(state) = socket.state.tcp()
    {
        set("tcp_state", state.to_string().into());
    }
    set("recv_queue", socket.recv_queue.into());
    set("send_queue", socket.send_queue.into());
    set("local", endpoint(identity.local));
    set("peer", endpoint(identity.peer));
    if identity.interface != 0 {
        let mut device = String::new();
        names.push_device(identity.interface, &mut device);
        set("device", device.into());
    }
    if socket.timer != 0 {
        let name = match socket.timer {
            1 => "retransmission",
            2 => "keepalive",
            3 => "timewait",
            4 => "persist",
            _ => "unknown",
        };
        set(
            "timer",
            json!({ "name": name, "expires_ms": socket.expires, "count": socket.retransmits }),
        );
    }
    set("uid", socket.uid.into());
    set("inode", socket.inode.into());
    set("cookie", format!("{:x}", identity.cookie).into());
    let attributes = &socket.attributes;
    if let Some(mark) = attributes.mark() {
        set("mark", mark.into());
    }
    if let Some(cgroup) = attributes.cgroup().and_then(|number| names.cgroup(number)) {
        set("cgroup", cgroup.into());
    }
    if let Some(only) = attributes.v6_only().filter(|_| socket.family == Family::V6) {
        set("v6_only", only.into());
    }
    if let Some(shut) = attributes.shutdown() {
        set("receives", (shut & 1 == 0).into());
        set("sends", (shut & 2 == 0).into());
    }
    if let Some(holders) = holders {
        let all = holders.of(socket.inode).map(
            |(name, holder)| json!({ "name": name, "pid": holder.pid, "fd": holder.descriptor }),
        );
        set("processes", all.collect());
    }
    if let Some(bytes) = attributes.memory() {
        set("memory", memory(bytes));
    }
    if let Some(name) = attributes.congestion() {
        set("congestion_control", name.into());
    }
    if let Some(bytes) = attributes
        .info()
        .filter(|_| socket.protocol == Protocol::Tcp)
    {
        set("tcp_info", info(Raw(bytes)));
    }
    if let Some(words) = words {
        set("meaning", words.into());
    }
    Value::Object(value)
}

/// An end of a connection of a `transom run`.
pub(crate) fn end(end: &End) -> Value {
    let mut value = json!({
        "stack": "transom",
        "end": end.whose.name(),
        "run_pid": end.run,
        "command": end.command,
        "protocol": "tcp",
        "family": if end.local.is_ipv4() { "inet" } else { "inet6" },
        "state": states::name(end.state),
        "tcp_state": end.state.tcp().map(|state| state.to_string()),
        "recv_queue": end.recv_queue,
        "send_queue": end.send_queue,
        "local": endpoint(end.local),
        "peer": endpoint(end.peer),
        "meaning": end.words(),
    });
    if let Some((name, pid)) = &end.process {
        value["processes"] = json!([{ "name": name, "pid": pid }]);
    }
    if let Some(since) = end.since {
        value["state_ms"] = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).into();
    }
    value
}

fn endpoint(address: std::net::SocketAddr) -> Value {
    json!({ "address": address.ip().to_string(), "port": address.port() })
}

fn memory(bytes: &[u8]) -> Value {
    const NAMES: [&str; 9] = [
        "receive_allocated",
        "receive_buffer",
        "send_allocated",
        "send_buffer",
        "forward_allocated",
        "send_queued",
        "options",
        "backlog",
        "dropped",
    ];
    let raw = Raw(bytes);
    let fields = NAMES.into_iter().enumerate();
    fields
        .filter(|(index, _)| index * 4 < bytes.len())
        .map(|(index, name)| (name.to_owned(), Value::from(raw.word(index * 4))))
        .collect::<Map<_, _>>()
        .into()
}

/// Times are microseconds (`_us`) or milliseconds (`_ms`), rates bytes per second.
fn info(info: Raw<'_>) -> Value {
    const WORDS: [(&str, usize); 26] = [
        ("rto_us", 8),
        ("ato_us", 12),
        ("snd_mss", 16),
        ("rcv_mss", 20),
        ("unacked", 24),
        ("sacked", 28),
        ("lost", 32),
        ("retrans", 36),
        ("last_data_sent_ms", 44),
        ("last_data_recv_ms", 52),
        ("last_ack_recv_ms", 56),
        ("pmtu", 60),
        ("rcv_ssthresh", 64),
        ("rtt_us", 68),
        ("rttvar_us", 72),
        ("snd_ssthresh", 76),
        ("snd_cwnd", 80),
        ("advmss", 84),
        ("reordering", 88),
        ("rcv_rtt_us", 92),
        ("rcv_space", 96),
        ("total_retrans", 100),
        ("segs_out", 136),
        ("segs_in", 140),
        ("notsent_bytes", 144),
        ("snd_wnd", 228),
    ];
    const LATER: [(&str, usize); 8] = [
        ("data_segs_in", 152),
        ("data_segs_out", 156),
        ("delivered", 192),
        ("delivered_ce", 196),
        ("dsack_dups", 216),
        ("reord_seen", 220),
        ("rcv_ooopack", 224),
        ("rcv_wnd", 232),
    ];
    const LONGS: [(&str, usize); 8] = [
        ("pacing_rate", 104),
        ("bytes_acked", 120),
        ("bytes_received", 128),
        ("delivery_rate", 160),
        ("busy_time_us", 168),
        ("rwnd_limited_us", 176),
        ("sndbuf_limited_us", 184),
        ("bytes_sent", 200),
    ];
    let there = |at: usize| at < info.0.len();
    let mut all = Map::new();
    for (name, at) in WORDS.into_iter().chain(LATER).filter(|&(_, at)| there(at)) {
        all.insert(name.to_owned(), info.word(at).into());
    }
    for (name, at) in LONGS.into_iter().filter(|&(_, at)| there(at)) {
        all.insert(name.to_owned(), info.long(at).into());
    }
    // The kernel reports "not measured" as all ones.
    if there(148) && info.word(148) != u32::MAX {
        all.insert("min_rtt_us".to_owned(), info.word(148).into());
    }
    all.insert("retransmits".to_owned(), info.retransmits().into());
    all.insert("probes".to_owned(), info.probes().into());
    all.insert("backoff".to_owned(), info.byte(4).into());
    Value::Object(all)
}
