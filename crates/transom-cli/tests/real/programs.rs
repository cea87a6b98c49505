//! Other programs that everybody has: ssh, iperf3, redis-cli, ping, a published server.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use crate::capture;
use crate::ended::{Ended, Running, Status};
use crate::host::{Host, Place, SERVERS_V4, SERVERS_V6, User};
use crate::server::Server;
use crate::ways::{LIMIT, Run, WAYS, Way};

/// Fails unless it ended well; gives what it printed.
fn well(way: Way, ended: Ended) -> String {
    assert_eq!(ended.status, Status::Code(0), "{way:?}: {ended:?}");
    ended.stdout()
}

fn sshd(host: &Host) -> Server {
    let folder = host.folder().display().to_string();
    for key in ["host-key", "root-key"] {
        let words = [
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            &format!("{folder}/{key}"),
        ];
        assert!(
            Command::new("ssh-keygen")
                .args(words)
                .status()
                .unwrap()
                .success()
        );
    }
    // ssh insists that a key belongs to who uses it.
    let copy = format!("{folder}/nobody-key");
    fs::copy(format!("{folder}/root-key"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&copy, Some(65534), Some(65534)).unwrap();
    let configuration = format!(
        "HostKey {folder}/host-key\nAuthorizedKeysFile {folder}/root-key.pub\nStrictModes no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPidFile none\nPort 22\n"
    );
    fs::write(format!("{folder}/sshd.conf"), configuration).unwrap();
    let script =
        format!("mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -f {folder}/sshd.conf 2>&1");
    Server::start(
        host,
        Place::Servers,
        ["sh", "-c", &script],
        "listening on :: port 22",
    )
}

/// The words that run `command` on the server as root.
fn ssh(host: &Host, way: Way, address: &str) -> String {
    let key = match way.user {
        User::Root => "root-key",
        User::Nobody => "nobody-key",
    };
    format!(
        "ssh -F none -q -i {}/{key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o BatchMode=yes root@{address}",
        host.folder().display()
    )
}

#[test]
fn ssh_runs_commands_and_carries_pipes() {
    let host = Host::new();
    let _sshd = sshd(&host);
    for way in WAYS {
        for address in [SERVERS_V4, SERVERS_V6] {
            let words = format!(
                "{} 'echo out; echo err >&2; exit 7'",
                ssh(&host, way, address)
            );
            let plain = Run::new(&host, way.plain(), ["sh", "-c", &words]).end();
            assert_eq!(plain.status, Status::Code(7), "{plain:?}");
            assert_eq!(
                Run::new(&host, way, ["sh", "-c", &words]).end(),
                plain,
                "{way:?}"
            );
        }
        // 50 MB there and back through pipes.
        let file = host.new_file("sent");
        let words = format!(
            "head -c 50000000 /dev/urandom >{file}; cat {file} | {ssh} cat | cmp - {file} && echo same",
            file = file.display(),
            ssh = ssh(&host, way, SERVERS_V4),
        );
        let ended = Run::new(&host, way, ["sh", "-c", &words])
            .without_capture()
            .end();
        assert_eq!(well(way, ended), "same\n", "{way:?}");
    }
    capture::check(&host);
}

#[test]
fn iperf3_in_both_directions() {
    let host = Host::new();
    let words = ["iperf3", "-s", "--forceflush"];
    let _server = Server::start(&host, Place::Servers, words, "Server listening");
    for way in WAYS {
        for options in ["-R", "", "--bidir", "-P4"] {
            let words = ["iperf3", "-c", SERVERS_V4, "-t", "1", "-J"].into_iter();
            let words = words.chain(options.split_ascii_whitespace());
            let shown = well(way, Run::new(&host, way, words).without_capture().end());
            let report: serde_json::Value = serde_json::from_str(&shown).unwrap();
            let end = &report["end"];
            let rate = end["sum_received"]["bits_per_second"]
                .as_f64()
                .unwrap_or_default();
            assert!(
                rate > 1e6 && report["error"].is_null(),
                "{way:?} {options}: {shown:.2000}"
            );
            eprintln!("{way:?}: iperf3 {options} {:.2} Gbit/s", rate / 1e9);
        }
    }
}

#[test]
fn redis_cli_and_its_benchmark() {
    let host = Host::new();
    let words = [
        "redis-server",
        "--bind",
        SERVERS_V4,
        "--save",
        "",
        "--protected-mode",
        "no",
    ];
    let _server = Server::start(&host, Place::Servers, words, "Ready to accept connections");
    let large = "x".repeat(5_000_000);
    for way in WAYS {
        let cli = |way: Way, words: &str, stdin: &str| {
            let start = ["redis-cli", "-h", SERVERS_V4].into_iter();
            let words = start.chain(words.split(' '));
            well(way, Run::new(&host, way, words).stdin(stdin).end())
        };
        assert_eq!(cli(way, "-x SET large", &large), "OK\n", "{way:?}");
        assert_eq!(
            cli(way.plain(), "GET large", "").trim_end().len(),
            large.len()
        );
        assert_eq!(cli(way, "GET large", "").trim_end(), large, "{way:?}");
        assert_eq!(
            cli(way, "--raw", "PING\nINCR n\nDEL n\n"),
            "PONG\n1\n1\n",
            "{way:?}"
        );
        let words = "redis-benchmark -q -h 192.0.2.2 -n 3000 -c 50 -P 4 -t set,get,lrange_100";
        let shown = well(
            way,
            Run::new(&host, way, words.split(' '))
                .without_capture()
                .end(),
        );
        assert_eq!(
            shown.matches("requests per second").count(),
            4,
            "{way:?}: {shown}"
        );
    }
    capture::check(&host);
}

#[test]
fn ping_hears_what_a_plain_ping_hears() {
    let host = Host::new();
    for (address, heard) in [
        (SERVERS_V4, "3 received"),
        (SERVERS_V6, "3 received"),
        ("198.51.100.66", "0 received"),
        ("198.51.100.10", "errors"),
    ] {
        let words = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", address];
        for way in WAYS {
            let plain = Run::new(&host, way.plain(), words).end();
            assert!(plain.stdout().contains(heard), "{plain:?}");
            let ended = Run::new(&host, way, words).end();
            assert_eq!(ended.status, plain.status, "{way:?}: {ended:?}");
            assert!(ended.stdout().contains(heard), "{way:?}: {ended:?}");
        }
    }
    for way in WAYS {
        let words = ["ping", "-c", "1", "-s", "4000", "host.transom.internal"];
        well(way, Run::new(&host, way, words).end());
    }
    capture::check(&host);
}

#[test]
fn a_published_server_is_reached_from_outside() {
    let host = Host::new();
    fs::write(host.folder().join("page"), "published\n").unwrap();
    let body = vec![b'x'; 3_000_000];
    fs::write(host.folder().join("body"), &body).unwrap();
    let fetch = |place: Place, url: &str| {
        let mut command = host.command(place, User::Root);
        command.args(["curl", "-sS", "--max-time", "20", url]);
        Running::start(command, Vec::new()).end(LIMIT)
    };
    for way in WAYS {
        let folder = host.folder().to_str().unwrap();
        let words = [
            "python3",
            "-u",
            "-m",
            "http.server",
            "8000",
            "--directory",
            folder,
        ];
        let options = [
            "--quiet",
            "-p",
            "18080:8000",
            "-p",
            "192.0.2.1:8001:8000",
            "-p",
            "[2001:db8:1::1]:8000",
        ];
        let run = Run::new(&host, way, words).options(options);
        let server = Server::of(run, "Serving HTTP");
        for (place, url) in [
            (Place::Here, "http://127.0.0.1:18080/page"),
            (Place::Servers, "http://192.0.2.1:8001/page"),
        ] {
            let ended = fetch(place, url);
            assert_eq!(ended.stdout(), "published\n", "{way:?} {url}: {ended:?}");
        }
        let ended = fetch(Place::Servers, "http://192.0.2.1:8001/body");
        assert!(
            ended.stdout == body,
            "{way:?}: {} bytes",
            ended.stdout.len()
        );
        // The loopback published nothing else, and the other address nothing there.
        assert_eq!(
            fetch(Place::Here, "http://127.0.0.1:8001/page").status,
            Status::Code(7)
        );
        assert_eq!(
            fetch(Place::Servers, "http://192.0.2.1:18080/page").status,
            Status::Code(7)
        );
        server.signal("TERM");
        assert_eq!(server.end(LIMIT), Status::Signal(15), "{way:?}");
    }
    capture::check(&host);
}
