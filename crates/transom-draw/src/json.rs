//! Connections as JSON, for programs and agents.
//!
//! Field names and the identifiers among the values are stable: new ones may be added, old ones keep
//! their meaning while `version` is the same. What is not known is left out, never `null`.
//!
//! `docs/explain.schema.json` is the JSON Schema of it. A [`report`] is one value; a [`Stream`] writes
//! the same document one connection at a time, and may say something of the capture at its end.
//!
//! ```text
//! format       "transom.connections"
//! version      1
//! connections  [
//!   number          in the order of first segments, from 1
//!   client, server  { address, port, host, process: { name, pid } }
//!   roles_known     false if no SYN told who is the client
//!   start           time of the first segment in seconds, as text with nine decimals
//!   duration_ns     from the first segment to the last
//!   handshake_ns    from the SYN to the acknowledgement that ends the handshake
//!   state           one for all, as in the table
//!   states          of both ends now { client, server }: { state, basis: "observed" | "inferred" }
//!   closed          whether neither end holds the connection any more
//!   closed_by       "client_fin", "server_fin", "both_fin", "client_reset", "server_reset", "refused",
//!                   "unanswered", "unreachable", "client_vanished", "server_vanished", "still_open"
//!   one_sided       only one direction was captured
//!   conn_state, history  as in Zeek's conn.log
//!   application     what the first bytes say: { protocol: "http", request, status }, { "tls", sni, alpn,
//!                   version }, { "ssh", client, server }, { "dns", name, kind }, { "other", banner }
//!   sent            by each end { client, server }: { bytes, extent, ip_bytes, segments, frames, retransmitted,
//!                   retransmitted_bytes, out_of_order, duplicate_acks, zero_windows, window_probes,
//!                   keep_alives, resets, lost, gaps,
//!                   truncated, duplicate_frames, hop_changed_frames, time_reversals }
//!   measures        of each end { client, server }: { rtt { samples, min_ns, max_ns, mean_ns, first_ns },
//!                   handshake_rtt_ns, mss, window_scale, sack_permitted, timestamps, window_known,
//!                   window { min, max, last }, in_flight_max, first_data_ns, last_data_ns,
//!                   bytes_per_second, hop_limit { min, max }, needless, limited { application_ns,
//!                   receiver_window_ns, loss_ns, network_ns }, limit }
//!   verdict         { severity: "fine" | "note" | "problem", text, ending, findings }, where ending and
//!                   each finding are { id, severity, text, frames }
//!   initial_states  before the first step
//!   steps           [ each has kind, time_ns (since start) and states (after it)
//!     kind "segment": frame, from, flags, seq, ack (both relative), len, window, segments (in a
//!                   super-packet), sack (relative ranges), options { mss, window_scale, sack_permitted, timestamps,
//!                   fast_open ("request" | "cookie") },
//!                   meaning, cause ("timeout", "fast_retransmit", "tail_loss_probe",
//!                   "already_acknowledged", "unknown") and original_frame (of a retransmission), repeats (of a
//!                   duplicate ACK), fate ("lost" | "arrives"), arrives_ns, hint
//!     kind "icmp":  frame, reporter, to, error
//!     kind "state": end, from_state, to_state, arrival_of (frame)
//!     kind "note":  text
//!     kind "fold":  end_ns, steps, folded { client, server }: { segments, bytes, retransmitted, lost }
//!   ]
//! ]
//! capture      { source, format, frames, bytes, first, last, counters, broken { offset, what }, findings }
//! ```

mod application;
mod capture;
mod connection;
mod measures;
mod step;
mod stream;

pub use capture::{Broken, Capture};
pub use connection::{Connection, connection, detailed};
pub use stream::Stream;

use core::time::Duration;
use serde::Serialize;

/// What every document says of itself.
const FORMAT: &str = "transom.connections";
const VERSION: u32 = 1;

/// All connections.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    format: &'static str,
    version: u32,
    connections: Vec<Connection<'a>>,
}

/// How much of a connection is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Everything: each step with both ends' states.
    #[default]
    Steps,
    /// Everything but the steps and the states before them.
    Summary,
}

/// All of these connections.
#[must_use]
pub fn report<'a>(connections: &[&'a transom_flow::Connection]) -> Report<'a> {
    Report {
        format: FORMAT,
        version: VERSION,
        connections: connections
            .iter()
            .map(|connection| self::connection(connection))
            .collect(),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A time in seconds, as text with nine decimals.
fn seconds(time: Duration) -> String {
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}
