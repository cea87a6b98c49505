//! The draft's sampling, by example.

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

const MIN_RTT: Option<Duration> = Some(Duration::from_millis(10));

fn delivered(delivery: &mut Delivery, now: u64, octets: u64, sent: u64) -> RateSample {
    delivery
        .on_delivered(at(now), octets, Some(at(sent)), MIN_RTT, MIN_RTT)
        .unwrap()
}

#[test]
fn req_bbr_3_delivered_over_the_longer_of_the_two_intervals() {
    let mut delivery = Delivery::default();
    delivery.on_sent(at(0), 0, 10_000);
    delivery.on_sent(at(5), 10_000, 20_000);
    let first = delivered(&mut delivery, 10, 10_000, 0);
    assert_eq!(first.delivery_rate, Some(1_000_000));
    assert_eq!((first.delivered, first.prior_delivered), (10_000, 0));
    // Its acknowledgement comes too early: sending took 5 ms, so 15 ms after the first sending.
    let second = delivered(&mut delivery, 15, 10_000, 5);
    assert_eq!(second.delivered, 20_000);
    assert_eq!(second.delivery_rate, Some(1_333_333));
    assert_eq!(second.tx_in_flight, 20_000);
    assert_eq!(delivery.delivered(), 20_000);
    // Sent at 15, when 20,000 had been delivered; acknowledged at 35.
    delivery.on_sent(at(15), 5000, 15_000);
    let third = delivered(&mut delivery, 35, 10_000, 15);
    assert_eq!((third.delivered, third.prior_delivered), (10_000, 20_000));
    assert_eq!(third.delivery_rate, Some(500_000));
}

#[test]
fn req_bbr_3_compressed_acknowledgements_do_not_exceed_the_rate_of_sending() {
    let mut delivery = Delivery::default();
    for n in 0..10 {
        delivery.on_sent(at(n * 10), n * 1000, n * 1000 + 1000);
    }
    delivered(&mut delivery, 100, 1000, 0);
    // The other nine at once: it took 90 ms to send them, and 100 ms since the first.
    let sample = delivered(&mut delivery, 100, 9000, 90);
    assert_eq!(sample.delivered, 10_000);
    assert_eq!(sample.delivery_rate, Some(100_000));
}

#[test]
fn req_bbr_3_less_than_a_round_trip_is_no_measurement() {
    let mut delivery = Delivery::default();
    delivery.on_sent(at(0), 0, 10_000);
    let sample = delivered(&mut delivery, 9, 10_000, 0);
    assert_eq!(sample.delivery_rate, None);
    assert_eq!(delivery.rate(), None);
    assert_eq!(delivery.on_delivered(at(20), 0, None, None, None), None);
}

#[test]
fn req_bbr_4_what_is_sent_before_the_pause_has_left_the_network_is_marked() {
    let mut delivery = Delivery::default();
    delivery.on_sent(at(0), 0, 10_000);
    delivery.mark_app_limited(10_000);
    delivery.on_sent(at(1), 10_000, 20_000);
    assert!(!delivered(&mut delivery, 10, 10_000, 0).is_app_limited);
    assert!(delivery.is_app_limited(), "10,000, and not more");
    delivery.on_sent(at(10), 10_000, 20_000);
    assert!(delivered(&mut delivery, 11, 10_000, 1).is_app_limited);
    assert!(!delivery.is_app_limited());
    delivery.on_sent(at(11), 10_000, 20_000);
    assert!(delivered(&mut delivery, 20, 10_000, 10).is_app_limited);
    assert!(!delivered(&mut delivery, 21, 10_000, 11).is_app_limited);
    // Nothing delivered yet: still not nothing.
    let mut fresh = Delivery::default();
    fresh.mark_app_limited(0);
    assert!(fresh.is_app_limited());
}

#[test]
fn what_was_lost_since_is_counted_from_the_sending() {
    let mut delivery = Delivery::default();
    delivery.on_sent(at(0), 0, 10_000);
    delivery.on_sent(at(1), 10_000, 20_000);
    let lost = delivery.on_lost(3000, Some(at(0))).unwrap();
    assert_eq!((lost.lost, lost.tx_in_flight), (3000, 10_000));
    delivery.on_sent(at(2), 17_000, 18_000);
    let sample = delivered(&mut delivery, 12, 1000, 2);
    assert_eq!(sample.lost, 0);
    let lost = delivery.on_lost(1000, Some(at(1))).unwrap();
    assert_eq!(lost.lost, 4000);
    assert_eq!(delivery.on_lost(0, Some(at(1))), None);
}

#[test]
fn snapshots_are_bounded() {
    let mut delivery = Delivery::default();
    for n in 0..10_000 {
        delivery.on_sent(at(n), 1, 2);
    }
    assert_eq!(delivery.sent.len(), MAX_SENT);
    // One that is gone: the next stands in.
    assert!(delivery.on_lost(1, Some(at(3))).is_some());
    delivery.forget();
    assert_eq!(delivery.sent.capacity(), 0);
    assert_eq!(delivery.on_lost(1, Some(at(3))), None);
}
