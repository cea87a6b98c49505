//! The kernel's settings that a program can notice, carried into the new network.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::unistd::Gid;

/// Settings per network namespace, as they are before one is entered.
pub(crate) struct Settings(BTreeMap<String, String>);

/// Directories whose settings are carried over, with the prefixes of the names that are.
const CARRIED: [(&str, &[&str]); 3] = [
    (
        "/proc/sys/net/ipv4",
        &[
            "tcp_",
            "ip_local_",
            "ip_unprivileged_port_start",
            "ip_default_ttl",
            "ping_group_range",
        ],
    ),
    ("/proc/sys/net/ipv6", &["bindv6only", "auto_flowlabels"]),
    ("/proc/sys/net/core", &["somaxconn"]),
];

/// Not settings: read-only lists, secrets, and what differs by nature.
const LEFT_OUT: [&str; 4] = [
    "tcp_available_",
    "tcp_fastopen_key",
    "tcp_ehash_entries",
    "tcp_child_ehash_entries",
];

impl Settings {
    /// Reads the settings of the current network namespace.
    pub(crate) fn read() -> Self {
        let mut settings = BTreeMap::new();
        for (directory, prefixes) in CARRIED {
            let Ok(entries) = fs::read_dir(directory) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let carried = prefixes.iter().any(|prefix| name.starts_with(prefix))
                    && !LEFT_OUT.iter().any(|prefix| name.starts_with(prefix));
                if !carried {
                    continue;
                }
                if let Ok(value) = fs::read_to_string(entry.path()) {
                    settings.insert(format!("{directory}/{name}"), value);
                }
            }
        }
        Self(settings)
    }

    /// Writes those that differ into the current network namespace. What cannot be written
    /// (global settings, a read-only /proc/sys) stays as the kernel made it.
    pub(crate) fn write(&self) {
        for (path, value) in &self.0 {
            if fs::read_to_string(path).is_ok_and(|now| now == *value) {
                continue;
            }
            if fs::write(path, value).is_err() && path.ends_with("ping_group_range") {
                write_ping_range(path, value);
            }
        }
    }
}

/// In a user namespace only our own group exists; it may ping if the host lets it.
fn write_ping_range(path: &str, value: &str) {
    let mut bounds = value.split_ascii_whitespace().map(str::parse::<u32>);
    let (Some(Ok(low)), Some(Ok(high))) = (bounds.next(), bounds.next()) else {
        return;
    };
    let gid = Gid::effective().as_raw();
    if (low..=high).contains(&gid) {
        let _ = fs::write(path, format!("{gid} {gid}"));
    }
}

/// Keeps the network from passing on what is not for itself. A new network may have it from the host,
/// and then our end of a veth pair would send the program's packets back to it.
pub(crate) fn never_forward() {
    for path in [
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv6/conf/all/forwarding",
    ] {
        // Only a change is written: IPv4's resets other settings. A /proc/sys that is read-only stays
        // as it is.
        if fs::read_to_string(path).is_ok_and(|now| now.trim() != "0") {
            let _ = fs::write(path, "0");
        }
    }
}

/// Keeps an interface from talking by itself: no router solicitation, no link-local address.
pub(crate) fn quiet(interface: &str) {
    let conf = Path::new("/proc/sys/net/ipv6/conf").join(interface);
    for (name, value) in [
        ("accept_ra", "0"),
        ("autoconf", "0"),
        ("router_solicitations", "0"),
        ("dad_transmits", "0"),
        // IN6_ADDR_GEN_MODE_NONE
        ("addr_gen_mode", "1"),
    ] {
        let _ = fs::write(conf.join(name), value);
    }
    // Answers come from everywhere; the filter would only repeat what routes say already.
    let _ = fs::write(
        Path::new("/proc/sys/net/ipv4/conf")
            .join(interface)
            .join("rp_filter"),
        "0",
    );
}

/// Keeps our end of a veth pair silent: it has no addresses and answers for none.
pub(crate) fn quiet_peer(interface: &str) {
    let _ = fs::write(
        Path::new("/proc/sys/net/ipv6/conf")
            .join(interface)
            .join("disable_ipv6"),
        "1",
    );
    // 8: do not reply for all local addresses.
    let _ = fs::write(
        Path::new("/proc/sys/net/ipv4/conf")
            .join(interface)
            .join("arp_ignore"),
        "8",
    );
}
