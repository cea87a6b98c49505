//! Names for numbers: services, devices, hosts, cgroups.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::filter;
use crate::kernel::inet_diag::Protocol;
use crate::sys;

/// Looks names up, each when it is first asked for.
#[derive(Default)]
pub(crate) struct Names {
    services: OnceCell<Services>,
    devices: RefCell<HashMap<u32, String>>,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
    cgroups: OnceCell<HashMap<u64, String>>,
}

/// Cgroups beyond which none are looked at: a bound, far above what machines have.
const MAX_CGROUPS: usize = 1 << 17;

impl Names {
    /// The service at a port, where ports are given to services. The kernel's own choices have no
    /// name even if their number has.
    pub(crate) fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let services = self.services.get_or_init(Services::read);
        if services.ephemeral.contains(&port) {
            return None;
        }
        services.names.get(&(protocol, port)).map(String::as_str)
    }

    /// Appends the name of a device.
    pub(crate) fn push_device(&self, index: u32, to: &mut String) {
        let mut devices = self.devices.borrow_mut();
        let name = devices.entry(index).or_insert_with(|| {
            nix::net::if_::if_indextoname(index)
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| format!("if{index}"))
        });
        to.push_str(name);
    }

    /// The name of an address, if it has one.
    pub(crate) fn host(&self, address: IpAddr) -> Option<String> {
        let mut hosts = self.hosts.borrow_mut();
        hosts
            .entry(address)
            .or_insert_with(|| sys::host_name(address))
            .clone()
    }

    /// The path of a cgroup.
    pub(crate) fn cgroup(&self, number: u64) -> Option<&str> {
        let cgroups = self.cgroups.get_or_init(cgroups);
        cgroups.get(&number).map(String::as_str)
    }
}

impl filter::Names for Names {
    fn port(&self, service: &str) -> Option<u16> {
        let services = self.services.get_or_init(Services::read);
        let mut ports = [Protocol::Tcp, Protocol::Udp].into_iter();
        ports.find_map(|protocol| {
            let name = (protocol, service.to_owned());
            services.ports.get(&name).copied()
        })
    }

    fn device(&self, name: &str) -> Option<u32> {
        nix::net::if_::if_nametoindex(name).ok()
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        // As it is shown, or as it stands in the file system.
        let shown = mount().map(|mount| mount.join(path.trim_start_matches('/')));
        [shown, Some(PathBuf::from(path))]
            .into_iter()
            .flatten()
            .find_map(|path| fs::metadata(path).ok().filter(fs::Metadata::is_dir))
            .map(|directory| directory.ino())
    }

    fn ephemeral(&self) -> (u16, u16) {
        let range = &self.services.get_or_init(Services::read).ephemeral;
        (*range.start(), *range.end())
    }

    fn host(&self, name: &str) -> Vec<IpAddr> {
        let found = (name, 0).to_socket_addrs();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.into_iter().flatten() {
            if !addresses.contains(&address.ip()) {
                addresses.push(address.ip());
            }
        }
        addresses
    }
}

#[derive(Debug)]
struct Services {
    names: HashMap<(Protocol, u16), String>,
    ports: HashMap<(Protocol, String), u16>,
    ephemeral: RangeInclusive<u16>,
}

impl Services {
    fn read() -> Self {
        let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let text = fs::read("/etc/services").unwrap_or_default();
        Self::parse(
            &String::from_utf8_lossy(&text),
            range.ok().as_deref().and_then(parse_range),
        )
    }

    /// services(5): `name port/protocol aliases… # comment`; the first name of a port counts.
    fn parse(text: &str, ephemeral: Option<RangeInclusive<u16>>) -> Self {
        let mut services = Self {
            names: HashMap::new(),
            ports: HashMap::new(),
            ephemeral: ephemeral.unwrap_or(32768..=60999),
        };
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(name), Some(port)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((port, protocol)) = port.split_once('/') else {
                continue;
            };
            let protocol = match protocol {
                "tcp" => Protocol::Tcp,
                "udp" => Protocol::Udp,
                _ => continue,
            };
            let Ok(port) = port.parse() else { continue };
            let first = services.names.entry((protocol, port));
            first.or_insert_with(|| name.to_owned());
            for name in std::iter::once(name).chain(words) {
                let known = services.ports.entry((protocol, name.to_owned()));
                known.or_insert(port);
            }
        }
        services
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace();
    Some(words.next()?.parse().ok()?..=words.next()?.parse().ok()?)
}

/// Where the cgroup hierarchy (version 2) is mounted.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (path, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
}

/// A cgroup's number is that of its directory.
fn cgroups() -> HashMap<u64, String> {
    let mut found = HashMap::new();
    let Some(mount) = mount() else {
        return found;
    };
    let mut waiting = vec![mount.clone()];
    while let Some(directory) = waiting.pop() {
        let Ok(metadata) = fs::metadata(&directory) else {
            continue;
        };
        found.insert(metadata.ino(), shown(&mount, &directory));
        if found.len() >= MAX_CGROUPS {
            break;
        }
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        waiting.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    found
}

fn shown(mount: &Path, directory: &Path) -> String {
    let inside = directory.strip_prefix(mount).unwrap_or(directory);
    format!("/{}", inside.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_and_ephemeral_ports_have_no_names() {
        let names = Names::default();
        let text = "# comment\nssh 22/tcp\nhttp\t80/tcp www # x\nhttp 80/udp\nodd\nbig 99999/tcp\n\
                    ftp 21/sctp\nlate 40000/tcp\n";
        let services = Services::parse(text, parse_range("32768\t60999\n"));
        assert!(names.services.set(services).is_ok());
        assert_eq!(names.service(Protocol::Tcp, 80), Some("http"));
        assert_eq!(names.service(Protocol::Udp, 22), None);
        assert_eq!(names.service(Protocol::Tcp, 40000), None);
        assert_eq!(filter::Names::port(&names, "www"), Some(80));
        assert_eq!(filter::Names::port(&names, "ftp"), None);
    }

    #[test]
    fn a_cgroup_found_by_path_is_found_by_number() {
        let Some(mount) = mount() else { return };
        let names = Names::default();
        let number = filter::Names::cgroup(&names, "/").unwrap();
        assert_eq!(number, fs::metadata(mount).unwrap().ino());
        assert_eq!(Names::cgroup(&names, number), Some("/"));
    }
}
