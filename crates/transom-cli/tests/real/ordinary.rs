//! What a program gets from outside, and what the outside gets from it: standard streams, exit codes,
//! signals, children that stay.

use std::fs;

use crate::ended::Status;
use crate::host::{Host, Place, SERVERS_V4};
use crate::server::{Server, pages};
use crate::ways::{LIMIT, NOBODY_VETH, ROOT_TUN, Run, WAYS, Way};

const NO_OPTIONS: [&str; 0] = [];

/// Asserts that this ends as a plain run of it does, with the same words.
fn as_plain(host: &Host, way: Way, words: [&str; 3]) {
    let plain = Run::new(host, way.plain(), words).end();
    assert_eq!(
        Run::new(host, way, words).end(),
        plain,
        "{way:?}: {words:?}"
    );
}

#[test]
fn standard_streams_pass_through_untouched() {
    let host = Host::new();
    let input: Vec<u8> = (0..20_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for way in [ROOT_TUN, NOBODY_VETH] {
        let ended = Run::new(&host, way, ["cat"]).stdin(input.clone()).end();
        assert_eq!(
            (ended.status, ended.stderr().as_str()),
            (Status::Code(0), ""),
            "{way:?}"
        );
        assert!(
            ended.stdout == input,
            "{way:?}: {} bytes",
            ended.stdout.len()
        );
        // A reader that leaves early: SIGPIPE for the program as always.
        let words = [
            "bash",
            "-c",
            "set -o pipefail; yes | head -n 1; echo ${PIPESTATUS[@]}",
        ];
        as_plain(&host, way, words);
        let script = "printf out; printf err >&2";
        let ended = Run::new(&host, way, ["sh", "-c", script]).end();
        assert_eq!(
            (ended.stdout(), ended.stderr()),
            ("out".into(), "err".into()),
            "{way:?}"
        );
    }
}

#[test]
fn the_program_sees_its_own_world() {
    let host = Host::new();
    for way in WAYS {
        for script in [
            "pwd; id -u; id -g; umask; ulimit -n",
            "env | sort | grep -v ^_",
            "ls -l /proc/self/fd | wc -l",
            "cat /proc/self/status | grep -E '^(Sig(Pnd|Blk|Ign|Cgt)|Cap(Inh|Prm|Eff|Amb))'",
        ] {
            as_plain(&host, way, ["sh", "-c", script]);
        }
    }
}

#[test]
fn exit_codes_and_signals_are_the_programs_own() {
    let host = Host::new();
    for way in WAYS {
        for script in [
            "exit 0",
            "exit 3",
            "exit 255",
            "kill -TERM $$",
            "kill -SEGV $$",
            "kill -KILL $$",
            "kill -HUP $$",
        ] {
            as_plain(&host, way, ["sh", "-c", script]);
        }
    }
}

#[test]
fn signals_sent_to_transom_reach_the_program() {
    let host = Host::new();
    let script = "trap 'echo term; exit 5' TERM; trap 'echo usr1' USR1; trap 'echo hup' HUP; echo ready; while :; do sleep 0.02; done";
    for way in WAYS {
        let server = Server::of(Run::new(&host, way, ["sh", "-c", script]), "ready");
        server.signal("USR1");
        server.expect("usr1");
        server.signal("HUP");
        server.expect("hup");
        server.signal("TERM");
        server.expect("term");
        assert_eq!(server.end(LIMIT), Status::Code(5), "{way:?}");
    }
}

#[test]
fn children_that_outlive_the_program_keep_their_network() {
    let host = Host::new();
    let _server = pages(&host);
    for way in WAYS {
        let file = host.new_file("fetched");
        // It asks for the page when the program is no more.
        let daemon = format!(
            "while kill -0 $0; do :; done; curl -sS http://{SERVERS_V4}:8000/page -o {}",
            file.display()
        );
        let script = format!("setsid sh -c '{daemon}' $$ >/dev/null 2>&1 </dev/null & exit 3");
        let ended = Run::new(&host, way, ["sh", "-c", &script]).end();
        assert_eq!(ended.status, Status::Code(3), "{way:?}: {ended:?}");
        assert_eq!(
            fs::read_to_string(&file).unwrap_or_default(),
            "page\n",
            "{way:?}"
        );
    }
}

#[test]
fn a_hang_up_that_nobody_minds_cuts_nobody_off() {
    let host = Host::new();
    let _server = pages(&host);
    for way in WAYS {
        let go = host.new_file("go");
        let daemon = format!(
            "until [ -e {} ]; do sleep 0.02; done; curl -sS http://{SERVERS_V4}:8000/page",
            go.display()
        );
        let script = format!("setsid sh -c '{daemon}' & exit 3");
        let run = Run::new(&host, way, ["sh", "-c", &script]).options(NO_OPTIONS);
        let mut command = host.command(Place::Here, way.user);
        command
            .args([
                "env",
                "--ignore-signal=HUP",
                "sh",
                "-c",
                "exec \"$@\" 2>&1",
                "sh",
            ])
            .args(run.words());
        let server = Server::spawn(command, "still serving");
        server.signal("HUP");
        fs::write(&go, "").unwrap();
        server.expect("page");
        assert_eq!(server.end(LIMIT), Status::Code(3), "{way:?}");
    }
}

#[test]
fn no_wait_leaves_at_once_and_says_whom_it_cut_off() {
    let host = Host::new();
    for way in [ROOT_TUN, NOBODY_VETH] {
        // Who waits for it exceeds the limit.
        let script = "setsid sleep 300 >/dev/null 2>&1 </dev/null & exit 3";
        let ended = Run::new(&host, way, ["sh", "-c", script])
            .options(["--no-wait"])
            .end();
        assert_eq!(ended.status, Status::Code(3), "{way:?}: {ended:?}");
        assert!(
            ended.stderr().contains("cut off from the network"),
            "{way:?}: {ended:?}"
        );
    }
}
