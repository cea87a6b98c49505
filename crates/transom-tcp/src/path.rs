//! What the network reports about the path: ICMP errors and a smaller MTU (RFC 9293 §3.9.2.2,
//! RFC 5927, RFC 1191, RFC 8201).

use core::num::NonZeroU32;

use transom_wire::Seq;

use crate::config::{Config, MtuProbing, Path};
use crate::discard::Discard;
use crate::env::Env;
use crate::event::{CloseReason, Event, PathError};
use crate::synsent::SynSent;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;

/// RFC 8200 §5.
const MIN_MTU_V6: usize = 1280;
/// RFC 791 says 68; Linux believes nothing below 552, because a forged report of 68 would multiply
/// our packets by twenty.
const MIN_MTU_V4: usize = 552;

/// RFC 4821 §7.2: what a search for the MTU begins with.
const BASE_MTU_V4: usize = 1024;
/// Timeouts of the same data that make a black hole of a path.
const BLACK_HOLE_TIMEOUTS: u8 = 3;

impl SynSent {
    /// An ICMP error that quotes our SYN.
    pub(crate) fn on_path_error(
        &self,
        env: &mut Env,
        error: PathError,
        quoted: Seq,
    ) -> Result<(), Discard> {
        if quoted != self.iss {
            return Err(Discard::PathErrorNotInFlight);
        }
        // RFC 5927 §5.2, ICMPA-3: hard errors end an attempt to connect; soft ones are given as the
        // reason should it fail (MUST-56).
        if error.is_hard() {
            env.end(CloseReason::Unreachable(error), None);
        } else {
            report(env, error);
        }
        Ok(())
    }
}

impl Tcb {
    /// An ICMP error that quotes one of our segments.
    pub(crate) fn on_path_error(
        &self,
        env: &mut Env,
        error: PathError,
        quoted: Seq,
    ) -> Result<(), Discard> {
        self.is_in_flight(quoted)?;
        // ICMPA-2: in a synchronized state even a hard error is only reported.
        if error.is_hard() && self.phase == Phase::SynReceived {
            env.end(CloseReason::Unreachable(error), None);
        } else {
            report(env, error);
        }
        Ok(())
    }

    /// RFC 5927 §4.1, ICMPA-1: the quoted octet must be in flight.
    fn is_in_flight(&self, quoted: Seq) -> Result<(), Discard> {
        if quoted.ge(self.snd.una) && quoted.lt(self.snd.max_ack()) {
            Ok(())
        } else {
            Err(Discard::PathErrorNotInFlight)
        }
    }

    /// A router cannot forward one of our segments without cutting it.
    pub(crate) fn on_packet_too_big(
        &mut self,
        env: &mut Env,
        now: Instant,
        mtu: usize,
        quoted: Seq,
    ) -> Result<(), Discard> {
        self.is_in_flight(quoted)?;
        if self.narrow_search(env, mtu) {
            return Ok(());
        }
        is_news(env, mtu)?;
        // RFC 5927 §7.2, ICMPA-4: when segments as large as the current ones have got through, the
        // report waits until one is lost. A forged one then changes nothing.
        let proven = self
            .snd
            .una
            .gt(self.snd.mss_since + u32::from(self.mss(env)));
        if proven {
            self.doubted_mtu = u32::try_from(mtu).ok().and_then(NonZeroU32::new);
        } else {
            self.set_path_mtu(env, now, mtu);
        }
        Ok(())
    }

    /// Data was lost: a report that was doubted explains it.
    pub(crate) fn believe_doubted_mtu(&mut self, env: &mut Env, now: Instant) {
        if let Some(mtu) = self.doubted_mtu.take() {
            self.set_path_mtu(env, now, mtu.get() as usize);
        }
    }

    /// The same data was lost again: perhaps because it is too large for the path.
    // RFC 4821 §7.7 PMTU-10. The stack remembers what the connection believes, and forgets it in ten minutes.
    pub(crate) fn suspect_black_hole(&mut self, env: &mut Env, now: Instant) {
        let base = search_low(&env.path);
        let small = base.saturating_sub(env.path.ip_header_len + 40);
        let is_full = self.snd.in_flight() as usize > small;
        if env.config.mtu_probing != MtuProbing::Off
            && self.snd.retries == BLACK_HOLE_TIMEOUTS
            && env.path.mtu > base
            && is_full
        {
            let too_large = env.path.mtu;
            self.follow_path_mtu(env, now, base);
            self.search_mtu(env, now, too_large);
        }
    }

    /// The path's MTU as known elsewhere, be that lower or higher.
    pub(crate) fn set_path_mtu(&mut self, env: &mut Env, now: Instant, mtu: usize) {
        if mtu == env.path.mtu {
            return;
        }
        if self.mtu_search.is_some() {
            // A search finds out itself that the path carries more.
            self.search_mtu(env, now, mtu);
            if mtu >= env.path.mtu {
                return;
            }
        }
        self.follow_path_mtu(env, now, mtu);
    }

    /// Segments are of another size from now on.
    pub(crate) fn follow_path_mtu(&mut self, env: &mut Env, now: Instant, mtu: usize) {
        let before = self.mss(env);
        env.path.mtu = mtu;
        let mss = self.mss(env);
        if mss == before {
            return;
        }
        self.snd.mss_since = self.snd.nxt;
        self.congestion.on_mss_change(u64::from(mss));
        if mss < before {
            // PMTU-4, PMTU-13: what was too large goes out again at once in smaller pieces, with the
            // same numbers. This is no sign of congestion.
            self.recovery.on_mtu_decrease(u32::from(mss));
            env.touch(now);
        }
    }
}

/// RFC 4821 §7.2: what any path is expected to carry, in octets of IP packet.
pub(crate) const fn search_low(path: &Path) -> usize {
    if path.ip_header_len >= 40 {
        MIN_MTU_V6
    } else {
        BASE_MTU_V4
    }
}

/// The path that a connection begins with.
pub(crate) fn at_first(config: &Config, path: Path) -> Path {
    match config.mtu_probing {
        MtuProbing::Off | MtuProbing::BlackHole => path,
        MtuProbing::Always => Path {
            mtu: path.mtu.min(search_low(&path)),
            ..path
        },
    }
}

/// A smaller MTU, and a possible one (ICMPA-5, PMTU-2).
pub(crate) fn is_news(env: &Env, mtu: usize) -> Result<(), Discard> {
    let least = if env.path.ip_header_len >= 40 {
        MIN_MTU_V6
    } else {
        MIN_MTU_V4
    };
    if mtu >= least && mtu < env.path.mtu {
        Ok(())
    } else {
        Err(Discard::PathMtuNotLower)
    }
}

/// RFC 9293 §3.9.1.8 MUST-47, SHLD-25.
fn report(env: &mut Env, error: PathError) {
    env.soft_error = Some(error);
    if env.config.report_soft_errors {
        env.events.push(Event::SoftError(error));
    }
}
