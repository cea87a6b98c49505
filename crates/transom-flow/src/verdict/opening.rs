//! What is to be said of how a connection opened.

use super::Finding;
use super::ending::name;
use crate::connection::Connection;
use crate::milestones::Rare;
use crate::model::{ClosedBy, End};
use crate::words::{bytes, count, duration, times};
use core::time::Duration;
use transom_tcp::State;

/// A round trip that a user feels.
pub(crate) const FAR: Duration = Duration::from_millis(200);
/// No way is as long as this: somebody waited.
const TOO_FAR: Duration = Duration::from_secs(3);
/// The same two sockets are not used again within this time but under pressure (2 MSL).
const REUSED_SOON: Duration = Duration::from_secs(120);
/// The largest segment of plain Ethernet: 1500 bytes less both headers.
pub(crate) const ETHERNET_MSS_V4: u16 = 1460;
pub(crate) const ETHERNET_MSS_V6: u16 = 1440;

pub(super) fn findings(connection: &Connection, found: &mut Vec<Finding>) {
    found.extend(simultaneous_open(connection));
    found.extend(late_answer(connection));
    found.extend(late_syn_acks(connection));
    found.extend(reuse(connection));
    found.extend(fast_open(connection));
    found.extend(ecn(connection));
    found.extend(options_missing(connection));
    found.extend(mss_clamped(connection));
    found.extend(far_away(connection));
}

fn simultaneous_open(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    (m.syns.client > 0 && m.syns.server > 0).then(|| {
        let frames = m
            .first_syn
            .iter()
            .chain(&m.syn_ack)
            .map(|(_, frame)| *frame);
        Finding::new(
            "simultaneous_open",
            frames.collect(),
            "A simultaneous open: both ends sent SYN, and one connection came of it \
             (RFC 9293 §3.5, Figure 7)."
                .into(),
        )
    })
}

/// The SYN had to be sent again.
fn late_answer(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let ((first, frame), (answer, answer_frame)) = (m.first_syn?, m.syn_ack?);
    let is_told = |rare: &Rare| rare.stale_ack.is_some() || rare.stray_syn.is_some();
    if m.syns.client < 2 || m.rare.as_deref().is_some_and(is_told) {
        return None;
    }
    let tries = times(u64::from(m.syns.client));
    let text = if m.last_syn.is_some_and(|last| last > answer) {
        phrase!(
            "The SYN was sent {tries} and the SYN,ACK {}: the first answer did not reach the \
             client in time (RFC 6298 §2).",
            times(u64::from(m.syn_acks.server))
        )
    } else {
        phrase!(
            "The SYN had to be sent {tries}: the answer came {} after the first (RFC 6298 §2).",
            duration(answer.saturating_sub(first))
        )
    };
    let frames = vec![frame, answer_frame];
    Some(Finding::new("syn_answered_late", frames, text))
}

/// The server sent its SYN,ACK again though the client had acknowledged it.
fn late_syn_acks(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let rare = m.rare.as_ref()?;
    let again = rare.late_syn_acks;
    if again == 0 || m.syns.client > 1 {
        return None;
    }
    let frames = m.handshake_ack_frame.into_iter();
    let frames: Vec<u64> = frames.chain([rare.late_syn_ack_frame]).collect();
    let was_lost = connection.totals.client.lost > 0;
    let has_repeated = rare.stuck.client.worst.count > 0 && connection.totals.server.bytes == 0;
    if !was_lost && (again >= 2 || has_repeated) {
        let text = phrase!(
            "The server's queue of connections to accept is probably full: it sent its SYN,ACK {} \
             more although the client had acknowledged it, as a server does that had to drop the \
             acknowledgement; its application accepts too slowly (RFC 9293 §3.5).",
            times(u64::from(again))
        );
        return Some(Finding::new("backlog_overflow", frames, text));
    }
    let text = phrase!(
        "The acknowledgement that ends the handshake did not reach the server, which sent its \
         SYN,ACK {} more (RFC 9293 §3.5).",
        times(u64::from(again))
    );
    Some(Finding::new("handshake_ack_lost", frames, text))
}

