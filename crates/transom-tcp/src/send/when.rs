//! When data may be sent, and how much: Nagle's algorithm, silly-window avoidance, cork
//! (RFC 9293 §3.7.4, §3.8.6.2.1), and the size of super-segments.
//!
//! A pure decision over plain numbers.

/// What the decision is made from. All lengths in octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// D: queued and never sent.
    pub(crate) unsent: u32,
    /// U: room in the peer's window.
    pub(crate) usable: u32,
    /// Room in the congestion window.
    pub(crate) cwnd_room: u32,
    /// Eff.snd.MSS of the segment to be sent.
    pub(crate) mss: u32,
    /// What the device can cut at once; below `mss` counts as `mss`.
    pub(crate) max_payload: u32,
    /// Largest window that the peer ever offered.
    pub(crate) max_wnd: u32,
    /// The smaller of congestion window and peer's window.
    pub(crate) window: u32,
    /// What a millisecond carries at the current rate: no super-segment is worth waiting longer.
    pub(crate) per_millisecond: u32,
    /// Sent and not acknowledged.
    pub(crate) in_flight: u32,
    /// A segment that was not full is still unacknowledged.
    pub(crate) small_unacked: bool,
    pub(crate) nodelay: bool,
    pub(crate) cork: bool,
    /// A FIN or urgent data waits: nothing is held.
    pub(crate) flush: bool,
    /// Data was held long enough.
    pub(crate) override_due: bool,
    /// Wait for a larger super-segment when acknowledgements are bound to come.
    pub(crate) may_defer: bool,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Send so many octets.
    Send(u32),
    /// Send nothing.
    Hold(Hold),
}

/// Why nothing is sent, and so what will end it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    /// There is no data.
    Empty,
    /// The peer's window is closed: an acknowledgement, or the persist timer.
    Window,
    /// The congestion window is full: an acknowledgement.
    Congestion,
    /// Nagle: the acknowledgement of the small segment before; or a super-segment that is to grow, with
    /// acknowledgements on the way.
    Small,
    /// The window has room for a sliver only: the override timer.
    SillyWindow,
    /// The application holds it: its call, or the cork timer.
    Cork,
}

/// Decides.
#[inline]
pub(crate) fn decide(offer: &Offer) -> Verdict {
    let Offer {
        unsent,
        usable,
        cwnd_room,
        mss,
        ..
    } = *offer;
    if unsent == 0 {
        return Verdict::Hold(Hold::Empty);
    }
    if usable == 0 {
        return Verdict::Hold(Hold::Window);
    }
    // A congestion window with room for less than a segment is full: slivers would follow.
    if cwnd_room < mss.min(unsent) {
        return Verdict::Hold(Hold::Congestion);
    }
    let allowed = unsent.min(usable).min(cwnd_room);
    if allowed >= mss {
        return full_segments(offer, allowed);
    }
    let may_go = offer.flush || offer.override_due;
    // RFC 9293 §3.8.6.2.1 SWS-1: all of the data fits, and nothing asks us to wait.
    if allowed == unsent {
        return match () {
            () if may_go => Verdict::Send(allowed),
            () if offer.cork => Verdict::Hold(Hold::Cork),
            // RFC 9293 §3.7.4 SHLD-7; only a small segment holds back another (§A.3, NAG-2).
            () if !offer.nodelay && offer.small_unacked => Verdict::Hold(Hold::Small),
            () => Verdict::Send(allowed),
        };
    }
    // RFC 9293 §3.8.6.2.1 MUST-38: no sliver, unless it is half of the largest window ever seen
    // (a peer with a tiny buffer) or the override timer has expired.
    if offer.override_due || allowed >= offer.max_wnd.div_ceil(2) {
        Verdict::Send(allowed)
    } else {
        Verdict::Hold(Hold::SillyWindow)
    }
}

