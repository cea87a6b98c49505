//! A synchronous rtnetlink client: one request, its answer, done.
//!
//! Set-up happens before the asynchronous runtime exists (a process that enters a user
//! namespace must have a single thread), so nothing here waits for more than the kernel's answer, or for the kernel to
//! have done what it answered.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::kernel::netlink::{Conversation, News};

/// The kernel takes in what is for a new address this long after it was given, at most: then we go on without.
const SETTLING: Duration = Duration::from_secs(2);

/// A connection to the kernel's routing tables of the network namespace that it was opened in.
pub(crate) struct Netlink {
    talk: Conversation,
}

impl Netlink {
    /// Opens a connection in the current network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        let talk = Conversation::open(libc::NETLINK_ROUTE)?;
        Ok(Self { talk })
    }

    /// Every route of `family` in every table.
    pub(crate) fn routes(&mut self, family: AddressFamily) -> io::Result<Vec<RouteMessage>> {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        let answers = self.exchange(RouteNetlinkMessage::GetRoute(request), NLM_F_DUMP)?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewRoute(route) => Some(route),
                _ => None,
            })
            .collect())
    }

    /// Every address of every interface.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<AddressMessage>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.exchange(request, NLM_F_DUMP)?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| match answer {
                RouteNetlinkMessage::NewAddress(address) => Some(address),
                _ => None,
            })
            .collect())
    }

    /// The MTU of the interface `index`, if there is such an interface.
    pub(crate) fn mtu(&mut self, index: u32) -> io::Result<Option<u32>> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        let answers = self.exchange(RouteNetlinkMessage::GetLink(request), 0)?;
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => {
                link.attributes
                    .into_iter()
                    .find_map(|attribute| match attribute {
                        LinkAttribute::Mtu(mtu) => Some(mtu),
                        _ => None,
                    })
            }
            _ => None,
        }))
    }

    /// Brings an interface up, with an MTU and with or without neighbour discovery.
    pub(crate) fn bring_up(&mut self, index: u32, mtu: Option<u32>, noarp: bool) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        if noarp {
            link.header.flags |= LinkFlags::Noarp;
            link.header.change_mask |= LinkFlags::Noarp;
        }
        link.attributes.extend(mtu.map(LinkAttribute::Mtu));
        self.request(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Lets so many packets wait in an interface's queue.
    pub(crate) fn set_queue(&mut self, index: u32, packets: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes.push(LinkAttribute::TxQueueLen(packets));
        self.request(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Makes a pair of connected Ethernet interfaces, each with a name and a hardware address.
    pub(crate) fn add_veth(
        &mut self,
        one: (&str, [u8; 6]),
        two: (&str, [u8; 6]),
    ) -> io::Result<()> {
        let named = |(name, address): (&str, [u8; 6])| {
            let mut link = LinkMessage::default();
            link.attributes.push(LinkAttribute::IfName(name.to_owned()));
            link.attributes
                .push(LinkAttribute::Address(address.to_vec()));
            link
        };
        let mut link = named(one);
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(named(two)))),
        ]));
        self.request(
            RouteNetlinkMessage::NewLink(link),
            NLM_F_CREATE | NLM_F_EXCL,
        )
    }

    /// Gives an interface an address, which is usable then, for IPv6 without duplicate detection.
    ///
    /// An IPv6 address is one to send from at once, but what is sent to it is taken in only once a worker of the kernel has
    /// made its local route. On a busy machine the first answer would come before, and be lost: this waits for the route.
    pub(crate) fn add_address(
        &mut self,
        index: u32,
        address: IpAddr,
        prefix: u8,
    ) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family_of(address);
        message.header.prefix_len = prefix;
        message.header.scope = AddressScope::Universe;
        message.header.index = index;
        let until = Instant::now() + SETTLING;
        let news = match address {
            IpAddr::V6(_) => Some(News::listen(
                libc::NETLINK_ROUTE,
                libc::RTMGRP_IPV6_ROUTE.cast_unsigned(),
            )?),
            IpAddr::V4(_) => None,
        };
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        message.attributes.push(AddressAttribute::Local(address));
        message.attributes.push(AddressAttribute::Address(address));
        self.request(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )?;
        if let Some(news) = news {
            while !self.is_local(address)? && news.wait(until)? {}
        }
        Ok(())
    }

    /// Whether what is sent to `address` stays on this machine.
    fn is_local(&mut self, address: IpAddr) -> io::Result<bool> {
        let mut request = RouteMessage::default();
        request.header.address_family = family_of(address);
        request.header.destination_prefix_length = if address.is_ipv4() { 32 } else { 128 };
        request
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::from(address)));
        match self.exchange(RouteNetlinkMessage::GetRoute(request), 0) {
            Ok(answers) => Ok(answers.iter().any(|answer| {
                matches!(answer, RouteNetlinkMessage::NewRoute(route)
                    if route.header.kind == RouteType::Local)
            })),
            // No route at all.
            Err(error) if error.raw_os_error() == Some(libc::ENETUNREACH) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds a route to the main table; a `kind` other than unicast takes no gateway.
    pub(crate) fn add_route(
        &mut self,
        destination: (IpAddr, u8),
        kind: RouteType,
        gateway: Option<(IpAddr, u32)>,
    ) -> io::Result<()> {
        let (address, prefix) = destination;
        let mut message = RouteMessage::default();
        message.header.address_family = family_of(address);
        message.header.destination_prefix_length = prefix;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = kind;
        if prefix > 0 {
            message
                .attributes
                .push(RouteAttribute::Destination(RouteAddress::from(address)));
        }
        if let Some((gateway, interface)) = gateway {
            message
                .attributes
                .push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
            message.attributes.push(RouteAttribute::Oif(interface));
        }
        self.request(
            RouteNetlinkMessage::NewRoute(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, flags | NLM_F_ACK).map(drop)
    }

    /// Sends one request and collects its answers.
    fn exchange(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let mut answers = Vec::new();
        self.talk
            .ask(message.message_type(), flags, &bytes, |answer| {
                let mut header = NetlinkHeader::default();
                header.message_type = answer.kind;
                let answer = RouteNetlinkMessage::deserialize(&header, answer.payload)
                    .map_err(io::Error::other)?;
                answers.push(answer);
                Ok(())
            })?;
        Ok(answers)
    }
}

fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests {
    use nix::net::if_::if_nametoindex;
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn an_address_takes_in_what_is_sent_to_it_once_it_was_given() {
        // A thread has a network of its own, which ends with it.
        let in_own_network = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let mut netlink = Netlink::open().unwrap();
            netlink
                .add_veth(("one", [2, 0, 0, 0, 0, 1]), ("two", [2, 0, 0, 0, 0, 2]))
                .unwrap();
            let index = if_nametoindex("one").unwrap();
            netlink.bring_up(index, None, false).unwrap();
            for last in 1..=50 {
                for address in [
                    IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]),
                    IpAddr::from([10, 0, 0, u8::try_from(last).unwrap()]),
                ] {
                    assert!(!netlink.is_local(address).unwrap(), "{address}");
                    netlink
                        .add_address(index, address, if address.is_ipv4() { 24 } else { 64 })
                        .unwrap();
                    assert!(netlink.is_local(address).unwrap(), "{address}");
                }
            }
        };
        std::thread::spawn(in_own_network).join().unwrap();
    }
}
