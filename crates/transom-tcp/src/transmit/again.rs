//! What is sent again: what recovery takes for lost, and what it sends on suspicion.

use transom_wire::SeqRange;
use transom_wire::tcp::Flags;

use super::{Plan, pieces};
use crate::env::Env;
use crate::recovery::{Retransmit, SendLimits};
use crate::segment::TransmitKind;
use crate::send::Fin;
use crate::tcb::Tcb;
use crate::time::Instant;

impl Tcb {
    /// What recovery wants sent again.
    pub(super) fn retransmission(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
    ) -> Option<Plan> {
        // RFC 5682 §2.1 step 2b FRTO-2: new data instead, if there is any.
        if !self.recovery.has_lost() || self.recovery.prefers_new_data() {
            return None;
        }
        let mss = self.segment_size(env, now, false);
        let limits = self.limits(mss, self.most_at_once(env, max_payload));
        let wanted = self.recovery.next_retransmit(&limits)?;
        Some(self.retransmit(env, now, wanted, mss))
    }

    /// RFC 6675 §4 rules 3 and 4, when no new data may go.
    pub(super) fn speculative(
        &mut self,
        env: &mut Env,
        now: Instant,
        max_payload: usize,
    ) -> Option<Plan> {
        if !self.recovery.is_in_recovery() {
            return None;
        }
        let mss = self.segment_size(env, now, false);
        let limits = self.limits(mss, max_payload);
        let wanted = self.recovery.next_speculative(&limits)?;
        Some(self.retransmit(env, now, wanted, mss))
    }

    fn retransmit(
        &mut self,
        env: &mut Env,
        now: Instant,
        Retransmit { range, cause }: Retransmit,
        mss: u16,
    ) -> Plan {
        let kind = TransmitKind::Retransmit(env.cause_of(cause, range.start));
        self.send_again(env, now, range, kind, mss)
    }

    fn limits(&self, mss: u16, max_payload: usize) -> SendLimits {
        let mss = u32::from(mss);
        let segments = (max_payload / mss.max(1) as usize).max(1);
        SendLimits {
            mss,
            limit: segments.saturating_mul(mss as usize),
            cwnd: self.congestion.cwnd(),
            snd_wnd_end: self.snd.window_end(),
        }
    }

    pub(super) fn send_again(
        &mut self,
        env: &mut Env,
        now: Instant,
        range: SeqRange,
        kind: TransmitKind,
        mss: u16,
    ) -> Plan {
        let len = self.snd.queue.held_from(range.start).min(range.len());
        let with_fin = self.snd.fin == Fin::Sent && range.end.gt(self.snd.queue.end());
        let mut flags = Flags::ACK;
        if with_fin {
            flags |= Flags::FIN;
        }
        // What the SYN carried was a write of its own.
        let ends_write = env.ends_syn_data(range);
        if len > 0 && (ends_write || range.end.ge(self.snd.queue.push_end())) {
            flags |= Flags::PSH;
        }
        env.counters.bytes_retransmitted = env
            .counters
            .bytes_retransmitted
            .saturating_add(u64::from(len));
        let pieces = pieces(len, mss);
        env.counters.retransmissions = env.counters.retransmissions.wrapping_add(pieces);
        self.note_sent(range, true, now);
        self.pace(now, u64::from(len), mss, false);
        self.resent_timer(env, now, range);
        Plan {
            flags,
            len,
            ..Plan::bare(range.start, kind, mss)
        }
    }
}
