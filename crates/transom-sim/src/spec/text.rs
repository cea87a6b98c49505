//! How an impairment is written.

use std::fmt;
use std::time::Duration;

use super::{RATE_UNITS, SIZE_UNITS, TIME_UNITS};
use crate::{Aqm, Impairment, Loss, Marking, Outage, Policer, Probability, Queue};

impl fmt::Display for Impairment {
    /// The settings that differ from a perfect link, `none` when there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        let mut word = |name: &str, value: String| words.push(format!("{name}={value}"));
        if self.loss != Loss::None {
            word("loss", self.loss.to_string());
        }
        if !self.delay.is_zero() {
            word("delay", time_text(self.delay));
        }
        if !self.jitter.is_zero() {
            word("jitter", time_text(self.jitter));
        }
        if let Some(text) = reorder_text(self) {
            word("reorder", text);
        }
        if self.duplicate != Probability::NEVER {
            word("duplicate", self.duplicate.to_string());
        }
        if self.corrupt != Probability::NEVER {
            word("corrupt", self.corrupt.to_string());
        }
        if let Some(rate) = self.rate {
            word("rate", unit_text(rate, &RATE_UNITS));
        }
        if let Some(queue) = self.queue {
            word("queue", queue_text(queue));
        }
        if let Some(mtu) = self.mtu {
            word("mtu", mtu.to_string());
        }
        for (name, value) in queue_words(self) {
            word(name, value);
        }
        if self.seed != 0 {
            word("seed", self.seed.to_string());
        }
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(","))
    }
}

/// How packets are held back; a run needs a time before it.
fn reorder_text(impairment: &Impairment) -> Option<String> {
    let share = impairment.reorder;
    let run = impairment.reorder_run;
    if run > 1 {
        let by = time_text(impairment.held_back());
        return Some(format!("{share}:{by}:{run}"));
    }
    match impairment.reorder_by {
        Some(by) => Some(format!("{share}:{}", time_text(by))),
        None => (share != Probability::NEVER).then(|| share.to_string()),
    }
}

fn queue_text(queue: Queue) -> String {
    match queue {
        Queue::Bytes(bytes) => unit_text(bytes, &SIZE_UNITS),
        Queue::Packets(packets) => format!("{packets}p"),
        Queue::Time(time) => time_text(time),
        Queue::Bdp(hundredths) => match (hundredths / 100, hundredths % 100) {
            (whole, 0) => format!("{whole}bdp"),
            (whole, part) => format!("{whole}.{part:02}bdp"),
        },
    }
}

/// What the queue and the entrance do.
fn queue_words(impairment: &Impairment) -> Vec<(&'static str, String)> {
    let mut words = Vec::new();
    match impairment.aqm {
        Aqm::DropTail => {}
        Aqm::CODEL => words.push(("aqm", "codel".to_owned())),
        Aqm::Codel { target, interval } => {
            let (target, interval) = (time_text(target), time_text(interval));
            words.push(("aqm", format!("codel:{target}:{interval}")));
        }
    }
    match impairment.ecn {
        Marking::None => {}
        Marking::Instead => words.push(("ecn", "on".to_owned())),
        Marking::Above(threshold) => words.push(("ecn", queue_text(threshold))),
    }
    if let Some(Policer { rate, burst }) = impairment.police {
        let (rate, burst) = (unit_text(rate, &RATE_UNITS), unit_text(burst, &SIZE_UNITS));
        words.push(("police", format!("{rate}:{burst}")));
    }
    if let Some(slot) = impairment.slot {
        words.push(("slot", time_text(slot)));
    }
    if impairment.thin {
        words.push(("thin", "on".to_owned()));
    }
    if let Some(Outage { at, length, every }) = impairment.outage {
        let every = every.map_or_else(String::new, |every| format!(":{}", time_text(every)));
        let (at, length) = (time_text(at), time_text(length));
        words.push(("outage", format!("{at}:{length}{every}")));
    }
    words
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("0%"),
            Self::Random(probability) => probability.fmt(f),
            Self::GilbertElliott {
                to_bad,
                to_good,
                good,
                bad,
            } => {
                write!(f, "gilbert:{to_bad}:{to_good}")?;
                if (*good, *bad) == (Probability::NEVER, Probability::ALWAYS) {
                    return Ok(());
                }
                write!(f, ":{good}:{bad}")
            }
            Self::EveryNth(n) => write!(f, "nth:{n}"),
            Self::List(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
                write!(f, "list:{}", numbers.join("+"))
            }
        }
    }
}

impl fmt::Display for Probability {
    /// Per cent, with as many decimals as it has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.parts() / 1_000_000, self.parts() % 1_000_000);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        let digits = format!("{fraction:06}");
        write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
    }
}

fn time_text(duration: Duration) -> String {
    unit_text(
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX),
        &TIME_UNITS,
    )
}

/// The value in the largest unit in which it is whole.
fn unit_text(value: u64, units: &[(&str, u64)]) -> String {
    let fitting = units
        .iter()
        .find(|(_, scale)| value != 0 && value.is_multiple_of(*scale));
    let (name, scale) = fitting.or_else(|| units.last()).copied().unwrap_or(("", 1));
    format!("{}{name}", value / scale)
}
