use std::time::Duration;

use bytes::Bytes;
use transom_sim::Host;
use transom_stack::tcp::Instant;
use transom_stack::wire::{Capabilities, Cidr, RxChecksum, RxFrame};
use transom_stack::{RouteTarget, Stack, StackConfig};

use crate::Journal;

/// The stack's time for a time of the world.
#[must_use]
pub fn instant(since_start: Duration) -> Instant {
    Instant::from_origin(since_start)
}

/// A host of the simulated network that runs our stack on a link for bare IP packets.
///
/// The device offers no offload: each frame carries what a wire would carry, checksums included.
pub struct Node {
    stack: Stack,
    application: Option<Application>,
}

/// Called after each frame that came in, and before anything is sent: an application that acts at once.
pub type Application = Box<dyn FnMut(&mut Stack, Instant) + Send>;

impl Node {
    /// A host with one address, whose default route is the link.
    ///
    /// `mtu` is in bytes of IP packet; `secret` decides sequence numbers and ports.
    #[must_use]
    pub fn new(config: StackConfig, address: Cidr, mtu: usize, secret: [u8; 32]) -> Self {
        let mut stack = Stack::new(
            config,
            Capabilities::ip(mtu),
            secret,
            instant(Duration::ZERO),
        );
        stack.add_address(address);
        for anywhere in ["0.0.0.0/0", "::/0"] {
            if let Ok(anywhere) = anywhere.parse() {
                stack.add_route(anywhere, RouteTarget::OnLink);
            }
        }
        Self {
            stack,
            application: None,
        }
    }

    /// The stack, to look at.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, for the application's calls.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// Runs an application on the host, which sees each frame's effect before the stack answers it.
    pub fn set_application(&mut self, application: Option<Application>) {
        self.application = application;
    }

    /// Keeps from now on what the stack does.
    pub fn record(&mut self) -> Journal {
        let journal = Journal::default();
        self.stack.set_recorder(Some(Box::new(journal.clone())));
        journal
    }
}

impl Host for Node {
    fn handle_frame(&mut self, now: Duration, frame: Vec<u8>) {
        let frame = RxFrame {
            data: Bytes::from(frame),
            checksum: RxChecksum::Unverified,
            gso_size: 0,
        };
        self.stack.handle_frame(instant(now), frame);
        if let Some(application) = &mut self.application {
            application(&mut self.stack, instant(now));
        }
    }

    fn poll_transmit(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.stack
            .poll_transmit(instant(now))
            .map(|frame| frame.to_vec())
    }

    fn poll_timeout(&self) -> Option<Duration> {
        // A deadline in the past is due now; the world takes the later of it and its own clock.
        self.stack
            .poll_timeout(instant(Duration::ZERO))
            .map(Instant::since_origin)
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.stack.handle_timeout(instant(now));
    }
}
