//! Connections at rest, folded up.
//!
//! A connection is some 1,500 octets, most of which say what is under way. While nothing is, a fifth of them tells all
//! that it will need when it goes on, and a host with many idle connections is a host full of these. Folding up and
//! unfolding leaves no trace: the same segments follow as without.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::config::Config;
use crate::congestion;
use crate::congestion::Controller;
use crate::connection::{Block, Connection};
use crate::env::Env;
use crate::event::Events;
use crate::info::Counters;
use crate::pack::{
    At, Base, CONTROLLER_HERE, CONTROLLER_SELDOM, Either, HERE, Here, In, Kind, NOTHING, Pack,
    Packer, Rare, SELDOM, Seldom, Unpacker, stretch,
};
use crate::recv::ack::AckOwed;
use crate::state::State;
use crate::tcb::{Phase, Tcb};
use crate::time::Instant;
use crate::timer::{Timer, Timers};

/// A connection at rest: nothing in flight, nothing to be read or sent, nothing owed, and no timer but that of keep-alive.
#[derive(Debug)]
pub struct Dormant {
    config: Arc<Config>,
    /// See [`pack`](crate::pack): what the congestion controller wrote, then phase and deadline, then the rest.
    here: Box<Here>,
    /// What of a connection is seldom anything but zero, where it is.
    seldom: Option<Box<[u64]>>,
}

/// Octets of a line of memory in usual processors' caches.
const CACHE_LINE: usize = 64;

impl Connection {
    /// Whether the connection rests: the handshake is complete, nothing is in flight, to be sent, received and not read, or
    /// to be told, and nothing is waited for but the time of a keep-alive probe. What is owed has to be drained before.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        match &self.block {
            Block::Tcb(tcb) => tcb_rests(tcb) && env_rests(&self.env),
            Block::SynSent(_) | Block::Closed(_) => false,
        }
    }

    /// The small form of a connection that rests; `None` while it does not.
    pub fn to_dormant(&self) -> Option<Dormant> {
        let mut here = Box::new([0; HERE]);
        let seldom = self.write_down(&mut here)?;
        Some(Dormant {
            config: self.env.config.clone(),
            here,
            seldom,
        })
    }

    /// Writes the connection down in the place of another one, if it rests. What is left is memory for
    /// [`Dormant::wake_in`].
    pub fn rest_in(&mut self, place: &mut Dormant) -> bool {
        let Some(seldom) = self.write_down(&mut place.here) else {
            return false;
        };
        place.seldom = seldom;
        // Whose they were does not matter any more, and nobody has to be counted.
        core::mem::swap(&mut place.config, &mut self.env.config);
        true
    }

    fn write_down(&self, here: &mut Here) -> Option<Option<Box<[u64]>>> {
        let Block::Tcb(tcb) = &self.block else {
            return None;
        };
        if !self.is_at_rest() {
            return None;
        }
        let mut seldom = [0; SELDOM];
        let mut to = Packer::new(here, &mut seldom, At::START);
        pack_all(&self.env, tcb, &mut to);
        let (outcome, base) = (to.outcome(HERE, CONTROLLER_SELDOM), to.at.base());
        // Another one, so that nobody else sees how far the first has come, and all its places are known.
        let mut to = Packer::new(here, &mut seldom, At::controller(base));
        if !tcb.congestion.write_down(&mut to) {
            return None;
        }
        let controller = to.outcome(CONTROLLER_HERE, SELDOM);
        outcome.and(controller).keep(&seldom)
    }
}

impl Dormant {
    /// The connection as it was.
    pub fn wake(&self) -> Connection {
        let mut stretched = None;
        let seldom = self.seldom(&mut stretched);
        let congestion = congestion::read_back(&self.controller(seldom));
        let mut from = Unpacker::new(&self.here, seldom, At::START);
        unpack(self.config.clone(), congestion, &mut from)
    }

    /// The connection as it was, in the place of another one that was folded up. What is left is memory for
    /// [`Connection::rest_in`].
    pub fn wake_in(&mut self, place: &mut Connection) {
        let Connection {
            env,
            block: Block::Tcb(tcb),
        } = place
        else {
            *place = self.wake();
            return;
        };
        match self.seldom.take() {
            None => self.read_into(env, tcb, &NOTHING),
            Some(kept) => self.read_into(env, tcb, &stretch(&kept)),
        }
        core::mem::swap(&mut env.config, &mut self.config);
    }

