//! Finding out what the path carries with data of our own (RFC 4821; requirements C.16).

use transom_tcp::{Config, MtuProbing, State};

use crate::harness::dialogue::{E, Setup};
use crate::harness::pair::{Pair, Passage};
use crate::harness::{ms, secs};

/// Where every segment of a connection that searches from the start arrives.
fn searching() -> E {
    Setup::default()
        .config(|c| c.mtu_probing(MtuProbing::Always).initial_window_segs(20))
        .peer("mss 1460,sackOK,wscale 7")
        .established()
}

#[test]
fn req_pmtu_8_a_larger_segment_goes_first_where_enough_follows_and_the_window_is_large() {
    let mut e = searching();
    assert_eq!(e.conn.path_mtu(), 1024);
    // Not enough behind it for its loss to be noticed.
    e.write(1460 + 3 * 984);
    e.gt(". 1:985 ack 1");
    e.skip();
    let sent = e.snxt();
    e.lt(&format!(". 1:1 ack {sent}")).unwrap();
    e.write(20_000);
    let end = sent + 1460;
    e.gt(&format!(". {sent}:{end} ack 1"));
    // One at a time.
    e.gt(&format!(". {end}:{} ack 1", end + 984));
    e.skip();
    assert_eq!(e.conn.path_mtu(), 1024);
    e.lt(&format!(". 1:1 ack {end}")).unwrap();
    assert_eq!(e.conn.path_mtu(), 1500);
    let next = e.snxt();
    e.write(20_000);
    e.skip();
    e.lt(&format!(". 1:1 ack {next}")).unwrap();
    assert_eq!(e.conn.info().eff_snd_mss, 1460);
}

#[test]
fn req_pmtu_8_no_search_where_the_window_is_small_or_the_peer_takes_no_more() {
    let small = Setup::default()
        .config(|c| c.mtu_probing(MtuProbing::Always))
        .peer("mss 1460,sackOK,wscale 7");
    let limited = Setup::default()
        .config(|c| c.mtu_probing(MtuProbing::Always).initial_window_segs(20))
        .peer("mss 900,sackOK,wscale 7");
    let without_sack = Setup::default()
        .config(|c| c.mtu_probing(MtuProbing::Always).initial_window_segs(20))
        .peer("mss 1460,wscale 7");
    for (setup, mss) in [(small, 984), (limited, 900), (without_sack, 984)] {
        let mut e = setup.established();
        e.write(20_000);
        while let Some(segment) = e.next() {
            assert!(segment.payload.len() <= mss, "{}", segment.payload.len());
        }
    }
}

/// A larger segment and much behind it are out: the window before, and SND.NXT.
fn larger_is_out() -> (E, u64, i64) {
    let mut e = searching();
    let cwnd = e.conn.info().cwnd;
    e.write(20_000);
    e.gt(". 1:1461 ack 1");
    e.skip();
    let sent = e.snxt();
    (e, cwnd, sent)
}

#[test]
fn req_pmtu_9_a_lost_larger_segment_changes_no_window_and_goes_out_again_in_pieces() {
    let (mut e, cwnd, sent) = larger_is_out();
    e.wait(ms(20));
    // Everything behind it has arrived.
    e.lt_unanswered(&format!(". 1:1 ack 1 <sack 1461:{sent}>"));
    e.wait(ms(30));
    e.gt(". 1:985 ack 1");
    e.gt(". 985:1461 ack 1");
    e.skip();
    let info = e.conn.info();
    assert!(info.cwnd >= cwnd, "{} after {cwnd}", info.cwnd);
    assert_eq!(info.counters.timeouts, 0);
    assert_eq!(e.conn.path_mtu(), 1024);
    assert_eq!(e.conn.state(), State::Established);
    e.lt(&format!(". 1:1 ack {sent}")).unwrap();
    // The middle is tried next.
    e.write(20_000);
    let larger = e.next().unwrap();
    assert_eq!(larger.payload.len(), 1024 + (1499 - 1024) / 2 - 40);
}

/// How a path that carries `carries` octets of IP packet, and says nothing, is found out: the MTU in the end, and how many
/// octets were sent again.
fn search(carries: usize, probing: MtuProbing) -> (usize, u64) {
    let mut pair = Pair::new(Config::default().mtu_probing(probing));
    pair.sides[0].to_write = 5_000_000;
    pair.sides[0].max_payload = 0;
    pair.fate(0, move |_, sent| {
        if sent.payload.len() + 52 > carries {
            Passage::Lost
        } else {
            Passage::Arrives
        }
    });
    pair.run_until(pair.now + secs(60));
    assert_eq!(pair.sides[1].read, 5_000_000);
    let conn = pair.sides[0].conn();
    (conn.path_mtu(), conn.info().counters.bytes_retransmitted)
}

#[test]
fn req_pmtu_8_and_pmtu_9_the_search_ends_close_below_what_the_path_carries() {
    for carries in [1024, 1100, 1280, 1400, 1492, 1500] {
        for probing in [MtuProbing::Always, MtuProbing::BlackHole] {
            let (mtu, again) = search(carries, probing);
            assert!(mtu <= carries && mtu + 16 >= carries, "{mtu} of {carries}");
            // What was lost is a few larger segments, not a window of data each.
            let most = if probing == MtuProbing::Always {
                12_000
            } else {
                80_000
            };
            assert!(again <= most, "{again} octets again for {carries}");
        }
    }
}

#[test]
fn what_a_router_says_about_a_larger_segment_narrows_the_search() {
    let (mut e, _, sent) = larger_is_out();
    let first = e.segment(". 1:1 ack 1").ack;
    e.conn.handle_packet_too_big(e.now, 1300, first).unwrap();
    assert_eq!(e.conn.path_mtu(), 1024);
    e.wait(ms(20));
    e.lt_unanswered(&format!(". 1:1 ack 1 <sack 1461:{sent}>"));
    e.wait(ms(30));
    e.skip();
    e.lt(&format!(". 1:1 ack {sent}")).unwrap();
    e.write(20_000);
    assert_eq!(e.next().unwrap().payload.len(), 1260);
}

#[test]
fn a_larger_segment_that_is_lost_with_others_tells_nothing_and_is_congestion() {
    let (mut e, cwnd, sent) = larger_is_out();
    e.wait(ms(20));
    e.lt_unanswered(&format!(". 1:1 ack 1 <sack 3429:{sent}>"));
    e.wait(ms(30));
    e.skip();
    assert!(e.conn.info().cwnd < cwnd);
    e.lt(&format!(". 1:1 ack {sent}")).unwrap();
    e.skip();
    e.lt(". 1:1 ack 20001").unwrap();
    // After a pause the same size is tried again.
    e.wait(secs(1));
    e.write(40_000);
    let largest = core::iter::from_fn(|| e.next()).map(|segment| segment.payload.len());
    assert_eq!(largest.max(), Some(1460));
}
