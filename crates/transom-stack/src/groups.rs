//! Which groups of the link we are in (RFC 3810, the part of a listener): the solicited-node groups of our addresses, which
//! switches that look into packets have to know of.

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use bytes::Bytes;
use transom_tcp::Instant;
use transom_wire::{Medium, Protocol, TxFrame, TxOffload, icmpv6, ndp};

use crate::discard::Discard;
use crate::egress::IpMeta;
use crate::ingress::Ingress;
use crate::observer::Dropped;
use crate::route;
use crate::stack::Stack;

/// RFC 3810 §5.1, §5.2: the types of a query and of a report.
pub(crate) const QUERY: u8 = 130;
const REPORT: u8 = 143;
/// RFC 3810 §5.2.12: in this group, whoever sends.
const MODE_IS_EXCLUDE: u8 = 2;
/// RFC 3810 §5.2.14: where reports go.
const ALL_MLDV2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Groups in one report; it has to fit the smallest MTU.
const MAX_GROUPS: usize = 60;
/// A hop-by-hop header with the router alert option (RFC 2711), which says that routers have to read on.
const ROUTER_ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

impl Stack {
    /// A router asks who is in which group.
    // RFC 3810 §6.2 (ND-12).
    pub(crate) fn group_query(
        &mut self,
        now: Instant,
        ingress: &Ingress,
        view: &icmpv6::View<'_>,
    ) -> Result<(), Dropped> {
        let from_the_link = ingress.hop_limit == 1 && route::is_link_local(ingress.src);
        if self.link.capabilities.medium == Medium::Ip || !from_the_link {
            return Err(Discard::IcmpIgnored.into());
        }
        let Some((group, _)) = view.body().split_first_chunk::<16>() else {
            return Err(Discard::IcmpMalformed.into());
        };
        let group = Ipv6Addr::from(*group);
        if !group.is_unspecified() && !self.groups().contains(&group) {
            return Err(Discard::NdpNotOurs.into());
        }
        let [high, low, ..] = view.rest();
        let most = response_delay(u16::from_be_bytes([high, low]));
        let delay = self.host.random.below(most.saturating_add(1));
        let due = now + Duration::from_millis(delay.into());
        // One report answers every query that came before it.
        self.report_due = Some(self.report_due.map_or(due, |earlier| earlier.min(due)));
        Ok(())
    }

    pub(crate) fn group_timeouts(&mut self, now: Instant) {
        if self.report_due.is_some_and(|due| due <= now) {
            self.report_groups(now);
        }
    }

    /// Says which groups we are in.
    pub(crate) fn report_groups(&mut self, now: Instant) {
        self.report_due = None;
        if let Err(reason) = self.send_report(now) {
            self.observer.discard(now, reason);
        }
    }

    fn send_report(&mut self, now: Instant) -> Result<(), Discard> {
        let groups = self.groups();
        let own = |address: IpAddr| match address {
            IpAddr::V6(v6) if route::is_link_local(address) => Some(v6),
            _ => None,
        };
        // RFC 3590 §4: without an address, from the unspecified one.
        let from = self.addresses().iter().find_map(|it| own(it.addr()));
        let from = from.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let count = u16::try_from(groups.len()).map_err(|_| Discard::TooLarge)?;
        let [high, low] = count.to_be_bytes();
        let mut message = vec![REPORT, 0, 0, 0, 0, 0, high, low];
        for group in groups {
            message.extend([MODE_IS_EXCLUDE, 0, 0, 0]);
            message.extend(group.octets());
        }
        icmpv6::fill_checksum(&mut message, from, ALL_MLDV2_ROUTERS);
        let mut body = ROUTER_ALERT.to_vec();
        body.extend(message);
        let (src, dst) = (from.into(), ALL_MLDV2_ROUTERS.into());
        let meta = IpMeta::new(src, dst, Protocol::HOP_BY_HOP, 1);
        let mut headers = self.link.start(false);
        if !meta.emit(&mut headers, body.len()) {
            return Err(Discard::TooLarge);
        }
        let frame = TxFrame {
            headers,
            payload: Bytes::from(body).into(),
            offload: TxOffload::None,
        };
        self.send_frame(now, frame, dst)
    }

    /// The solicited-node groups of the addresses that we have, and of those that we try.
    // RFC 4861 §7.2.1, RFC 4862 §5.4.2.
    fn groups(&self) -> Vec<Ipv6Addr> {
        let mut groups: Vec<_> = self
            .addresses()
            .iter()
            .map(|address| address.addr())
            .chain(self.acquire.tried())
            .filter_map(|address| match address {
                IpAddr::V6(v6) => Some(ndp::solicited_node(v6)),
                IpAddr::V4(_) => None,
            })
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups.truncate(MAX_GROUPS);
        groups
    }
}

/// Milliseconds within which to answer (RFC 3810 §5.1.3).
fn response_delay(code: u16) -> u32 {
    let code = u32::from(code);
    if code < 0x8000 {
        return code;
    }
    let (mantissa, exponent) = (code & 0xfff, (code >> 12) & 7);
    (mantissa | 0x1000) << (exponent + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_delay_is_a_small_number_with_an_exponent() {
        assert_eq!(response_delay(0), 0);
        assert_eq!(response_delay(32_767), 32_767);
        assert_eq!(response_delay(0x8000), 32_768);
        assert_eq!(response_delay(0xffff), 0x1fff << 10);
    }
}
