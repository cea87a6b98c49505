//! SYN cookies (RFC 4987 §3.6): a listener whose queue of handshakes is full remembers nothing, and puts what it has to
//! know later into the numbers that the peer sends back.
//!
//! ```text
//! sequence number = SYN's number + MAC(tuple) + slot << 24 + (MAC(tuple, SYN's number, slot) + index of the MSS) mod 2^24
//! timestamp       = clock, its last six bits replaced by    ECN 1 | SACK 1 | window scale 4 (15: none)
//! ```
//!
//! A slot of time is 64 s, and the number is good in its own slot and in the next. Of the 2^32 numbers eight are good for a
//! tuple at any time, so a forged acknowledgement succeeds once in 2^29; where timestamps are in use they must fit too.

use core::net::IpAddr;
use core::time::Duration;

use transom_tcp::{EcnOffer, Instant, Offer, Segment};
use transom_wire::Seq;

use crate::secret::{Key, Purpose};
use crate::tuple::Tuple;

/// Length of a slot of time, as in Linux.
const SLOT: Duration = Duration::from_secs(64);
/// How long a cookie can be good, and so how long after the last one it is worth looking for them.
pub(crate) const LIFETIME: Duration = Duration::from_secs(2 * 64);
/// Slots in which a cookie is good (SYNF-3).
const SLOTS: u32 = 2;
/// What is left for MAC and MSS beside the slot.
const LOW: u32 = (1 << 24) - 1;
/// What the timestamp says instead of the clock.
const CLOCK_BITS: u32 = 6;
const SACK: u32 = 1 << 4;
const ECN: u32 = 1 << 5;
const NO_SCALE: u32 = 0xf;

/// What can be remembered of a maximum segment size: the commonest ones.
// SYNF-4, as Linux.
const MSS_V4: [u16; 4] = [536, 1300, 1440, 1460];
const MSS_V6: [u16; 4] = [1220, 1420, 1440, 8940];

/// Makes cookies and knows its own.
#[derive(Debug)]
pub(crate) struct Cookies {
    // SYNF-10: 128 bits, derived from the stack's secret.
    whole: Key,
    slotted: Key,
}

impl Cookies {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self {
            whole: Key::derive(secret, Purpose::Cookie),
            slotted: Key::derive(secret, Purpose::CookieSlot),
        }
    }

    /// The initial sequence number that remembers a SYN; `None` when its maximum segment size is smaller than any
    /// that can be remembered, and a larger one would be more than the peer takes.
    // SYNF-3, ISN-3: not a number of RFC 6528; what makes it unpredictable is the MAC.
    pub(crate) fn sequence(
        &self,
        tuple: &Tuple,
        irs: Seq,
        offer: Offer,
        now: Instant,
    ) -> Option<Seq> {
        let index = match offer.mss {
            // RFC 9293 §3.7.1 MUST-15: the smallest is the default.
            None => 0,
            Some(mss) => table(tuple).iter().rposition(|known| *known <= mss)?,
        };
        let (base, slot) = (self.base(tuple, irs), slot(now));
        let low = self.low(tuple, irs, slot).wrapping_add(index as u32) & LOW;
        Some(Seq::new(base.wrapping_add(slot << 24).wrapping_add(low)))
    }

    /// What the timestamp of the SYN-ACK shows: close to the clock, and never ahead of it.
    // SYNF-5.
    pub(crate) fn clock(offer: Offer, now: Instant) -> u32 {
        let scale = offer
            .window_scale
            .map_or(NO_SCALE, |shift| u32::from(shift.min(NO_SCALE as u8 - 1)));
        let sack = if offer.sack { SACK } else { 0 };
        let ecn = if offer.ecn == EcnOffer::CLASSIC {
            ECN
        } else {
            0
        };
        let (ticks, low) = (ticks(now), (1 << CLOCK_BITS) - 1);
        let clock = (ticks & !low) | scale | sack | ecn;
        if clock & low > ticks & low {
            clock.wrapping_sub(1 << CLOCK_BITS)
        } else {
            clock
        }
    }

    /// What was offered in the SYN whose cookie `segment` acknowledges; `None` when that is no cookie of ours.
    ///
    /// `ts_offset`: what is added to the clock in timestamps of this tuple.
    pub(crate) fn check(
        &self,
        tuple: &Tuple,
        segment: &Segment,
        ts_offset: u32,
        now: Instant,
    ) -> Option<Offer> {
        let (irs, cookie) = (segment.seq - 1, segment.ack - 1);
        let rest = cookie.raw().wrapping_sub(self.base(tuple, irs));
        let current = slot(now);
        let age = current.wrapping_sub(rest >> 24) & 0xff;
        if age >= SLOTS || age > current {
            return None;
        }
        let index = (rest & LOW).wrapping_sub(self.low(tuple, irs, current - age)) & LOW;
        let mss = *table(tuple).get(index as usize)?;
        let offer = Offer::default().mss(mss);
        match segment.options.timestamps {
            None => Some(offer),
            Some(timestamps) => remembered(offer, timestamps.ecr.wrapping_sub(ts_offset), now),
        }
    }

    /// The part that does not depend on the time.
    fn base(&self, tuple: &Tuple, irs: Seq) -> u32 {
        let mac = tuple.with_bytes(|bytes| self.whole.mac(bytes)) as u32;
        mac.wrapping_add(irs.raw())
    }

    /// The MAC of a slot.
    fn low(&self, tuple: &Tuple, irs: Seq, slot: u32) -> u32 {
        let mac = tuple.with_bytes(|bytes| {
            let [i0, i1, i2, i3] = irs.raw().to_be_bytes();
            let [s0, s1, s2, s3] = slot.to_be_bytes();
            self.slotted
                .mac_of(bytes, &[i0, i1, i2, i3, s0, s1, s2, s3])
        });
        mac as u32 & LOW
    }
}

