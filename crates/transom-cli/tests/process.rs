//! The program is a process like any other: exit codes, signals, descriptors, stops, and nothing left
//! behind.

#![expect(
    clippy::expect_used,
    reason = "these are tests: what cannot be set up fails them"
)]

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use harness::{any_mode, finish, modes, python, text, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// `transom run --quiet -- sh -c SCRIPT`, started, with its stdout to be read.
fn start(mut command: Command, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command
        .args(["--quiet", "--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("transom starts");
    let stdout = child.stdout.take().expect("piped");
    (child, BufReader::new(stdout))
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the program speaks");
    line.trim_end().to_owned()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

#[test]
fn exit_codes_are_the_programs_own_and_otherwise_those_of_env() {
    let commands: [&[&str]; 5] = [
        &["sh", "-c", "exit 0"],
        &["sh", "-c", "exit 7"],
        &["/nonexistent/program"],
        &["no-such-program-anywhere"],
        &["/etc/passwd"],
    ];
    for mode in modes() {
        for words in commands {
            let plain = finish(mode.plain("env").args(words));
            let output = finish(mode.run().args(["--quiet", "--"]).args(words));
            assert_eq!(output.status, plain.status, "{words:?}, {mode}");
        }
        let output = finish(mode.run().args(["--no-such-option", "--", "true"]));
        assert_eq!(output.status.code(), Some(125), "{mode}");
    }
    let missing = any_mode()
        .run()
        .args(["--", "/nonexistent"])
        .output()
        .expect("run");
    assert_eq!(missing.status.code(), Some(127));
}

#[test]
fn a_program_killed_by_a_signal_kills_transom_by_the_same() {
    for signal in [Signal::SIGTERM, Signal::SIGSEGV, Signal::SIGKILL] {
        let script = format!("kill -{} $$", signal as i32);
        let output = finish(
            any_mode()
                .run()
                .args(["--quiet", "--", "sh", "-c", &script]),
        );
        assert_eq!(output.status.signal(), Some(signal as i32));
    }
}

#[test]
fn signals_sent_to_transom_reach_the_program() {
    for mode in modes() {
        let script = "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; \
                      while :; do sleep 0.05; done";
        let (mut child, mut said) = start(mode.run(), script);
        assert_eq!(line(&mut said), "ready", "{mode}");
        // Of the mode's user: we may be another, but then we are root.
        kill(pid_of(&child), Signal::SIGUSR1).expect("signalled");
        assert_eq!(line(&mut said), "usr1", "{mode}");
        kill(pid_of(&child), Signal::SIGTERM).expect("signalled");
        assert_eq!(line(&mut said), "term", "{mode}");
        assert_eq!(child.wait().expect("waited").code(), Some(5), "{mode}");
    }
}

#[test]
fn a_signal_to_the_group_reaches_the_program_once() {
    let script = "trap 'echo usr1' USR1; trap 'echo usr2' USR2; trap 'exit 5' TERM; echo ready; \
                  while :; do sleep 0.05; done";
    for mode in modes() {
        let mut command = mode.run();
        command.process_group(0);
        let (mut child, mut said) = start(command, script);
        assert_eq!(line(&mut said), "ready", "{mode}");
        let group = Pid::from_raw(-pid_of(&child).as_raw());
        for _ in 0..3 {
            kill(group, Signal::SIGUSR1).expect("signalled");
            assert_eq!(line(&mut said), "usr1", "{mode}");
            // Passed on after what would have been passed on of the other.
            kill(pid_of(&child), Signal::SIGUSR2).expect("signalled");
            assert_eq!(line(&mut said), "usr2", "{mode}");
        }
        kill(pid_of(&child), Signal::SIGTERM).expect("signalled");
        assert_eq!(child.wait().expect("waited").code(), Some(5), "{mode}");
    }
}

/// A field of /proc/PID/status.
fn status(pid: Pid, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}

/// A shell's word for a Python program of such lines. Other than a shell, it has no children that signals reach, too,
/// and its handlers run at once.
fn python_of(lines: &[&str]) -> String {
    format!("exec {} -c \"{}\"", python(), lines.join("\n"))
}

#[test]
fn a_signal_to_the_group_during_the_start_hides_none_to_transom_alone() {
    // Until it is told to, it does not mind the signal that is meant.
    let script = python_of(&[
        "import os, signal, time",
        "say = lambda word: lambda *_: os.write(1, word)",
        "def arm(*_):",
        "    signal.signal(signal.SIGWINCH, say(b'winch\\n'))",
        "    os.write(1, b'armed\\n')",
        "signal.signal(signal.SIGUSR1, arm)",
        // Passed on and handled after the other, as its number is greater.
        "signal.signal(signal.SIGPWR, lambda *_: os._exit(5))",
        "os.write(1, b'ready\\n')",
        "while True: time.sleep(0.05)",
    ]);
    let mut command = any_mode().run();
    command.process_group(0);
    let (mut child, mut said) = start(command, &script);
    // Its watchers are there, and hold back what comes.
    let this = pid_of(&child);
    until("transom holds signals back and has children", || {
        let blocked = u64::from_str_radix(&status(this, "SigBlk"), 16).unwrap_or(0);
        let children = format!("/proc/{this}/task/{this}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        (blocked >> (Signal::SIGWINCH as i32 - 1)) & 1 == 1 && !children.is_empty()
    });
    kill(Pid::from_raw(-this.as_raw()), Signal::SIGWINCH).expect("signalled");
    assert_eq!(line(&mut said), "ready");
    kill(this, Signal::SIGUSR1).expect("signalled");
    assert_eq!(line(&mut said), "armed");
    kill(this, Signal::SIGWINCH).expect("signalled");
    kill(this, Signal::SIGPWR).expect("signalled");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("the program ends");
    assert_eq!(rest, "winch\n");
    assert_eq!(child.wait().expect("waited").code(), Some(5));
}

#[test]
fn a_stop_of_the_group_hides_none_of_transom_alone() {
    let script = python_of(&[
        "import os, signal, time",
        "signal.signal(signal.SIGCONT, lambda *_: os.write(1, b'on\\n'))",
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(5))",
        "os.write(1, b'ready\\n')",
        "while True: time.sleep(0.05)",
    ]);
    let mut command = any_mode().run();
    command.process_group(0);
    let (mut child, mut said) = start(command, &script);
    assert_eq!(line(&mut said), "ready");
    let this = pid_of(&child);
    let stopped = || status(this, "State").starts_with('T');
    for to in [Pid::from_raw(-this.as_raw()), this, this] {
        kill(to, Signal::SIGTSTP).expect("signalled");
        until("transom is stopped", stopped);
        // Not the group: what waits at its other members stays there.
        kill(this, Signal::SIGCONT).expect("signalled");
        assert_eq!(line(&mut said), "on");
    }
    kill(this, Signal::SIGTERM).expect("signalled");
    assert_eq!(child.wait().expect("waited").code(), Some(5));
}

#[test]
fn a_capture_that_nobody_reads_holds_up_no_signal_and_no_end() {
    let pipe = harness::scratch("unread").join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a pipe");
    let _reader = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&pipe)
        .expect("its other end");
    let server =
        harness::server::Once::new(|mut from| std::io::copy(&mut from, &mut std::io::sink()));
    // Sends until nothing is taken any more.
    let program = format!(
        "import os, signal, socket, time\n\
         signal.signal(signal.SIGTERM, lambda *_: os._exit(5))\n\
         to = socket.create_connection(('host.transom.internal', {}))\n\
         to.settimeout(2)\n\
         try:\n    \
             while True: to.send(bytes(1 << 20))\n\
         except TimeoutError:\n    \
             print('stuck', flush=True)\n\
         while True: time.sleep(0.05)\n",
        server.address.port()
    );
    let mut child = any_mode()
        .run()
        .arg("-w")
        .arg(&pipe)
        .args(["--", python(), "-c", &program])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("transom starts");
    let this = pid_of(&child);
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    assert_eq!(line(&mut said), "stuck");
    kill(this, Signal::SIGTERM).expect("signalled");
    let output = harness::wait(child, "transom");
    assert_eq!(output.status.code(), Some(5));
    let report = text(&output.stderr);
    assert!(report.contains("nobody read it"), "{report}");
    assert!(report.contains("are missing"), "{report}");
    drop(server);
}

#[test]
fn a_stopped_program_stops_transom_and_goes_on_with_it() {
    let (mut child, mut said) = start(any_mode().run(), "kill -STOP $$; echo on again");
    let stat = format!("/proc/{}/stat", child.id());
    until("transom is stopped", || {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
    kill(pid_of(&child), Signal::SIGCONT).expect("signalled");
    assert_eq!(line(&mut said), "on again");
    assert!(child.wait().expect("waited").success());
}

const TERMINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/terminal.py");

#[test]
fn at_a_terminal_keys_stop_and_interrupt_the_job_as_in_a_plain_run() {
    // It is ready once its parent sleeps: ours, continued but not yet running again, would be stopped
    // by the terminal, maybe before the program is. (Not with print, which a signal's handler cannot use
    // while it is under way.)
    let program = "import os, signal, time\n\
        def say(*_):\n    \
            stat = f'/proc/{os.getppid()}/stat'\n    \
            while open(stat).read().rpartition(')')[2].split()[0] != 'S': pass\n    \
            os.write(1, b'ready\\n')\n\
        signal.signal(signal.SIGCONT, say)\n\
        signal.signal(signal.SIGINT, HANDLER)\n\
        say()\n\
        while True: time.sleep(1)";
    let impatient = program.replace("HANDLER", "signal.SIG_DFL");
    let patient = program.replace("HANDLER", "lambda *_: os._exit(9)");
    let at_terminal = |keys: &str, job: &Command, script: &str| {
        let mut terminal = Command::new(python());
        terminal
            .args([TERMINAL, keys])
            .arg(job.get_program())
            .args(job.get_args());
        text(&finish(terminal.args([python(), "-c", script])).stdout)
    };
    for mode in modes() {
        for (keys, script) in [
            ("c", &impatient),
            ("c", &patient),
            ("zc", &impatient),
            ("zzc", &patient),
        ] {
            let plain = at_terminal(keys, &mode.plain("env"), script);
            let mut inside = mode.run();
            inside.args(["--quiet", "--"]);
            assert!(plain.starts_with("job"), "{plain}");
            assert_eq!(
                at_terminal(keys, &inside, script),
                plain,
                "{keys} {script}, {mode}"
            );
        }
    }
}

#[test]
fn the_user_stays_who_they_were() {
    for mode in modes() {
        let plain = finish(mode.plain("id").arg("-u"));
        let inside = finish(mode.run().args(["--quiet", "--", "id", "-u"]));
        assert_eq!(text(&inside.stdout), text(&plain.stdout), "{mode}");
    }
}

#[test]
fn streams_descriptors_and_signals_are_those_of_a_plain_run() {
    let script = "ls /proc/self/fd | wc -w; grep -E 'Sig(Ign|Blk)' /proc/self/status; ulimit -a; \
                  umask; pwd; cat";
    for mode in modes() {
        let said = |mut command: Command| {
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
            child
                .stdin
                .take()
                .expect("piped")
                .write_all(b"through\n")
                .expect("written");
            text(&child.wait_with_output().expect("waited").stdout)
        };
        let mut plain = mode.plain("sh");
        plain.args(["-c", script]);
        let mut inside = mode.run();
        inside.args(["--quiet", "--", "sh", "-c", script]);
        let plain = said(plain);
        assert!(plain.ends_with("through\n"), "{plain}");
        assert_eq!(said(inside), plain, "{mode}");
    }
}

#[test]
fn whoever_reads_the_programs_output_waits_only_for_the_program() {
    let (mut child, mut said) = start(any_mode().run(), "exec >&-; exec sleep 1000");
    let mut rest = String::new();
    // Ends although the program lives: nobody else holds the pipe.
    said.read_to_string(&mut rest).expect("read");
    assert_eq!(child.try_wait().expect("asked"), None);
    kill(pid_of(&child), Signal::SIGTERM).expect("signalled");
    let status = child.wait().expect("waited");
    assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn the_network_inside_forwards_nothing_and_lets_many_packets_wait() {
    let script =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; ip link";
    for mode in modes() {
        let output = finish(mode.run().args(["--quiet", "--", "sh", "-c", script]));
        let said = text(&output.stdout);
        assert!(said.starts_with("0\n0\n"), "{mode}: {said}");
        assert!(
            mode.device != "tun" || said.contains(" qlen 10000"),
            "{mode}: {said}"
        );
    }
}

/// Whether a process of this number lives.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

#[test]
fn nothing_is_left_when_transom_is_killed() {
    for mode in modes() {
        let script = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; echo $$; wait";
        let (mut child, mut said) = start(mode.run(), script);
        let pids: Vec<_> = (0..3).map(|_| line(&mut said)).collect();
        assert!(pids.iter().all(|pid| lives(pid)), "{pids:?}, {mode}");
        kill(pid_of(&child), Signal::SIGKILL).expect("killed");
        child.wait().expect("waited");
        until(&format!("{pids:?} are gone, {mode}"), || {
            !pids.iter().any(|pid| lives(pid))
        });
    }
}

#[test]
fn what_the_program_leaves_running_is_waited_for() {
    let script = "sleep 1000 >/dev/null 2>&1 & \
                  until read -r name </proc/$!/comm && [ $name = sleep ]; do :; done; \
                  echo $!; exit 3";
    let mut child = any_mode()
        .run()
        .args(["--", "sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("transom starts");
    let pid = line(&mut BufReader::new(child.stdout.take().expect("piped")));
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let serving = format!("still serving sleep[{pid}]");
    while !line(&mut said).contains(&serving) {
        assert_eq!(child.try_wait().expect("asked"), None);
    }
    assert!(lives(&pid));
    let left = Pid::from_raw(pid.parse().expect("a number"));
    kill(left, Signal::SIGKILL).expect("killed");
    assert_eq!(child.wait().expect("waited").code(), Some(3));
}

#[test]
fn with_no_wait_it_is_named_and_left() {
    let mode = any_mode();
    let script = "sleep 300 >/dev/null 2>&1 & echo $!";
    let output = finish(mode.run().args(["--no-wait", "--", "sh", "-c", script]));
    let pid = text(&output.stdout).trim().to_owned();
    assert!(output.status.success());
    assert!(lives(&pid));
    let said = text(&output.stderr);
    assert!(
        said.contains("cut off from the network: ") && said.contains(&format!("[{pid}]")),
        "{said}"
    );
    let pid = Pid::from_raw(pid.parse().expect("a number"));
    kill(pid, Signal::SIGKILL).expect("killed");
}
