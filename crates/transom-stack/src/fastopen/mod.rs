//! TCP Fast Open (RFC 7413): whose SYN data a listener takes, and what is remembered of servers.
//!
//! Data in SYNs is off on both sides until an application asks for it, because it may be delivered twice.

mod client;
mod cookies;
mod listening;
mod remembered;

pub use cookies::FastOpenKeys;
pub use listening::FastOpenListen;

pub(crate) use cookies::Cookies;
pub(crate) use listening::{Judgement, Limit};
pub(crate) use remembered::Remembered;

use crate::config::StackConfig;
use crate::secret::{Key, Map};
use crate::slab::SlabKey;

/// Fast Open on one stack.
#[derive(Debug)]
pub(crate) struct FastOpens {
    pub(crate) cookies: Cookies,
    pub(crate) remembered: Remembered,
    /// Connections opened by SYNs with a cookie whose handshake is not complete, and their listeners.
    pub(crate) pending: Map<SlabKey, SlabKey>,
}

impl FastOpens {
    pub(crate) fn new(config: &StackConfig, secret: &[u8; 32], tables: Key) -> Self {
        Self {
            cookies: Cookies::new(secret, config.fast_open_key_lifetime),
            remembered: Remembered::new(
                config.max_fast_open_servers,
                config.fast_open_pause,
                tables,
            ),
            pending: Map::with_hasher(tables),
        }
    }
}
