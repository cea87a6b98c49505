//! What became of the packets of each direction.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use serde_json::{Map, Value, json};
use transom_sim::Impairment;

use super::Counted;
use crate::failure::Failure;
use crate::terminal;

/// The wire as it was made.
pub(crate) struct Report {
    names: [String; 2],
    impairments: [Impairment; 2],
}

impl Report {
    pub(crate) fn new(names: [String; 2], impairments: [Impairment; 2]) -> Self {
        Self { names, impairments }
    }

    /// Says that the wire stands.
    pub(crate) fn first_line(&self) -> String {
        let [a, b] = &self.names;
        format!("Linking {a} and {b}; Ctrl-C ends it.\n")
    }

    /// The counters of both directions: as text on stderr, as JSON on stdout.
    pub(crate) fn print(&self, counted: &[Counted; 2], as_json: bool) -> Result<(), Failure> {
        if as_json {
            return terminal::print(&format!("{}\n", self.json(counted)));
        }
        let mut text = String::new();
        for (index, counted) in counted.iter().enumerate() {
            self.direction(&mut text, index, counted);
        }
        // A closed stderr is nobody who wants to know.
        let _ = io::stderr().write_all(text.as_bytes());
        Ok(())
    }

    fn direction(&self, text: &mut String, index: usize, counted: &Counted) {
        let (from, to) = (&self.names[index], &self.names[1 - index]);
        let what = &self.impairments[index];
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{from} → {to}  {what}");
        let words: Vec<String> = numbers(counted, what.is_perfect())
            .into_iter()
            .enumerate()
            .filter(|(place, (_, number))| *place < 2 || *number > 0)
            .map(|(_, (name, number))| format!("{} {number}", name.replace('_', " ")))
            .collect();
        let _ = writeln!(text, "  {}", words.join(", "));
    }

    fn json(&self, counted: &[Counted; 2]) -> Value {
        let directions: Vec<Value> = counted
            .iter()
            .enumerate()
            .map(|(index, counted)| {
                let what = &self.impairments[index];
                let numbers = numbers(counted, what.is_perfect())
                    .into_iter()
                    .map(|(name, number)| (name.to_owned(), Value::from(number)));
                json!({
                    "from": self.names[index],
                    "to": self.names[1 - index],
                    "impairment": what.to_string(),
                    "counters": numbers.collect::<Map<String, Value>>(),
                })
            })
            .collect();
        json!({ "directions": directions })
    }
}

/// The counters by name. Without impairment packets are not looked at, and frames are all that is known.
fn numbers(counted: &Counted, is_perfect: bool) -> Vec<(&'static str, u64)> {
    let (wire, link) = (&counted.wire, &counted.link);
    let mut numbers = if is_perfect {
        vec![("frames", wire.received), ("frames_delivered", wire.sent)]
    } else {
        vec![
            ("packets", link.pushed),
            ("delivered", link.delivered),
            ("lost", link.lost),
            ("queue_full", link.queue_full),
            ("too_big", link.too_big),
            ("overflow", link.overflow),
            ("reordered", link.reordered),
            ("duplicated", link.duplicated),
            ("corrupted", link.corrupted),
            ("marked", link.marked),
            ("aqm_dropped", link.aqm),
            ("policed", link.policed),
            ("outage", link.outage),
            ("thinned", link.thinned),
            ("mean_wait_us", microseconds(counted.waits.mean())),
            ("longest_wait_us", microseconds(counted.waits.longest)),
            ("frames", wire.received),
            ("frames_delivered", wire.sent),
        ]
    };
    numbers.extend([
        ("refused", wire.refused),
        ("overrun", wire.overrun),
        ("no_memory", wire.no_memory),
    ]);
    numbers
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
