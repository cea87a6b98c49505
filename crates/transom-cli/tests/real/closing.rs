//! Every way for a connection to end: what the program's calls return and what the server sees is
//! the same as in a plain run.

use crate::capture;
use crate::ended::Ended;
use crate::host::{Host, Place, SERVERS_V4, SERVERS_V6};
use crate::server::Server;
use crate::ways::{Run, WAYS, Way};

/// What both sides printed.
type Seen = (Ended, Vec<String>);

fn play(host: &Host, way: Way, case: &str, address: &str) -> Seen {
    let server = Server::case(host, Place::Servers, case, address);
    let cases = host.folder().join("cases.py");
    let words = [
        "python3",
        cases.to_str().unwrap(),
        "program",
        case,
        address,
        server.port(),
    ];
    let ended = Run::new(host, way, words).end();
    (ended, server.finish())
}

fn compare(case: &str) {
    let host = Host::new();
    let mut different = Vec::new();
    for address in [SERVERS_V4, SERVERS_V6] {
        let plain = play(&host, WAYS[0].plain(), case, address);
        for way in WAYS {
            let seen = play(&host, way, case, address);
            if seen != plain {
                different.push(format!(
                    "{way:?} to {address}:\n{seen:#?}\nplain:\n{plain:#?}"
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    capture::check(&host);
}

macro_rules! cases {
    ($($case:ident)*) => {
        $(#[test]
        fn $case() {
            compare(stringify!($case));
        })*
    };
}

cases! {
    refused
    reset_mid_stream
    reset_while_the_program_writes
    reset_behind_unread_data
    peer_closes_with_data_unread
    program_closes_with_data_unread
    program_resets
    peer_half_closes_and_still_reads
    program_half_closes_and_still_reads
    both_send_and_half_close
    peer_never_closes
    accepts_and_closes_at_once
    accepts_and_resets_at_once
    slow_program_gets_all_of_a_peer_that_left
    slow_peer_gets_all_of_a_program_that_left
    lingering_close_waits_for_the_peer
    back_pressure_reaches_the_program
    program_writes_after_a_reset
    program_killed
    program_killed_with_data_unread
    small_writes_keep_their_order
}
