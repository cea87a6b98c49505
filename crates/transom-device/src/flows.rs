//! Which of several queues a connection belongs to.
//!
//! The same function is computed here, of sockets and of frames, and by a filter in the kernel that spreads frames
//! over packet sockets ([`Flows::filter`]): a word at a time is added to a state, which is multiplied by a
//! secret odd number and folded; and so twice more in the end. It spreads evenly, also ports that follow each other as a kernel
//! gives them out, which without the end were all one queue's for one secret in forty. The secret keeps a stranger from
//! choosing addresses and ports that all belong to one queue.

use std::net::{IpAddr, SocketAddr};

use transom_wire::arp;
use transom_wire::ethernet::{self, EtherType};
use transom_wire::frame::Medium;
use transom_wire::ip::{Packet, Protocol};
use transom_wire::quote::Quoted;

use crate::complete::link_header_len;

/// How often the state is multiplied and folded once all is in it.
const LAST_ROUNDS: usize = 2;

/// Where an ICMP error quotes the packet that it is about.
const QUOTE: usize = 8;
/// Types of ICMPv4 that report an error about a packet.
const ERRORS_V4: [u8; 4] = [3, 4, 11, 12];
/// The same of ICMPv6.
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];
/// Router and Neighbour Advertisement of ICMPv6.
const ADVERTISEMENTS: [u8; 2] = [134, 136];

/// Where a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// To the queue of this number.
    Queue(u32),
    /// To every queue: what it says of the link is news to each.
    All,
}

/// Divides connections among queues. Everything else belongs to the first.
#[derive(Clone, Copy, Debug)]
pub struct Flows {
    start: u32,
    factor: u32,
    queues: u32,
}

impl Flows {
    /// Divides among so many queues, at least one, by a secret.
    #[must_use]
    pub const fn new(secret: [u8; 8], queues: u32) -> Self {
        let [a, b, c, d, e, f, g, h] = secret;
        Self {
            start: u32::from_ne_bytes([a, b, c, d]),
            // Odd, so that no two values become the same, and not small.
            factor: u32::from_ne_bytes([e, f, g, h]) | 0x8100_0001,
            queues: if queues == 0 { 1 } else { queues },
        }
    }

    /// Among how many queues.
    #[must_use]
    pub const fn queues(&self) -> u32 {
        self.queues
    }

    /// The queue of the connection between two sockets.
    #[must_use]
    pub fn of_connection(&self, local: SocketAddr, remote: SocketAddr) -> u32 {
        let ports = u32::from(remote.port()) << 16 | u32::from(local.port());
        self.of_words(remote.ip(), local.ip(), ports)
    }

    /// The queue that a received frame belongs to. Fragments of TCP segments belong to all: only the first says between
    /// which ports they go.
    #[must_use]
    pub fn of_frame(&self, frame: &[u8], medium: Medium) -> Owner {
        self.look(frame, medium).unwrap_or(Owner::Queue(0))
    }

    fn look(&self, frame: &[u8], medium: Medium) -> Option<Owner> {
        let rest = frame.get(link_header_len(medium)..)?;
        if medium == Medium::Ethernet {
            let kind = frame.get(ethernet::HEADER_LEN - 2..)?.first_chunk()?;
            if EtherType(u16::from_be_bytes(*kind)) == EtherType::ARP {
                let operation = arp::View::new(rest).ok()?.operation();
                return (operation == Some(arp::Operation::Reply)).then_some(Owner::All);
            }
        }
        let packet = Packet::lax(rest).ok()?;
        let payload = packet.payload();
        let is_fragment = packet
            .fragment()
            .is_some_and(|fragment| !fragment.is_atomic());
        match packet.protocol() {
            Protocol::TCP if is_fragment => Some(Owner::All),
            Protocol::TCP => {
                let ports = u32::from_be_bytes(*payload.first_chunk()?);
                Some(Owner::Queue(self.of_words(
                    packet.src(),
                    packet.dst(),
                    ports,
                )))
            }
            Protocol::ICMP if ERRORS_V4.contains(payload.first()?) => self.quoted(payload),
            Protocol::ICMPV6 if ERRORS_V6.contains(payload.first()?) => self.quoted(payload),
            Protocol::ICMPV6 if ADVERTISEMENTS.contains(payload.first()?) => Some(Owner::All),
            _ => None,
        }
    }

    /// The queue of the connection that an ICMP error is about. The packet that it quotes was sent from here.
    fn quoted(&self, message: &[u8]) -> Option<Owner> {
        let quoted = Quoted::new(message.get(QUOTE..)?).ok()?;
        if quoted.protocol() != Protocol::TCP {
            return None;
        }
        let (local, remote) = quoted.ports()?;
        let local = SocketAddr::new(quoted.src(), local);
        let remote = SocketAddr::new(quoted.dst(), remote);
        Some(Owner::Queue(self.of_connection(local, remote)))
    }

