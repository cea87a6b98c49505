//! What cannot be done is said in one sentence, with the way out and the documented exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::ended::{Running, Status};
use crate::host::{Host, Place, SERVERS_V4, User};
use crate::server::{Server, pages};
use crate::ways::{LIMIT, NOBODY_VETH, Way};

/// One sentence of ours, which contains these words; and this exit code.
fn refused(host: &Host, way: Way, words: &[&str], code: i32, parts: &[&str]) {
    let mut command = host.command(Place::Here, way.user);
    command.args(words);
    let ended = Running::start(command, Vec::new()).end(LIMIT);
    assert_eq!(ended.status, Status::Code(code), "{words:?}: {ended:?}");
    let text = ended.stderr();
    assert!(
        text.starts_with("transom: ") && text.lines().count() == 1,
        "{words:?}: {ended:?}"
    );
    for part in parts {
        assert!(text.contains(part), "{words:?}: no '{part}' in {ended:?}");
    }
    assert_eq!(ended.stdout(), "", "{words:?}");
}

#[test]
fn what_cannot_be_run_is_refused_in_one_sentence() {
    let host = Host::new();
    let transom = host.transom();
    let transom = transom.to_str().unwrap();
    let plain_file = host.folder().join("plain-file");
    fs::write(&plain_file, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&plain_file, fs::Permissions::from_mode(0o644)).unwrap();
    let plain_file = plain_file.to_str().unwrap();
    for user in [User::Root, User::Nobody] {
        let way = Way { user, device: None };
        refused(
            &host,
            way,
            &[transom, "run", "--", "no-such-program"],
            127,
            &["no-such-program", "PATH"],
        );
        refused(
            &host,
            way,
            &[transom, "run", "--", "/no/such/program"],
            127,
            &["/no/such/program"],
        );
        refused(
            &host,
            way,
            &[transom, "run", "--", plain_file],
            126,
            &[plain_file, "chmod"],
        );
        refused(&host, way, &[transom, "run", "--", "/etc"], 126, &["/etc"]);
        refused(
            &host,
            way,
            &[transom, "run", "-p", "nonsense", "--", "true"],
            125,
            &["nonsense", "-p"],
        );
        refused(
            &host,
            way,
            &[transom, "run", "-w", "/no/such/folder/x", "--", "true"],
            125,
            &["/no/such/folder"],
        );
        refused(
            &host,
            way,
            &[
                transom,
                "run",
                "--report",
                "/no/such/folder/x",
                "--",
                "true",
            ],
            125,
            &["/no/such/folder"],
        );
        // The sentence comes first; what usage is follows it.
        let mut command = host.command(Place::Here, user);
        command.args([transom, "run", "--no-such-flag", "--", "true"]);
        let ended = Running::start(command, Vec::new()).end(LIMIT);
        assert_eq!(ended.status, Status::Code(125), "{ended:?}");
        let first = ended.stderr().lines().next().unwrap_or_default().to_owned();
        assert!(first.contains("--no-such-flag"), "{ended:?}");
    }
}

#[test]
fn a_closed_device_and_refused_namespaces_are_named_with_the_way_out() {
    let host = Host::new();
    let transom = host.transom();
    let transom = transom.to_str().unwrap();
    let words = [transom, "run", "--device", "tun", "--", "true"];
    refused(&host, NOBODY_VETH, &words, 125, &["/dev/net/tun", "chmod"]);
    // A user whose system allows no namespaces: the limit holds in this user namespace only.
    let script = format!(
        "echo 0 >/proc/sys/user/max_user_namespaces; \
         exec setpriv --inh-caps=-all --bounding-set=-all {transom} run -- true"
    );
    let words = ["unshare", "--user", "--map-root-user", "sh", "-c", &script];
    refused(&host, NOBODY_VETH, &words, 125, &["namespace", "sysctl"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let host = Host::new();
    let _server = Server::start(
        &host,
        Place::Here,
        [
            "python3",
            "-u",
            "-m",
            "http.server",
            "8000",
            "--bind",
            "127.0.0.1",
        ],
        "Serving HTTP",
    );
    let transom = host.transom();
    let words = [transom.to_str().unwrap(), "run", "-p", "8000", "--", "true"];
    refused(&host, NOBODY_VETH, &words, 125, &["8000", "-p"]);
}

#[test]
fn a_full_disk_under_the_capture_is_told_and_does_not_disturb_the_program() {
    let host = Host::new();
    let _server = pages(&host);
    let transom = host.transom();
    for user in [User::Root, User::Nobody] {
        let mut command = host.command(Place::Here, user);
        command
            .arg(&transom)
            .args(["run", "--quiet", "-w", "/dev/full", "--"]);
        command.args(["curl", "-sS", &format!("http://{SERVERS_V4}:8000/page")]);
        let ended = Running::start(command, Vec::new()).end(LIMIT);
        assert_eq!(ended.stdout(), "page\n", "{ended:?}");
        let text = ended.stderr();
        assert!(
            text.lines().count() == 1 && text.contains("/dev/full"),
            "{ended:?}"
        );
        assert!(text.contains("No space left"), "{ended:?}");
    }
}

#[test]
fn an_unreadable_resolv_conf_is_told_and_the_rest_works() {
    let host = Host::new();
    let _server = pages(&host);
    fs::set_permissions(
        host.folder().join("resolv.conf"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let transom = host.transom();
    let mut command = host.command(Place::Here, User::Nobody);
    command
        .arg(&transom)
        .args(["run", "--diagram", "none", "--"]);
    command.args(["curl", "-sS", &format!("http://{SERVERS_V4}:8000/page")]);
    let ended = Running::start(command, Vec::new()).end(LIMIT);
    assert_eq!(
        (ended.status, ended.stdout().as_str()),
        (Status::Code(0), "page\n"),
        "{ended:?}"
    );
    let told = ended
        .stderr()
        .lines()
        .filter(|line| line.contains("resolv.conf"))
        .count();
    assert_eq!(told, 1, "{ended:?}");
    assert!(ended.stderr().contains("sudo"), "{ended:?}");
}
