//! The short way for what most segments of long connections are: the next data of a conversation that is
//! open and has nothing under repair, or an acknowledgement of more of it.
//!
//! Invariants
//! - What a segment changes here equals what [`Connection::segment`] would change on its way; the tests
//!   follow everything both ways and compare.

use crate::connection::Connection;
use crate::dissect::Dissected;
use crate::follow::Seen;
use crate::hint::is_http;
use crate::meaning::{self, Owed};
use crate::milestones::Content;
use crate::model::{End, EndState, Ends};
use crate::step::{Fate, Meaning, Step, What};
use transom_tcp::State;
use transom_wire::tcp::Flags;

const BOTH_OPEN: Ends<EndState> = {
    let open = EndState::inferred(Some(State::Established));
    Ends {
        client: open,
        server: open,
    }
};

impl Connection {
    /// Whether segments may go the short way from now on. None of those that do ends this.
    pub(crate) fn is_steady(&self) -> bool {
        let m = &self.milestones;
        let is_plain = |end: End| {
            self.truth[end].is_none()
                && self.looks[end].is_none()
                && self.owed[end] == Owed::Nothing
                && self.facts[end].is_open_for_good()
                && self.lanes[end].is_plain()
                && m.resets[end].is_none()
                && m.fins[end].is_none()
                && m.windows[end].since.is_none()
        };
        let has_small_window = m.rare.as_deref().is_some_and(|rare| {
            End::BOTH
                .into_iter()
                .any(|end| rare.small_windows[end].since.is_some())
        });
        // Without flags a segment shows a counter of marks too, where that is in use.
        let has_counter = m.ecn.accurate;
        m.handshake.is_some()
            && !has_counter
            && self.in_flight.is_empty()
            && !has_small_window
            && self.log.is_open()
            && self
                .steps
                .newest()
                .is_some_and(|newest| matches!(newest.what, What::Segment(_)))
            && End::BOTH.into_iter().all(is_plain)
    }

    /// Takes a segment the short way, if it may go there. If not, nothing has changed.
    pub(crate) fn take_steady(&mut self, from: End, segment: &Dissected<'_>, seen: Seen) -> bool {
        let is_fit = if segment.len > 0 {
            self.is_next_data(from, segment, seen)
        } else {
            self.is_plain_ack(from, segment, seen)
        };
        if !is_fit {
            return false;
        }
        let has_data = segment.len > 0;
        let meaning = if has_data {
            Meaning::Data
        } else {
            Meaning::Ack
        };
        self.log.plain(from, segment);
        self.lanes[from].identity.remember(segment, seen.frame);
        self.milestones.heard[from] += 1;
        self.note_talk(from, segment, seen, meaning);
        if has_data {
            self.learn_next(from, segment, seen);
        }
        self.learn_receiver(from, segment, seen, meaning);
        self.measure(from, segment, seen, meaning);
        self.resolve_doubts(from, segment);
        if has_data {
            self.read_first(from, segment);
            let range = meaning::range(segment);
            self.lanes[from].arrived.insert(range);
        }
        self.count(from, segment, seen, meaning);
        if let Some(ack) = segment.ack {
            self.lanes[from.other()].acknowledged(ack);
        }
        let what = What::Segment(self.described(from, segment, seen, meaning));
        self.push(Step {
            index: self.steps.next_index(),
            time: seen.time,
            what,
            states: BOTH_OPEN,
        });
        self.last_frame = self.last_frame.max(seen.time);
        true
    }

    /// Whether flags, numbers and window are those of a segment in order.
    fn is_in_order(&self, from: End, segment: &Dissected<'_>, seen: Seen) -> bool {
        let (own, peer) = (&self.lanes[from], &self.lanes[from.other()]);
        let is_acceptable = segment
            .ack
            .zip(own.last_ack)
            .is_some_and(|(ack, last)| last.le(ack) && ack.le(peer.passed.contiguous()));
        is_acceptable
            && segment.flags | Flags::PSH == Flags::ACK | Flags::PSH
            && segment.seq == own.passed.highest()
            && segment.options.sack.is_empty()
            && seen.fate == Fate::Unknown
            && self.window_of(from, segment) >= self.small_window(from)
    }

