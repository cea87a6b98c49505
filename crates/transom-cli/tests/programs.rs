//! Real programs against real servers through `transom run`, in every mode of this machine: each
//! behaves as in a plain run.

#![expect(
    clippy::expect_used,
    reason = "these are tests: what cannot be set up fails them"
)]

mod harness;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::server::{Program, free_port, nginx};
use harness::{finish, modes, python, scratch, text, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The name of the host's loopback inside.
const HOST: &str = "host.transom.internal";

/// Writes `length` bytes that do not repeat.
fn noise(path: &Path, length: usize) {
    let mut file = io::BufWriter::new(File::create(path).expect("a file"));
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..length / 8 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).expect("written");
    }
    file.flush().expect("written");
}

fn same(one: &Path, two: &Path) -> bool {
    Command::new("cmp")
        .arg(one)
        .arg(two)
        .status()
        .expect("cmp")
        .success()
}

/// Fails unless tshark reads every packet of a capture without a complaint.
fn assert_capture_is_sound(capture: &Path) {
    let output = finish(
        Command::new("tshark")
            .arg("-r")
            .arg(capture)
            .args([
                "-o",
                "tcp.check_checksum:TRUE",
                "-o",
                "udp.check_checksum:TRUE",
            ])
            .args([
                "-Y",
                "_ws.malformed || tcp.checksum.status == 0 || udp.checksum.status == 0",
            ]),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "", "tshark complains");
}

#[test]
fn curl_fetches_from_nginx_over_both_families() {
    let directory = scratch("curl");
    fs::write(directory.join("index.html"), "hello from nginx\n").expect("written");
    let server = nginx(&directory, &directory);
    for mode in modes() {
        for family in ["-4", "-6"] {
            let capture = directory.join(format!("{:?}{family}.pcapng", mode));
            let url = format!("http://{HOST}:{}/", server.port);
            let output = finish(
                mode.run()
                    .arg("-w")
                    .arg(&capture)
                    .args(["--", "curl", "-sS", family, &url]),
            );
            let report = text(&output.stderr);
            assert_eq!(
                text(&output.stdout),
                "hello from nginx\n",
                "{mode}: {report}"
            );
            assert!(output.status.success(), "{mode}");
            assert!(report.contains("curl"), "{report}");
            assert!(
                report.contains("SYN-SENT") && report.contains("FIN-WAIT-1"),
                "{report}"
            );
            assert!(report.contains("A normal close"), "{report}");
            assert!(
                report.lines().all(|line| line.chars().count() <= 80),
                "{report}"
            );
            assert_capture_is_sound(&capture);
        }
    }
}

