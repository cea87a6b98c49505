//! Whether an address is free before it is used: RFC 4862 §5.4 for IPv6, RFC 5227 for IPv4; and what to do when somebody uses
//! it later.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use transom_tcp::Instant;
use transom_wire::arp::Operation;
use transom_wire::ethernet::MacAddr;
use transom_wire::{Cidr, Medium, ndp};

use crate::discard::Discard;
use crate::event::StackEvent;
use crate::stack::Stack;

// RFC 5227 §1.1 (ARP-7).
const PROBE_WAIT: Duration = Duration::from_secs(1);
const PROBES: u8 = 3;
const PROBE_MIN: Duration = Duration::from_secs(1);
const PROBE_SPREAD: Duration = Duration::from_secs(1);
const ANNOUNCE_WAIT: Duration = Duration::from_secs(2);
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const MAX_CONFLICTS: u32 = 10;
const RATE_LIMIT_INTERVAL: Duration = Duration::from_secs(60);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
// RFC 4861 §10, RFC 4862 §5.1 (ND-8): one solicitation, one second.
const SOLICITATIONS: u8 = 1;
const RETRANS_TIMER: Duration = Duration::from_secs(1);
/// Addresses that are tried at once.
const MAX_ATTEMPTS: usize = 16;

/// An address on its way to being ours.
#[derive(Debug)]
struct Attempt {
    address: Cidr,
    /// Probes, and later announcements, sent.
    sent: u8,
    due: Instant,
    /// Only an announcement is left.
    is_ours: bool,
}

/// Addresses that are tried, and those that were disputed.
#[derive(Debug, Default)]
pub(crate) struct Acquire {
    attempts: Vec<Attempt>,
    conflicts: u32,
    last_start: Option<Instant>,
    /// When we last defended an address.
    defended: Vec<(IpAddr, Instant)>,
}

impl Acquire {
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.attempts.iter().map(|attempt| attempt.due).min()
    }

    /// The addresses that are tried.
    pub(crate) fn tried(&self) -> impl Iterator<Item = IpAddr> {
        self.attempts.iter().map(|attempt| attempt.address.addr())
    }

    /// Somebody else has the address, or tries it: gives up. False when we do not try it.
    fn give_up(&mut self, address: IpAddr) -> bool {
        let before = self.attempts.len();
        self.attempts
            .retain(|attempt| attempt.is_ours || attempt.address.addr() != address);
        let was_tried = self.attempts.len() != before;
        self.conflicts += u32::from(was_tried);
        was_tried
    }

    /// Whether an address of ours may be defended now: once in ten seconds.
    fn defends(&mut self, now: Instant, address: IpAddr) -> bool {
        let recent = |at: &Instant| now.duration_since(*at) < DEFEND_INTERVAL;
        self.defended.retain(|(_, at)| recent(at));
        let is_new = self.defended.iter().all(|(known, _)| *known != address);
        if is_new {
            self.defended.push((address, now));
        }
        is_new
    }
}

impl Stack {
    /// Gives the host an address once it is known that nobody else on the link has it.
    /// [`StackEvent::AddressReady`] or [`StackEvent::AddressConflict`] tells how that went; it takes about a second for
    /// IPv6, and between four and seven for IPv4. Where there is no link layer nobody can have it, and it is ready at once.
    ///
    /// False when too many addresses are tried already, or this one is.
    // RFC 4862 §5.4 ND-8, RFC 5227 §2.1.1 ARP-7.
    pub fn try_address(&mut self, now: Instant, address: Cidr) -> bool {
        if self.link.capabilities.medium == Medium::Ip {
            self.address_is_free(address);
            return true;
        }
        let is_tried = |attempt: &Attempt| attempt.address.addr() == address.addr();
        if self.acquire.attempts.iter().any(is_tried) || self.acquire.attempts.len() >= MAX_ATTEMPTS
        {
            return false;
        }
        let mut due = now + by_chance(self, PROBE_WAIT);
        if self.acquire.conflicts >= MAX_CONFLICTS
            && let Some(last) = self.acquire.last_start
        {
            // RFC 5227 §2.1.1: after ten conflicts, one new address a minute.
            due = due.max(last + RATE_LIMIT_INTERVAL);
        }
        self.acquire.last_start = Some(due);
        self.acquire.attempts.push(Attempt {
            address,
            sent: 0,
            due,
            is_ours: false,
        });
        true
    }

