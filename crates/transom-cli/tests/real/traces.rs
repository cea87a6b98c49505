//! What is left when a run is over: nothing.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::ended::Status;
use crate::host::{Host, Place, SERVERS_V4};
use crate::server::{Server, pages};
use crate::ways::{LIMIT, Run, WAYS};

#[test]
fn nothing_is_left_behind_by_a_run_that_ended() {
    let host = Host::new();
    let _server = pages(&host);
    let before = host.inventory();
    let url = format!("http://{SERVERS_V4}:8000/page");
    for way in WAYS {
        for script in [
            format!("curl -sS {url}"),
            "kill -KILL $$".into(),
            "exec ./missing".into(),
        ] {
            Run::new(&host, way, ["sh", "-c", &script]).end();
            assert_eq!(host.inventory(), before, "{way:?}: {script}");
        }
    }
}

#[test]
fn nothing_is_left_behind_when_transom_is_killed() {
    let host = Host::new();
    let cases = host.folder().join("cases.py");
    for way in WAYS {
        let before = host.inventory();
        let peer = Server::case(&host, Place::Servers, "sits_connected", SERVERS_V4);
        let words = [
            "python3",
            cases.to_str().unwrap(),
            "program",
            "sits_connected",
            SERVERS_V4,
            peer.port(),
        ];
        // A child of the program, in a session of its own, is there too.
        let named = host.new_file("named");
        let script = format!(
            "echo $SSLKEYLOGFILE >{}; setsid sleep 300 & exec {}",
            named.display(),
            words.join(" ")
        );
        let run = Run::new(&host, way, ["sh", "-c", &script]).options(["--quiet", "--tls-keys"]);
        let server = Server::of(run, "connected");
        let secrets = fs::read_to_string(&named).unwrap();
        assert!(Path::new(secrets.trim()).exists(), "{way:?}: {secrets}");
        server.signal("KILL");
        assert_eq!(server.end(LIMIT), Status::Signal(9), "{way:?}");
        let killed = Instant::now();
        let seen = peer.finish();
        assert_eq!(seen.len(), 2, "{way:?}: {seen:?}");
        loop {
            let now = host.inventory();
            if now == before {
                break;
            }
            assert!(
                killed.elapsed() < LIMIT,
                "{way:?}: left behind: {now:#?}, before: {before:#?}"
            );
        }
        assert!(!Path::new(secrets.trim()).exists(), "{way:?}: {secrets}");
    }
}
