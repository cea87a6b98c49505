//! Connections at rest, folded up.
//!
//! A connection is some 1,500 octets, most of which say what is under way. While nothing is, a fifth of them tells all
//! that it will need when it goes on, and a host with many idle connections is a host full of these. Folding up and
//! unfolding leaves no trace: the same segments follow as without.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::config::Config;
use crate::congestion;
use crate::connection::{Block, Connection};
use crate::env::Env;
use crate::event::Events;
use crate::pack::{Pack, Packer, Unpacker};
use crate::recv::ack::AckOwed;
use crate::state::State;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// A connection at rest: nothing in flight, nothing to be read or sent, nothing owed, and no timer but that of keep-alive.
#[derive(Debug)]
pub struct Dormant {
    config: Arc<Config>,
    /// See [`pack`](crate::pack); begins with the phase and the deadline.
    octets: Box<[u8]>,
}

/// Octets of a line of memory in usual processors' caches.
const CACHE_LINE: usize = 64;

impl Connection {
    /// Whether the connection rests: the handshake is complete, nothing is in flight, to be sent, received and not read, or
    /// to be told, and nothing is waited for but the time of a keep-alive probe. What is owed has to be drained before.
    pub fn is_at_rest(&self) -> bool {
        match &self.block {
            Block::Tcb(tcb) => tcb_rests(tcb) && env_rests(&self.env),
            Block::SynSent(_) | Block::Closed(_) => false,
        }
    }

    /// The small form of a connection that rests; `None` while it does not.
    pub fn to_dormant(&self) -> Option<Dormant> {
        let Block::Tcb(tcb) = &self.block else {
            return None;
        };
        if !self.is_at_rest() {
            return None;
        }
        let mut packer = Packer::new();
        tcb.phase.pack(&mut packer);
        self.env.timers.get(Timer::KeepAlive).pack(&mut packer);
        if !pack_tcb(tcb, &mut packer) {
            return None;
        }
        pack_env(&self.env, &mut packer);
        Some(Dormant {
            config: self.env.config.clone(),
            octets: packer.finish(),
        })
    }
}

impl Dormant {
    /// The connection as it was.
    pub fn wake(&self) -> Connection {
        let mut from = Unpacker::new(&self.octets);
        let (phase, deadline) = Pack::unpack(&mut from);
        let tcb = unpack_tcb(phase, &mut from);
        let env = unpack_env(self.config.clone(), deadline, &mut from);
        debug_assert!(from.is_over(), "what was written is what was read");
        Connection {
            env,
            block: Block::Tcb(tcb),
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        Phase::unpack(&mut Unpacker::new(&self.octets)).state()
    }

    /// When the connection has to be woken for [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (_, deadline): (Phase, _) = Pack::unpack(&mut Unpacker::new(&self.octets));
        deadline
    }

    /// Reads something of each line of memory that [`wake`](Self::wake) needs, for who has several of them to wake and lets the
    /// waits overlap. What is returned has no meaning.
    pub fn read_ahead(&self) -> u64 {
        let lines = self.octets.iter().step_by(CACHE_LINE);
        let sum = lines.fold(0_u64, |sum, octet| sum.wrapping_add(u64::from(*octet)));
        sum.wrapping_add(u64::from(self.octets.last().copied().unwrap_or(0)))
    }

    /// Octets of memory that it takes, itself included.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.octets.len()
    }
}

fn env_rests(env: &Env) -> bool {
    let only_keep_alive = Timer::ALL
        .iter()
        .all(|timer| *timer == Timer::KeepAlive || !env.timers.is_set(*timer));
    only_keep_alive
        && env.events.is_empty()
        && env.undrained.is_none()
        && env.ended.is_none()
        && env.fast_open.is_none()
}

