//! The text form of an [`Impairment`]: `"loss=1%,delay=20ms"`.

mod text;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Aqm, Impairment, Loss, Marking, Outage, Policer, Probability, Queue};

/// The settings, in the order in which they are printed.
const NAMES: [&str; 16] = [
    "loss",
    "delay",
    "jitter",
    "reorder",
    "duplicate",
    "corrupt",
    "rate",
    "queue",
    "mtu",
    "aqm",
    "ecn",
    "police",
    "slot",
    "thin",
    "outage",
    "seed",
];

/// Nanoseconds per unit, largest first.
const TIME_UNITS: [(&str, u64); 4] = [
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Bits per second per unit, largest first.
const RATE_UNITS: [(&str, u64); 4] = [
    ("gbit", 1_000_000_000),
    ("mbit", 1_000_000),
    ("kbit", 1_000),
    ("bit", 1),
];
/// Bytes per unit, largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10), ("", 1)];

/// Most packet numbers in `loss=list:…`; each packet is looked up in it.
const MAX_LIST: usize = 10_000;

/// What is wrong with the text of an impairment, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    position: usize,
    word: String,
    problem: String,
}

impl SpecError {
    /// Where the wrong word begins, in characters from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The wrong word, as it was typed.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at character {}: {:?} {}",
            self.position + 1,
            self.word,
            self.problem
        )
    }
}

impl std::error::Error for SpecError {}

/// A piece of the text that knows where it stands.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Word<'a> {
    fn wrong(self, problem: impl Into<String>) -> SpecError {
        SpecError {
            position: self.position,
            word: self.text.to_owned(),
            problem: problem.into(),
        }
    }

    /// The pieces between `separator`, each with its place.
    fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut position = self.position;
        self.text.split(separator).map(move |text| {
            let word = Self { text, position };
            position += text.chars().count() + 1;
            word
        })
    }

    /// The pieces before and after the first `separator`.
    fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(separator)?;
        let position = self.position + before.chars().count() + 1;
        Some((
            Self {
                text: before,
                ..self
            },
            Self {
                text: after,
                position,
            },
        ))
    }

    /// The same without blanks around it.
    fn trim(self) -> Self {
        let start = self.text.trim_start();
        let skipped = self.text.chars().count() - start.chars().count();
        Self {
            text: start.trim_end(),
            position: self.position + skipped,
        }
    }
}

impl FromStr for Impairment {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let whole = Word { text, position: 0 }.trim();
        let mut impairment = Self::new();
        if whole.text == "none" {
            return Ok(impairment);
        }
        let mut seen: Vec<&str> = Vec::new();
        for setting in whole.split(',') {
            let setting = setting.trim();
            if setting.text.is_empty() {
                return Err(setting.wrong("is empty: a setting such as loss=1% is expected here"));
            }
            let Some((name, value)) = setting.split_once('=') else {
                return Err(setting.wrong(match suggestion(setting.text) {
                    Some(name) if name == setting.text => format!("lacks a value: {name}=…"),
                    _ => unknown(setting.text),
                }));
            };
            let (name, value) = (name.trim(), value.trim());
            if seen.contains(&name.text) {
                return Err(name.wrong("is set twice"));
            }
            seen.push(name.text);
            apply(&mut impairment, name, value)?;
        }
        Ok(impairment)
    }
}

fn apply(impairment: &mut Impairment, name: Word<'_>, value: Word<'_>) -> Result<(), SpecError> {
    match name.text {
        "loss" => impairment.loss = loss(value)?,
        "delay" => impairment.delay = duration(value)?,
        "jitter" => impairment.jitter = duration(value)?,
        "reorder" => reorder(impairment, value)?,
        "duplicate" => impairment.duplicate = probability(value)?,
        "corrupt" => impairment.corrupt = probability(value)?,
        "rate" => impairment.rate = Some(rate(value)?),
        "queue" => impairment.queue = Some(queue(value)?),
        "mtu" => impairment.mtu = Some(mtu(value)?),
        "aqm" => impairment.aqm = aqm(value)?,
        "ecn" => impairment.ecn = marking(value)?,
        "police" => impairment.police = Some(policer(value)?),
        "slot" => match duration(value)? {
            Duration::ZERO => return Err(value.wrong("is no time between slots")),
            slot => impairment.slot = Some(slot),
        },
        "thin" => match value.text {
            "on" => impairment.thin = true,
            "off" => impairment.thin = false,
            _ => return Err(value.wrong("is neither on nor off")),
        },
        "outage" => impairment.outage = Some(outage(value)?),
        "seed" => impairment.seed = whole_number(value, "a seed is a whole number, as 7")?,
        _ => return Err(name.wrong(unknown(name.text))),
    }
    Ok(())
}

