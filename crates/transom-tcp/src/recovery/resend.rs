//! What to send again, and when there is room for it (RFC 6675 §4 `NextSeg`).

use transom_wire::SeqRange;

use super::{Episode, Recovery, Retransmit, RetransmitCause, SendLimits};

impl Recovery {
    /// What to send again now, before any new data (RFC 6675 `NextSeg` rule 1).
    ///
    /// `None` when nothing is lost or the window has no room. The conductor confirms with
    /// [`Self::on_sent`].
    pub fn next_retransmit(&mut self, limits: &SendLimits) -> Option<Retransmit> {
        let limit = self.room(limits, self.forced)?;
        let range = self.board.next_due(limit)?;
        let range = self.within_window(range, limits)?;
        Some(Retransmit {
            range,
            cause: self.cause(),
        })
    }

    /// What to send again when no new data can be sent (RFC 6675 `NextSeg` rules 3 and 4).
    pub fn next_speculative(&mut self, limits: &SendLimits) -> Option<Retransmit> {
        // RFC 8985 §9.2: RFC 6675 is not run besides RACK-TLP.
        if !self.sack || self.rack.is_some() || !self.is_in_recovery() {
            return None;
        }
        self.room(limits, false)?;
        // RFC 6675 §4 rule 3: an un-SACKed octet between HighRxt and the highest SACKed one.
        let high = self.board.highest_sacked()?;
        let from = self.high_rxt.max(self.board.una());
        if let Some(range) = self.board.next_unsacked(from, limits.mss)
            && range.start.lt(high)
        {
            let range = self.within_window(range, limits)?;
            return Some(Retransmit {
                range,
                cause: RetransmitCause::Sack,
            });
        }
        // RFC 6675 §4 rule 4: once per episode, the segment with the highest un-SACKed octet.
        if self.rescued {
            return None;
        }
        let range = self
            .board
            .last_unsacked(limits.mss)
            .filter(|range| range.start.ge(high))?;
        let range = self.within_window(range, limits)?;
        Some(Retransmit {
            range,
            cause: RetransmitCause::Rescue,
        })
    }

    const fn cause(&self) -> RetransmitCause {
        match self.episode {
            Episode::None => RetransmitCause::Mtu,
            Episode::Loss => RetransmitCause::Timeout,
            Episode::Recovery if self.sack => RetransmitCause::Sack,
            Episode::Recovery => RetransmitCause::FastRetransmit,
        }
    }

    /// Octets that may be sent again now; at least one segment when `forced`.
    fn room(&self, limits: &SendLimits, forced: bool) -> Option<u32> {
        let mss = u64::from(limits.mss.max(1));
        // RFC 6675 §5 (C) S6675-5: while cwnd − pipe ≥ 1 SMSS.
        let segments = limits.cwnd.saturating_sub(self.pipe()) / mss;
        // RFC 6675 §5 (4.3), RFC 6582 §3.2 step 2: the first retransmission is not held back.
        let segments = if forced { segments.max(1) } else { segments };
        if segments == 0 {
            return None;
        }
        // Whole segments only, unless the limit is below one.
        let limit = (limits.limit as u64).min(1 << 30);
        let whole = (limit / mss).max(1).min(segments) * mss;
        u32::try_from(whole.min(limit.max(1))).ok()
    }

    /// The part of `range` that the peer's window admits; the first segment always whole.
    fn within_window(&self, range: SeqRange, limits: &SendLimits) -> Option<SeqRange> {
        if range.start.ge(limits.snd_wnd_end) {
            return None;
        }
        let mut end = range.end.min(limits.snd_wnd_end);
        if range.start == self.board.una() {
            // A window that was rounded or shrunk must not cut the oldest segment to a crumb
            // (RFC 7323 §2.4, RFC 9293 §3.8.6 SHLD-16).
            end = end.max(range.end.min(range.start + limits.mss));
        }
        Some(SeqRange {
            start: range.start,
            end,
        })
    }
}