fn tcb_rests(tcb: &Tcb) -> bool {
    let snd = &tcb.snd;
    let is_open = matches!(
        tcb.phase,
        Phase::Established | Phase::FinWait2 | Phase::CloseWait
    );
    let owes = tcb.loss_probe_owed
        || tcb.probe_owed
        || tcb.keep_alive_owed
        || tcb.handshake.is_some()
        || tcb.reply.is_some()
        || tcb.rcv.ack != AckOwed::No;
    snd.in_flight() == 0
        && is_open
        && !owes
        && snd.queue.is_at_rest()
        && !snd.fin_waits()
        && tcb.rcv.queue.is_at_rest()
        && tcb.recovery.is_at_rest()
        && tcb.ecn.accurate.is_none()
        && tcb.delivery.as_ref().is_none_or(|it| it.is_at_rest())
}

/// Destructured without `..`, so that a new field asks whether it matters to a connection that rests. False when the
/// congestion controller cannot be written down.
fn pack_tcb(tcb: &Tcb, to: &mut Packer) -> bool {
    let Tcb {
        phase: _,
        snd,
        rcv,
        negotiated,
        recovery,
        awaited,
        loss_probe_owed: _,
        congestion,
        pacer,
        delivery,
        rtt,
        ecn,
        handshake: _,
        reply: _,
        probe_owed: _,
        keep_alive_owed: _,
        keep_alive_probes,
        last_heard,
        mtu_search,
        doubted_mtu,
    } = tcb;
    last_heard.pack(to);
    rcv.pack(to);
    snd.pack(to);
    recovery.pack(to);
    rtt.pack(to);
    pacer.pack(to);
    delivery.pack(to);
    negotiated.pack(to);
    awaited.pack(to);
    ecn.pack(to);
    keep_alive_probes.pack(to);
    mtu_search.pack(to);
    doubted_mtu.pack(to);
    congestion.write_down(to)
}

fn unpack_tcb(phase: Phase, from: &mut Unpacker<'_>) -> Tcb {
    let last_heard = Pack::unpack(from);
    let rcv = Pack::unpack(from);
    let snd = Pack::unpack(from);
    let recovery = Pack::unpack(from);
    let rtt = Pack::unpack(from);
    let pacer = Pack::unpack(from);
    let delivery = Pack::unpack(from);
    let negotiated = Pack::unpack(from);
    let awaited = Pack::unpack(from);
    let ecn = Pack::unpack(from);
    let keep_alive_probes = Pack::unpack(from);
    let mtu_search = Pack::unpack(from);
    let doubted_mtu = Pack::unpack(from);
    Tcb {
        phase,
        snd,
        rcv,
        negotiated,
        recovery,
        awaited,
        loss_probe_owed: false,
        congestion: congestion::read_back(from),
        pacer,
        delivery,
        rtt,
        ecn,
        handshake: None,
        reply: None,
        probe_owed: false,
        keep_alive_owed: false,
        keep_alive_probes,
        last_heard,
        mtu_search,
        doubted_mtu,
    }
}

fn pack_env(env: &Env, to: &mut Packer) {
    let Env {
        config: _,
        path,
        ts_offset,
        timers: _,
        events: _,
        counters,
        challenge,
        last_discard,
        soft_error,
        undrained: _,
        ended: _,
        memory_pressure,
        fast_open: _,
    } = env;
    path.pack(to);
    ts_offset.pack(to);
    counters.pack(to);
    challenge.pack(to);
    last_discard.pack(to);
    soft_error.pack(to);
    memory_pressure.pack(to);
}

fn unpack_env(config: Arc<Config>, deadline: Option<Instant>, from: &mut Unpacker<'_>) -> Env {
    let mut timers = Timers::default();
    if let Some(deadline) = deadline {
        timers.set(Timer::KeepAlive, deadline);
    }
    Env {
        config,
        path: Pack::unpack(from),
        ts_offset: Pack::unpack(from),
        timers,
        events: Events::default(),
        counters: Pack::unpack(from),
        challenge: Pack::unpack(from),
        last_discard: Pack::unpack(from),
        soft_error: Pack::unpack(from),
        undrained: None,
        ended: None,
        memory_pressure: Pack::unpack(from),
        fast_open: None,
    }
}
