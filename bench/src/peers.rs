//! The peers that are programs of their own: built from their published packages when they are needed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs of `bench/peers`.
pub(crate) const NAMES: [&str; 4] = ["ipstack", "netstack-smoltcp", "tokio-smoltcp", "tcp-ip"];

/// Builds one of [`NAMES`]; gives its path.
///
/// # Errors
/// It cannot be built here.
pub(crate) fn build(name: &str) -> io::Result<PathBuf> {
    crate::complain(&format!("building {name}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let programs = std::env::current_exe()?;
    let release = programs
        .parent()
        .ok_or_else(|| io::Error::other("this program has no folder"))?;
    let target = release.join("peers");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "--bin", name])
        .args(["--features", name, "--target-dir"])
        .arg(&target)
        .current_dir(folder)
        .output()?;
    if output.status.success() {
        return Ok(target.join("release").join(name));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let first = errors.lines().find(|line| line.starts_with("error"));
    Err(io::Error::other(format!(
        "not built: {}",
        first.unwrap_or("cargo does not say why")
    )))
}
