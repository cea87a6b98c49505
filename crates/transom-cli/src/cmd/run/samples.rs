//! What a leg B was like while it lived: looks at its TCP_INFO while bytes pass.

use std::time::{Duration, Instant};

use crate::kernel::tcp_info::TcpInfo;

/// Between two looks at first.
const EVERY: Duration = Duration::from_millis(100);
/// Looks kept of a connection.
const MOST: usize = 64;

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// When, on the stack's clock.
    pub(crate) time: Duration,
    /// What it showed.
    pub(crate) info: TcpInfo,
}

/// The looks at a connection.
///
/// Nobody is woken for one: a connection is looked at when it has just carried bytes, so that an idle
/// one costs nothing. When there are too many, every other one goes, and the next are taken half as often:
/// they are evenly spread over a connection however long it lasts.
#[derive(Debug)]
pub(crate) struct Samples {
    kept: Vec<Sample>,
    every: Duration,
    next: Instant,
    /// Segments sent again that were spoken of.
    told: u32,
}

impl Samples {
    /// None yet, of a connection that opened just now.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            kept: Vec::new(),
            every: EVERY,
            next: now + EVERY,
            told: 0,
        }
    }

    /// Whether it is time for a look.
    pub(crate) fn are_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Takes a look. Returns how many segments were sent again so far, when that is worth saying: at
    /// first, and then when they are twice as many as last time.
    pub(crate) fn take(&mut self, now: Instant, sample: Sample) -> Option<u32> {
        self.next = now + self.every;
        if self.kept.len() == MOST {
            let mut at = 0;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.every *= 2;
            self.next = now + self.every;
        }
        self.kept.push(sample);
        let again = sample.info.retransmitted_segs;
        let is_news = again > 0 && again >= self.told.saturating_mul(2);
        is_news.then(|| {
            self.told = again;
            again
        })
    }

    /// All that were kept, in order.
    pub(crate) fn into_kept(self) -> Vec<Sample> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: u64, retransmitted_segs: u32) -> Sample {
        let info = TcpInfo {
            retransmitted_segs,
            ..TcpInfo::default()
        };
        let time = Duration::from_millis(millis);
        Sample { time, info }
    }

    #[test]
    fn an_hour_is_covered_evenly_by_few_looks() {
        let begun = Instant::now();
        let mut samples = Samples::new(begun);
        let mut looks = 0;
        for millis in 0..3_600_000 {
            let now = begun + Duration::from_millis(millis);
            if samples.are_due(now) {
                samples.take(now, sample(millis, 0));
                looks += 1;
            }
        }
        let kept = samples.into_kept();
        assert!(looks < 500, "{looks}");
        assert!(kept.len() > MOST / 2 && kept.len() <= MOST);
        assert_eq!(kept[0], sample(100, 0));
        let gap = |pair: &[Sample]| pair[1].time.saturating_sub(pair[0].time);
        let gaps: Vec<_> = kept.windows(2).map(gap).collect();
        let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
        assert!(*most <= *least * 3, "{gaps:?}");
        assert!(kept.last().unwrap().time > Duration::from_secs(3400));
    }

    #[test]
    fn segments_sent_again_are_spoken_of_when_they_have_doubled() {
        let now = Instant::now();
        let mut samples = Samples::new(now);
        let told: Vec<_> = [0, 1, 1, 2, 3, 4, 7, 9]
            .map(|again| samples.take(now, sample(0, again)))
            .into();
        let expected = [None, Some(1), None, Some(2), None, Some(4), None, Some(9)];
        assert_eq!(told, expected);
    }
}
