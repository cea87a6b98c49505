//! curl, git and wrk against nginx.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::capture;
use crate::ended::{Running, Status};
use crate::host::{Host, Place, SERVERS_V4, SERVERS_V6, TunFor, User, script};
use crate::server::Server;
use crate::ways::{LIMIT, NOBODY_TUN, NOBODY_VETH, ROOT_TUN, Run, WAYS};

/// nginx with everything that HTTP has: plain, HTTP/2 with and without TLS, and PUT.
const CONFIGURATION: &str = "
daemon off;
master_process off;
user root;
pid FOLDER/nginx.pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    client_max_body_size 0;
    client_body_temp_path FOLDER/body;
    server {
        listen 80;
        listen [::]:80;
        listen 443 ssl http2;
        listen [::]:443 ssl http2;
        listen 8080 http2;
        listen [::]:8080 http2;
        ssl_certificate FOLDER/certificate.pem;
        ssl_certificate_key FOLDER/key.pem;
        root FOLDER/www;
        dav_methods PUT;
        location /uploads/ { root FOLDER; dav_methods PUT; client_body_in_file_only off; }
    }
}
";

pub(crate) fn nginx(host: &Host, place: Place) -> Server {
    let folder = host.folder();
    for name in ["www", "uploads"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    fs::write(
        folder.join("www/hello.txt"),
        "Hello through the window above the door.\n",
    )
    .unwrap();
    let made = Command::new("openssl")
        .args(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
                .split(' '),
        )
        .args(["-keyout".as_ref(), folder.join("key.pem").as_os_str()])
        .args(["-out".as_ref(), folder.join("certificate.pem").as_os_str()])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let file = folder.join("nginx.conf");
    fs::write(
        &file,
        CONFIGURATION.replace("FOLDER", folder.to_str().unwrap()),
    )
    .unwrap();
    // Its sockets listen before it says this.
    let words = format!("exec nginx -e stderr -c {} 2>&1", file.display());
    Server::start(host, place, ["sh", "-c", &words], "getrlimit")
}

/// A file in which no stretch repeats, and its SHA-256.
fn write_body(path: &Path, length: usize) -> String {
    let mut out = BufWriter::new(File::create(path).unwrap());
    // xorshift64*: fast enough for a gibibyte in a test build.
    let mut state = 0x7472_616e_736f_6d00_u64 | 1;
    let mut block = [0; 1 << 16];
    let mut left = length;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            word.copy_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        let part = left.min(block.len());
        out.write_all(&block[..part]).unwrap();
        left -= part;
    }
    out.into_inner().unwrap();
    sha256(path)
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What curl says of a transfer that does not change from run to run.
const TOLD: &str =
    "%{http_version} %{http_code} %{remote_ip} %{size_download} %{num_connects} %{exitcode}\n";

#[test]
fn curl_http_1_and_2_over_ipv4_and_ipv6() {
    let host = Host::with_tun_for(TunFor::Everybody);
    let _nginx = nginx(&host, Place::Servers);
    for address in [SERVERS_V4.to_owned(), format!("[{SERVERS_V6}]")] {
        for (options, start) in [
            ("--http1.1", format!("http://{address}")),
            ("--http1.1 -k", format!("https://{address}")),
            ("--http2 -k", format!("https://{address}")),
            ("--http2-prior-knowledge", format!("http://{address}:8080")),
        ] {
            let url = format!("{start}/hello.txt");
            // Three times, so that the connection is used again; but this nginx takes only one
            // request over HTTP/2 without TLS.
            let times = if options.contains("prior") { 1 } else { 3 };
            let words: Vec<_> = ["curl", "-sS", "-w", TOLD]
                .into_iter()
                .chain(options.split(' '))
                .chain(std::iter::repeat_n(url.as_str(), times))
                .collect();
            let plain = Run::new(&host, ROOT_TUN.plain(), &words).end();
            assert_eq!(plain.status, Status::Code(0), "{plain:?}");
            for way in WAYS.into_iter().chain([NOBODY_TUN]) {
                let ended = Run::new(&host, way, &words).end();
                assert_eq!(ended, plain, "{way:?} {words:?}");
            }
        }
    }
    capture::check(&host);
}

/// What tshark makes of a capture, with no setting.
fn paths_asked_for(host: &Host, capture: &Path) -> Vec<String> {
    let mut tshark = Command::new("tshark");
    tshark.env("HOME", host.folder()).args(["-n", "-r"]);
    let fields = [
        "-T",
        "fields",
        "-e",
        "http.request.uri",
        "-e",
        "http2.headers.path",
    ];
    let output = tshark.arg(capture).args(fields).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn with_its_tls_keys_a_capture_can_be_read() {
    let host = Host::with_tun_for(TunFor::Everybody);
    let _nginx = nginx(&host, Place::Servers);
    let url = format!("https://{SERVERS_V4}/hello.txt");
    for way in WAYS {
        for (options, users) in [
            ("--http2", true),
            ("--http1.1", false),
            ("--http1.1 --tls-max 1.2", true),
        ] {
            let (file, log) = (host.new_file("pcapng"), host.new_file("keys"));
            let private = host.new_file("folder");
            fs::create_dir(&private).unwrap();
            fs::set_permissions(&private, fs::Permissions::from_mode(0o777)).unwrap();
            fs::write(&log, "# mine\n").unwrap();
            fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
            let file = file.to_str().unwrap();
            let curl = format!("curl -sSk {options} {url} && ls -l $SSLKEYLOGFILE");
            let run = Run::new(&host, way, ["sh", "-c", &curl])
                .without_capture()
                .options(["--quiet", "--tls-keys", "-w", file]);
            let mut command = host.command(Place::Here, way.user);
            command
                .arg("env")
                .arg(format!("TMPDIR={}", private.display()));
            if users {
                command.arg(format!("SSLKEYLOGFILE={}", log.display()));
            }
            command.args(run.words());
            let ended = Running::start(command, Vec::new()).end(LIMIT);
            let what = format!("{way:?} {options}: {ended:?}");
            assert_eq!(ended.status, Status::Code(0), "{what}");
            assert_eq!(ended.stderr(), "", "{what}");
            // Nobody else reads them, and afterwards they are only where they were asked for.
            let name = format!("{}/transom-keys-", private.display());
            assert!(ended.stdout().contains("\n-rw-------"), "{what}");
            assert!(ended.stdout().contains(&name), "{what}");
            let left: Vec<_> = fs::read_dir(&private).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
            let mine = fs::read_to_string(&log).unwrap();
            assert!(mine.starts_with("# mine\n"), "{mine}");
            assert_eq!(mine.lines().count() > 1, users, "{mine}");
            assert_eq!(
                paths_asked_for(&host, Path::new(file)),
                ["/hello.txt"],
                "{what}"
            );
            let mut explain = host.command(Place::Here, User::Root);
            explain.arg(host.transom()).args(["explain", file]);
            let told = Running::start(explain, Vec::new()).end(LIMIT);
            assert_eq!(
                (told.status, told.stderr()),
                (Status::Code(0), String::new())
            );
            assert!(told.stdout().contains("TLS"), "{told:?}");
        }
    }
    capture::check(&host);
}

#[test]
fn a_program_that_writes_no_tls_keys_is_named() {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Servers);
    let file = host.new_file("pcapng");
    let file = file.to_str().unwrap();
    let run = |script: String| {
        let run = Run::new(&host, NOBODY_VETH, ["sh", "-c", &script]).without_capture();
        run.options(["--diagram", "none", "--tls-keys", "-w", file])
            .end()
    };
    let silent = run(format!(
        "openssl s_client -connect {SERVERS_V4}:443 </dev/null >/dev/null 2>&1"
    ));
    let told = "no TLS secrets: the program's TLS library takes no notice of SSLKEYLOGFILE";
    assert!(silent.stderr().contains(told), "{silent:?}");
    let plain = run(format!("curl -sS http://{SERVERS_V4}/hello.txt"));
    assert!(!plain.stderr().contains("TLS secrets"), "{plain:?}");
    // What cannot be gone back in is refused before anything runs.
    let run = Run::new(&host, NOBODY_VETH, ["echo", "ran"]).without_capture();
    let refused = run.options(["--tls-keys", "-w", "/dev/null"]).end();
    assert_eq!(refused.status, Status::Code(125), "{refused:?}");
    assert!(refused.stderr().contains("only a file"), "{refused:?}");
}

#[test]
fn curl_finds_the_hosts_own_loopback_services() {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Here);
    for way in WAYS {
        for url in [
            "http://host.transom.internal/hello.txt",
            "http://10.0.2.2/hello.txt",
            "-6 http://host.transom.internal/hello.txt",
        ] {
            let words = ["curl", "-sS"].into_iter().chain(url.split(' '));
            let ended = Run::new(&host, way, words).end();
            assert_eq!(ended.status, Status::Code(0), "{way:?} {url}: {ended:?}");
            assert_eq!(
                ended.stdout(),
                "Hello through the window above the door.\n",
                "{way:?} {url}"
            );
        }
    }
    capture::check(&host);
}

