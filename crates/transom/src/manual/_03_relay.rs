//! # Relay
//!
//! Between two connections, copying the bytes is the easy part. [`relay()`] is about the rest:
//!
//! | one side | the other side |
//! |---|---|
//! | finishes (FIN) | gets FIN after everything that was sent before; may go on sending |
//! | resets, or is killed with data unread | gets a reset, after what was sent before it |
//! | does not answer any more (timed out, unreachable) | gets a reset |
//! | does not read | can send no more than the buffers hold, and then waits |
//! | does nothing | nothing happens, and costs nothing |
//!
//! Ready-made copying loops get some of it wrong. One that ends when either direction ends cuts
//! answers off; one that closes both sides on an error turns resets into orderly ends, which a
//! reader takes for the end of a complete file; one that only reads notices a reset when it gets
//! around to reading, which it does not while the other side is slow.
//!
//! The ends may be streams of a [`Stack`](crate::Stack) or of the kernel, in any combination, or
//! anything else that implements [`RelayEnd`]. Between two streams of ours nothing is copied; a
//! stream of the kernel is read in steps of up to 256 KiB and written with vectored writes.
//!
//! [`RelayOutcome`] tells who ended first, how each direction ended, how many bytes it carried, and
//! what failed. [`relay_ends`] leaves both connections open for a last look, at `TCP_INFO` for one,
//! and counts where it can be watched:
//!
//! ```
//! use transom::{RelayCounters, RelayEnd, RelayOutcome, relay_ends};
//!
//! async fn watched(client: impl RelayEnd, server: impl RelayEnd) -> RelayOutcome {
//!     let counters = RelayCounters::new();
//!     let outcome = relay_ends(&client, &server, &counters).await;
//!     assert_eq!(counters.to_client(), outcome.to_client.bytes);
//!     outcome
//! } // Both are closed here. If one was reset, so is the other now at the latest.
//! ```
//!
//! # Memory
//!
//! At most [`RelayQueue::LIMIT`] bytes are on the way in each direction, beside what the two
//! connections buffer themselves. An idle direction holds none.
//!
//! # What a relay cannot do
//!
//! It acknowledges for the peer behind it. When a side resets, data that it had sent before is passed
//! on for as long as the other side takes it, 100 ms at most; then the reset follows. And a sender
//! learns that its data arrived at the relay, not that it arrived at the receiver, as with any
//! proxy.
//!
//! [`relay()`]: crate::relay()
//! [`relay_ends`]: crate::relay_ends
//! [`RelayEnd`]: crate::RelayEnd
//! [`RelayOutcome`]: crate::RelayOutcome
//! [`RelayQueue::LIMIT`]: crate::RelayQueue::LIMIT
