//! The table of connections, on wide and narrow screens.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "../../transom-flow/tests/scene/mod.rs"]
mod scene;

use scene::{SERVER, Scene, flush_left};
use transom_draw::text::{Options, list, table};
use transom_flow::{Connection, Limits, Summary};

const CONVERSATION: &str = "
    0     process client curl 4242
    0     > S
    9     < SA
    9.1   > A
    9.3   > PA 'GET / HTTP/1.1'
    20    < PA len=1638
    20.1  > A
    36    > FA
    48    < FA
    48.1  > A
    90000 > S seq=90000
    90000.1 process client wget 4243
    90000.2 < RA ack=90001
";

#[track_caller]
fn assert_table(options: Options, expected: &str) {
    let mut scene = Scene::new(Limits::default());
    scene.tracker.label(SERVER.0.into(), "example.com");
    scene.play(CONVERSATION);
    scene.tracker.finish();
    let connections: Vec<&Connection> = scene.tracker.connections().collect();
    let drawn = table(&connections, &options);
    for line in drawn.lines() {
        assert!(line.chars().count() <= options.width, "{line}");
    }
    assert_eq!(flush_left(&drawn), flush_left(expected), "\n{drawn}\n");
}

#[test]
fn a_wide_screen_shows_everything() {
    assert_table(Options::new(110), "
         #  process     from              to                state     time  sent  recv  retr  closed by
         1  curl[4242]  10.0.2.100:43210  → example.com:80  CLOSED   48 ms  14 B  1.6K     0  client (FIN)
         2  wget[4243]  10.0.2.100:43210  → example.com:80  CLOSED  200 µs   0 B   0 B     0  refused
        ");
}

#[test]
fn eighty_columns_lose_the_clients_address_first() {
    assert_table(
        Options::new(80),
        "
         # process from   to               state    time sent recv retr closed by
         1 curl    :43210 → example.com:80 CLOSED  48 ms 14 B 1.6K    0 client (FIN)
         2 wget    :43210 → example.com:80 CLOSED 200 µs  0 B  0 B    0 refused
        ",
    );
}

#[test]
fn a_narrow_screen_keeps_who_closed() {
    assert_table(
        Options::new(66),
        "
         # process to            state    time sent recv retr closed by
         1 curl    → exam…com:80 CLOSED  48 ms 14 B 1.6K    0 client (FIN)
         2 wget    → exam…com:80 CLOSED 200 µs  0 B  0 B    0 refused
        ",
    );
}

#[test]
fn ascii_only() {
    assert_table(
        Options::new(80).ascii(true),
        "
         # process from   to                state    time sent recv retr closed by
         1 curl    :43210 -> example.com:80 CLOSED  48 ms 14 B 1.6K    0 client (FIN)
         2 wget    :43210 -> example.com:80 CLOSED 200 us  0 B  0 B    0 refused
        ",
    );
}

#[test]
fn no_connection_is_a_table_without_rows() {
    assert_eq!(table(&[], &Options::default()).lines().count(), 1);
}

#[track_caller]
fn assert_list(width: usize, expected: &str) {
    let mut scene = Scene::new(Limits::default());
    scene.play(CONVERSATION);
    scene.tracker.finish();
    let connections: Vec<Summary> = scene.tracker.connections().map(Summary::from).collect();
    let drawn = list(&connections, &Options::new(width));
    for line in drawn.lines() {
        assert!(line.chars().count() <= width, "{line}");
    }
    assert_eq!(flush_left(&drawn), flush_left(expected), "\n{drawn}\n");
}

#[test]
fn a_list_keeps_what_went_wrong_however_narrow_the_screen() {
    assert_list(
        120,
        "
         #    process     from              to                  state     time  sent  recv  retr  closed by     finding
         1    curl[4242]  10.0.2.100:43210  → 93.184.216.34:80  CLOSED   48 ms  14 B  1.6K     0  client (FIN)  normal_close
         2 !  wget[4243]  10.0.2.100:43210  → 93.184.216.34:80  CLOSED  200 µs   0 B   0 B     0  refused       refused
        ",
    );
    assert_list(
        80,
        "
         #   process to                   time sent recv retr closed by    finding
         1   curl    → 93.184.216.34:80  48 ms 14 B 1.6K    0 client (FIN) normal_close
         2 ! wget    → 93.184.216.34:80 200 µs  0 B  0 B    0 refused      refused
        ",
    );
    assert_list(
        60,
        "
         #   process to               time closed by    finding
         1   curl    → 93.18….34:80  48 ms client (FIN) normal_close
         2 ! wget    → 93.18….34:80 200 µs refused      refused
        ",
    );
    assert_list(
        40,
        "
         #   to                time finding
         1   → 93.18…6.34:80  48 ms normal_close
         2 ! → 93.18…6.34:80 200 µs refused
        ",
    );
}