fn unknown(name: &str) -> String {
    let known = NAMES.join(", ");
    match suggestion(name) {
        Some(near) => format!("is not a setting; did you mean {near}? There are: {known}"),
        None => format!("is not a setting; there are: {known}"),
    }
}

/// The known name that is at most two letters off.
fn suggestion(name: &str) -> Option<&'static str> {
    let near = NAMES
        .iter()
        .map(|known| (distance(name, known), *known))
        .min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Letters to insert, delete or replace to get from one word to the other; long words are far.
fn distance(one: &str, two: &str) -> usize {
    if one.len() > 16 {
        return usize::MAX;
    }
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in two.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[two.len()]
}

fn loss(value: Word<'_>) -> Result<Loss, SpecError> {
    let Some((kind, rest)) = value.split_once(':') else {
        return probability(value).map(Loss::Random);
    };
    match kind.text {
        "nth" => match whole_number(rest, "is not a count of packets, as 10")? {
            0 => Err(rest.wrong("cannot be 0: packets are counted from 1")),
            n => Ok(Loss::EveryNth(n)),
        },
        "list" => {
            let numbers: Result<Vec<u64>, _> = rest
                .split('+')
                .map(
                    |word| match whole_number(word, "is not a packet number, as 3")? {
                        0 => Err(word.wrong("cannot be 0: packets are counted from 1")),
                        n => Ok(n),
                    },
                )
                .collect();
            let numbers = numbers?;
            if numbers.len() > MAX_LIST {
                return Err(value.wrong(format!("names more than {MAX_LIST} packets")));
            }
            Ok(Loss::List(numbers))
        }
        "gilbert" => {
            let words: Vec<Word<'_>> = rest.split(':').collect();
            let (to_bad, to_good, good, bad) = match *words {
                [to_bad, to_good] => (to_bad, to_good, None, None),
                [to_bad, to_good, good, bad] => (to_bad, to_good, Some(good), Some(bad)),
                _ => return Err(rest.wrong("is not TO-BAD:TO-GOOD[:LOSS-IN-GOOD:LOSS-IN-BAD]")),
            };
            Ok(Loss::GilbertElliott {
                to_bad: probability(to_bad)?,
                to_good: probability(to_good)?,
                good: good.map_or(Ok(Probability::NEVER), probability)?,
                bad: bad.map_or(Ok(Probability::ALWAYS), probability)?,
            })
        }
        _ => Err(kind.wrong("is not a kind of loss; there are: 1%, nth:N, list:N+N, gilbert:P:P")),
    }
}

fn reorder(impairment: &mut Impairment, value: Word<'_>) -> Result<(), SpecError> {
    let words: Vec<Word<'_>> = value.split(':').collect();
    let (share, held_back, run) = match *words {
        [share] => (share, None, None),
        [share, held_back] => (share, Some(held_back), None),
        [share, held_back, run] => (share, Some(held_back), Some(run)),
        _ => return Err(value.wrong("is not SHARE[:TIME[:PACKETS]], as 2%:30ms:8")),
    };
    impairment.reorder = probability(share)?;
    impairment.reorder_by = held_back.map(duration).transpose()?;
    if let Some(run) = run {
        let expected = "is not a number of packets, as 8";
        let packets = whole_number(run, expected)?;
        let packets = u32::try_from(packets).map_err(|_| run.wrong(expected))?;
        impairment.reorder_run = if packets > 1 { packets } else { 0 };
    }
    Ok(())
}

fn aqm(value: Word<'_>) -> Result<Aqm, SpecError> {
    let words: Vec<Word<'_>> = value.split(':').collect();
    match *words {
        [codel] if codel.text == "codel" => Ok(Aqm::CODEL),
        [codel, target, interval] if codel.text == "codel" => Ok(Aqm::Codel {
            target: duration(target)?,
            interval: duration(interval)?,
        }),
        _ => Err(value.wrong("is not codel or codel:TARGET:INTERVAL, as codel:5ms:100ms")),
    }
}

fn marking(value: Word<'_>) -> Result<Marking, SpecError> {
    match value.text {
        "off" => Ok(Marking::None),
        "on" => Ok(Marking::Instead),
        _ => match queue(value) {
            Ok(threshold) => Ok(Marking::Above(threshold)),
            Err(_) => Err(value.wrong("is not on, off or a threshold (30k, 20p)")),
        },
    }
}

