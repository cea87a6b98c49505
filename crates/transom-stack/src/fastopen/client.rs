//! Active opens with Fast Open: what their SYNs carry, and what is learnt from the answers.

use core::net::IpAddr;
use core::time::Duration;

use transom_tcp::{FastOpenNews, FastOpenSyn, FastOpenUse, Instant, Path, SynData};

use crate::slab::SlabKey;
use crate::stack::Stack;

/// Room left for options: with as many as there can be, a full segment still fits the path.
// RFC 7413 §4.2.2, TFO-7; as Linux, which leaves room for what middleboxes add.
const OPTIONS: usize = 40;

impl Stack {
    /// Forgets every cookie that servers gave out, and what went wrong with them.
    pub fn forget_fast_open(&mut self) {
        self.endpoints.fast_opens.remembered.clear();
    }

    /// Sets [`StackConfig::fast_open_pause`](crate::StackConfig::fast_open_pause).
    pub const fn set_fast_open_pause(&mut self, pause: Duration) {
        self.endpoints.fast_opens.remembered.set_pause(pause);
    }

    /// What the SYN to `remote` carries; nothing when Fast Open is off, or not advisable.
    pub(crate) fn fast_open_syn(
        &mut self,
        now: Instant,
        (wanted, waits): (FastOpenUse, bool),
        max_segment: Option<u16>,
        (local, remote): (IpAddr, IpAddr),
        path: &Path,
    ) -> Option<FastOpenSyn> {
        if wanted == FastOpenUse::Off {
            return None;
        }
        let known = self
            .endpoints
            .fast_opens
            .remembered
            .recall((local, remote), now)?;
        let most = max_segment.unwrap_or(u16::MAX).min(path.send_mss());
        let room = |mss: u16| usize::from(mss.min(most)).saturating_sub(OPTIONS);
        let syn = match wanted {
            FastOpenUse::WithoutCookie => FastOpenSyn::new(None, room(known.mss.unwrap_or(most))),
            FastOpenUse::Cookie | FastOpenUse::Off => match known.cookie {
                Some(cookie) => {
                    let mss = known.mss.unwrap_or_else(|| path.default_mss());
                    FastOpenSyn::new(Some(cookie), room(mss))
                }
                // TFO-6.
                None => FastOpenSyn::new(Some(known.request()), 0),
            },
        };
        let waits = waits && syn.max_data > 0;
        Some(syn.wait_for_data(waits))
    }

    /// A connection has learnt something about Fast Open.
    pub(crate) fn fast_open_news(&mut self, now: Instant, key: SlabKey) {
        loop {
            let Some(slot) = self.endpoints.tenants.connections.get_mut(key) else {
                return;
            };
            let whole = slot.body.whole_mut();
            let Some(news) = whole.and_then(|whole| whole.connection.take_fast_open_news()) else {
                return;
            };
            let pair = (slot.tuple.local, slot.tuple.remote);
            let counters = &mut self.observer.counters;
            match news {
                FastOpenNews::Answered(answer) => match answer.data {
                    SynData::None => {}
                    SynData::Taken => counters.fast_opens_out += 1,
                    SynData::Partly | SynData::Refused | SynData::Lost => {
                        counters.fast_open_failures += 1;
                    }
                },
                FastOpenNews::Unanswered => counters.fast_open_failures += 1,
                _ => {}
            }
            self.endpoints.fast_opens.remembered.learn(pair, news, now);
        }
    }
}
