//! `transom ss` beside `ss` itself, in a network namespace with thousands of sockets in every state.

#![expect(clippy::unwrap_used, reason = "this is how a test fails")]

mod beside;
#[path = "../harness/mod.rs"]
mod harness;
mod place;
mod stacks;
mod words;