/// At least one full segment may go: how many, and does the rest ride along?
fn full_segments(offer: &Offer, allowed: u32) -> Verdict {
    let Offer { unsent, mss, .. } = *offer;
    let limit = (offer.max_payload / mss).max(1).saturating_mul(mss);
    let tail_may_go = offer.flush
        || offer.override_due
        || (!offer.cork && (offer.nodelay || !offer.small_unacked));
    if unsent <= allowed.min(limit) && tail_may_go {
        return Verdict::Send(unsent);
    }
    let full = (allowed - allowed % mss).min(limit);
    // With super-segments, a burst of a few segments per acknowledgement would stay that small for
    // ever. Wait until a third of the window is free, as Linux's TSO deferral does: then two
    // thirds are in flight, and their acknowledgements are on the way.
    // On a slow path, where a third of the window is many milliseconds, two segments are enough.
    let worth_it = limit
        .min(offer.window / 3)
        .min(offer.per_millisecond.max(mss * 2));
    if offer.may_defer && full < worth_it && full < unsent && offer.in_flight >= mss * 2 {
        // What lacks data, or room at the peer, is not held back by congestion: a window that was
        // said to be would grow without being used.
        let is_congestion = offer.cwnd_room < worth_it;
        return Verdict::Hold(if is_congestion {
            Hold::Congestion
        } else {
            Hold::Small
        });
    }
    Verdict::Send(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plenty of everything, nothing in flight, no offload.
    const OPEN: Offer = Offer {
        unsent: 0,
        usable: 100_000,
        cwnd_room: 100_000,
        mss: 1000,
        max_payload: 1000,
        max_wnd: 100_000,
        window: 100_000,
        per_millisecond: 100_000,
        in_flight: 0,
        small_unacked: false,
        nodelay: false,
        cork: false,
        flush: false,
        override_due: false,
        may_defer: false,
    };

    #[test]
    fn req_nag_1_full_segments_go_and_a_small_one_waits_for_the_small_one_before() {
        let busy = Offer {
            small_unacked: true,
            in_flight: 1,
            ..OPEN
        };
        assert_eq!(
            decide(&Offer { unsent: 10, ..busy }),
            Verdict::Hold(Hold::Small)
        );
        assert_eq!(
            decide(&Offer {
                unsent: 1010,
                ..busy
            }),
            Verdict::Send(1000)
        );
        assert_eq!(decide(&Offer { unsent: 10, ..OPEN }), Verdict::Send(10));
    }

    #[test]
    fn req_must_17_nodelay_sends_small_segments_at_once() {
        let offer = Offer {
            unsent: 1,
            small_unacked: true,
            nodelay: true,
            ..OPEN
        };
        assert_eq!(decide(&offer), Verdict::Send(1));
    }

    #[test]
    fn req_nag_3_fin_and_urgent_are_not_held() {
        let offer = Offer {
            unsent: 1,
            small_unacked: true,
            cork: true,
            flush: true,
            ..OPEN
        };
        assert_eq!(decide(&offer), Verdict::Send(1));
    }

    #[test]
    fn req_sws_1_the_four_rules() {
        // One: a full segment. Two: everything, when nothing is in the way.
        assert_eq!(
            decide(&Offer {
                unsent: 1500,
                ..OPEN
            }),
            Verdict::Send(1000)
        );
        assert_eq!(
            decide(&Offer {
                unsent: 500,
                ..OPEN
            }),
            Verdict::Send(500)
        );
        let sliver = Offer {
            unsent: 5000,
            usable: 400,
            max_wnd: 1000,
            ..OPEN
        };
        assert_eq!(decide(&sliver), Verdict::Hold(Hold::SillyWindow));
        // Three: half of the largest window. Four: the override timer.
        assert_eq!(
            decide(&Offer {
                max_wnd: 800,
                ..sliver
            }),
            Verdict::Send(400)
        );
        assert_eq!(
            decide(&Offer {
                override_due: true,
                ..sliver
            }),
            Verdict::Send(400)
        );
    }

    #[test]
    fn a_closed_window_holds_everything() {
        let offer = Offer {
            unsent: 10,
            usable: 0,
            flush: true,
            ..OPEN
        };
        assert_eq!(decide(&offer), Verdict::Hold(Hold::Window));
    }

    #[test]
    fn req_shld_28_super_segments_are_whole_segments_and_the_tail_rides_along() {
        let gso = Offer {
            max_payload: 4500,
            ..OPEN
        };
        assert_eq!(
            decide(&Offer {
                unsent: 10_000,
                ..gso
            }),
            Verdict::Send(4000)
        );
        assert_eq!(
            decide(&Offer {
                unsent: 3300,
                ..gso
            }),
            Verdict::Send(3300)
        );
        assert_eq!(
            decide(&Offer {
                unsent: 3300,
                cork: true,
                ..gso
            }),
            Verdict::Send(3000)
        );
    }

    #[test]
    fn a_super_segment_waits_until_a_third_of_the_window_is_free() {
        let offer = Offer {
            unsent: 100_000,
            max_payload: 60_000,
            window: 30_000,
            cwnd_room: 2000,
            in_flight: 28_000,
            may_defer: true,
            ..OPEN
        };
        assert_eq!(decide(&offer), Verdict::Hold(Hold::Congestion));
        // RFC 5681 §3.1: the congestion window has room; there is not enough data yet.
        let lacking = Offer {
            unsent: 2500,
            cwnd_room: 100_000,
            small_unacked: true,
            ..offer
        };
        assert_eq!(decide(&lacking), Verdict::Hold(Hold::Small));
        let slow = Offer {
            per_millisecond: 1500,
            ..offer
        };
        assert_eq!(decide(&slow), Verdict::Send(2000));
        let free = Offer {
            cwnd_room: 10_000,
            in_flight: 20_000,
            ..offer
        };
        assert_eq!(decide(&free), Verdict::Send(10_000));
    }
}
