//! The ends of a wire: which namespace, which interface, which addresses.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use transom_device::{Port, PortOptions};

use super::super::run::netlink::Netlink;

/// An end as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// None: the namespace of this process.
    namespace: Option<String>,
    interface: String,
    addresses: Vec<(IpAddr, u8)>,
}

impl End {
    /// Understands `[NETNS:]INTERFACE[=ADDRESS/LENGTH[,…]]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (place, addresses) = match text.split_once('=') {
            Some((place, addresses)) => (place, Some(addresses)),
            None => (text, None),
        };
        let (namespace, interface) = match place.rsplit_once(':') {
            Some((namespace, interface)) => (Some(namespace.to_owned()), interface),
            None => (None, place),
        };
        if interface.is_empty() || namespace.as_deref() == Some("") {
            return Err(format!(
                "{text:?} is no end of a wire: it should be an interface, as eth0 or ns1:eth0"
            ));
        }
        let addresses = addresses.map_or(Ok(Vec::new()), |list| {
            list.split(',').map(address).collect()
        })?;
        Ok(Self {
            namespace,
            interface: interface.to_owned(),
            addresses,
        })
    }

    /// Whether both are one interface, as far as their names tell.
    pub(crate) fn is_same_interface(&self, other: &Self) -> bool {
        (&self.namespace, &self.interface) == (&other.namespace, &other.interface)
    }

    /// How it is called in messages.
    pub(crate) fn name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}:{}", self.interface),
            None => self.interface.clone(),
        }
    }

    /// Opens the interface, or makes it.
    pub(crate) fn open(&self, mtu: usize) -> Result<Port, String> {
        let Some(namespace) = &self.namespace else {
            return self.open_here(mtu);
        };
        let path = if namespace.contains('/') {
            PathBuf::from(namespace)
        } else if namespace.bytes().all(|byte| byte.is_ascii_digit()) {
            PathBuf::from(format!("/proc/{namespace}/ns/net"))
        } else {
            PathBuf::from("/run/netns").join(namespace)
        };
        let file = File::open(&path).map_err(|error| {
            let mend = match error.kind() {
                io::ErrorKind::NotFound if path.starts_with("/run/netns") => {
                    format!("; make it with `ip netns add {namespace}`")
                }
                _ => String::new(),
            };
            format!("cannot open the network namespace {namespace}: {error}{mend}")
        })?;
        // The namespace of a thread is its own; what it opens stays there.
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET).map_err(|error| {
                    format!(
                        "cannot enter the network namespace {namespace}: {error}; this needs root"
                    )
                })?;
                self.open_here(mtu)
            });
            inside
                .join()
                .unwrap_or_else(|_| Err(format!("cannot open {}", self.name())))
        })
    }

    fn open_here(&self, mtu: usize) -> Result<Port, String> {
        let exists = if_nametoindex(self.interface.as_str()).is_ok();
        let port = if exists {
            Port::attach(&self.interface)
        } else {
            Port::create(&PortOptions::new(&self.interface).mtu(mtu))
        };
        let port = port.map_err(|error| match &self.namespace {
            Some(namespace) => format!("in the network namespace {namespace}: {error}"),
            None => error.to_string(),
        })?;
        self.set_up()
            .map_err(|error| format!("cannot set up {}: {error}", self.name()))?;
        Ok(port)
    }

    fn set_up(&self) -> io::Result<()> {
        let index = if_nametoindex(self.interface.as_str())?;
        let mut netlink = Netlink::open()?;
        netlink.bring_up(index, None, false)?;
        for &(address, length) in &self.addresses {
            netlink.add_address(index, address, length)?;
        }
        Ok(())
    }
}

fn address(text: &str) -> Result<(IpAddr, u8), String> {
    let wrong = || format!("{text:?} is no address with its network's length, as 10.0.0.1/24");
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let length: u8 = length.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (length <= most)
        .then_some((address, length))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_understood() {
        let end = End::parse("eth0").unwrap();
        assert_eq!(
            (end.namespace.as_deref(), end.interface.as_str()),
            (None, "eth0")
        );
        let end = End::parse("ns1:eth0=10.0.0.1/24,fd00::1/64").unwrap();
        assert_eq!(end.namespace.as_deref(), Some("ns1"));
        assert_eq!(
            end.addresses,
            [
                ("10.0.0.1".parse().unwrap(), 24),
                ("fd00::1".parse().unwrap(), 64)
            ]
        );
        assert_eq!(end.name(), "ns1:eth0");
        let end = End::parse("/proc/7/ns/net:v0").unwrap();
        assert_eq!(end.namespace.as_deref(), Some("/proc/7/ns/net"));
        for wrong in ["", "ns1:", ":eth0", "e=10.0.0.1", "e=10.0.0.1/33", "e=x/8"] {
            assert!(End::parse(wrong).is_err(), "{wrong}");
        }
    }
}