/// The same two sockets had a connection a moment before.
fn reuse(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let rare = m.rare.as_ref()?;
    let (_, frame) = m.first_syn?;
    let client = name(connection, End::Client);
    let has_recovered = m.resets.client.is_some() || m.syn_ack.is_some();
    if let Some(stale) = rare.stale_ack.filter(|_| has_recovered) {
        let text = phrase!(
            "{client} used a port again whose old connection the server still holds: the server \
             answered the SYN with an ACK of the old one, so {client} had to reset that and try \
             again (RFC 9293 §3.5.1).",
        );
        let text = capitalised(&text);
        return Some(Finding::new(
            "port_reused_too_soon",
            vec![frame, stale],
            text,
        ));
    }
    let previous = rare.previous?;
    let was_waiting = previous.states.client == Some(State::TimeWait)
        || previous.states.server == Some(State::TimeWait);
    if previous.ago > REUSED_SOON || connection.closed_by() == ClosedBy::Unanswered {
        return None;
    }
    let ago = duration(previous.ago);
    let (id, text) = if was_waiting && m.syn_ack.is_some() {
        let text = phrase!(
            "The same ports had a connection until {ago} before, whose TIME-WAIT still lasted: the new \
             SYN was taken as safe, its number or timestamp being higher (RFC 6191 §2, \
             RFC 9293 §3.6.1)."
        );
        ("time_wait_reuse", text)
    } else {
        let text = phrase!(
            "The same ports had a connection until {ago} before: the client probably opens connections \
             faster than its ports come round."
        );
        ("port_reuse", text)
    };
    Some(Finding::new(id, vec![frame], text))
}

/// A sentence that starts with a name of ours, or a program's, which keeps its case.
pub(super) fn capitalised(text: &str) -> String {
    match text.strip_prefix("the ") {
        Some(rest) => phrase!("The {rest}"),
        None => text.into(),
    }
}

fn fast_open(connection: &Connection) -> Option<Finding> {
    let data = connection.milestones.rare.as_ref()?.syn_data?;
    let size = bytes(u64::from(data.len));
    match data.is_taken? {
        true => {
            let text = phrase!(
                "TCP Fast Open: the SYN brought {size} of data, and the server took it (RFC 7413)."
            );
            Some(Finding::new("fast_open", vec![data.frame], text))
        }
        false => {
            let text = phrase!(
                "TCP Fast Open in vain: the SYN brought {size} of data, but the server acknowledged \
                 the SYN alone, so the data had to be sent again (RFC 7413 §4.2.2)."
            );
            Some(Finding::new("fast_open_refused", vec![data.frame], text))
        }
    }
}

fn ecn(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let accurate = m.ecn.accurate;
    if !m.ecn.classic && !accurate {
        return None;
    }
    let echoes = m.rare.as_ref().map(|rare| rare.congestion_echoes);
    let told = echoes.map_or(0, |echoes| echoes.client + echoes.server);
    if let (Some(rare), 1..) = (&m.rare, told) {
        let told = u64::from(told);
        let text = if accurate {
            phrase!(
                "A router on the way marked congestion instead of dropping: {} told of \
                 (RFC 9768 §3.2.2).",
                count(told, "marked packet")
            )
        } else {
            phrase!(
                "A router on the way marked congestion instead of dropping: {} told of it \
                 (RFC 3168 §6.1.3).",
                count(told, "segment")
            )
        };
        let frames = vec![rare.congestion_frame];
        return Some(Finding::new("congestion_experienced", frames, text));
    }
    let frames = m.first_syn.iter().chain(&m.syn_ack).map(|(_, f)| *f);
    if accurate {
        let text = "Both ends agreed on accurate ECN: routers may mark congestion instead of dropping, \
                    and each mark is counted; AE, CWR and ECE are the counter from then on (RFC 9768 §3)."
            .into();
        return Some(Finding::new(
            "accurate_ecn_negotiated",
            frames.collect(),
            text,
        ));
    }
    let text = "Both ends agreed on ECN: routers may mark congestion instead of dropping \
                (RFC 3168 §6.1.1)."
        .into();
    Some(Finding::new("ecn_negotiated", frames.collect(), text))
}