    fn is_next_data(&self, from: End, segment: &Dissected<'_>, seen: Seen) -> bool {
        self.is_in_order(from, segment, seen)
            && segment.len <= i32::MAX.unsigned_abs()
            && self.milestones.first_data[from].is_some()
            && !is_http(segment.data)
            && Content::of(segment.data).is_none()
    }

    fn is_plain_ack(&self, from: End, segment: &Dissected<'_>, seen: Seen) -> bool {
        let (own, peer) = (&self.lanes[from], &self.lanes[from.other()]);
        let ends_handshake = segment.ack == peer.base.map(|base| base + 1);
        self.is_in_order(from, segment, seen)
            && segment.ack != own.last_ack
            && !ends_handshake
            && own.is_surely_original(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::Limits;
    use core::time::Duration;
    use std::net::SocketAddr;
    use transom_wire::tcp::{Options, SackBlocks, Timestamps};
    use transom_wire::{Seq, SeqRange};

    /// Small numbers by chance (SplitMix64), the same for the same seed.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) % n
        }

        fn one_in(&mut self, n: u64) -> bool {
            self.below(n) == 0
        }

        fn small(&mut self, n: u32) -> u32 {
            u32::try_from(self.below(u64::from(n))).unwrap()
        }
    }

    /// What an end has sent and acknowledged.
    #[derive(Clone, Copy, Default)]
    struct Sender {
        next: Seq,
        ack: Seq,
    }

    /// A conversation in which most is in order, and each segment may be unlike that.
    struct Talk {
        chance: Chance,
        senders: Ends<Sender>,
        now: u64,
        ip_id: u16,
    }

    const DATA: [&[u8]; 5] = [
        &[b'x'; 1448],
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        &[21, 3, 3, 0, 2, 2, 40],
        b"x",
        b"GET / HTTP/1.1\r\n\r\n",
    ];

    impl Talk {
        fn segment(&mut self, from: End, flags: Flags) -> Dissected<'static> {
            let own = self.senders[from];
            let [client, server]: [SocketAddr; 2] =
                ["10.0.0.1:40000", "10.0.0.2:80"].map(|addr| addr.parse().unwrap());
            let (src, dst) = match from {
                End::Client => (client, server),
                End::Server => (server, client),
            };
            let mut options = Options::EMPTY;
            if flags.contains(Flags::SYN) {
                options.mss = Some(1460);
                options.window_scale = Some(7);
                options.sack_permitted = true;
            }
            let clock = u32::try_from(self.now / 1_000_000).unwrap();
            options.timestamps = Some(Timestamps {
                val: clock,
                ecr: clock,
            });
            self.ip_id = self.ip_id.wrapping_add(1);
            Dissected {
                src,
                dst,
                seq: own.next,
                ack: flags.contains(Flags::ACK).then_some(own.ack),
                flags,
                window: 500,
                options,
                has_clock_at_most: !flags.contains(Flags::SYN),
                len: 0,
                captured: 0,
                data: &[],
                ip_len: 52,
                hop_limit: 64,
                ip_id: self.ip_id,
            }
        }

