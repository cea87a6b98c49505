//! The text form of an [`Impairment`]: `"loss=1%,delay=20ms"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::{Impairment, Loss, Probability, Queue};

/// The settings, in the order in which they are printed.
const NAMES: [&str; 10] = [
    "loss",
    "delay",
    "jitter",
    "reorder",
    "duplicate",
    "corrupt",
    "rate",
    "queue",
    "mtu",
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
        "reorder" => match value.split_once(':') {
            Some((share, held_back)) => {
                impairment.reorder = probability(share)?;
                impairment.reorder_by = Some(duration(held_back)?);
            }
            None => impairment.reorder = probability(value)?,
        },
        "duplicate" => impairment.duplicate = probability(value)?,
        "corrupt" => impairment.corrupt = probability(value)?,
        "rate" => impairment.rate = Some(rate(value)?),
        "queue" => impairment.queue = Some(queue(value)?),
        "mtu" => impairment.mtu = Some(mtu(value)?),
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
    let expected = "is not a size (64k, 1m) or a number of packets (100p)";
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
        match self.reorder_by {
            Some(by) => word("reorder", format!("{}:{}", self.reorder, time_text(by))),
            None if self.reorder != Probability::NEVER => word("reorder", self.reorder.to_string()),
            None => {}
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
        match self.queue {
            Some(Queue::Bytes(bytes)) => word("queue", unit_text(bytes, &SIZE_UNITS)),
            Some(Queue::Packets(packets)) => word("queue", format!("{packets}p")),
            None => {}
        }
        if let Some(mtu) = self.mtu {
            word("mtu", mtu.to_string());
        }
        if self.seed != 0 {
            word("seed", self.seed.to_string());
        }
        f.write_str(if words.is_empty() { "none" } else { "" })?;
        f.write_str(&words.join(","))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Impairment {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        text.parse::<Impairment>().expect_err(text).to_string()
    }

    #[test]
    fn every_setting_is_understood() {
        let text = "loss=1%,delay=20ms,jitter=5ms,reorder=2%,duplicate=1%,corrupt=0.1%,\
                    rate=10mbit,queue=64k,mtu=1400,seed=7";
        let impairment = parse(text);
        assert_eq!(impairment.loss, Loss::Random(Probability::percent(1)));
        assert_eq!(impairment.delay, Duration::from_millis(20));
        assert_eq!(impairment.jitter, Duration::from_millis(5));
        assert_eq!(impairment.reorder, Probability::percent(2));
        assert_eq!(impairment.reorder_by, None);
        assert_eq!(impairment.corrupt, Probability::from_parts(100_000));
        assert_eq!(impairment.rate, Some(10_000_000));
        assert_eq!(impairment.queue, Some(Queue::Bytes(65_536)));
        assert_eq!(impairment.mtu, Some(1400));
        assert_eq!(impairment.seed, 7);
        assert_eq!(impairment.to_string(), text);
    }

    #[test]
    fn other_spellings_mean_the_same() {
        assert_eq!(parse("loss=0.01"), parse("loss=1%"));
        assert_eq!(
            parse(" delay = 1.5ms , seed = 1 "),
            parse("delay=1500us,seed=1")
        );
        assert_eq!(
            parse("loss=gilbert:1%:25%"),
            parse("loss=gilbert:1%:25%:0%:100%")
        );
        assert_eq!(parse("none"), Impairment::new());
        assert_eq!(Impairment::new().to_string(), "none");
        assert_eq!(parse("queue=100p").queue, Some(Queue::Packets(100)));
        assert_eq!(parse("rate=1.5gbit").rate, Some(1_500_000_000));
        assert_eq!(parse("loss=list:3+7").loss, Loss::List(vec![3, 7]));
    }

    #[test]
    fn errors_name_the_word_and_its_place() {
        assert_eq!(
            error("loss=1%,dely=20ms"),
            "at character 9: \"dely\" is not a setting; did you mean delay? There are: loss, \
             delay, jitter, reorder, duplicate, corrupt, rate, queue, mtu, seed"
        );
        assert_eq!(
            error("delay=20"),
            "at character 7: \"20\" is not a time with its unit (ns, us, ms, s), as 20ms"
        );
        assert_eq!(
            error("loss=101%"),
            "at character 6: \"101%\" is more than 100%"
        );
        assert_eq!(
            error("loss"),
            "at character 1: \"loss\" lacks a value: loss=…"
        );
        assert_eq!(
            error("loss=1%,loss=2%"),
            "at character 9: \"loss\" is set twice"
        );
        assert_eq!(
            error("rate=0bit"),
            "at character 6: \"0bit\" lets nothing through; for that say loss=100%"
        );
        assert!(error("loss=list:3+x").starts_with("at character 13: \"x\""));
        assert!(error("").starts_with("at character 1: \"\" is empty"));
        assert!(error("ü=1,delay=20").starts_with("at character 1: \"ü\""));
        assert!(error("seed=ü,x=1").starts_with("at character 6: \"ü\""));
        assert!(error("seed=+1").contains("whole number"));
        for text in [
            "delay=1e3ms",
            "loss=-1%",
            "loss=%",
            "mtu=0",
            "loss=nth:0",
            "delay=.s",
            "a,b",
        ] {
            assert!(text.parse::<Impairment>().is_err(), "{text}");
        }
    }
}
