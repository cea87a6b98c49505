//! What goes wrong before or around a run is said in one clear sentence with the way out.

mod harness;

use std::process::Command;

use harness::{any_mode, finish, is_root, modes, scratch, text, transom};

/// Runs transom and returns its exit code and what it said.
fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = finish(command);
    (output.status.code(), text(&output.stderr))
}

/// One line that begins with our name and holds the way out.
fn assert_sentence(said: &str, way_out: &str) {
    assert!(said.starts_with("transom: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(way_out), "{said}");
}

#[test]
fn an_unknown_option_is_named() {
    let (code, said) = said(any_mode().run().args(["--frobnicate", "--", "true"]));
    assert_eq!(code, Some(125));
    assert!(said.contains("--frobnicate"), "{said}");
}

#[test]
fn a_missing_program_is_named() {
    let (code, said) = said(any_mode().run().args(["--", "/no/such/program"]));
    assert_eq!(code, Some(127));
    assert_sentence(&said, "cannot run '/no/such/program'");
}

#[test]
fn a_published_port_that_is_none_comes_with_an_example() {
    let (code, said) = said(any_mode().run().args(["-p", "http", "--", "true"]));
    assert_eq!(code, Some(125));
    assert_sentence(&said, "-p 8080:80");
}

#[test]
fn a_published_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let (code, said) = said(any_mode().run().args(["-p", &port, "--", "true"]));
    assert_eq!(code, Some(125));
    assert_sentence(&said, &format!("cannot publish on 127.0.0.1:{port}"));
}

#[test]
fn a_capture_that_cannot_be_made_stops_before_the_program() {
    let mark = scratch("input").join("the-program-ran");
    let mark = mark.to_str().expect("text");
    let (code, said) =
        said(
            any_mode()
                .run()
                .args(["-w", "/no/such/place/x.pcapng", "--", "touch", mark]),
        );
    assert_eq!(code, Some(125));
    assert_sentence(&said, "choose another with -w FILE");
    assert!(!std::path::Path::new(mark).exists());
}

#[test]
fn a_full_disk_under_the_capture_does_not_disturb_the_program() {
    let server = harness::server::Once::new(|mut stream| {
        std::io::Write::write_all(&mut stream, &[7; 300_000])
    });
    let port = server.address.port().to_string();
    let script = format!("exec 3<>/dev/tcp/10.0.2.2/{port}; wc -c <&3");
    let output =
        finish(
            any_mode()
                .run()
                .args(["-q", "-w", "/dev/full", "--", "bash", "-c", &script]),
        );
    assert_eq!(text(&output.stdout).trim(), "300000");
    assert!(output.status.success());
    assert_sentence(&text(&output.stderr), "No space left on device");
    server.join().expect("served");
}

#[test]
fn a_closed_tun_device_says_how_to_open_it() {
    // Open to everybody on most desktops, closed in containers: as root it is closed for the test's own
    // view of the file system, otherwise it is as it is.
    let arguments = ["run", "--device", "tun", "--", "true"];
    let mut command =
        if is_root() {
            let node = scratch("tun").join("node");
            let mut command = Command::new("unshare");
            command
            .args(["-m", "sh", "-c"])
            .arg("mknod -m 600 \"$0\" c 10 200 && mount --bind \"$0\" /dev/net/tun && exec \"$@\"")
            .arg(node)
            .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(transom());
            command
        } else if modes().iter().any(|mode| mode.device == "tun") {
            return;
        } else {
            Command::new(transom())
        };
    let (code, said) = said(command.args(arguments));
    assert_eq!(code, Some(125));
    assert_sentence(&said, "leave out --device tun");
}

#[test]
fn forbidden_namespaces_say_which_setting_forbids_them() {
    // In a user namespace of its own the limit can be set without disturbing anybody.
    let script = format!(
        "echo 0 > /proc/sys/user/max_net_namespaces; exec {} run -- true",
        transom().display()
    );
    let (code, said) = said(Command::new("unshare").args(["-Ur", "sh", "-c", &script]));
    assert_eq!(code, Some(125));
    assert_sentence(&said, "user.max_net_namespaces");
}

#[test]
fn an_unreadable_resolv_conf_is_said_and_the_program_runs() {
    // Our own /etc/resolv.conf, in a mount namespace of our own, that nobody may read.
    let file = scratch("input").join("resolv.conf");
    std::fs::write(&file, "nameserver 192.0.2.1\n").expect("written");
    let mode = modes().pop().expect("a mode");
    let mut words = vec!["-m".to_owned(), "sh".to_owned(), "-c".to_owned()];
    if !is_root() {
        words.insert(0, "-Ur".to_owned());
    }
    let user = mode.user.map_or(String::new(), |user| {
        format!("setpriv --reuid={user} --regid={user} --clear-groups ")
    });
    words.push(format!(
        "chmod 0 {file}; mount --bind {file} /etc/resolv.conf; exec {user}{transom} run -- echo ran",
        file = file.display(),
        transom = transom().display()
    ));
    let output = finish(Command::new("unshare").args(&words));
    assert_eq!(text(&output.stdout), "ran\n", "{}", text(&output.stderr));
    if mode.user.is_some() {
        let said = text(&output.stderr);
        assert!(said.contains("/etc/resolv.conf cannot be read"), "{said}");
        assert!(said.contains("sudo chmod a+r /etc/resolv.conf"), "{said}");
    }
}
