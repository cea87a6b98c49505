//! What the stack tells, put on the channel.

use std::net::SocketAddr;

use transom_stack::{Direction, Discard, FrameRef, Recorder};
use transom_tcp::{Instant, State};
use transom_wire::frame::{RxChecksum, TxOffload};

use super::super::vigil::Vigil;
use super::{Observer, Packet, Seen};

/// How much of a packet is kept when none is written to a file: all headers, and enough data to
/// say what it looks like.
const HEAD: usize = 256;

/// The stack's recorder. It is called with the stack locked and only copies.
pub(crate) struct Tape {
    observer: Observer,
    vigil: Vigil,
    whole: bool,
}

impl Tape {
    /// `whole`: packets are wanted whole, not only their start.
    pub(crate) fn new(observer: Observer, vigil: Vigil, whole: bool) -> Self {
        Self {
            observer,
            vigil,
            whole,
        }
    }

    fn packet(&self, frame: FrameRef<'_>) -> Packet {
        let gso_size = frame.gso_size();
        if self.whole {
            let fill = match frame {
                // From the local kernel, whose device would have filled it.
                FrameRef::Rx(frame) => frame.checksum == RxChecksum::Valid,
                FrameRef::Tx(frame) => frame.offload != TxOffload::None,
                _ => false,
            };
            return Packet::Whole {
                bytes: frame.to_vec(),
                gso_size,
                fill,
            };
        }
        let bytes = match frame {
            FrameRef::Rx(frame) => frame.data.get(..HEAD).unwrap_or(&frame.data).to_vec(),
            FrameRef::Tx(frame) => {
                let len = frame.headers.len() + frame.payload.len();
                let mut bytes = Vec::with_capacity(len.min(HEAD.max(frame.headers.len())));
                bytes.extend_from_slice(&frame.headers);
                for chunk in frame.payload.chunks() {
                    let room = HEAD.saturating_sub(bytes.len());
                    bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
                }
                bytes
            }
            _ => Vec::new(),
        };
        Packet::Head { bytes, gso_size }
    }
}

impl Recorder for Tape {
    fn frame(&mut self, now: Instant, direction: Direction, frame: FrameRef<'_>) {
        self.vigil.passes();
        self.observer.learn_clock(now);
        let packet = self.packet(frame);
        self.observer.note(Seen::Packet {
            time: now.since_origin(),
            direction,
            packet,
        });
    }

    fn state(&mut self, now: Instant, local: SocketAddr, peer: SocketAddr, from: State, to: State) {
        self.observer.learn_clock(now);
        self.observer.note(Seen::State {
            time: now.since_origin(),
            local,
            peer,
            from,
            to,
        });
        // Our peer is the program; its own end has just changed, or is about to.
        self.observer.look(peer, local);
    }

    fn discard(
        &mut self,
        _now: Instant,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        reason: Discard,
    ) {
        self.observer.note(Seen::Discard {
            local,
            peer,
            reason,
        });
    }
}
