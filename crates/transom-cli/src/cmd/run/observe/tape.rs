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
}

/// A packet of which everything is wanted.
fn whole(frame: FrameRef<'_>) -> Packet {
    let fill = match frame {
        // From the local kernel, whose device would have filled it.
        FrameRef::Rx(frame) => frame.checksum == RxChecksum::Valid,
        FrameRef::Tx(frame) => frame.offload != TxOffload::None,
        _ => false,
    };
    Packet::Whole {
        bytes: frame.to_vec(),
        gso_size: frame.gso_size(),
        fill,
    }
}

/// Appends the start of a packet.
fn head(frame: FrameRef<'_>, bytes: &mut Vec<u8>) -> Packet {
    let at = bytes.len();
    match frame {
        FrameRef::Rx(frame) => {
            bytes.extend_from_slice(frame.data.get(..HEAD).unwrap_or(&frame.data));
        }
        FrameRef::Tx(frame) => {
            bytes.extend_from_slice(&frame.headers);
            for chunk in frame.payload.chunks() {
                let room = (at + HEAD).saturating_sub(bytes.len());
                bytes.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
            }
        }
        _ => {}
    }
    Packet::Head {
        at,
        length: bytes.len() - at,
        gso_size: frame.gso_size(),
    }
}

impl Recorder for Tape {
    fn frame(&mut self, now: Instant, direction: Direction, frame: FrameRef<'_>) {
        self.vigil.passes();
        self.observer.learn_clock(now);
        let time = now.since_origin();
        let seen = |packet| Seen::Packet {
            time,
            direction,
            packet,
        };
        if self.whole {
            self.observer.note(seen(whole(frame)));
        } else {
            self.observer.note_bytes(|bytes| seen(head(frame, bytes)));
        }
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
