//! Every script in `scripts/`, over IPv4, over IPv6 and with IPv6 sockets over IPv4.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use transom_drill::run::{Settings, run};
use transom_drill::script::{IpVersion, Options, Script};

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            files.push(path);
        }
    }
}

/// Plays every script that says nothing else over one version of IP; gives how many there were.
fn play(version: IpVersion) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut failures = String::new();
    let mut played = 0;
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let text = fs::read_to_string(file).unwrap();
        let script = match Script::parse(&name, &text, &Options::default().defines) {
            Ok(script) => script,
            Err(error) => {
                writeln!(failures, "{error}").unwrap();
                continue;
            }
        };
        let asked = script.options.ip_version;
        if asked.is_some_and(|asked| asked != version) {
            continue;
        }
        let mut options = Options {
            ip_version: Some(version),
            ..Options::default()
        };
        if version == IpVersion::V6 && script.options.mtu.is_none() && asked.is_none() {
            // So that the MSS is that of IPv4 and one script does for both.
            options.mtu = Some(1520);
        }
        let settings = Settings {
            options,
            verbose: false,
        };
        played += 1;
        if let Some(failure) = run(&script, &settings).failure {
            writeln!(failures, "{failure}\n").unwrap();
        }
    }
    assert!(failures.is_empty(), "over {version:?}:\n{failures}");
    played
}

#[test]
fn every_script_passes_over_ipv4() {
    assert!(play(IpVersion::V4) > 0);
}

#[test]
fn every_script_passes_over_ipv6() {
    assert!(play(IpVersion::V6) > 0);
}

#[test]
fn every_script_passes_with_mapped_addresses() {
    assert!(play(IpVersion::V4Mapped) > 0);
}