fn table(tuple: &Tuple) -> &'static [u16; 4] {
    match tuple.remote {
        IpAddr::V4(_) => &MSS_V4,
        IpAddr::V6(_) => &MSS_V6,
    }
}

/// The clock of timestamps: milliseconds.
fn ticks(now: Instant) -> u32 {
    now.since_origin().as_millis() as u32
}

fn slot(now: Instant) -> u32 {
    (now.since_origin().as_secs() / SLOT.as_secs()) as u32
}

/// What the bit for ECN stands for. Accurate feedback needs none (RFC 9768 §5.1): the acknowledgement shows it.
const fn classic(bit: bool) -> EcnOffer {
    if bit {
        EcnOffer::CLASSIC
    } else {
        EcnOffer::NONE
    }
}

/// What a timestamp that comes back says of the SYN.
fn remembered(offer: Offer, clock: u32, now: Instant) -> Option<Offer> {
    // It was made while the cookie was good. This is worth another fifteen bits.
    let age = ticks(now).wrapping_sub(clock);
    let longest = LIFETIME.as_millis() as u32 + (1 << CLOCK_BITS);
    if age > longest {
        return None;
    }
    let scale = clock & NO_SCALE;
    let scale = (scale != NO_SCALE).then_some(scale as u8);
    Some(
        offer
            .timestamps()
            .window_scale(scale)
            .sack(clock & SACK != 0)
            .ecn(classic(clock & ECN != 0)),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use transom_wire::Ecn;
    use transom_wire::tcp::{Flags, Options, Timestamps};

    use super::*;

    const OFFSET: u32 = 0x8765_4321;

    fn tuple(remote: &str) -> Tuple {
        let local = if remote.starts_with('[') {
            "[2001:db8::1]:80"
        } else {
            "10.0.0.1:80"
        };
        Tuple::new(local.parse().unwrap(), remote.parse().unwrap())
    }

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    /// The peer's answer to the SYN-ACK with a cookie.
    fn answer(irs: Seq, cookie: Seq, ecr: Option<u32>, now: Instant) -> Segment {
        Segment {
            seq: irs + 1,
            ack: cookie + 1,
            flags: Flags::ACK,
            window: 1000,
            urgent: 0,
            options: Options {
                timestamps: ecr.map(|ecr| Timestamps { val: 5, ecr }),
                ..Options::EMPTY
            },
            payload: Bytes::new(),
            ecn: Ecn::NotEct,
            received: now,
            gso_size: 0,
        }
    }

    #[test]
    fn req_synf_4_the_mss_is_rounded_down_to_one_of_the_table() {
        let cookies = Cookies::new(&[5; 32]);
        let v4 = [
            (None, 536),
            (Some(536), 536),
            (Some(1299), 536),
            (Some(1300), 1300),
            (Some(1459), 1440),
            (Some(1460), 1460),
            (Some(65_535), 1460),
        ];
        let v6 = [
            (None, 1220),
            (Some(1240), 1220),
            (Some(1439), 1420),
            (Some(8939), 1440),
            (Some(9000), 8940),
        ];
        let rows = v4
            .iter()
            .map(|row| ("10.0.0.2:9", row))
            .chain(v6.iter().map(|row| ("[2001:db8::2]:9", row)));
        for (remote, (mss, expected)) in rows {
            let (tuple, now) = (tuple(remote), at(1_000_000));
            for irs in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX].map(Seq::new) {
                let mut offer = Offer::default();
                offer.mss = *mss;
                let cookie = cookies.sequence(&tuple, irs, offer, now).unwrap();
                let answer = answer(irs, cookie, None, now);
                let remembered = cookies.check(&tuple, &answer, OFFSET, now).unwrap();
                assert_eq!(remembered, Offer::default().mss(*expected));
            }
        }
        let tiny = Offer::default().mss(535);
        let none = cookies.sequence(&tuple("10.0.0.2:9"), Seq::new(0), tiny, at(0));
        assert_eq!(none, None, "nothing in the table is small enough");
    }

    #[test]
    fn req_synf_5_options_live_in_the_timestamp() {
        let cookies = Cookies::new(&[5; 32]);
        let tuple = tuple("10.0.0.2:9");
        let irs = Seq::new(77);
        for (scale, sack, ecn) in [
            (None, false, false),
            (Some(0), true, false),
            (Some(7), false, true),
            (Some(14), true, true),
        ] {
            for ms in (1_000_000..1_000_130).chain([0, 1, 63, 64]) {
                let now = at(ms);
                let offer = Offer::default()
                    .mss(1460)
                    .timestamps()
                    .window_scale(scale)
                    .sack(sack)
                    .ecn(classic(ecn));
                let cookie = cookies.sequence(&tuple, irs, offer, now).unwrap();
                let clock = Cookies::clock(offer, now);
                let behind = ticks(now).wrapping_sub(clock);
                assert!(behind < 128, "{behind} ms behind the clock, never ahead");
                let later = at(ms + 40);
                let echo = clock.wrapping_add(OFFSET);
                let answer = answer(irs, cookie, Some(echo), later);
                assert_eq!(cookies.check(&tuple, &answer, OFFSET, later), Some(offer));
                // Without timestamps in the answer there is nothing to know about options.
                let plain = self::answer(irs, cookie, None, later);
                let plain = cookies.check(&tuple, &plain, OFFSET, later);
                assert_eq!(plain, Some(Offer::default().mss(1460)));
            }
        }
    }

    #[test]
    fn req_synf_3_and_synf_10_and_sec_cookie_1_a_cookie_is_good_for_its_tuple_and_two_slots() {
        let cookies = Cookies::new(&[5; 32]);
        let tuple_a = tuple("10.0.0.2:9");
        let irs = Seq::new(4_000_000_000);
        for made in [0, 63_999, 64_000, 10_000_000_000] {
            let offer = Offer::default().mss(1460);
            let cookie = cookies.sequence(&tuple_a, irs, offer, at(made)).unwrap();
            let good = |cookies: &Cookies, tuple: &Tuple, irs, ack, ms| {
                let answer = answer(irs, ack, None, at(ms));
                cookies.check(tuple, &answer, OFFSET, at(ms)).is_some()
            };
            let end = (made / 64_000 + 2) * 64_000;
            assert!(good(&cookies, &tuple_a, irs, cookie, made));
            assert!(good(&cookies, &tuple_a, irs, cookie, end - 1));
            assert!(!good(&cookies, &tuple_a, irs, cookie, end), "too late");
            // 256 slots later the eight bits of the slot are the same again, and its MAC is not.
            assert!(!good(&cookies, &tuple_a, irs, cookie, made + 256 * 64_000));
            for other in ["10.0.0.3:9", "10.0.0.2:10"] {
                assert!(!good(&cookies, &tuple(other), irs, cookie, made));
            }
            assert!(!good(&cookies, &tuple_a, irs + 1, cookie, made));
            let rebooted = Cookies::new(&[6; 32]);
            assert!(!good(&rebooted, &tuple_a, irs, cookie, made));
        }
    }

    #[test]
    fn req_sec_cookie_1_guesses_and_old_echoes_fail() {
        let cookies = Cookies::new(&[5; 32]);
        let (tuple, irs, now) = (tuple("10.0.0.2:9"), Seq::new(1), at(1_000_000));
        let offer = Offer::default().mss(536).timestamps();
        let cookie = cookies.sequence(&tuple, irs, offer, now).unwrap();
        // Of the numbers near a good one only the four indices of the table are good.
        let near = (0..1 << 16).filter(|step| {
            let answer = answer(irs, cookie + *step, None, now);
            cookies.check(&tuple, &answer, OFFSET, now).is_some()
        });
        assert_eq!(near.count(), 4);
        let spread = (0..1_u32 << 20).filter(|step| {
            let guess = Seq::new(step.wrapping_mul(0x9e37_79b1));
            let answer = answer(irs, guess, None, now);
            cookies.check(&tuple, &answer, OFFSET, now).is_some()
        });
        // 2^20 guesses of which one in 2^29 is good.
        assert_eq!(spread.count(), 0);
        // A good number with an echo of some other time is a forgery.
        let clock = Cookies::clock(offer, now);
        for wrong in [200_000_u32, 1 << 31, (-200_i32) as u32] {
            let echo = clock.wrapping_add(OFFSET).wrapping_sub(wrong);
            let answer = answer(irs, cookie, Some(echo), now);
            assert_eq!(cookies.check(&tuple, &answer, OFFSET, now), None);
        }
    }

    #[test]
    fn req_isn_3_cookies_of_neighbouring_tuples_are_unrelated() {
        let cookies = Cookies::new(&[5; 32]);
        let of = |port: u16| {
            let tuple = tuple(&format!("10.0.0.2:{port}"));
            let offer = Offer::default().mss(1460);
            cookies
                .sequence(&tuple, Seq::new(0), offer, at(0))
                .unwrap()
                .raw()
        };
        let mut ones = 0;
        for port in 1..4096 {
            ones += (of(port) ^ of(port + 1)).count_ones();
        }
        let mean = f64::from(ones) / 4095.0;
        assert!((15.5..16.5).contains(&mean), "mean {mean}");
    }
}
