//! Packets that the script sends to the stack.

use bytes::Bytes;
use transom_stack::wire::{RxChecksum, RxFrame};

use super::{Kind, Played, Run, UnderTest, instant};
use crate::script::Packet;

impl Run<'_> {
    pub(super) fn inbound(&mut self, packet: &Packet) -> Played {
        let listens = self.tested.fd.and_then(|fd| self.sockets.listens_on(fd));
        if let Some(address) = listens
            && self.tested.conversation.is_none()
        {
            // The first packet to a listening socket makes the connection that is looked at from here on.
            let remote = self.host.peer(self.next_port);
            self.next_port += 1;
            let local = self.host.reached_at(address);
            self.tested = UnderTest {
                fd: None,
                conversation: Some(self.host.conversation(local, remote)),
                connection: None,
            };
        }
        if self.tested.conversation.is_none() {
            let remote = self.host.peer(self.next_port);
            self.next_port += 1;
            let conversation = self.host.conversation(self.host.bind, remote);
            self.tested.conversation = Some(conversation);
        }
        let Some(conversation) = &mut self.tested.conversation else {
            return Ok(());
        };
        let data = match conversation.build(packet) {
            Ok(data) => data,
            Err(reason) => {
                return Err(self.failure(packet.place, Kind::Unsupported, reason.to_string()));
            }
        };
        if self.verbose {
            let text = conversation.print(&data);
            self.note(|_| text);
        }
        let frame = RxFrame {
            gso_size: self.host.cut(data.len()),
            data: Bytes::from(data),
            checksum: RxChecksum::Unverified,
        };
        self.sockets.handle_frame(instant(self.now), frame);
        self.collect();
        self.retry()
    }
}