/// One transfer each way; every byte arrives, in every way.
fn transfer(length: usize, ways: &[crate::ways::Way], captured: bool) {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Servers);
    let path = host.folder().join("www/body");
    let digest = write_body(&path, length);
    for &way in ways {
        let run = |script: String| {
            let run = Run::new(&host, way, ["sh", "-c", &script]).limit(120);
            let run = if captured { run } else { run.without_capture() };
            let ended = run.end();
            assert_eq!(ended.status, Status::Code(0), "{way:?} {script}: {ended:?}");
            ended.stdout()
        };
        let down = run(format!("curl -sS http://{SERVERS_V4}/body | sha256sum"));
        assert_eq!(down, format!("{digest}  -\n"), "{way:?}: download");
        let answer = run(format!(
            "curl -sS -w '%{{http_code}}' -T {} http://{SERVERS_V4}/uploads/body",
            path.display()
        ));
        assert!(answer == "201" || answer == "204", "{way:?}: {answer}");
        assert_eq!(
            sha256(&host.folder().join("uploads/body")),
            digest,
            "{way:?}: upload"
        );
    }
    if captured {
        capture::check(&host);
    }
}

/// No file holds this one: three of them are more than a disk may have left.
#[test]
fn a_gibibyte_down_and_up_is_byte_identical() {
    const LENGTH: u64 = 1 << 30;
    let host = Host::new();
    let body = script("body.py");
    let body = body.to_str().unwrap();
    let words = ["python3", body, "serve", SERVERS_V4, "80"];
    let _server = Server::start(&host, Place::Servers, words, "ready");
    let output = Command::new("python3")
        .args([body, "digest", &LENGTH.to_string()])
        .output()
        .unwrap();
    let digest = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(digest.len(), 64, "{digest}");
    for way in [ROOT_TUN, NOBODY_VETH] {
        let run = |script: &str| {
            let run = Run::new(&host, way, ["sh", "-c", script]).limit(120);
            let ended = run.without_capture().end();
            assert_eq!(ended.status, Status::Code(0), "{way:?} {script}: {ended:?}");
            ended.stdout()
        };
        let down = run(&format!(
            "curl -sS http://{SERVERS_V4}/{LENGTH} | sha256sum"
        ));
        assert_eq!(down, format!("{digest}  -\n"), "{way:?}: download");
        let up = run(&format!(
            "python3 {body} make {LENGTH} | curl -sS -T - -H Transfer-Encoding: \
             -H 'Content-Length: {LENGTH}' http://{SERVERS_V4}/"
        ));
        assert_eq!(up, digest, "{way:?}: upload");
    }
}

