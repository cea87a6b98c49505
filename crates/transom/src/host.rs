//! Making the stacks of a host, one for each queue of its device, and starting their drivers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use transom_device::{Device, Flows};
use transom_stack::tcp::{Instant, State};
use transom_stack::wire::Cidr;
use transom_stack::{
    Direction, Discard, FrameRef, Metrics, Owns, Recorder, RouteTarget, StackConfig,
};

use crate::busy_poll::BusyPoll;
use crate::clock::Clock;
use crate::driver::Driver;
use crate::inbox::{Inbox, Part};
use crate::port::{Port, Readable};
use crate::shared::{Inner, Shared};
use crate::stack::Stack;

/// Frames, or packets to be joined, that are taken from the device in one turn at most. Where they are large the device
/// ends the turn before.
const MOST_FRAMES_A_TURN: usize = 256;

/// A recorder for each stack.
type Recorders = Vec<Option<Box<dyn Recorder + Send>>>;

/// What all stacks of a host have in common.
pub(crate) struct Host {
    pub(crate) addresses: Vec<Cidr>,
    pub(crate) routes: Vec<(Cidr, RouteTarget)>,
    /// The share of one stack.
    pub(crate) config: StackConfig,
    pub(crate) secret: [u8; 32],
    pub(crate) clock: Clock,
    pub(crate) division: Division,
    pub(crate) recorders: Recorders,
    pub(crate) busy_poll: Duration,
}

/// How connections are divided among the queues, if there are several.
pub(crate) struct Division {
    flows: Option<Flows>,
    inboxes: Arc<[Inbox]>,
    /// How many drivers have something left to do.
    unfinished: Arc<AtomicUsize>,
}

impl Division {
    /// # Errors
    /// `InvalidInput` for more queues than can be counted.
    pub(crate) fn new(secret: &[u8; 32], queues: usize) -> io::Result<Self> {
        if queues < 2 {
            return Ok(Self {
                flows: None,
                inboxes: Arc::new([]),
                unfinished: Arc::default(),
            });
        }
        let count = u32::try_from(queues).map_err(|_| io::ErrorKind::InvalidInput)?;
        let key = transom_stack::division_key(secret);
        Ok(Self {
            flows: Some(Flows::new(key, count)),
            inboxes: (0..queues).map(|_| Inbox::new()).collect(),
            unfinished: Arc::new(AtomicUsize::new(queues)),
        })
    }
}

impl Host {
    pub(crate) fn spawn(
        mut self,
        runtime: &Handle,
        devices: Vec<Box<dyn Device>>,
    ) -> io::Result<Stack> {
        let recorders = std::mem::take(&mut self.recorders);
        let made = devices.into_iter().zip(recorders).zip(0..);
        let made = made.map(|((device, recorder), number)| self.make(device, recorder, number));
        let drivers = made.collect::<io::Result<Vec<_>>>()?;
        let mut shards = drivers.iter().map(Driver::shared);
        let first = shards.next().ok_or(io::ErrorKind::InvalidInput)?;
        let stack = Stack::new(first, shards.collect(), Arc::clone(&self.division.inboxes));
        for driver in drivers {
            runtime.spawn(driver.on(runtime));
        }
        Ok(stack)
    }

    fn make(
        &self,
        mut device: Box<dyn Device>,
        recorder: Option<Box<dyn Recorder + Send>>,
        number: u32,
    ) -> io::Result<Driver> {
        let ephemeral_ports = self.config.ephemeral_ports.clone();
        let capabilities = device.capabilities();
        let now = self.clock.now();
        let config = self.config.clone();
        let mut stack = transom_stack::Stack::new(config, capabilities, self.secret, now);
        if let Some(flows) = self.division.flows {
            let owns: Owns = Arc::new(move |local: SocketAddr, remote: SocketAddr| {
                flows.of_connection(local, remote) == number
            });
            stack.set_shard(number, owns);
            device.divide(&flows)?;
        }
        for &address in &self.addresses {
            stack.add_address(address);
        }
        for &(prefix, target) in &self.routes {
            stack.add_route(prefix, target);
        }
        stack.set_recorder(recorder);
        let readable = Readable::new(&*device)?;
        let shared = Arc::new(Shared::new(
            Inner::new(stack, ephemeral_ports),
            Port::new(device),
            self.clock,
            capabilities.rx_batch.clamp(1, MOST_FRAMES_A_TURN),
        ));
        let driver = Driver::new(shared, readable, BusyPoll::new(self.busy_poll));
        let Some(flows) = self.division.flows else {
            return Ok(driver);
        };
        let Division {
            inboxes,
            unfinished,
            ..
        } = &self.division;
        let (inboxes, unfinished) = (Arc::clone(inboxes), Arc::clone(unfinished));
        let part = Part::new(flows, capabilities.medium, number, inboxes, unfinished);
        Ok(driver.part(part))
    }
}

/// The recorder for one stack, or one for each of several that calls it.
pub(crate) fn recorders(recorder: Option<Box<dyn Recorder + Send>>, count: usize) -> Recorders {
    let Some(recorder) = recorder else {
        return (0..count).map(|_| None).collect();
    };
    if count < 2 {
        return vec![Some(recorder)];
    }
    let common = Arc::new(Mutex::new(recorder));
    let one = |_| Some(Box::new(Common(Arc::clone(&common))) as Box<dyn Recorder + Send>);
    (0..count).map(one).collect()
}

/// A recorder that several stacks call.
struct Common(Arc<Mutex<Box<dyn Recorder + Send>>>);

impl Common {
    fn with<R>(&self, call: impl FnOnce(&mut dyn Recorder) -> R) -> R {
        let mut recorder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call(&mut **recorder)
    }
}

impl Recorder for Common {
    fn frame(&mut self, now: Instant, direction: Direction, frame: FrameRef<'_>) {
        self.with(|recorder| recorder.frame(now, direction, frame));
    }

    fn state(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr, from: State, to: State) {
        self.with(|recorder| recorder.state(now, local, peer, from, to));
    }

    fn discard(
        &mut self,
        now: Instant,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        reason: Discard,
    ) {
        self.with(|recorder| recorder.discard(now, local, peer, reason));
    }

    fn timer(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr) {
        self.with(|recorder| recorder.timer(now, local, peer));
    }

    fn wants_metrics(&self) -> bool {
        self.with(|recorder| recorder.wants_metrics())
    }

    fn metrics(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr, metrics: Metrics) {
        self.with(|recorder| recorder.metrics(now, local, peer, metrics));
    }
}
