//! What was measured of each end.

use super::connection::Pair;
use super::nanos;
use core::time::Duration;
use serde::Serialize;
use transom_flow::{Connection, End, Limit, Limited, Measures, Rtt};

#[derive(Debug, Serialize)]
pub(super) struct MeasuresView {
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<RttView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake_rtt_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mss: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamps: bool,
    window_known: bool,
    window: Span<u32>,
    in_flight_max: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_data_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_data_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hop_limit: Option<Span<u8>>,
    needless: u64,
    limited: LimitedView,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct RttView {
    samples: u64,
    min_ns: u64,
    max_ns: u64,
    mean_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_ns: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Span<T> {
    min: T,
    max: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<T>,
}

#[derive(Debug, Serialize)]
struct LimitedView {
    application_ns: u64,
    receiver_window_ns: u64,
    loss_ns: u64,
    network_ns: u64,
}

pub(super) fn measures(connection: &Connection) -> Pair<MeasuresView> {
    let (measures, handshake) = (connection.measures(), connection.handshake_rtt());
    let view = |end: End| view(&measures[end], handshake[end], connection.start());
    Pair {
        client: view(End::Client),
        server: view(End::Server),
    }
}

fn view(measures: &Measures, handshake: Option<Duration>, start: Duration) -> MeasuresView {
    let since = |time: Duration| nanos(time.saturating_sub(start));
    let window = measures.window;
    MeasuresView {
        rtt: rtt(&measures.path_rtt),
        handshake_rtt_ns: handshake.map(nanos),
        mss: measures.mss,
        window_scale: measures.window_scale,
        sack_permitted: measures.sack_permitted,
        timestamps: measures.timestamps,
        window_known: measures.is_window_known,
        window: Span {
            min: window.min,
            max: window.max,
            last: Some(window.last),
        },
        in_flight_max: measures.in_flight_max,
        first_data_ns: measures.first_data.map(since),
        last_data_ns: measures.last_data.map(since),
        bytes_per_second: measures.throughput().map(f64::round),
        hop_limit: measures.hop_limit.map(|(min, max)| Span {
            min,
            max,
            last: None,
        }),
        needless: measures.needless,
        limited: limited(&measures.limited),
        limit: measures.limit().map(Limit::id),
    }
}

fn rtt(rtt: &Rtt) -> Option<RttView> {
    (rtt.samples > 0).then(|| RttView {
        samples: rtt.samples,
        min_ns: nanos(rtt.min),
        max_ns: nanos(rtt.max),
        mean_ns: nanos(rtt.mean),
        first_ns: rtt.first.map(nanos),
    })
}

fn limited(limited: &Limited) -> LimitedView {
    LimitedView {
        application_ns: nanos(limited.application),
        receiver_window_ns: nanos(limited.receiver_window),
        loss_ns: nanos(limited.loss),
        network_ns: nanos(limited.network),
    }
}
