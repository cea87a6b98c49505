//! Packets that the stack must send.

use std::time::Duration;

use super::timing::{self, When};
use super::{Failure, Kind, Played, Run};
use crate::packets::{Expectation, Taken};
use crate::script::{Event, Packet};

impl Run<'_> {
    /// Waits for a packet and compares it.
    pub(super) fn outbound(&mut self, event: &Event, packet: &Packet, when: &When) -> Played {
        let limit = when.limit(self.now);
        let mut expectation = Expectation::new(packet);
        loop {
            let (at, frame) = self.next_sent(event, packet, limit)?;
            let Some(conversation) = &mut self.tested.conversation else {
                return Ok(());
            };
            let taken = expectation
                .take(conversation, &frame)
                .map_err(|difference| {
                    Box::new(Failure::new(
                        &self.script.name,
                        difference.place,
                        Kind::Packet,
                        difference.to_string(),
                    ))
                })?;
            let rest = match taken {
                Taken::More => continue,
                Taken::Done { rest } => rest,
            };
            if let Some(rest) = rest {
                self.sent.push_front((at, rest));
            }
            return match when.differs(at) {
                None => Ok(()),
                Some(expected) => {
                    let message = format!(
                        "the packet is right, and was sent at another time\n  {}\n  expected: \
                         {expected}\n  actual:   {}",
                        packet.notation(crate::packets::Way::Out),
                        timing::text(at)
                    );
                    Err(self.failure(event.place, Kind::Time, message))
                }
            };
        }
    }

    /// The next frame of the tested connection.
    fn next_sent(
        &mut self,
        event: &Event,
        packet: &Packet,
        limit: Duration,
    ) -> Result<(Duration, Vec<u8>), Box<Failure>> {
        loop {
            while let Some((at, frame)) = self.sent.pop_front() {
                let is_tested = self
                    .tested
                    .conversation
                    .as_ref()
                    .is_some_and(|tested| tested.belongs(&frame));
                if is_tested {
                    self.now = self.now.max(at);
                    return Ok((at, frame));
                }
            }
            if !self.step(limit)? {
                let message = format!(
                    "the stack sent nothing until {}\n  expected: {}\n  actual:   nothing",
                    timing::text(limit),
                    packet.notation(crate::packets::Way::Out),
                );
                return Err(self.failure(event.place, Kind::Packet, message));
            }
        }
    }
}
