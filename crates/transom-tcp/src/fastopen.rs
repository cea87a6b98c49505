//! TCP Fast Open (RFC 7413): data in the SYN, and an answer before the handshake is complete.
//!
//! Cookies are the stack's: it gives one to a connection that opens ([`FastOpenSyn`]), learns from it what the server
//! said ([`FastOpenNews`]), and judges those of peers before it makes a connection of their SYN
//! ([`Connection::accept_fast_open`]). Here is what a connection does with the data.
//!
//! Whoever uses it accepts that data in a SYN may be delivered twice: a copy of the SYN that arrives after the connection
//! is over opens another one (RFC 7413 §2.1, §6.1).

use alloc::boxed::Box;
use alloc::sync::Arc;

use transom_wire::tcp::FastOpen;
use transom_wire::{Payload, Seq, SeqRange};

use crate::arrives::arrival::Arrival;
use crate::arrives::listen;
use crate::config::{Config, Identity, Path};
use crate::connection::{Block, Connection};
use crate::discard::Discard;
use crate::env::Env;
use crate::event::CloseReason;
use crate::segment::{RetransmitCause, Segment};
use crate::synsent::SynSent;
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

/// Timeouts in a row after which a path is taken for one that swallows what follows a Fast Open.
const BLACK_HOLE_TIMEOUTS: u8 = 3;

/// What the first SYN of a connection carries. The later ones carry neither data nor option.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FastOpenSyn {
    /// A cookie, or the request for one.
    pub option: Option<FastOpen>,
    /// Most octets of data.
    pub max_data: usize,
    /// The SYN waits for the first write.
    pub waits_for_data: bool,
}

impl FastOpenSyn {
    /// A SYN with this option and up to `max_data` octets of data.
    #[must_use]
    pub const fn new(option: Option<FastOpen>, max_data: usize) -> Self {
        Self {
            option,
            max_data,
            waits_for_data: false,
        }
    }

    /// Sets [`FastOpenSyn::waits_for_data`].
    #[must_use]
    pub const fn wait_for_data(mut self, waits: bool) -> Self {
        self.waits_for_data = waits;
        self
    }
}

/// What a connection that tried Fast Open has learnt about it: for whoever remembers cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FastOpenNews {
    /// The SYN-ACK has come.
    Answered(FastOpenAnswer),
    /// No SYN was ever answered.
    Unanswered,
    /// Data of the server has arrived.
    Works,
    /// The path may swallow what follows a SYN with data or option.
    BlackHole,
}

/// What a SYN-ACK says about Fast Open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FastOpenAnswer {
    /// The maximum segment size of the server.
    pub mss: u16,
    /// The cookie that it gave out.
    pub cookie: Option<FastOpen>,
    /// What our SYN asked for.
    pub asked: Option<FastOpen>,
    /// What became of the data in our SYN.
    pub data: SynData,
}

/// What became of the data in a SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SynData {
    /// There was none.
    None,
    /// All of it was acknowledged with the SYN.
    Taken,
    /// Not all of it was acknowledged.
    Partly,
    /// The SYN was acknowledged, the data was not.
    Refused,
    /// As refused, and the SYN had been sent again: the one with the data may have been lost.
    Lost,
}

/// A connection's own part of it, held only where Fast Open is in use.
#[derive(Debug)]
pub(crate) struct FastOpening {
    syn: FastOpenSyn,
    /// A listener took the data of the peer's SYN.
    passive: bool,
    /// Octets that went with our SYN.
    sent: u32,
    /// Octets of these that the SYN-ACK acknowledged, if it acknowledged all.
    pub(crate) acknowledged: u32,
    /// What precedes this went with our SYN, and was not taken.
    refused: Option<Seq>,
    /// Octets taken of the peer's SYN.
    pub(crate) taken: u32,
    /// The SYN-ACK has come.
    answered: bool,
    /// Data has come from the peer.
    works: bool,
    news: Option<FastOpenNews>,
}

impl FastOpening {
    const fn new(syn: FastOpenSyn, passive: bool) -> Self {
        Self {
            syn,
            passive,
            sent: 0,
            acknowledged: 0,
            refused: None,
            taken: 0,
            answered: false,
            works: false,
            news: None,
        }
    }
}

impl Connection {
    /// What the SYN is to carry. To be called before the SYN is sent; data goes with it that is written by then.
    // RFC 7413 §2, TFO-11: only an application that can bear to have its data delivered twice may ask for this.
    pub fn use_fast_open(&mut self, syn: FastOpenSyn) {
        let Block::SynSent(syn_sent) = &mut self.block else {
            return;
        };
        if syn_sent.transmissions > 0 {
            return;
        }
        syn_sent.syn_owed = !syn.waits_for_data;
        self.env.fast_open = Some(Box::new(FastOpening::new(syn, false)));
    }

    /// Most octets of data that the SYN carries, 0 once it is sent, and whether it waits for the first of them.
    pub fn fast_open_room(&self) -> (usize, bool) {
        match (&self.block, &self.env.fast_open) {
            (Block::SynSent(syn_sent), Some(opening)) if syn_sent.transmissions == 0 => {
                (opening.syn.max_data, !syn_sent.syn_owed)
            }
            _ => (0, false),
        }
    }

