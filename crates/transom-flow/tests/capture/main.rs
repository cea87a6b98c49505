//! Captures in: formats, link types, tunnels, damage; and copies with comments.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test"
)]

mod build;
mod copies;
mod damage;
mod formats;
mod links;
mod packets;
#[path = "../scene/mod.rs"]
mod scene;
mod tools;