#[test]
fn sixty_four_mebibytes_down_and_up_are_byte_identical_in_every_way() {
    transfer(64 << 20, &WAYS, false);
}

#[test]
fn four_mebibytes_down_and_up_make_captures_that_are_in_order() {
    transfer(4 << 20, &WAYS, true);
}

#[test]
fn git_clones_over_loopback_http() {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Here);
    let repository = host.folder().join("www/project.git");
    let work = host.folder().join("work");
    let script = format!(
        "set -e
        git init -q -b main {work}
        cd {work}
        git config user.name Test; git config user.email test@example.com
        for n in $(seq 200); do echo $n >file$n; done
        head -c 3000000 /dev/urandom >large
        git add .; git commit -qm one; echo two >file1; git commit -qam two
        git clone -q --bare {work} {repository}
        git -C {repository} update-server-info
        git -C {work} rev-parse HEAD",
        work = work.display(),
        repository = repository.display()
    );
    let made = Run::new(&host, ROOT_TUN.plain(), ["sh", "-c", &script]).end();
    assert_eq!(made.status, Status::Code(0), "{made:?}");
    for way in WAYS {
        let to = host.new_file("clone");
        let script = format!(
            "git clone -q http://host.transom.internal/project.git {to} && cd {to} && git fsck --full 2>/dev/null && git rev-parse HEAD",
            to = to.display()
        );
        let ended = Run::new(&host, way, ["sh", "-c", &script]).end();
        assert_eq!(ended.status, Status::Code(0), "{way:?}: {ended:?}");
        assert_eq!(ended.stdout(), made.stdout(), "{way:?}: {ended:?}");
    }
    capture::check(&host);
}

#[test]
fn wrk_with_a_hundred_connections_meets_no_error() {
    let host = Host::new();
    let _nginx = nginx(&host, Place::Servers);
    let url = format!("http://{SERVERS_V4}/hello.txt");
    for way in WAYS {
        let words = ["wrk", "-t", "2", "-c", "100", "-d", "3s", &url];
        let ended = Run::new(&host, way, words).without_capture().end();
        let shown = ended.stdout();
        assert_eq!(ended.status, Status::Code(0), "{way:?}: {ended:?}");
        assert!(shown.contains("Requests/sec:"), "{way:?}: {ended:?}");
        assert!(
            !shown.contains("errors") && !shown.contains("Non-2xx"),
            "{way:?}: {ended:?}"
        );
        let rate = shown
            .lines()
            .find(|line| line.contains("Requests/sec"))
            .unwrap_or_default();
        eprintln!("{way:?}: wrk {rate}");
    }
}