    /// Sends the SYN that waits for data, as if some had been written.
    pub fn send_syn(&mut self, now: Instant) {
        if let Block::SynSent(syn_sent) = &mut self.block {
            syn_sent.fast_open_data(&mut self.env);
            self.env.touch(now);
        }
    }

    /// A SYN with a valid cookie has opened the connection, so that data may be sent in SYN-RECEIVED.
    pub fn is_fast_opened(&self) -> bool {
        self.env.is_fast_opened()
    }

    /// [`take_fast_open_news`](Self::take_fast_open_news) may have something to give.
    #[inline]
    pub const fn has_fast_open_news(&self) -> bool {
        self.env.fast_open.is_some()
    }

    /// What there is to remember about Fast Open with this peer, each thing once.
    pub fn take_fast_open_news(&mut self) -> Option<FastOpenNews> {
        self.env.fast_open.as_mut()?.news.take()
    }

    /// A SYN whose cookie is valid becomes a connection in SYN-RECEIVED with the data of the SYN in its queue. It owes its
    /// SYN-ACK, and may send before that is acknowledged.
    ///
    /// `renewed`: a cookie for the peer to use from now on.
    ///
    /// # Errors
    /// The segment is no SYN that could open a connection.
    // RFC 7413 §4.2.2, TFO-3.
    pub fn accept_fast_open(
        config: impl Into<Arc<Config>>,
        path: Path,
        identity: Identity,
        syn: &Segment,
        renewed: Option<FastOpen>,
        now: Instant,
    ) -> Result<Self, Discard> {
        let mut env = Env::new(config.into(), path, identity.ts_offset, now);
        let mut tcb = listen::open(&mut env, identity, syn, now)?;
        let opening = FastOpening::new(FastOpenSyn::new(renewed, 0), true);
        env.fast_open = Some(Box::new(opening));
        tcb.take_syn_data(&mut env, now, syn);
        Ok(Self {
            env,
            block: Block::Tcb(tcb),
        })
    }
}

impl SynSent {
    /// What our next SYN carries besides itself.
    // RFC 7413 §4.1.3, TFO-8: what was lost may have been lost for these, so no SYN but the first carries them.
    pub(crate) fn fast_open(&mut self, env: &mut Env) -> (Option<FastOpen>, Payload) {
        let Some(opening) = &mut env.fast_open else {
            return (None, Payload::default());
        };
        if self.transmissions > 0 {
            return (None, Payload::default());
        }
        let payload = self.queue.slice(self.iss + 1, opening.syn.max_data);
        opening.sent = u32::try_from(payload.len()).unwrap_or(0);
        let sent = u64::from(opening.sent);
        env.counters.bytes_sent = env.counters.bytes_sent.saturating_add(sent);
        (opening.syn.option, payload)
    }

    /// The application has written.
    pub(crate) fn fast_open_data(&mut self, env: &mut Env) {
        if let Some(opening) = &mut env.fast_open
            && core::mem::take(&mut opening.syn.waits_for_data)
        {
            self.syn_owed = true;
        }
    }

    /// A router cannot forward our SYN, because of the data in it: once more at once, without.
    pub(crate) fn fast_open_too_big(&mut self, env: &Env) {
        let carried = env
            .fast_open
            .as_ref()
            .is_some_and(|opening| opening.sent > 0);
        self.syn_owed |= carried && self.transmissions == 1;
    }
}

impl Env {
    /// Octets of data that our SYN carried.
    pub(crate) fn syn_data_sent(&self) -> u32 {
        self.fast_open.as_ref().map_or(0, |opening| opening.sent)
    }

    /// Octets taken of the peer's SYN.
    pub(crate) fn syn_data_taken(&self) -> u32 {
        self.fast_open.as_ref().map_or(0, |opening| opening.taken)
    }

    /// The connection was opened by a SYN with a valid cookie: it may send in SYN-RECEIVED.
    pub(crate) fn is_fast_opened(&self) -> bool {
        self.fast_open
            .as_ref()
            .is_some_and(|opening| opening.passive)
    }

    /// The cookie of our first SYN-ACK.
    pub(crate) fn renewed_cookie(&mut self) -> Option<FastOpen> {
        let opening = self.fast_open.as_mut().filter(|opening| opening.passive)?;
        opening.syn.option.take()
    }

    /// An active opener's news; the first of a kind that is not yet taken stands.
    fn fast_open_news(&mut self, news: FastOpenNews) {
        if let Some(opening) = &mut self.fast_open
            && !opening.passive
        {
            opening.news.get_or_insert(news);
        }
    }

    /// So many timeouts in a row.
    // RFC 7413 §4.1.3.1, TFO-10.
    pub(crate) fn fast_open_timed_out(&mut self, in_a_row: u8) {
        if in_a_row == BLACK_HOLE_TIMEOUTS {
            self.fast_open_news(FastOpenNews::BlackHole);
        }
    }