        /// The n-th segment.
        fn next(&mut self, n: u64) -> (Seen, Dissected<'static>) {
            self.now += match self.chance.below(200) {
                0 => 6_000_000_000,
                1..10 => 45_000_000,
                quick => quick * 1000,
            };
            let (from, flags) = match n {
                0 => (End::Client, Flags::SYN),
                1 => (End::Server, Flags::SYN | Flags::ACK),
                2 => (End::Client, Flags::ACK),
                _ if self.chance.one_in(3) => (End::Client, Flags::ACK),
                _ => (End::Server, Flags::ACK),
            };
            let mut segment = self.segment(from, flags);
            let may_send = n > 2 && (from == End::Server || self.chance.one_in(8));
            if may_send {
                let kind = usize::try_from(self.chance.below(100)).unwrap();
                segment.data = DATA.get(kind).copied().unwrap_or(&[b'x'; 1448]);
                segment.len = u32::try_from(segment.data.len()).unwrap();
                segment.captured = segment.len;
            }
            let fate = if n > 2 {
                self.spoil(from, &mut segment)
            } else {
                Fate::Unknown
            };
            segment.ip_len += segment.len;
            let control = u32::from(segment.flags.contains(Flags::SYN))
                + u32::from(segment.flags.contains(Flags::FIN));
            let end = segment.seq + segment.len + control;
            let own = &mut self.senders[from];
            own.next = own.next.max(end);
            // Mostly the other end acknowledges all of it at once.
            if n < 3 || !self.chance.one_in(4) {
                self.senders[from.other()].ack = end;
            }
            let seen = Seen {
                time: Duration::from_nanos(self.now),
                frame: n + 1,
                gso_size: 0,
                fate,
            };
            (seen, segment)
        }

        /// Makes something of the segment unusual, now and then.
        fn spoil(&mut self, from: End, segment: &mut Dissected<'static>) -> Fate {
            let window = self.chance.small(12);
            let back = self.chance.small(3000);
            match self.chance.below(600) {
                0 => segment.flags |= Flags::FIN,
                1 => segment.flags = Flags::RST | Flags::ACK,
                2..8 => segment.flags |= Flags::PSH,
                8 => segment.flags |= Flags::ECE,
                9 | 10 => segment.seq -= back,
                11 | 12 => segment.seq += back,
                13..16 => segment.window = u16::try_from(window).unwrap(),
                16 => segment.ack = segment.ack.map(|ack| ack + back),
                17 => segment.ack = segment.ack.map(|ack| ack - back),
                18 => segment.ip_id = 0,
                19 => segment.hop_limit = 63,
                20 => self.ip_id = self.ip_id.wrapping_sub(1),
                21 => return Fate::Lost,
                22 => return Fate::Arrives(Duration::from_nanos(self.now + 30_000_000)),
                23..26 => {
                    let start = self.senders[from].ack + back;
                    let end = start + 1448;
                    let mut sack = SackBlocks::EMPTY;
                    assert!(sack.push(SeqRange { start, end }));
                    segment.options.sack = sack;
                    segment.has_clock_at_most = false;
                }
                _ => {}
            }
            Fate::Unknown
        }
    }

    #[test]
    fn the_short_way_changes_what_the_long_way_changes() {
        let limits = Limits {
            first_steps: 8,
            last_steps: 8,
            series: 50,
            ..Limits::default()
        };
        let (mut steady, mut all) = (0, 0);
        for seed in 0..300 {
            let mut talk = Talk {
                chance: Chance(seed),
                senders: Ends::default(),
                now: 0,
                ip_id: 1,
            };
            let [client, server] =
                ["10.0.0.1:40000", "10.0.0.2:80"].map(|addr| addr.parse().unwrap());
            let new = || Connection::new(1, client, server, Duration::ZERO, &limits);
            let (mut short, mut long) = (new(), new());
            for n in 0..200 {
                let (seen, segment) = talk.next(n);
                let was_steady = short.is_steady;
                short.segment(seen, &segment);
                let from = long.end_of(segment.src);
                long.follow(from, &segment, seen);
                steady += u32::from(was_steady && short.is_steady);
                all += 1;
            }
            short.finish(Duration::from_nanos(talk.now));
            long.finish(Duration::from_nanos(talk.now));
            short.is_steady = false;
            assert_eq!(format!("{short:?}"), format!("{long:?}"), "seed {seed}");
        }
        assert!(steady * 3 > all, "{steady} of {all}");
    }
}