/// An option that the client offered and the server did not take, though it took others of its age.
fn options_missing(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let (client, server) = (&m.talk.client, &m.talk.server);
    let (_, frame) = m.syn_ack?;
    let frames = || vec![frame];
    let took = |option: Option<bool>| option == Some(true);
    let lacks = |option: Option<bool>| option == Some(false);
    let is_busy = client.flight_max.max(server.flight_max) >= 50_000;
    let modern = took(server.timestamps) || took(server.sack);
    if took(client.scale) && lacks(server.scale) && (modern || is_busy) {
        let text =
            "The SYN offered window scaling and the SYN,ACK does not take it: no window can \
                    be more than 64 KiB. Probably a middlebox took the option out, or the server's \
                    TCP does not know it (RFC 7323 §2.2)."
                .into();
        return Some(Finding::new("window_scale_stripped", frames(), text));
    }
    if took(client.sack) && lacks(server.sack) && (took(server.timestamps) || took(server.scale)) {
        let text = "The SYN offered selective acknowledgement and the SYN,ACK does not take it: each \
                    loss costs more time. Probably a middlebox took the option out, or the server's \
                    TCP does not know it (RFC 2018 §2)."
            .into();
        return Some(Finding::new("sack_stripped", frames(), text));
    }
    None
}

/// A maximum segment size that is less than Ethernet's.
fn mss_clamped(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let is_v6 = connection.endpoints.client.addr.is_ipv6();
    let ethernet = if is_v6 {
        ETHERNET_MSS_V6
    } else {
        ETHERNET_MSS_V4
    };
    let (least, end) = End::BOTH
        .into_iter()
        .filter_map(|end| Some((m.talk[end].mss?, end)))
        .min_by_key(|(mss, _)| *mss)?;
    let usual = m.talk[end.other()].mss?;
    let (_, syn) = m.first_syn?;
    let (_, syn_ack) = m.syn_ack?;
    // RFC 9293 §3.7.1 MUST-15: 536 and 1220 are defaults, and no sign of a smaller link.
    let is_default = matches!(least, 536 | 1220);
    (least < ethernet && usual >= ethernet && !is_default).then(|| {
        let text = phrase!(
            "{}'s SYN offers segments of {least} bytes, Ethernet would take {ethernet}: a smaller link \
             at its end, or a tunnel or firewall on the way that clamps the MSS (RFC 9293 §3.7.1).",
            capitalised(&name(connection, end)),
        );
        let frame = if end == End::Client { syn } else { syn_ack };
        Finding::new("mss_clamped", vec![frame], text)
    })
}

/// A round trip that takes long already when nothing is under way.
fn far_away(connection: &Connection) -> Option<Finding> {
    let m = &connection.milestones;
    let handshake = m.handshake?;
    if m.syns.client > 1 || m.syn_acks.server > 1 {
        return None;
    }
    let to_server = handshake.syn_ack.saturating_sub(handshake.syn);
    let to_client = handshake.ack.saturating_sub(handshake.syn_ack);
    if !(FAR..TOO_FAR).contains(&(to_server + to_client)) {
        return None;
    }
    let (side, most) = if to_server >= to_client {
        (End::Server, to_server)
    } else {
        (End::Client, to_client)
    };
    let text = phrase!(
        "Far away: the handshake took {}, {} of it between the capture point and {}; every request \
         waits as long at least, whatever the bandwidth.",
        duration(to_server + to_client),
        duration(most),
        name(connection, side)
    );
    let frames = m.first_syn.iter().chain(&m.syn_ack).map(|(_, f)| *f);
    Some(Finding::new("high_rtt", frames.collect(), text))
}
