//! Taking in a segment's text (RFC 9293 §3.10.7.4, seventh).

use core::time::Duration;

use crate::arrives::arrival::Arrival;
use crate::discard::Discard;
use crate::ecn::Due;
use crate::env::Env;
use crate::event::Event;
use crate::recv::Reader;
use crate::recv::ack::Promptness;
use crate::segment::Segment;
use crate::tcb::Tcb;
use crate::time::{Instant, nanos};
use crate::timer::Timer;

impl Tcb {
    /// Queues the payload, which is cut to the window, and decides when to acknowledge it.
    pub(crate) fn take_text(
        &mut self,
        env: &mut Env,
        now: Instant,
        arrival: &mut Arrival<'_>,
    ) -> Result<(), Discard> {
        // RFC 3168 §6.1.5 ECN-6: only marks on what is accepted count.
        if arrival.payload_len() > 0 && self.ecn.on_data(arrival.segment) {
            self.rcv.ack_now();
        }
        let pieces = self.count_pieces(arrival.segment);
        if let Some(accurate) = &mut self.ecn.accurate {
            accurate.on_data(None);
        }
        self.measure_as_receiver(env, arrival.segment);
        let seq = arrival.seq;
        let inserted = self.rcv.queue.insert(seq, arrival.take_payload());
        env.counters.bytes_received = env
            .counters
            .bytes_received
            .saturating_add(u64::from(inserted.advanced));
        let sack = self.negotiated.sack;
        // After a pause the peer may be in slow start again.
        let idle = now.nanos_since(self.rcv.last_data_at);
        if idle > nanos(env.config.rto_min) && idle > self.rtt.base_rto_nanos() {
            self.rcv.quick_acks = env.config.quick_acks;
        }
        let promptness = self.rcv.owe_ack(&inserted, pieces, sack, now);
        match promptness {
            Promptness::Now => env.timers.stop(Timer::DelayedAck),
            // RFC 9293 §3.8.6.3 MUST-40; runs from the first segment that waits.
            Promptness::Soon => env
                .timers
                .start(Timer::DelayedAck, now + env.config.delayed_ack),
        }
        if inserted.advanced > 0 {
            env.fast_open_received();
            let (rcv_nxt, edge) = (self.rcv.queue.rcv_nxt(), self.rcv.edge);
            self.rcv.sizing.on_advance(rcv_nxt, edge, now);
            if self.rcv.reader == Reader::Shut {
                // EV-X-19: acknowledged and thrown away.
                self.rcv.queue.clear_readable();
                self.rcv.forget_read_urgent();
                env.count_discard(Discard::DataAfterShutdown);
            } else {
                env.events.push(Event::Readable);
            }
        }
        if inserted.dropped_for_memory {
            Err(Discard::OutOfOrderMemory)
        } else {
            Ok(())
        }
    }

    /// The round trip that a full segment's timestamp echo shows.
    fn measure_as_receiver(&mut self, env: &Env, segment: &Segment) {
        // A short segment may have waited for the application that wrote it.
        if segment.payload_len() < u32::from(self.rcv.rmss) {
            return;
        }
        if let Some((echo, ticks)) = self.echo(env, segment) {
            let age = Duration::from_millis(u64::from(ticks.max(1)));
            self.rcv.sizing.on_echo(echo, age);
        }
    }

    /// An acceptable segment without SYN: its ECN field counts, whatever else it is.
    // RFC 9768 §3.2 ACC-8, DACK-3.
    pub(crate) fn count_marks(&mut self, arrival: &Arrival<'_>) {
        let Some(accurate) = &mut self.ecn.accurate else {
            return;
        };
        let segment = &*arrival.segment;
        if let Some(timestamps) = segment.options.timestamps {
            accurate.on_echo(timestamps.ecr);
        }
        let octets = if arrival.cut_right {
            arrival.payload_len()
        } else {
            segment.payload_len()
        };
        let packets = match segment.gso_size {
            0 => 1,
            size => segment.payload_len().div_ceil(u32::from(size)).max(1),
        };
        let unacked = self.rcv.nxt() != self.rcv.last_ack_sent;
        match accurate.on_arrival(segment.ecn, packets, octets, unacked) {
            Due::Nothing => {}
            Due::Now => self.rcv.ack_now(),
            Due::Marks => self.rcv.ack_marks(),
        }
    }

    /// How many segments of the peer's this one stands for; also learns their size.
    fn count_pieces(&mut self, segment: &Segment) -> u32 {
        let len = segment.payload_len();
        let size = match segment.gso_size {
            0 => len,
            size => len.min(u32::from(size)),
        };
        let rmss = u16::try_from(size)
            .unwrap_or(u16::MAX)
            .min(self.negotiated.advertised_mss);
        self.rcv.rmss = self.rcv.rmss.max(rmss);
        if len <= size {
            return 1;
        }
        len.div_ceil(size.max(1))
    }
}