fn policer(value: Word<'_>) -> Result<Policer, SpecError> {
    let Some((bits, burst)) = value.split_once(':') else {
        return Err(value.wrong("is not RATE:BURST, as 5mbit:64k"));
    };
    let burst_bytes =
        with_unit(burst.text, &SIZE_UNITS).ok_or_else(|| burst.wrong("is not a size, as 64k"))?;
    Ok(Policer {
        rate: rate(bits)?,
        burst: burst_bytes,
    })
}

fn outage(value: Word<'_>) -> Result<Outage, SpecError> {
    let words: Vec<Word<'_>> = value.split(':').collect();
    let (at, length, every) = match *words {
        [at, length] => (at, length, None),
        [at, length, every] => (at, length, Some(every)),
        _ => return Err(value.wrong("is not AT:LENGTH[:EVERY], as 5s:300ms")),
    };
    let every = match every {
        None => None,
        Some(word) => match duration(word)? {
            Duration::ZERO => return Err(word.wrong("is no time between outages")),
            every => Some(every),
        },
    };
    Ok(Outage {
        at: duration(at)?,
        length: duration(length)?,
        every,
    })
}

fn probability(value: Word<'_>) -> Result<Probability, SpecError> {
    let expected = "is not a probability, as 1% or 0.01";
    let (number, whole) = match value.text.strip_suffix('%') {
        Some(number) => (number, 1_000_000),
        None => (value.text, 100_000_000),
    };
    let parts = decimal(number, whole).ok_or_else(|| value.wrong(expected))?;
    match u32::try_from(parts) {
        Ok(parts) if parts <= Probability::ALWAYS.parts() => Ok(Probability::from_parts(parts)),
        _ => Err(value.wrong("is more than 100%")),
    }
}

fn duration(value: Word<'_>) -> Result<Duration, SpecError> {
    let nanos = with_unit(value.text, &TIME_UNITS)
        .ok_or_else(|| value.wrong("is not a time with its unit (ns, us, ms, s), as 20ms"))?;
    Ok(Duration::from_nanos(nanos))
}

fn rate(value: Word<'_>) -> Result<u64, SpecError> {
    match with_unit(value.text, &RATE_UNITS) {
        Some(0) => Err(value.wrong("lets nothing through; for that say loss=100%")),
        Some(bits) => Ok(bits),
        None => Err(value.wrong("is not a rate with its unit (bit, kbit, mbit, gbit), as 10mbit")),
    }
}

fn queue(value: Word<'_>) -> Result<Queue, SpecError> {
    let expected = "is not a size (64k, 1m), a number of packets (100p), a wait (50ms) or 1bdp";
    if let Some(number) = value.text.strip_suffix("bdp") {
        let hundredths = decimal(number, 100).and_then(|parts| u32::try_from(parts).ok());
        return hundredths
            .map(Queue::Bdp)
            .ok_or_else(|| value.wrong(expected));
    }
    if let Some(nanos) = with_unit(value.text, &TIME_UNITS) {
        return Ok(Queue::Time(Duration::from_nanos(nanos)));
    }
    if let Some(packets) = value.text.strip_suffix('p') {
        let packets = Word {
            text: packets,
            ..value
        };
        return whole_number(packets, expected).map(Queue::Packets);
    }
    with_unit(value.text, &SIZE_UNITS)
        .map(Queue::Bytes)
        .ok_or_else(|| value.wrong(expected))
}

fn mtu(value: Word<'_>) -> Result<usize, SpecError> {
    let bytes = whole_number(value, "is not a number of bytes, as 1400")?;
    match usize::try_from(bytes) {
        Ok(mtu) if mtu > 0 => Ok(mtu),
        _ => Err(value.wrong("is not a size that a packet can have")),
    }
}

fn whole_number(value: Word<'_>, expected: &str) -> Result<u64, SpecError> {
    // `u64::from_str` takes a sign, which nobody means here.
    let digits = value.text.bytes().all(|byte| byte.is_ascii_digit());
    match value.text.parse() {
        Ok(number) if digits => Ok(number),
        _ => Err(value.wrong(expected)),
    }
}

/// A decimal number and a unit of `units`; `None` unless it is a whole number of the smallest.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    decimal(number, *scale)
}

/// A decimal number times `scale`; `None` unless that is a whole number within `u64`.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    // 18 digits fit; more are finer than any unit.
    if fraction.len() > 18 {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let mut value = u128::from(whole) * u128::from(scale);
    if !fraction.is_empty() {
        let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let product = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale);
        if product % divisor != 0 {
            return None;
        }
        value += product / divisor;
    }
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests;