    /// A reset came that lies beyond what was received.
    pub(crate) fn fast_open_stray_reset(&mut self) {
        if self.counters.bytes_received == 0 {
            self.fast_open_news(FastOpenNews::BlackHole);
        }
    }

    /// Data of the peer was taken.
    pub(crate) fn fast_open_received(&mut self) {
        if let Some(opening) = &mut self.fast_open
            && !core::mem::replace(&mut opening.works, true)
            && opening.answered
        {
            self.fast_open_news(FastOpenNews::Works);
        }
    }

    /// The connection is over. `fin_beyond_gap`: the peer's FIN came, and something before it never did.
    pub(crate) fn fast_open_ended(&mut self, reason: CloseReason, fin_beyond_gap: bool) {
        let Some(opening) = &self.fast_open else {
            return;
        };
        let is_silent = matches!(
            reason,
            CloseReason::TimedOut | CloseReason::UserTimeout | CloseReason::Unreachable(_)
        );
        if fin_beyond_gap {
            self.fast_open_news(FastOpenNews::BlackHole);
        } else if !opening.answered && is_silent {
            self.fast_open_news(FastOpenNews::Unanswered);
        }
    }

    /// Where that ends which went with our SYN and was not taken.
    fn refused(&self) -> Option<Seq> {
        self.fast_open.as_ref()?.refused
    }

    /// Whether the last octet that went with our SYN, and was not taken, is among these.
    pub(crate) fn ends_syn_data(&self, range: SeqRange) -> bool {
        self.refused()
            .is_some_and(|end| range.start.lt(end) && range.end.ge(end))
    }

    /// Why something is sent again, where recovery knows only that it is no sign of congestion.
    pub(crate) fn cause_of(&self, cause: RetransmitCause, start: Seq) -> RetransmitCause {
        match cause {
            RetransmitCause::Mtu if self.refused().is_some_and(|end| start.lt(end)) => {
                RetransmitCause::FastOpen
            }
            cause => cause,
        }
    }
}

impl Tcb {
    /// The data of the peer's SYN.
    fn take_syn_data(&mut self, env: &mut Env, now: Instant, syn: &Segment) {
        // The window of a SYN counts from behind our own, which takes no room in it.
        self.snd.wnd += 1;
        self.snd.small_end = self.snd.una;
        self.begin_congestion_control(env, now);
        let mut syn = syn.clone();
        let mut arrival = Arrival::new(&mut syn);
        arrival.trim_right(self.rcv.acceptable_end(self.negotiated.rcv_shift()));
        if arrival.payload_len() == 0 {
            return;
        }
        let before = self.rcv.nxt();
        // In order and inside the window: nothing can be refused.
        let _ = self.take_text(env, now, &mut arrival);
        if let Some(opening) = &mut env.fast_open {
            opening.taken = self.rcv.nxt().since(before);
        }
        // The SYN-ACK says that it has arrived.
        env.timers.stop(Timer::DelayedAck);
    }

    /// Notes what our SYN carried as sent.
    pub(crate) fn note_syn_data(&mut self, env: &Env, sent_at: Instant, again: bool) {
        let len = env.syn_data_sent();
        if len == 0 {
            return;
        }
        let start = self.snd.iss + 1;
        let range = SeqRange {
            start,
            end: start + len,
        };
        self.snd.nxt = range.end;
        self.snd.last_sent = sent_at;
        self.note_sent(range, false, sent_at);
        if again {
            // Whether the first SYN or a later one is acknowledged, nobody knows: no round trip (Karn).
            self.note_sent(range, true, sent_at);
        }
    }

    /// The SYN-ACK to a SYN with data, option or both: the handshake is complete, and SND.UNA has moved.
    pub(crate) fn fast_open_answered(
        &mut self,
        env: &mut Env,
        now: Instant,
        segment: &Segment,
        again: bool,
    ) {
        let Some(opening) = &mut env.fast_open else {
            return;
        };
        if opening.passive {
            return;
        }
        opening.answered = true;
        let end = self.snd.iss + 1 + opening.sent;
        let all = self.snd.una.ge(end);
        opening.refused = (!all).then_some(end);
        let data = match () {
            () if opening.sent == 0 => SynData::None,
            () if all => SynData::Taken,
            () if again => SynData::Lost,
            () if self.snd.una.gt(self.snd.iss + 1) => SynData::Partly,
            () => SynData::Refused,
        };
        if data == SynData::Taken {
            opening.acknowledged = opening.sent;
        }
        let asked = opening.syn.option;
        let answer = FastOpenAnswer {
            mss: self.negotiated.peer_mss,
            // An option that was not asked for means nothing (as Linux).
            cookie: segment
                .options
                .fast_open
                .filter(|option| asked.is_some() && !option.is_request()),
            asked: asked.filter(|_| !again),
            data,
        };
        opening.news = Some(FastOpenNews::Answered(answer));
        if !all {
            // RFC 7413 §4.2.2, TFO-9, EV-S-5: again at once. It was not taken, which is no sign of congestion.
            self.recovery.on_refused();
            self.set_retransmit_timer(env, now + self.rtt.rto());
        }
    }
}