#[test]
fn curl_speaks_http_2_over_tls() {
    let directory = scratch("tls");
    let (key, certificate) = (directory.join("key.pem"), directory.join("cert.pem"));
    let made = finish(
        Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate),
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    let port = free_port();
    let d = directory.display();
    let user = if harness::is_root() { "user root;" } else { "" };
    let configuration = directory.join("nginx.conf");
    fs::write(
        &configuration,
        format!(
            "{user} daemon off; master_process off; error_log {d}/error.log; pid {d}/pid;
             events {{ worker_connections 64; }}
             http {{ access_log off; client_body_temp_path {d}/b; proxy_temp_path {d}/p;
               fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
               server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {d}/cert.pem;
                 ssl_certificate_key {d}/key.pem; root {d}; }} }}"
        ),
    )
    .expect("written");
    fs::write(directory.join("index.html"), "over h2\n").expect("written");
    let mut command = Command::new("nginx");
    let server = Program::start(command.arg("-c").arg(&configuration), port);
    for mode in modes() {
        let url = format!("https://{HOST}:{}/", server.port);
        let output =
            finish(
                mode.run()
                    .args(["-q", "--", "curl", "-sSk4", "-w", "%{http_version}", &url]),
            );
        assert_eq!(
            text(&output.stdout),
            "over h2\n2",
            "{mode}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn large_files_are_identical_in_both_directions() {
    let directory = scratch("large");
    let original = directory.join("original");
    for (at, mode) in modes().into_iter().enumerate() {
        // The whole gigabyte once, less in the other modes.
        noise(&original, if at == 0 { 1 << 30 } else { 1 << 26 });
        let server = nginx(&directory, &directory);
        let url = format!("http://{HOST}:{}", server.port);
        let copy = scratch("large-copies").join(format!("copy-{at}"));
        let down = finish(
            mode.run()
                .args(["-q", "--", "curl", "-sSf4", "-o"])
                .arg(&copy)
                .arg(format!("{url}/original")),
        );
        assert!(down.status.success(), "{mode}: {}", text(&down.stderr));
        assert!(same(&original, &copy), "download, {mode}");
        let up = finish(
            mode.run()
                .args(["-q", "--", "curl", "-sSf4", "-T"])
                .arg(&copy)
                .arg(format!("{url}/uploaded-{at}")),
        );
        assert!(up.status.success(), "{mode}: {}", text(&up.stderr));
        let uploaded = directory.join(format!("uploaded-{at}"));
        assert!(same(&original, &uploaded), "upload, {mode}");
        for file in [copy, uploaded] {
            fs::remove_file(file).expect("removed");
        }
    }
    fs::remove_file(original).expect("removed");
}

#[test]
fn a_published_python_server_is_reached_from_the_host() {
    let directory = scratch("published");
    fs::write(directory.join("page"), "from inside\n").expect("written");
    for mode in modes() {
        let (outside, inside) = (free_port(), free_port());
        let child = mode
            .run()
            .args([
                "-p",
                &format!("{outside}:{inside}"),
                "--",
                python(),
                "-u",
                "-m",
            ])
            .args(["http.server", &inside.to_string()])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("transom starts");
        let mut answer = String::new();
        until("the published server answers", || {
            answer.clear();
            let fetched = TcpStream::connect(("127.0.0.1", outside)).and_then(|mut stream| {
                stream.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
                stream.read_to_string(&mut answer)
            });
            fetched.is_ok_and(|length| length > 0)
        });
        assert!(answer.ends_with("from inside\n"), "{mode}: {answer}");
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("signalled");
        let output = harness::wait(child, "the published server");
        let report = text(&output.stderr);
        assert!(report.contains("GET /page HTTP/1.0"), "{mode}: {report}");
    }
}

#[test]
fn iperf3_measures_both_directions() {
    let port = free_port();
    let mut command = Command::new("iperf3");
    let server = Program::start(
        command.args([
            "--server",
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]),
        port,
    );
    let port = server.port.to_string();
    for mode in modes() {
        for direction in [None, Some("--reverse")] {
            let output = finish(
                mode.run()
                    .args([
                        "-q", "--", "iperf3", "-4", "--client", HOST, "--port", &port,
                    ])
                    .args(["--time", "1"])
                    .args(direction),
            );
            let said = text(&output.stdout);
            assert!(
                output.status.success(),
                "{mode}: {said}{}",
                text(&output.stderr)
            );
            assert!(said.contains("receiver"), "{mode}: {said}");
        }
    }
}

#[test]
fn redis_answers() {
    let port = free_port();
    let mut command = Command::new("redis-server");
    let server = Program::start(
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(scratch("redis")),
        port,
    );
    let port = server.port.to_string();
    for mode in modes() {
        let redis = |words: &[&str]| {
            let base = ["-q", "--", "redis-cli", "-h", HOST, "-p", &port];
            text(&finish(mode.run().args(base).args(words)).stdout)
        };
        assert_eq!(redis(&["set", "key", "value"]), "OK\n", "{mode}");
        assert_eq!(redis(&["get", "key"]), "value\n", "{mode}");
    }
}

#[test]
fn git_clones_over_http() {
    let directory = scratch("git");
    let git = |at: &Path, words: &[&str]| {
        let output = finish(
            Command::new("git")
                .current_dir(at)
                .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
                .args(words),
        );
        assert!(
            output.status.success(),
            "git {words:?}: {}",
            text(&output.stderr)
        );
    };
    let work = directory.join("work");
    fs::create_dir_all(&work).expect("a directory");
    git(&work, &["init", "-q"]);
    noise(&work.join("file"), 1 << 20);
    git(&work, &["add", "file"]);
    git(&work, &["commit", "-q", "-m", "a file"]);
    git(&directory, &["clone", "-q", "--bare", "work", "served.git"]);
    git(&directory.join("served.git"), &["update-server-info"]);
    let server = nginx(&directory, &directory);
    for (at, mode) in modes().into_iter().enumerate() {
        let clone = scratch("clones").join(format!("clone-{at}"));
        let url = format!("http://{HOST}:{}/served.git", server.port);
        let output = finish(
            mode.run()
                .args(["-q", "--", "git", "clone", "-q", &url])
                .arg(&clone),
        );
        assert!(output.status.success(), "{mode}: {}", text(&output.stderr));
        assert!(same(&work.join("file"), &clone.join("file")), "{mode}");
    }
}

#[test]
fn ssh_runs_a_command_and_brings_its_exit_code() {
    let directory = scratch("ssh");
    for key in ["host", "client"] {
        let made = finish(
            Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(directory.join(key)),
        );
        assert!(made.status.success(), "{}", text(&made.stderr));
    }
    fs::copy(directory.join("client.pub"), directory.join("authorized")).expect("copied");
    let port = free_port();
    let configuration = directory.join("sshd_config");
    let d = directory.display();
    fs::write(
        &configuration,
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {d}/host\nAuthorizedKeysFile {d}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
        ),
    )
    .expect("written");
    let _ = fs::create_dir_all("/run/sshd");
    let mut command = Command::new("/usr/sbin/sshd");
    let server = Program::start(command.arg("-D").arg("-f").arg(&configuration), port);
    let me = text(&finish(Command::new("id").arg("-un")).stdout)
        .trim()
        .to_owned();
    for mode in modes() {
        let key = scratch("ssh-keys").join(format!("{:?}", mode.user));
        if !key.exists() {
            fs::copy(directory.join("client"), &key).expect("copied");
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
            if let Some(user) = mode.user {
                std::os::unix::fs::chown(&key, Some(user), Some(user)).expect("given away");
            }
        }
        let output = finish(
            mode.run()
                .args(["-q", "--", "ssh", "-p", &server.port.to_string(), "-i"])
                .arg(&key)
                .args([
                    "-o",
                    "StrictHostKeyChecking=no",
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                ])
                .args([
                    "-o",
                    "BatchMode=yes",
                    &format!("{me}@{HOST}"),
                    "echo over ssh; exit 3",
                ]),
        );
        assert_eq!(
            text(&output.stdout),
            "over ssh\n",
            "{mode}: {}",
            text(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(3), "{mode}");
    }
}

#[test]
fn wrk_keeps_a_hundred_connections_busy() {
    let directory = scratch("wrk");
    fs::write(directory.join("index.html"), "small\n").expect("written");
    let server = nginx(&directory, &directory);
    let url = format!("http://10.0.2.2:{}/", server.port);
    for mode in modes() {
        let output = finish(
            mode.run()
                .args(["-q", "--", "wrk", "-t", "2", "-c", "100", "-d", "2", &url]),
        );
        let said = text(&output.stdout);
        assert!(
            output.status.success(),
            "{mode}: {said}{}",
            text(&output.stderr)
        );
        assert!(said.contains("Requests/sec"), "{mode}: {said}");
        assert!(
            !said.contains("Socket errors") && !said.contains("Non-2xx"),
            "{mode}: {said}"
        );
    }
}

#[test]
fn names_and_pings_work_inside() {
    for mode in modes() {
        let output = finish(mode.run().args(["-q", "--", "getent", "ahostsv4", HOST]));
        assert!(
            text(&output.stdout).starts_with("10.0.2.2"),
            "{mode}: {}",
            text(&output.stdout)
        );
    }
    // Who may ping depends on the host's settings; root always may.
    if harness::is_root() {
        for mode in modes().into_iter().filter(|mode| mode.user.is_none()) {
            let output = finish(
                mode.run()
                    .args(["-q", "--", "ping", "-c", "1", "-W", "5", HOST]),
            );
            let said = text(&output.stdout);
            assert!(said.contains(" 0% packet loss"), "{mode}: {said}");
        }
    }
}
