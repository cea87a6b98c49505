//! Addresses and routes inside.

use std::io;

use netlink_packet_route::route::RouteType;
use nix::net::if_::if_nametoindex;

use super::super::netlink::Netlink;
use super::super::plan::{INTERFACE, Plan};
use super::ladder::{self, Made};
use super::sysctl;

/// Brings lo and the program's device up and gives them what the plan says.
///
/// The result lists host routes that could not be mirrored, in words for the user.
pub(crate) fn configure(
    plan: &Plan,
    made: &Made,
    netlink: &mut Netlink,
) -> io::Result<Vec<String>> {
    sysctl::never_forward();
    netlink.bring_up(if_nametoindex("lo")?, None, false)?;
    sysctl::quiet(INTERFACE);
    netlink.bring_up(made.index, Some(plan.mtu), true)?;
    if made.kind == "veth" {
        ladder::wake_peer(netlink)?;
    }
    for addresses in plan.families() {
        netlink.add_address(made.index, addresses.program, addresses.prefix_len)?;
    }
    let mut missing = Vec::new();
    for route in &plan.routes {
        let Some(inside) = plan
            .families()
            .find(|inside| inside.gateway.is_ipv4() == route.destination.address.is_ipv4())
        else {
            continue;
        };
        let gateway = (route.kind == RouteType::Unicast).then_some((inside.gateway, made.index));
        let destination = (route.destination.address, route.destination.len);
        if let Err(error) = netlink.add_route(destination, route.kind, gateway) {
            missing.push(format!(
                "the host's route to {} cannot be mirrored ({error}); \
                 the program will find it unreachable",
                route.destination
            ));
        }
    }
    Ok(missing)
}
