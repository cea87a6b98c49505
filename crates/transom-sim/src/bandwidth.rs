//! Recorded bandwidth: when a link could send, as somebody measured it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Octets that one opportunity carries.
const OPPORTUNITY: u64 = 1500;

/// A recording of the moments at which a link could send 1500 octets.
///
/// The text form is that of mahimahi's traces: one whole number a line, the milliseconds since the
/// start at which one packet of 1500 octets could leave; the numbers never go back, and a
/// number that stands n times means n packets. Empty lines and what follows `#` are passed over. After the
/// last line the recording starts again, so the last number is also its length.
///
/// An opportunity that nothing waits for is gone. A small packet leaves the rest of its opportunity to
/// the next; a packet of more than 1500 octets takes several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    millis: Vec<u64>,
}

/// What is wrong with the text of a recording, and in which line (from 1; 0: as a whole).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BandwidthError {
    line: usize,
    problem: &'static str,
}

impl BandwidthError {
    /// The line, from 1; 0 when it is the whole.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for BandwidthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(self.problem),
            line => write!(f, "line {line}: {}", self.problem),
        }
    }
}

impl std::error::Error for BandwidthError {}

impl Bandwidth {
    /// Reads a recording.
    ///
    /// # Errors
    /// A line that is no whole number, a number below the one before, or a recording of no length.
    pub fn parse(text: &str) -> Result<Self, BandwidthError> {
        let mut millis: Vec<u64> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |problem| BandwidthError {
                line: index + 1,
                problem,
            };
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let number = line
                .parse()
                .map_err(|_| wrong("not a whole number of milliseconds"))?;
            if millis.last().is_some_and(|last| *last > number) {
                return Err(wrong("a time before that of the line above"));
            }
            millis.push(number);
        }
        Self::new(millis)
    }

    /// A recording of these moments, in milliseconds, in order.
    ///
    /// # Errors
    /// When they go back, or the last is 0 or missing.
    pub fn new(millis: Vec<u64>) -> Result<Self, BandwidthError> {
        let whole = |problem| BandwidthError { line: 0, problem };
        if !millis.is_sorted() {
            return Err(whole("the times go back"));
        }
        if millis.last().is_none_or(|last| *last == 0) {
            return Err(whole("the recording has no length"));
        }
        Ok(Self { millis })
    }

    /// How long it is before it starts again.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_millis(self.millis.last().copied().unwrap_or(1))
    }

    /// Bits per second over its length.
    #[must_use]
    pub fn mean_rate(&self) -> u64 {
        let bits = self.millis.len() as u128 * u128::from(OPPORTUNITY) * 8 * 1000;
        u64::try_from(bits / self.length().as_millis().max(1)).unwrap_or(u64::MAX)
    }

    /// The time of the n-th opportunity since the start.
    fn time(&self, number: u64) -> Duration {
        let per_round = self.millis.len() as u64;
        let (round, index) = (number / per_round, number % per_round);
        let within = self.millis.get(index as usize).copied().unwrap_or(0);
        let length = self.length().as_millis() as u64;
        Duration::from_millis(round.saturating_mul(length).saturating_add(within))
    }

    /// The first opportunity at or after a time.
    fn first_from(&self, time: Duration) -> u64 {
        let length = self.length();
        let millis = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let length = u64::try_from(length.as_millis()).unwrap_or(1).max(1);
        // The end of a round is the start of the next: look in the round that ends here first.
        let round = millis.saturating_sub(1) / length;
        let within = millis - round * length;
        let index = self.millis.partition_point(|at| *at < within) as u64;
        round
            .saturating_mul(self.millis.len() as u64)
            .saturating_add(index)
    }
}

/// A place in a recording.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    bandwidth: Arc<Bandwidth>,
    state: Place,
}

/// The opportunity in use and what is left of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    number: u64,
    left: u64,
}

impl Cursor {
    pub(crate) fn new(bandwidth: Arc<Bandwidth>) -> Self {
        Self {
            bandwidth,
            state: Place::default(),
        }
    }

    /// When a packet that is first in the queue from `from` on has left, and the place after it.
    pub(crate) fn finish(&self, from: Duration, size: u64) -> (Duration, Place) {
        let mut place = self.state;
        if place.left == 0 || self.bandwidth.time(place.number) < from {
            place = Place {
                // What is used up is not found again.
                number: self.bandwidth.first_from(from).max(place.number),
                left: OPPORTUNITY,
            };
        }
        if size > place.left {
            let more = (size - place.left).div_ceil(OPPORTUNITY);
            place.left = place.left + more * OPPORTUNITY - size;
            place.number = place.number.saturating_add(more);
        } else {
            place.left -= size;
        }
        let end = self.bandwidth.time(place.number);
        if place.left == 0 {
            place.number = place.number.saturating_add(1);
        }
        (end, place)
    }

    pub(crate) fn mean_rate(&self) -> u64 {
        self.bandwidth.mean_rate()
    }

    pub(crate) fn take(&mut self, place: Place) {
        self.state = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(text: &str, packets: &[(u64, u64)]) -> Vec<u64> {
        let mut cursor = Cursor::new(Arc::new(Bandwidth::parse(text).unwrap()));
        let mut free = Duration::ZERO;
        packets
            .iter()
            .map(|&(at, size)| {
                let (end, place) = cursor.finish(free.max(Duration::from_millis(at)), size);
                cursor.take(place);
                free = end;
                end.as_millis() as u64
            })
            .collect()
    }

    #[test]
    fn each_line_carries_one_packet_and_the_recording_repeats() {
        let packets = [(0, 1500); 7];
        assert_eq!(leaves("2\n2\n5\n", &packets), [2, 2, 5, 7, 7, 10, 12]);
    }

    #[test]
    fn what_nothing_waits_for_is_gone() {
        assert_eq!(leaves("1\n3\n9\n", &[(4, 1500), (20, 1500)]), [9, 21]);
    }

    #[test]
    fn small_packets_share_and_large_ones_take_several() {
        assert_eq!(
            leaves("1\n2\n3\n4\n", &[(0, 500), (0, 1000), (0, 3000), (0, 100)]),
            [1, 1, 3, 4]
        );
    }

    #[test]
    fn an_error_has_its_line() {
        let error = |text: &str| Bandwidth::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("1\nx\n"),
            "line 2: not a whole number of milliseconds"
        );
        assert_eq!(
            error("# made\n5\n\n4\n"),
            "line 4: a time before that of the line above"
        );
        assert_eq!(error("0\n"), "the recording has no length");
        assert_eq!(error(""), "the recording has no length");
    }

    #[test]
    fn mean_rate_is_lines_over_length() {
        assert_eq!(Bandwidth::parse("1\n").unwrap().mean_rate(), 12_000_000);
        assert_eq!(Bandwidth::parse("5\n10\n").unwrap().mean_rate(), 2_400_000);
    }
}
