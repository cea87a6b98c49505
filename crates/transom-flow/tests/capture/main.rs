//! Captures in: formats, link types, tunnels, damage; and copies with comments.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod formats;
#[path = "../scene/mod.rs"]
mod scene;
mod tools;
