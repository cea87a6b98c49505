//! The connections of a running `transom run`, asked over its control socket.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{NOBODY, as_user, is_root, modes, python, transom, until};

/// Connects to the host's port and says so; then closes half, and then ends.
const PROGRAM: &str = "
import socket, sys
s = socket.create_connection(('host.transom.internal', int(sys.argv[1])))
print('open', flush=True); sys.stdin.readline()
s.shutdown(socket.SHUT_WR)
print('half', flush=True); sys.stdin.readline()
";

/// The ends of runs, as this user sees them.
fn ends(user: Option<u32>, run: u32) -> Vec<Value> {
    let mut command: Command = as_user(user, transom());
    let output = command.args(["ss", "-tan", "--json"]).output().unwrap();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sockets = document["sockets"].as_array().unwrap();
    let of_run = |socket: &&Value| socket["stack"] == "transom" && socket["run_pid"] == run;
    sockets.iter().filter(of_run).cloned().collect()
}

#[test]
fn both_ends_of_a_programs_connection_are_listed_while_it_runs() {
    for mode in modes() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let mut run = mode
            .run()
            .args(["-q", "--", python(), "-c", PROGRAM, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = run.id();
        let mut input = run.stdin.take().unwrap();
        let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "open", "{mode}");
        let (client, _) = server.accept().unwrap();
        let states = || -> Vec<(String, String)> {
            let field = |end: &Value, name: &str| end[name].as_str().unwrap_or("").to_owned();
            let mut states: Vec<_> = ends(mode.user, pid)
                .iter()
                .map(|end| (field(end, "end"), field(end, "tcp_state")))
                .collect();
            states.sort();
            states
        };
        let both = |program: &str, stack: &str| {
            [("program", program), ("stack", stack)].map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        until("both ends are established", || {
            states() == both("ESTABLISHED", "ESTABLISHED")
        });
        let listed = ends(mode.user, pid);
        let program = listed.iter().find(|end| end["end"] == "program").unwrap();
        assert_eq!(program["peer"]["port"], port, "{mode}");
        assert_eq!(
            program["processes"][0]["name"]
                .as_str()
                .map(|name| name.starts_with("python")),
            Some(true),
            "{mode}"
        );
        // Those who may not ask get nothing; root gets everything.
        if is_root() {
            assert_eq!(ends(None, pid).len(), 2, "{mode}");
            if mode.user.is_none() {
                assert_eq!(ends(Some(NOBODY), pid).len(), 0, "{mode}");
            }
        }
        input.write_all(b"\n").unwrap();
        assert_eq!(said.next().unwrap().unwrap(), "half", "{mode}");
        until("our end knows that the program has finished", || {
            states() == both("FIN-WAIT-2", "CLOSE-WAIT")
        });
        drop(client);
        drop(input);
        assert!(run.wait().unwrap().success(), "{mode}");
        until("nothing is left of it", || ends(mode.user, pid).is_empty());
    }
}
