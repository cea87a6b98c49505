//! The whole stack: one host with a hostile network (`host`), or two hosts with a bad one (`network`).

mod host;
mod network;
mod packets;

use core::time::Duration;

use transom_stack::tcp::{Instant, State};
use transom_stack::{Stack, StackConfig};
use transom_wire::Capabilities;

use crate::Input;

/// Most frames that one step may bring about.
const MAX_ANSWER: usize = 4000;

/// Runs one input: its first byte chooses.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    if choice & 1 == 0 {
        let first = host::run(input.clone());
        // INV-8: the same input gives the same output. Not every time: it takes as long again.
        if choice & 0x1e == 0 {
            assert_eq!(first, host::run(input), "two runs differ");
        }
    } else {
        let first = network::run(input.clone());
        if choice & 0x1e == 0 {
            assert_eq!(first, network::run(input), "two runs differ");
        }
    }
}

/// A few scenes of both kinds.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = host::seeds();
    seeds.extend(network::seeds());
    seeds
}

fn at(ms: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(ms))
}

fn stack(config: StackConfig, v4: &str, v6: &str) -> Stack {
    let mut stack = Stack::new(config, Capabilities::ip(1500), [42; 32], at(0));
    for address in [v4, v6] {
        stack.add_address(address.parse().expect("an address"));
    }
    stack
}

/// Everything that the stack has to send; each frame must be a packet that a host would take (INV-9).
fn drain(stack: &mut Stack, now: Instant) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(frame) = stack.poll_transmit(now) {
        let bytes = frame.to_vec();
        packets::check(&bytes);
        out.push(bytes);
        // INV-6.
        assert!(out.len() < MAX_ANSWER, "the stack does not stop sending");
    }
    out
}

/// A sum over what went out, to compare two runs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trace(u64);

impl Trace {
    fn add(&mut self, now: Instant, frame: &[u8]) {
        let time = now.since_origin().as_nanos() as u64;
        for byte in time.to_be_bytes().iter().chain(frame) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// INV-5: whoever waits for the peer has a deadline. INV-2.
fn check(stack: &Stack, now: Instant) {
    let mut waits = false;
    for (id, ..) in stack.connections() {
        let Some(id) = id else { continue };
        let Ok(info) = stack.tcp_info(id) else {
            panic!("a listed connection is unknown");
        };
        assert!(info.snd_nxt.ge(info.snd_una), "SND.NXT before SND.UNA");
        if matches!(info.state, State::Closed | State::TimeWait) {
            continue;
        }
        waits |= info.snd_nxt != info.snd_una || info.send_queue > 0;
    }
    assert!(
        !waits || stack.poll_timeout(now).is_some(),
        "somebody waits and there is no deadline"
    );
}
