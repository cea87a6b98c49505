//! The peers that are programs of their own: built when they are needed, from their published packages or against a library
//! of the system.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// lwIP 2.1 with the buffers that Debian chose, which cannot be changed.
const LWIP: &str = "lwIP of Debian, 64 KiB";
/// A header of its library, and how to get it.
const LWIP_HEADER: &str = "/usr/include/lwip/lwip/tcp.h";
const LWIP_MISSING: &str = "liblwip is not installed (Debian: apt-get install liblwip-dev)";

/// Programs of `bench/peers`.
pub(crate) const NAMES: [&str; 5] = [
    "ipstack",
    "netstack-smoltcp",
    "tokio-smoltcp",
    "tcp-ip",
    LWIP,
];

/// Builds one of [`NAMES`]; gives its path.
///
/// # Errors
/// It cannot be built here.
pub(crate) fn build(name: &str) -> io::Result<PathBuf> {
    if name == LWIP && !Path::new(LWIP_HEADER).exists() {
        return Err(io::Error::other(format!("not built: {LWIP_MISSING}")));
    }
    crate::complain(&format!("building {name}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let programs = std::env::current_exe()?;
    let release = programs
        .parent()
        .ok_or_else(|| io::Error::other("this program has no folder"))?;
    let target = release.join("peers");
    let (mut compiler, program) = if name == LWIP {
        std::fs::create_dir_all(&target)?;
        let program = target.join("lwip");
        (lwip(&program), program)
    } else {
        let program = target.join("release").join(name);
        (crate_of(name, &target), program)
    };
    let output = compiler
        .current_dir(folder)
        .output()
        .map_err(|error| io::Error::other(format!("not built: {compiler:?}: {error}")))?;
    if output.status.success() {
        return Ok(program);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().find(|line| line.contains("error"));
    Err(io::Error::other(format!(
        "not built: {}",
        first.unwrap_or("the compiler does not say why")
    )))
}

/// Builds a peer that is a crate.
fn crate_of(name: &str, target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--bin", name])
        .args(["--features", name, "--target-dir"])
        .arg(target);
    cargo
}

/// Builds the server around the library lwIP.
fn lwip(program: &Path) -> Command {
    let mut cc = Command::new("cc");
    cc.args([
        "-O2",
        "-I/usr/include/lwip",
        "lwip/server.c",
        "-llwip",
        "-o",
    ])
    .arg(program);
    cc
}
