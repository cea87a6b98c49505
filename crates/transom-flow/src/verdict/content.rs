//! What is not TCP's matter, and what routers and the capture itself have to say.

use super::Finding;
use super::ending::name;
use crate::connection::Connection;
use crate::model::{ClosedBy, End};
use crate::step::IcmpKind;
use crate::words::times;

/// Hop limits of one host's segments that differ by less may have come another way.
const HOPS_DIFFER: u8 = 2;

pub(super) fn findings(connection: &Connection, ending: &Finding, found: &mut Vec<Finding>) {
    found.extend(mid_stream(connection, ending));
    found.extend(http(connection));
    found.extend(too_big(connection));
    found.extend(icmp(connection));
    for end in End::BOTH {
        found.extend(tls_alert(connection, end));
        found.extend(hops(connection, end));
    }
}

fn mid_stream(connection: &Connection, ending: &Finding) -> Option<Finding> {
    (!connection.are_roles_known && ending.id != "one_direction").then(|| {
        let text =
            "The capture starts after the handshake: which end is the client is a guess from \
                    the ports."
                .into();
        Finding::new("mid_stream", Vec::new(), text)
    })
}

fn http(connection: &Connection) -> Option<Finding> {
    let (status, frame) = connection.milestones.rare.as_ref()?.http?;
    let text = phrase!(
        "The answer was HTTP {status}: that is the application's matter, TCP has delivered it \
         (RFC 9110 §15)."
    );
    Some(Finding::new("http_error", vec![frame], text))
}

/// RFC 8446 §6.2 and RFC 5246 §7.2.2: what an alert says.
const fn alert_name(description: u8) -> &'static str {
    match description {
        10 => "unexpected message",
        20 => "bad record MAC",
        40 => "handshake failure",
        42 => "bad certificate",
        43 => "unsupported certificate",
        44 => "certificate revoked",
        45 => "certificate expired",
        46 => "certificate unknown",
        47 => "illegal parameter",
        48 => "unknown CA",
        49 => "access denied",
        50 => "decode error",
        51 => "decrypt error",
        70 => "protocol version",
        71 => "insufficient security",
        80 => "internal error",
        86 => "inappropriate fallback",
        109 => "missing extension",
        110 => "unsupported extension",
        112 => "unrecognized name",
        113 => "bad certificate status response",
        116 => "certificate required",
        120 => "no application protocol",
        _ => "see RFC 8446 §6",
    }
}

fn tls_alert(connection: &Connection, end: End) -> Option<Finding> {
    let alert = connection.milestones.rare.as_ref()?.alerts[end]?;
    // Encrypted alerts are nearly always the ordinary close_notify, as description 0 is.
    let (_, description) = alert.words.filter(|(_, description)| *description != 0)?;
    let text = phrase!(
        "TLS failed, not TCP: {} sent the alert {description} ({}) before the end (RFC 8446 §6.2).",
        name(connection, end),
        alert_name(description),
    );
    Some(Finding::new("tls_alert", vec![alert.frame], text))
}

fn too_big(connection: &Connection) -> Option<Finding> {
    let told = connection.milestones.rare.as_ref()?.too_big?;
    let text = phrase!(
        "{} told {} {} that its packets are too big: the next link takes {} bytes; path MTU discovery \
         is at work (RFC 1191, RFC 8201).",
        told.reporter,
        name(connection, told.to),
        times(u64::from(told.times)),
        told.mtu,
    );
    Some(Finding::new("packet_too_big", vec![told.frame], text))
}

/// An ICMP error that did not end the connection.
fn icmp(connection: &Connection) -> Option<Finding> {
    let icmp = connection.milestones.icmp?;
    if matches!(icmp.kind, IcmpKind::PacketTooBig(_))
        || connection.closed_by() == ClosedBy::Unreachable
    {
        return None;
    }
    let text = phrase!(
        "{} reported \"{}\", which TCP takes for a hint only and tries on (RFC 9293 §3.9.2.2, \
         RFC 5927 §5.2).",
        icmp.reporter,
        icmp.kind
    );
    Some(Finding::new("icmp_error", vec![icmp.frame], text))
}

/// The end's segments came by ways of different length, or from different machines.
fn hops(connection: &Connection, end: End) -> Option<Finding> {
    let (least, most) = connection.measures()[end].hop_limit?;
    (most - least >= HOPS_DIFFER).then(|| {
        let text = phrase!(
            "Segments of {} arrived with hop limits from {least} to {most}: their way changed, \
             several machines speak for it (a SYN proxy, a middlebox), or it set another one itself.",
            name(connection, end)
        );
        Finding::new("hop_limit_changed", Vec::new(), text)
    })
}
