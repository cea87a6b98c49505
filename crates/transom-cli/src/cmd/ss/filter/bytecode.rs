//! A filter as the kernel runs it: `struct inet_diag_bc_op`s.
//!
//! The kernel's machine only jumps forward. An operation that holds goes on by its own length, one
//! that does not by another; whoever arrives exactly at the end is wanted, whoever arrives four
//! bytes behind it is not. So every condition is followed by a jump, and both have labels.

use std::net::IpAddr;

use super::{Comparison, Filter, Host, Side};
use crate::kernel::inet_diag::Family;

// include/uapi/linux/inet_diag.h
const JUMP: u8 = 1;
const SOURCE_GE: u8 = 2;
const SOURCE_LE: u8 = 3;
const DESTINATION_GE: u8 = 4;
const DESTINATION_LE: u8 = 5;
const AUTO: u8 = 6;
const SOURCE_HOST: u8 = 7;
const DESTINATION_HOST: u8 = 8;
const DEVICE: u8 = 9;
const MARK: u8 = 10;
const CGROUP: u8 = 13;

/// Length of an operation without its operands.
const OP: usize = 4;

/// A place to jump to that is not known yet.
type Label = usize;
const ACCEPT: Label = 0;
const REJECT: Label = 1;

impl Filter {
    /// The program; None if it is too long for the kernel's offsets.
    pub(crate) fn bytecode(&self) -> Option<Vec<u8>> {
        let mut program = Program {
            bytes: Vec::new(),
            places: vec![None, None],
            jumps: Vec::new(),
        };
        program.add(self, ACCEPT, REJECT);
        program.finish()
    }
}

struct Program {
    bytes: Vec<u8>,
    /// Where each label is.
    places: Vec<Option<usize>>,
    /// Operations whose second offset is to lead to a label.
    jumps: Vec<(usize, Label)>,
}

impl Program {
    fn label(&mut self) -> Label {
        self.places.push(None);
        self.places.len() - 1
    }

    fn place(&mut self, label: Label) {
        if let Some(place) = self.places.get_mut(label) {
            *place = Some(self.bytes.len());
        }
    }

    fn add(&mut self, filter: &Filter, holds: Label, fails: Label) {
        match filter {
            Filter::And(one, other) => {
                let both = self.label();
                self.add(one, both, fails);
                self.place(both);
                self.add(other, holds, fails);
            }
            Filter::Or(one, other) => {
                let second = self.label();
                self.add(one, holds, second);
                self.place(second);
                self.add(other, holds, fails);
            }
            Filter::Not(inner) => self.add(inner, fails, holds),
            Filter::Port(side, comparison, port) => {
                self.port(*side, *comparison, *port, holds, fails);
            }
            Filter::Host(side, host) => {
                let code = match side {
                    Side::Source => SOURCE_HOST,
                    Side::Destination => DESTINATION_HOST,
                };
                self.operation(code, &host_operand(host), holds, fails);
            }
            Filter::Device(index) => {
                self.operation(DEVICE, &index.to_ne_bytes(), holds, fails);
            }
            Filter::Mark { value, mask } => {
                let operand = [value.to_ne_bytes(), mask.to_ne_bytes()].concat();
                self.operation(MARK, &operand, holds, fails);
            }
            Filter::Cgroup(number) => {
                self.operation(CGROUP, &number.to_ne_bytes(), holds, fails);
            }
            Filter::Autobound(lowest, highest) => {
                // The kernel's own condition also holds of a connection that a listener took.
                let (above, below) = (self.label(), self.label());
                self.operation(AUTO, &[], above, fails);
                self.place(above);
                self.port(
                    Side::Source,
                    Comparison::GreaterOrEqual,
                    *lowest,
                    below,
                    fails,
                );
                self.place(below);
                self.port(
                    Side::Source,
                    Comparison::LessOrEqual,
                    *highest,
                    holds,
                    fails,
                );
            }
        }
    }

    fn port(&mut self, side: Side, comparison: Comparison, port: u16, holds: Label, fails: Label) {
        let (ge, le) = match side {
            Side::Source => (SOURCE_GE, SOURCE_LE),
            Side::Destination => (DESTINATION_GE, DESTINATION_LE),
        };
        // The port stands where a second operation would have its offset.
        let [low, high] = port.to_ne_bytes();
        let operand = [0, 0, low, high];
        match comparison {
            Comparison::GreaterOrEqual => self.operation(ge, &operand, holds, fails),
            Comparison::LessOrEqual => self.operation(le, &operand, holds, fails),
            Comparison::Greater => self.operation(le, &operand, fails, holds),
            Comparison::Less => self.operation(ge, &operand, fails, holds),
            Comparison::Equal => {
                let both = self.label();
                self.operation(ge, &operand, both, fails);
                self.place(both);
                self.operation(le, &operand, holds, fails);
            }
            Comparison::Unequal => self.port(side, Comparison::Equal, port, fails, holds),
        }
    }

