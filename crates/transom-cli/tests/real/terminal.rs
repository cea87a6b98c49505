//! A program at a terminal under `transom run`: it reads, is resized, interrupted, stopped, continued.

use std::ffi::OsString;
use std::fs;

use crate::ended::{Ended, Running, Status};
use crate::host::{Host, Place, User, become_user};
use crate::ways::{LIMIT, Run, WAYS};

/// Runs this at a terminal, types, and returns what was shown.
fn at_a_terminal(host: &Host, user: User, steps: &[&str], words: &[OsString]) -> Ended {
    let mut command = host.command(Place::Here, User::Root);
    command
        .arg("python3")
        .arg(host.folder().join("type.py"))
        .args(steps)
        .arg("--");
    command.args(become_user(user)).args(words);
    Running::start(command, Vec::new()).end(LIMIT)
}

/// The last line that the terminal showed.
fn fate(ended: &Ended) -> String {
    ended.stdout().lines().last().unwrap_or_default().to_owned()
}

/// A program, in Python, that answers Ctrl-C once it has said that it is ready.
const MINDS: &str = "\
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print('ready', flush=True)
signal.sigwait([signal.SIGINT])
print('minded', flush=True)
raise SystemExit(6)
";

#[test]
fn the_terminal_is_the_programs() {
    let host = Host::new();
    for way in WAYS {
        for way in [way.plain(), way] {
            let words = |script: &str| {
                Run::new(&host, way, ["bash", "-c", script])
                    .without_capture()
                    .words()
            };
            // It may read from the terminal, and knows its size, also when that changes.
            let script = "[[ -t 0 && -t 1 && -t 2 ]] && tty -s && stty size; read -r line; \
                trap 'stty size; exit 4' WINCH; echo \"got $line\"; while :; do sleep 0.05; done";
            let steps = [
                "expect:24 80",
                "send:hello~",
                "expect:got hello",
                "size:50x132",
                "expect:50 132",
            ];
            let ended = at_a_terminal(&host, way.user, &steps, &words(script));
            assert_eq!(fate(&ended), "exit 4", "{way:?}: {ended:?}");
            // Ctrl-C kills what does not mind, and is heard by what does. (Neither has children: Ctrl-C in
            // a child of bash between fork and exec makes bash wait, or raise it in itself, without end.)
            let steps = ["expect:ready", "send:^C"];
            let ended = at_a_terminal(&host, way.user, &steps, &words("echo ready; exec sleep 30"));
            assert_eq!(fate(&ended), "signal 2", "{way:?}: {ended:?}");
            let steps = ["expect:ready", "send:^C", "expect:minded"];
            let words = Run::new(&host, way, ["python3", "-c", MINDS])
                .without_capture()
                .words();
            let ended = at_a_terminal(&host, way.user, &steps, &words);
            assert_eq!(fate(&ended), "exit 6", "{way:?}: {ended:?}");
            // Ctrl-\; not with bash, which ignores it.
            let script = "ulimit -c 0; echo ready; exec sleep 30";
            let words = Run::new(&host, way, ["dash", "-c", script])
                .without_capture()
                .words();
            let steps = ["expect:ready", "send:^\\"];
            let ended = at_a_terminal(&host, way.user, &steps, &words);
            assert_eq!(fate(&ended), "signal 3", "{way:?}: {ended:?}");
        }
    }
}

#[test]
fn what_is_typed_before_the_program_is_there_is_typed_for_it() {
    let host = Host::new();
    for way in WAYS {
        let words = Run::new(&host, way, ["sleep", "30"])
            .without_capture()
            .words();
        // From then on it does not kill us any more, and nobody else is there.
        let steps = ["blocks:2", "send:^C"];
        let ended = at_a_terminal(&host, way.user, &steps, &words);
        assert_eq!(fate(&ended), "signal 2", "{way:?}: {ended:?}");
    }
}

#[test]
fn who_has_just_been_continued_leaves_the_next_stop_to_the_program() {
    let host = Host::new();
    for way in WAYS {
        let program = [
            OsString::from("python3"),
            host.folder().join("stop.py").into_os_string(),
        ];
        let run = Run::new(&host, way, program).without_capture();
        let mut command = host.command(Place::Here, way.user);
        command
            .arg("python3")
            .arg(host.folder().join("stop.py"))
            .args(run.words());
        let ended = Running::start(command, Vec::new()).end(LIMIT);
        assert_eq!(ended.status, Status::Code(0), "{way:?}: {ended:?}");
    }
}

#[test]
fn a_shells_job_control_works() {
    let host = Host::new();
    for way in WAYS {
        for way in [way.plain(), way] {
            let program = "echo started; while read -r line; do echo \"<$line>\"; done; exit 9";
            let file = host.new_file("sh");
            fs::write(&file, program).unwrap();
            let words = Run::new(&host, way, ["bash".as_ref(), file.as_os_str()])
                .without_capture()
                .words();
            let line: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            let start = format!("send:{}~", line.join(" "));
            let steps = [
                "expect:$ ",
                &start,
                "expect:started",
                "send:one~",
                "expect:<one>",
                "send:^Z",
                "expect:Stopped",
                "expect:$ ",
                "send:jobs~",
                "expect:Stopped",
                "expect:$ ",
                "send:fg~",
                "expect:.sh",
                "send:two~",
                "expect:<two>",
                "send:^Z",
                "expect:Stopped",
                "expect:$ ",
                "send:bg~",
                "expect:.sh &",
                "expect:$ ",
                // It is stopped again when it reads.
                "send:until jobs -s | grep -q .; do :; done; echo again $?~",
                "expect:again 0",
                "expect:$ ",
                "send:jobs~",
                "expect:Stopped",
                "expect:$ ",
                "send:fg~",
                "expect:.sh",
                "send:three~",
                "expect:<three>",
                "send:^D",
                "expect:$ ",
                "send:echo status $?~",
                "expect:status 9",
                "send:exit 0~",
            ];
            let shell: Vec<OsString> = ["env", "PS1=$ ", "bash", "--norc", "--noprofile", "-i"]
                .map(Into::into)
                .into();
            let ended = at_a_terminal(&host, way.user, &steps, &shell);
            assert_eq!(fate(&ended), "exit 0", "{way:?}: {ended:?}");
        }
    }
}
