//! Attempts that come to nothing, and a user who loses patience.

use std::thread;

use crate::capture;
use crate::ended::{Ended, Running, Status};
use crate::host::{Host, Place, User, become_user};
use crate::ways::{LIMIT, Run, WAYS, Way};

fn attempt(host: &Host, way: Way, case: &str, address: &str) -> Ended {
    let cases = host.folder().join("cases.py");
    let words = [
        "python3",
        cases.to_str().unwrap(),
        "program",
        case,
        address,
        "80",
    ];
    Run::new(host, way, words).end()
}

/// The same attempts in every way; most of their time is waiting, so they wait together. Each way has a
/// host of its own: routers tell one host only so often that there is no way.
fn compare(case: &str, addresses: &[&str]) {
    let ways = WAYS.into_iter().chain([WAYS[0].plain()]);
    let mut seen: Vec<(Way, Vec<Ended>)> = thread::scope(|scope| {
        let threads: Vec<_> = ways
            .map(|way| scope.spawn(move || (way, attempts(way, case, addresses))))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let (_, plain) = seen.pop().unwrap();
    for (way, ended) in seen {
        for ((ended, plain), address) in ended.iter().zip(&plain).zip(addresses) {
            assert_eq!(ended, plain, "{way:?} to {address}");
        }
    }
}

fn attempts(way: Way, case: &str, addresses: &[&str]) -> Vec<Ended> {
    let host = Host::new();
    let ended = thread::scope(|scope| {
        let threads: Vec<_> = addresses
            .iter()
            .map(|address| scope.spawn(|| attempt(&host, way, case, address)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    if way.device.is_some() {
        capture::check(&host);
    }
    ended
}

#[test]
fn a_black_hole_times_out() {
    compare("black_hole", &["198.51.100.66", "2001:db8:2::66"]);
}

#[test]
fn a_router_says_unreachable() {
    compare(
        "connect_in_vain",
        &["198.51.100.10", "198.51.100.11", "198.51.100.12"],
    );
}

#[test]
fn a_router_says_unreachable_v6() {
    compare(
        "connect_in_vain",
        &["2001:db8:2::10", "2001:db8:2::11", "2001:db8:2::12"],
    );
}

#[test]
fn the_hosts_own_routes_say_unreachable() {
    compare(
        "connect_in_vain",
        &["198.51.100.9", "198.51.100.8", "203.0.113.1"],
    );
}

#[test]
fn the_hosts_own_routes_say_unreachable_v6() {
    compare(
        "connect_in_vain",
        &["2001:db8:2::9", "2001:db8:2::8", "2001:db8:3::1"],
    );
}

#[test]
fn there_is_no_such_neighbour() {
    compare("connect_in_vain", &["192.0.2.77", "2001:db8:1::77"]);
}

#[test]
fn ctrl_c_ends_an_attempt_into_a_black_hole() {
    let host = Host::new();
    for way in [WAYS[0].plain(), WAYS[0], WAYS[1], WAYS[2].plain(), WAYS[2]] {
        let cases = host.folder().join("cases.py");
        let program = [
            "python3",
            cases.to_str().unwrap(),
            "program",
            "stuck_connecting",
            "198.51.100.66",
            "80",
        ];
        let words = Run::new(&host, way, program).words();
        let mut command = host.command(Place::Here, User::Root);
        command.arg("python3").arg(host.folder().join("type.py"));
        command.args(["expect:connecting", "send:^C", "--"]);
        command.args(become_user(way.user)).args(words);
        let ended = Running::start(command, Vec::new()).end(LIMIT);
        assert_eq!(ended.status, Status::Code(0), "{way:?}: {ended:?}");
        assert!(ended.stdout().ends_with("signal 2\n"), "{way:?}: {ended:?}");
    }
    capture::check(&host);
}
