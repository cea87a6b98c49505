//! `transom ss` beside `ss` itself, in a network namespace with thousands of sockets in every state.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is how a test fails"
)]

mod beside;
mod place;
mod stacks;
mod words;
