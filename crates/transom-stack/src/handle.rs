//! Names of the things that a stack keeps. A handle outlives its thing and then names nothing.

use crate::slab::SlabKey;

macro_rules! handles {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
            pub struct $name(pub(crate) SlabKey);

            impl $name {
                /// The place in the stack's table: small, and used again for another tenant.
                #[must_use]
                pub const fn index(self) -> u32 {
                    self.0.index
                }

                /// Which tenant of that place.
                #[must_use]
                pub const fn generation(self) -> u32 {
                    self.0.generation
                }
            }
        )+
    };
}

handles! {
    /// A TCP connection.
    ConnId,
    /// A TCP listener.
    ListenerId,
    /// A SYN that waits for the application's decision.
    IncomingId,
    /// A UDP socket.
    UdpId,
}