    fn address_is_free(&mut self, address: Cidr) {
        self.add_address(address);
        self.events
            .push_back(StackEvent::AddressReady(address.addr()));
    }

    pub(crate) fn acquire_timeouts(&mut self, now: Instant) {
        let due = |attempt: &Attempt| attempt.due <= now;
        while let Some(at) = self.acquire.attempts.iter().position(due) {
            let attempt = self.acquire.attempts.swap_remove(at);
            if let Some(attempt) = self.next_step(now, attempt) {
                self.acquire.attempts.push(attempt);
            }
        }
    }

    /// What comes next; none when that was the last step.
    fn next_step(&mut self, now: Instant, mut attempt: Attempt) -> Option<Attempt> {
        let outcome = match attempt.address.addr() {
            IpAddr::V4(address) if attempt.is_ours => {
                // RFC 5227 §2.3: twice, two seconds apart.
                let outcome = self.announce(now, address);
                self.note(now, outcome);
                return None;
            }
            IpAddr::V4(address) if attempt.sent >= PROBES => {
                self.address_is_free(attempt.address);
                attempt.is_ours = true;
                attempt.due = now + ANNOUNCE_INTERVAL;
                self.announce(now, address)
            }
            IpAddr::V4(address) => {
                attempt.sent += 1;
                attempt.due = if attempt.sent == PROBES {
                    now + ANNOUNCE_WAIT
                } else {
                    now + PROBE_MIN + by_chance(self, PROBE_SPREAD)
                };
                let nobody = Ipv4Addr::UNSPECIFIED;
                self.send_arp(now, Operation::Request, nobody, MacAddr::ZERO, address)
            }
            IpAddr::V6(_) if attempt.sent >= SOLICITATIONS => {
                self.address_is_free(attempt.address);
                return None;
            }
            IpAddr::V6(address) => {
                attempt.sent += 1;
                attempt.due = now + RETRANS_TIMER;
                // RFC 4862 §5.4.2: a switch has to know of the group before the answer can come. The attempt itself is
                // in hand here.
                self.acquire.attempts.push(attempt);
                self.report_groups(now);
                attempt = self.acquire.attempts.pop()?;
                // From the unspecified address, and without a link address.
                let message = ndp::Message::NeighborSolicitation {
                    target: address,
                    source_link: None,
                };
                let to = ndp::solicited_node(address);
                self.send_ndp(now, Ipv6Addr::UNSPECIFIED, to, None, &message)
            }
        };
        self.note(now, outcome);
        Some(attempt)
    }

    fn announce(&mut self, now: Instant, address: Ipv4Addr) -> Result<(), Discard> {
        self.send_arp(now, Operation::Request, address, MacAddr::ZERO, address)
    }

    fn note(&mut self, now: Instant, outcome: Result<(), Discard>) {
        if let Err(reason) = outcome {
            self.observer.discard(now, reason);
        }
    }

    /// Somebody else speaks as `address`, or tries it as we do: whether that is a dispute, which is settled here.
    pub(crate) fn is_disputed(&mut self, address: IpAddr) -> bool {
        if self.acquire.give_up(address) {
            self.events.push_back(StackEvent::AddressConflict(address));
            return true;
        }
        false
    }

    /// Somebody else uses an address of ours.
    // RFC 5227 §2.4 (c): who was told to use an address goes on, and defends it at most once in ten seconds.
    pub(crate) fn defend(&mut self, now: Instant, address: Ipv4Addr) {
        if self.acquire.defends(now, address.into()) {
            let outcome = self.announce(now, address);
            self.note(now, outcome);
            self.events
                .push_back(StackEvent::AddressConflict(address.into()));
        }
    }
}

/// A time up to `most`.
fn by_chance(stack: &mut Stack, most: Duration) -> Duration {
    let millis = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(stack.host.random.below(millis + 1).into())
}