    fn operation(&mut self, code: u8, operand: &[u8], holds: Label, fails: Label) {
        let length = u8::try_from(OP + operand.len()).unwrap_or(u8::MAX);
        self.jumps.push((self.bytes.len(), fails));
        self.bytes.extend([code, length, 0, 0]);
        self.bytes.extend(operand);
        self.jumps.push((self.bytes.len(), holds));
        self.bytes.extend([JUMP, 4, 0, 0]);
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.place(ACCEPT);
        let end = self.bytes.len();
        for (at, label) in std::mem::take(&mut self.jumps) {
            let to = match label {
                REJECT => end + OP,
                label => self.places.get(label).copied().flatten()?,
            };
            let offset = u16::try_from(to.checked_sub(at)?).ok()?;
            self.bytes
                .get_mut(at + 2..at + 4)?
                .copy_from_slice(&offset.to_ne_bytes());
        }
        // The attribute that carries it counts its length in 16 bits.
        (end <= 60_000).then_some(self.bytes)
    }
}

/// `struct inet_diag_hostcond`
fn host_operand(host: &Host) -> Vec<u8> {
    let family = match host.family {
        None => 0,
        Some(Family::V4) => 2,
        Some(Family::V6) => 10,
    };
    let bits = host.network.map_or(0, |(_, bits)| bits);
    let port = host.port.map_or(-1, i32::from);
    let mut bytes = vec![family, bits, 0, 0];
    bytes.extend(port.to_ne_bytes());
    match (host.network, host.family) {
        (Some((IpAddr::V4(address), _)), _) => bytes.extend(address.octets()),
        (Some((IpAddr::V6(address), _)), _) => bytes.extend(address.octets()),
        // The kernel wants room for an address of the family, even where no bit of it counts.
        (None, Some(Family::V4)) => bytes.extend([0; 4]),
        (None, Some(Family::V6)) => bytes.extend([0; 16]),
        (None, None) => {}
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::inet_diag::{Diag, Extensions, Protocol, Query};
    use std::net::{TcpListener, TcpStream};

    /// What the kernel answers to a filter, and what the filter itself says of the same sockets.
    #[test]
    fn the_kernel_and_the_filter_agree() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let theirs = client.local_addr().unwrap().port();
        let loopback = |port| {
            let network = Some(("127.0.0.0".parse().unwrap(), 8));
            let family = Some(Family::V4);
            Filter::Host(
                Side::Source,
                Host {
                    family,
                    network,
                    port,
                },
            )
        };
        let mine = |comparison| Filter::Port(Side::Source, comparison, port);
        let and = |one, other| Filter::And(Box::new(one), Box::new(other));
        let or = |one, other| Filter::Or(Box::new(one), Box::new(other));
        let not = |one| Filter::Not(Box::new(one));
        let anything = Host {
            family: None,
            network: None,
            port: Some(theirs),
        };
        let v6 = Host {
            family: Some(Family::V6),
            network: None,
            port: None,
        };
        use Comparison::*;
        for (filter, includes_listener, includes_client) in [
            (mine(Equal), true, false),
            (mine(Unequal), false, true),
            (and(mine(GreaterOrEqual), mine(LessOrEqual)), true, false),
            (or(mine(Less), mine(Greater)), false, true),
            (not(or(mine(Less), mine(Greater))), true, false),
            (and(loopback(None), not(mine(Equal))), false, true),
            (loopback(Some(port)), true, false),
            (Filter::Host(Side::Source, anything), false, true),
            (Filter::Host(Side::Source, v6), false, false),
            (
                or(loopback(Some(1)), or(mine(Equal), loopback(Some(theirs)))),
                true,
                true,
            ),
            (not(not(and(loopback(None), mine(Equal)))), true, false),
            (Filter::Device(1_000_000), false, false),
        ] {
            let bytecode = filter.bytecode().unwrap();
            let query = Query {
                protocol: Protocol::Tcp,
                family: Family::V4,
                states: u32::MAX,
                extensions: Extensions::default(),
                bytecode: &bytecode,
            };
            let mut sources = Vec::new();
            Diag::open()
                .unwrap()
                .list(&query, |socket| {
                    sources.push((socket.identity.local.port(), socket.identity.peer.port()));
                    Ok(())
                })
                .unwrap();
            assert_eq!(
                sources.contains(&(port, 0)),
                includes_listener,
                "{filter:?}"
            );
            assert_eq!(
                sources.contains(&(theirs, port)),
                includes_client,
                "{filter:?}"
            );
        }
    }

    #[test]
    fn what_is_too_long_for_the_kernel_is_refused() {
        let one = Filter::Port(Side::Source, Comparison::Equal, 1);
        let many = (0..3000).fold(one.clone(), |all, _| {
            Filter::Or(Box::new(one.clone()), Box::new(all))
        });
        assert_eq!(many.bytecode(), None);
    }
}
