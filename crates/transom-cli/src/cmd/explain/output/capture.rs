//! What is said of the captures as such.

use std::fmt::Write as _;
use std::time::Duration;

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
            utc(first)
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

/// `2026-11-22 19:03:11` of a time since 1970.
fn utc(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of the Gregorian calendar, so many days after the first of January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from the first of March 0, so that the leap day is the last of a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + carry, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| utc(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(at(1_795_376_591), "2026-11-22 19:43:11");
        assert_eq!(at(4_107_542_399), "2100-02-28 23:59:59");
        assert_eq!(at(4_107_542_400), "2100-03-01 00:00:00");
    }
}