    fn read_into(&self, env: &mut Env, tcb: &mut Tcb, seldom: &Seldom) {
        let mut from = Unpacker::new(&self.here, seldom, At::START);
        unpack_into(&self.config, env, tcb, &mut from);
        let controller = self.controller(seldom);
        if !tcb.congestion.read_into(&controller) {
            tcb.congestion = congestion::read_back(&controller);
        }
    }

    /// What is seldom anything but zero.
    fn seldom<'a>(&self, stretched: &'a mut Option<Seldom>) -> &'a Seldom {
        match &self.seldom {
            None => &NOTHING,
            Some(kept) => stretched.insert(stretch(kept)),
        }
    }

    /// Where what the congestion controller wrote is read.
    fn controller<'a>(&'a self, seldom: &'a Seldom) -> Unpacker<'a> {
        let mut from = Unpacker::new(&self.here, &NOTHING, At::START);
        let _: Instant = Base::unpack(&mut from);
        Unpacker::new(&self.here, seldom, At::controller(from.at.base()))
    }

    /// The state.
    pub fn state(&self) -> State {
        self.beginning().phase.state()
    }

    /// When the connection has to be woken for [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.beginning().keep_alive
    }

    fn beginning(&self) -> Beginning {
        let mut stretched = None;
        let seldom = self.seldom(&mut stretched);
        Beginning::unpack(&mut Unpacker::new(&self.here, seldom, At::START))
    }

    /// Reads something of each line of memory that [`wake`](Self::wake) needs, for who has several of them to wake and lets the
    /// waits overlap. What is returned has no meaning.
    pub fn read_ahead(&self) -> u64 {
        let lines = self.here.iter().step_by(CACHE_LINE);
        let sum = lines.fold(0_u64, |sum, octet| sum.wrapping_add(u64::from(*octet)));
        let seldom = self.seldom.as_deref().unwrap_or_default();
        let words = seldom.iter().step_by(CACHE_LINE / size_of::<u64>());
        let sum = words.fold(sum, |sum, word| sum.wrapping_add(*word));
        sum.wrapping_add(u64::from(self.here.last().copied().unwrap_or(0)))
    }

    /// Octets of memory that it takes, itself included.
    pub fn memory(&self) -> usize {
        let seldom = self.seldom.as_deref().unwrap_or_default();
        size_of::<Self>() + size_of::<Here>() + size_of_val(seldom)
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

/// Destructured without `..`, so that a new field asks whether it matters to a connection that rests. The times begin with the one
/// from which others are the distance, and what is like another one follows it.
#[inline(always)]
fn pack_all(env: &Env, tcb: &Tcb, to: &mut Packer<'_>) {
    let Tcb {
        phase,
        snd,
        rcv,
        negotiated,
        recovery,
        awaited,
        loss_probe_owed: _,
        congestion: _,
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
    to.at.expect(&env.config);
    Base::pack(last_heard, to);
    In::<1>::pack(phase, to);
    Either::pack(&env.timers.get(Timer::KeepAlive), to);
    env.counters.pack(to);
    to.at.count(&env.counters);
    rcv.pack(to);
    snd.pack(to);
    to.at.board(snd);
    recovery.pack(to);
    rtt.pack(to);
    Either::pack(pacer, to);
    Rare::pack(delivery, to);
    negotiated.pack(to);
    In::<1>::pack(awaited, to);
    ecn.pack(to);
    Rare::pack(keep_alive_probes, to);
    Rare::pack(mtu_search, to);
    Rare::pack(doubted_mtu, to);
    let Env {
        config: _,
        path,
        ts_offset,
        timers: _,
        events: _,
        counters: _,
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
    challenge.pack(to);
    Rare::pack(last_discard, to);
    Rare::pack(soft_error, to);
    memory_pressure.pack(to);
}

/// What stands first.
struct Beginning {
    last_heard: Instant,
    phase: Phase,
    keep_alive: Option<Instant>,
}

impl Beginning {
    #[inline(always)]
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self {
            last_heard: Base::unpack(from),
            phase: In::<1>::unpack(from),
            keep_alive: Either::unpack(from),
        }
    }

    fn timers(&self) -> Timers {
        let mut timers = Timers::default();
        if let Some(deadline) = self.keep_alive {
            timers.set(Timer::KeepAlive, deadline);
        }
        timers
    }
}

#[inline(always)]
fn unpack(
    config: Arc<Config>,
    congestion: Box<dyn Controller>,
    from: &mut Unpacker<'_>,
) -> Connection {
    from.at.expect(&config);
    let beginning = Beginning::unpack(from);
    let counters = Counters::unpack(from);
    from.at.count(&counters);
    let rcv = Pack::unpack(from);
    let snd = Pack::unpack(from);
    from.at.board(&snd);
    let recovery = Pack::unpack(from);
    let rtt = Pack::unpack(from);
    let pacer = Either::unpack(from);
    let delivery = Rare::unpack(from);
    let negotiated = Pack::unpack(from);
    let awaited = In::<1>::unpack(from);
    let ecn = Pack::unpack(from);
    let keep_alive_probes = Rare::unpack(from);
    let mtu_search = Rare::unpack(from);
    let doubted_mtu = Rare::unpack(from);
    let tcb = Tcb {
        phase: beginning.phase,
        snd,
        rcv,
        negotiated,
        recovery,
        awaited,
        loss_probe_owed: false,
        congestion,
        pacer,
        delivery,
        rtt,
        ecn,
        handshake: None,
        reply: None,
        probe_owed: false,
        keep_alive_owed: false,
        keep_alive_probes,
        last_heard: beginning.last_heard,
        mtu_search,
        doubted_mtu,
    };
    let env = Env {
        config,
        path: Pack::unpack(from),
        ts_offset: Pack::unpack(from),
        timers: beginning.timers(),
        events: Events::default(),
        counters,
        challenge: Pack::unpack(from),
        last_discard: Rare::unpack(from),
        soft_error: Rare::unpack(from),
        undrained: None,
        ended: None,
        memory_pressure: Pack::unpack(from),
        fast_open: None,
    };
    Connection {
        env,
        block: Block::Tcb(tcb),
    }
}

/// As [`unpack`], in place of another one, but for the congestion controller.
#[inline(always)]
fn unpack_into(config: &Config, place_env: &mut Env, place_tcb: &mut Tcb, from: &mut Unpacker<'_>) {
    let Env {
        config: _,
        path,
        ts_offset,
        timers,
        events,
        counters,
        challenge,
        last_discard,
        soft_error,
        undrained,
        ended,
        memory_pressure,
        fast_open,
    } = place_env;
    let Tcb {
        phase,
        snd,
        rcv,
        negotiated,
        recovery,
        awaited,
        loss_probe_owed,
        congestion: _,
        pacer,
        delivery,
        rtt,
        ecn,
        handshake,
        reply,
        probe_owed,
        keep_alive_owed,
        keep_alive_probes,
        last_heard,
        mtu_search,
        doubted_mtu,
    } = place_tcb;
    from.at.expect(config);
    let beginning = Beginning::unpack(from);
    *timers = beginning.timers();
    *phase = beginning.phase;
    *last_heard = beginning.last_heard;
    counters.unpack_into(from);
    from.at.count(counters);
    rcv.unpack_into(from);
    snd.unpack_into(from);
    from.at.board(snd);
    recovery.unpack_into(from);
    rtt.unpack_into(from);
    Either::unpack_into(pacer, from);
    Rare::unpack_into(delivery, from);
    negotiated.unpack_into(from);
    In::<1>::unpack_into(awaited, from);
    ecn.unpack_into(from);
    Rare::unpack_into(keep_alive_probes, from);
    Rare::unpack_into(mtu_search, from);
    Rare::unpack_into(doubted_mtu, from);
    path.unpack_into(from);
    ts_offset.unpack_into(from);
    challenge.unpack_into(from);
    Rare::unpack_into(last_discard, from);
    Rare::unpack_into(soft_error, from);
    memory_pressure.unpack_into(from);
    (*loss_probe_owed, *probe_owed, *keep_alive_owed) = (false, false, false);
    (*handshake, *reply) = (None, None);
    *events = Events::default();
    (*undrained, *ended, *fast_open) = (None, None, None);
}
