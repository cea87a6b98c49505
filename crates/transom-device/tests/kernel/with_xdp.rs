//! A network namespace for a test that needs AF_XDP.

use std::io::ErrorKind;

use transom_device::{XdpOptions, XdpSocket};

use super::namespace::{in_namespace, not_run, run};

/// As [`in_namespace`], for tests that need AF_XDP, which takes the host's privileges; without them the test
/// checks that the library says so.
pub(crate) fn in_namespace_with_xdp(name: &str, body: impl FnOnce()) {
    in_namespace(name, || {
        run("ip link add probe0 type veth peer name probe1");
        run("ip link set probe0 up");
        match XdpSocket::open(&XdpOptions::new("probe0")) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let text = error.to_string();
                assert!(text.contains("AF_XDP needs root"), "{text}");
                not_run("this user may not load XDP programs; only the error was checked");
            }
            Err(error) => panic!("{error}"),
            Ok(probe) => {
                drop(probe);
                run("ip link del probe0");
                body();
            }
        }
    });
}