    fn of_words(&self, remote: IpAddr, local: IpAddr, ports: u32) -> u32 {
        let mut state = self.start;
        let mut add = |word: u32| {
            state = state.wrapping_add(word).wrapping_mul(self.factor);
            state ^= state >> 15;
        };
        for address in [remote, local] {
            match address {
                IpAddr::V4(v4) => add(v4.to_bits()),
                IpAddr::V6(v6) => {
                    let bits = v6.to_bits();
                    for shift in [96, 64, 32, 0] {
                        add((bits >> shift) as u32);
                    }
                }
            }
        }
        add(ports);
        for _ in 0..LAST_ROUNDS {
            add(0);
        }
        (state >> 16) % self.queues
    }

    /// The same function of the frames that are plainest, and most, as a classic BPF program: it returns the queue's number
    /// before it is divided by the number of queues. Zero for all others.
    #[cfg(target_os = "linux")]
    pub(crate) fn filter(&self) -> Vec<libc::sock_filter> {
        use crate::sys::filter::{BYTE, EQUALS, HALF, RETURN, WORD, instruction};

        /// Offsets from here on count from the IP header, wherever it is in the frame.
        const NETWORK: u32 = libc::SKF_NET_OFF as u32;
        const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
        const ALU: u32 = libc::BPF_ALU;
        const RETURN_A: u32 = libc::BPF_RET | libc::BPF_A;
        // The state is in X.
        let hash = |words: &[u32]| {
            let mut program = vec![instruction(libc::BPF_LDX | libc::BPF_IMM, 0, 0, self.start)];
            let round = [
                instruction(ALU | libc::BPF_MUL | libc::BPF_K, 0, 0, self.factor),
                instruction(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
                instruction(ALU | libc::BPF_RSH | libc::BPF_K, 0, 0, 15),
                instruction(ALU | libc::BPF_XOR | libc::BPF_X, 0, 0, 0),
                instruction(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
            ];
            for &word in words {
                program.extend([
                    instruction(WORD, 0, 0, NETWORK.wrapping_add(word)),
                    instruction(ALU | libc::BPF_ADD | libc::BPF_X, 0, 0, 0),
                ]);
                program.extend(round);
            }
            for _ in 0..LAST_ROUNDS {
                program.extend(round);
            }
            program.push(instruction(ALU | libc::BPF_RSH | libc::BPF_K, 0, 0, 16));
            program.push(instruction(RETURN_A, 0, 0, 0));
            program
        };
        let network = |at: u32| NETWORK.wrapping_add(at);
        let tcp = u32::from(Protocol::TCP.raw());
        let mut v4 = vec![
            // No fragment.
            instruction(HALF, 0, 0, network(6)),
            instruction(HAS, 2, 0, 0x3fff),
            instruction(BYTE, 0, 0, network(9)),
            instruction(EQUALS, 1, 0, tcp),
            instruction(RETURN, 0, 0, 0),
        ];
        v4.extend(hash(&[12, 16, 20]));
        let mut v6 = vec![
            instruction(BYTE, 0, 0, network(6)),
            instruction(EQUALS, 1, 0, tcp),
            instruction(RETURN, 0, 0, 0),
        ];
        v6.extend(hash(&[8, 12, 16, 20, 24, 28, 32, 36, 40]));
        let mut program = vec![
            instruction(BYTE, 0, 0, network(0)),
            // IPv4 without options.
            instruction(EQUALS, 0, v4.len() as u8, 0x45),
        ];
        program.extend(v4);
        program.extend([
            instruction(ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0xf0),
            instruction(EQUALS, 1, 0, 0x60),
            instruction(RETURN, 0, 0, 0),
        ]);
        program.extend(v6);
        program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_follow_each_other_belong_to_all_queues_whatever_the_secret() {
        let local = SocketAddr::from(([10, 9, 0, 2], 80));
        for number in 0..500_u64 {
            // Secrets as random ones, but the same each time.
            let secret = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number << 7;
            let flows = Flows::new(secret.to_ne_bytes(), 2);
            for step in [1, 2, 2657] {
                let ports = (10_007_u16..).step_by(step).take(20);
                let of_second: u32 = ports
                    .map(|port| flows.of_connection(local, SocketAddr::from(([10, 9, 0, 1], port))))
                    .sum();
                // None or all: one of half a million by chance.
                assert!(
                    (1..=19).contains(&of_second),
                    "{secret:x}, {step}: {of_second} of 20"
                );
            }
        }
    }
}
