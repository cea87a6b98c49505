//! How connections open and close through `transom run`, compared with a plain run by what the
//! program sees (values and errno), and by what the server sees.

mod harness;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use harness::network::Network;
use harness::server::{Once, free_port};
use harness::{Mode, finish, modes, python, text};

const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/probe.py");
/// Where the host's loopback is inside.
const GATEWAY: &str = "10.0.2.2";

/// Runs the probe and returns what it printed.
fn probe(command: &mut Command, case: &str, host: &str, port: u16) -> String {
    let output = finish(command.args([PROBE, case, host, &port.to_string()]));
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn through(mode: Mode) -> Command {
    let mut command = mode.run();
    command.args(["--quiet", "--", python()]);
    command
}

/// Runs a case plainly and through transom in every mode, each against a server of its own; all
/// must see the same, and `expected`.
fn compare<T: PartialEq + std::fmt::Debug + Send + 'static>(
    case: &str,
    serve: fn(TcpStream) -> io::Result<T>,
    expected: &str,
) {
    let server = Once::new(serve);
    let port = server.address.port();
    let plain = probe(&mut Command::new(python()), case, "127.0.0.1", port);
    let plain_server = format!("{:?}", server.join());
    assert_eq!(plain, expected, "the plain run");
    for mode in modes() {
        let server = Once::new(serve);
        let seen = probe(&mut through(mode), case, GATEWAY, server.address.port());
        assert_eq!(seen, plain, "{mode}");
        assert_eq!(
            format!("{:?}", server.join()),
            plain_server,
            "what the server saw, {mode}"
        );
    }
}

/// Sets a socket so that closing it sends a reset.
fn abort(stream: TcpStream) -> io::Result<()> {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))?;
    drop(stream);
    Ok(())
}

#[test]
fn refused() {
    let port = free_port();
    for mode in modes() {
        let seen = probe(&mut through(mode), "connect", GATEWAY, port);
        assert_eq!(seen, "connect ECONNREFUSED\n", "{mode}");
    }
}

#[test]
fn reset_in_the_middle_of_a_stream() {
    compare(
        "send-read",
        |mut stream| {
            stream.read_exact(&mut [0; 10])?;
            stream.write_all(b"12345")?;
            abort(stream)
        },
        "connect None\nsend 10\nread ECONNRESET\nsend again EPIPE\n",
    );
}

#[test]
fn reset_because_the_server_left_data_unread() {
    compare(
        "send-read",
        |stream| {
            stream.peek(&mut [0; 10])?;
            drop(stream);
            Ok(())
        },
        "connect None\nsend 10\nread ECONNRESET\nsend again EPIPE\n",
    );
}

#[test]
fn the_server_ends_its_direction_and_still_reads() {
    compare(
        "read-then-send",
        |mut stream| {
            stream.write_all(b"greeting")?;
            stream.shutdown(Shutdown::Write)?;
            let mut rest = String::new();
            stream.read_to_string(&mut rest)?;
            Ok(rest)
        },
        "connect None\nread 8\nsend None\nshutdown None\n",
    );
}

#[test]
fn the_program_ends_its_direction_and_still_reads() {
    compare(
        "half-close",
        |mut stream| {
            let mut question = String::new();
            stream.read_to_string(&mut question)?;
            // Much, and only after the program's end: it must all arrive.
            stream.write_all(&vec![b'a'; 3_000_000])?;
            Ok(question)
        },
        "connect None\nsend None\nshutdown None\nread 3000000\n",
    );
}

#[test]
fn the_server_never_closes() {
    compare(
        "never-closed",
        |mut stream| {
            let mut rest = String::new();
            stream.read_to_string(&mut rest)?;
            Ok(rest)
        },
        "connect None\nread timed out\n",
    );
}

#[test]
fn the_server_closes_at_once() {
    compare(
        "read",
        |stream| {
            drop(stream);
            Ok(())
        },
        "connect None\nread 0\nread again 0\n",
    );
}

#[test]
fn sending_to_a_server_that_has_gone() {
    compare(
        "send-until-error",
        |mut stream| {
            stream.write_all(b"hello")?;
            stream.read_exact(&mut [0; 1000])?;
            abort(stream)
        },
        "connect None\nread 5\nsend ECONNRESET\n",
    );
}

/// Reads to the end, or to the error.
fn read_out(mut stream: TcpStream) -> io::Result<(usize, io::ErrorKind)> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        // "No error" has no kind; this one cannot come from a socket.
        Ok(length) => Ok((length, io::ErrorKind::Other)),
        Err(error) => Ok((all.len(), error.kind())),
    }
}

#[test]
fn a_killed_program_ends_its_connection_as_its_kernel_does() {
    compare("killed", read_out, "connect None\nsend None\n");
}

#[test]
fn a_program_killed_with_data_unread_resets_its_connection() {
    compare(
        "killed-with-data-unread",
        |mut stream| {
            stream.write_all(b"unread")?;
            read_out(stream)
        },
        "connect None\npeek 5\n",
    );
}

#[test]
fn what_a_program_sent_before_its_end_still_arrives() {
    compare(
        "exit-with-data-on-the-way",
        read_out,
        "connect None\nsend None\n",
    );
}

/// A host with one network on which nobody answers, and routes that refuse.
const SILENT_HOST: &str = "ip link add silent type veth peer name nobody; \
    ip link set nobody up; ip link set silent up arp off; ip addr add 192.0.2.1/24 dev silent; \
    ip link add lonely type veth peer name empty; ip link set empty up; ip link set lonely up; \
    ip addr add 192.0.3.1/24 dev lonely; \
    ip route add unreachable 198.51.100.0/24; ip route add prohibit 203.0.113.0/24; \
    ip addr add 2001:db8:5::1/64 dev silent nodad";

#[test]
fn a_connection_into_a_black_hole_times_out() {
    let network = Network::new(SILENT_HOST);
    for mode in modes() {
        let plain = probe(
            &mut network.plain(mode, python()),
            "connect-short",
            "192.0.2.9",
            80,
        );
        let mut command = network.run(mode);
        command.args(["--quiet", "--", python()]);
        let seen = probe(&mut command, "connect-short", "192.0.2.9", 80);
        assert_eq!(
            (plain.as_str(), &plain),
            ("connect timed out\n", &seen),
            "{mode}"
        );
    }
}

#[test]
fn unreachable_is_the_same_error_inside() {
    let network = Network::new(SILENT_HOST);
    let cases = [
        // Nobody answers the search for this neighbour.
        ("192.0.3.9", "connect EHOSTUNREACH\n"),
        ("198.51.100.7", "connect EHOSTUNREACH\n"),
        ("203.0.113.7", "connect EACCES\n"),
        ("8.8.8.8", "connect ENETUNREACH\n"),
        ("2001:db8:6::1", "connect ENETUNREACH\n"),
    ];
    for mode in modes() {
        for (address, expected) in cases {
            let plain = probe(&mut network.plain(mode, python()), "connect", address, 80);
            let mut command = network.run(mode);
            command.args(["--quiet", "--", python()]);
            let seen = probe(&mut command, "connect", address, 80);
            assert_eq!(
                (plain.as_str(), seen.as_str()),
                (expected, expected),
                "{address}, {mode}"
            );
        }
    }
}
