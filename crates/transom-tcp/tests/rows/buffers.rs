//! Buffers that follow the pace of the application and of the network (requirements C.21).

use transom_tcp::Config;

use crate::harness::dialogue::{E, Setup};
use crate::harness::{ms, stream};

#[test]
fn req_drs_4_and_drs_5_the_window_grows_only_without_a_size_and_with_a_reader() {
    let window_after = |config: fn(Config) -> Config, reads: bool| {
        let setup = Setup::default().config(config).peer("mss 1000,wscale 0");
        let mut e = setup.established();
        let mut next = 1;
        for _ in 0..200 {
            let len = e.rwnd().min(1000);
            if len > 0 {
                e.lt(&format!("P. {next}:{} ack 1", next + len)).unwrap();
                next += len;
            }
            if reads {
                e.read_some(usize::MAX);
            }
            e.wait(ms(1));
            e.skip();
        }
        e.rwnd() + e.conn.recv_queue() as i64
    };
    let grown = window_after(|c| c.recv_buffer_initial(10_000), true);
    assert!(grown > 15_000, "{grown}");
    let slow = window_after(|c| c.recv_buffer_initial(10_000), false);
    assert!(slow <= 10_000 + 4096, "{slow}");
    let fixed = window_after(|c| c.recv_buffer(10_000), true);
    assert!(fixed <= 10_000, "{fixed}");
}

/// A peer that doubles what it sends in each round of 10 ms, as far as the window lets it. Gives the largest window.
fn slow_start(mut e: E, rounds: u32) -> i64 {
    let (mut next, mut burst, mut most) = (1, 10_000_i64, 0);
    for _ in 0..rounds {
        let end = next + burst.min(e.rwnd());
        while next < end {
            let len = (end - next).min(1000);
            e.lt(&format!(". {next}:{} ack 1", next + len)).unwrap();
            next += len;
        }
        while e.read_some(usize::MAX).is_some() {}
        e.wait(ms(10));
        e.skip();
        burst *= 2;
        most = most.max(e.rwnd());
    }
    most
}

#[test]
fn req_drs_2_a_window_that_grows_does_not_hold_slow_start_up() {
    let setup = Setup::default()
        .config(|c| c.recv_buffer_initial(40_000))
        .peer("mss 1000,sackOK,wscale 7");
    // 10, 20, 40 … 1280 kB: had the window not grown, 40 a round.
    assert!(slow_start(setup.established(), 8) > 1_280_000);
    // It ends at the configured size; what is not worth a segment is not offered.
    let setup = Setup::default()
        .config(|c| c.recv_buffer(200_000).recv_buffer_initial(40_000))
        .peer("mss 1000,sackOK,wscale 7");
    let most = slow_start(setup.established(), 8);
    assert!((150_000..=200_000).contains(&most), "{most}");
}

#[test]
fn req_drs_6_under_memory_pressure_the_window_stops_growing_and_never_shrinks() {
    let setup = Setup::default()
        .config(|c| c.recv_buffer_initial(40_000))
        .peer("mss 1000,sackOK,wscale 7");
    let mut e = setup.established();
    e.conn.set_memory_pressure(true);
    let most = slow_start(e, 8);
    assert!(most <= 40_000, "{most}");
}

#[test]
fn req_drs_3_what_is_held_is_little_more_than_the_window_whatever_the_size_of_the_segments() {
    for size in [1, 7, 100, 511, 512, 1448] {
        let setup = Setup::default()
            .config(|c| c.recv_buffer(100_000))
            .peer("mss 1448,sackOK,wscale 7");
        let mut e = setup.established();
        // Every other segment is missing, until the window is full or memory is.
        let mut next = 1 + size;
        while next + size <= 100_000 {
            let _ = e.lt(&format!(". {next}:{} ack 1", next + size));
            e.skip();
            next += 2 * size;
        }
        let held = e.conn.out_of_order_memory();
        assert!(held <= 2 * 100_000, "{held} octets for segments of {size}");
    }
}

#[test]
fn req_sndb_1_the_send_buffer_grows_with_the_congestion_window() {
    let setup = Setup::default()
        .config(|c| c.send_buffer_initial(30_000))
        .peer("mss 1000,sackOK,wscale 7");
    let grown = |mut e: E, pressure: bool| {
        e.conn.set_memory_pressure(pressure);
        assert_eq!(e.conn.send(e.now, stream(0, 1_000_000)), Ok(30_000));
        let mut acked = 1;
        for _ in 0..30 {
            e.skip();
            let sent = e.snxt();
            while acked < sent {
                acked = (acked + 2000).min(sent);
                e.lt(&format!(". 1:1 ack {acked} win 60000")).unwrap();
                let _ = e.conn.send(e.now, stream(0, 1_000_000));
            }
            e.wait(ms(10));
        }
        (e.conn.send_limit() as u64, e.conn.info().cwnd)
    };
    let (limit, cwnd) = grown(setup.established(), false);
    assert!(cwnd > 100_000, "{cwnd}");
    assert!(limit >= cwnd && limit <= 4 << 20, "{limit} for {cwnd}");
    // Where memory is short, or a size was asked for, it stays.
    let setup = || Setup::default().peer("mss 1000,sackOK,wscale 7");
    let short = setup().config(|c| c.send_buffer_initial(30_000));
    assert_eq!(grown(short.established(), true).0, 30_000);
    let fixed = setup().config(|c| c.send_buffer(30_000));
    assert_eq!(grown(fixed.established(), false).0, 30_000);
}
