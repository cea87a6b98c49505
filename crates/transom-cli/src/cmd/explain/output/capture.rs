//! What is said of the captures as such.

use std::fmt::Write as _;

use transom_draw::calendar::Utc;
use transom_draw::json;
use transom_flow::words::{bytes, count, duration, thousands};

use crate::cmd::explain::model::{Capture, Explained};

/// For a JSON document.
pub(super) fn json<'a>(explained: &'a Explained, source: &'a str) -> json::Capture<'a> {
    let capture = &explained.capture;
    let mut json = json::Capture::default();
    json.source = Some(source);
    json.format = None;
    json.frames = capture.frames;
    json.bytes = Some(capture.bytes);
    json.first = capture.first;
    json.last = capture.last;
    json.counters = Some(capture.counters);
    json.broken = capture.breaks.first().map(|broken| json::Broken {
        offset: broken.offset,
        what: broken.what.clone(),
    });
    json.findings = &explained.overview;
    json
}

/// The last lines of a report: what was read, and what was left out.
pub(crate) fn sentences(explained: &Explained) -> Vec<String> {
    let capture = &explained.capture;
    let mut sentences = vec![what_was_read(capture)];
    sentences.extend(left_out(capture));
    let links = &capture.links;
    if links.cut > 0 {
        sentences.push(format!(
            "{} cut short when captured (snapshot length): what needs the data may be missing.",
            was(links.cut, "frame")
        ));
    }
    if explained.counts.gaps > 0 {
        sentences.push(format!(
            "Segments are missing from the capture at {}: it dropped them, or they took another way.",
            count(explained.counts.gaps, "place")
        ));
    }
    if links.time_reversals > 0 {
        sentences.push(format!(
            "{} earlier than the one before: times are taken as they are.",
            was(links.time_reversals, "frame")
        ));
    }
    if capture.counters.evicted > 0 {
        sentences.push(format!(
            "{} followed at once than there is room for: {} let go while open.",
            "More connections were",
            was(capture.counters.evicted, "connection")
        ));
    }
    for broken in &capture.breaks {
        let source = &broken.source;
        sentences.push(format!(
            "{source}: {}. What came before is explained above.",
            broken.what
        ));
    }
    sentences
}

fn what_was_read(capture: &Capture) -> String {
    let mut text = format!(
        "{}: {}",
        capture.sources.join(", "),
        count(capture.frames, "frame")
    );
    if let (Some(first), Some(last)) = (capture.first, capture.last)
        && capture.frames > 0
    {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            " in {} from {} UTC",
            duration(last.saturating_sub(first)),
            Utc::of(first)
        );
    }
    let _ = write!(text, ", {}; ", bytes(capture.bytes));
    let _ = write!(text, "{} TCP", thousands(capture.counters.segments));
    if capture.counters.icmp > 0 {
        let _ = write!(
            text,
            ", {} about a connection",
            count(capture.counters.icmp, "ICMP error")
        );
    }
    text.push('.');
    text
}

fn left_out(capture: &Capture) -> Option<String> {
    let (links, counters) = (&capture.links, &capture.counters);
    let link = links
        .unknown_link_type
        .map_or_else(String::new, |link| format!(" ({link})"));
    let reasons = [
        (links.not_ip + counters.not_ip, "not IP".to_owned()),
        (counters.not_tcp, "not TCP".to_owned()),
        (
            counters.icmp_unknown,
            "ICMP about connections that are not in the capture".to_owned(),
        ),
        (links.fragments + counters.fragments, "fragments".to_owned()),
        (
            links.unknown_link,
            format!("of a link type that is not understood{link}"),
        ),
        (links.encrypted, "encrypted by the link".to_owned()),
        (
            links.short + counters.malformed,
            "with headers that cannot be read".to_owned(),
        ),
    ];
    let reasons: Vec<String> = reasons
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{} {reason}", thousands(count)))
        .collect();
    (!reasons.is_empty()).then(|| format!("Left out: {}.", reasons.join(", ")))
}

/// `1 frame was`, `3 frames were`.
fn was(n: u64, noun: &str) -> String {
    format!("{} {}", count(n, noun), if n == 1 { "was" } else { "were" })
}
