//! Connections drawn: the model of `transom-flow` as text for a terminal and as JSON.
//!
//! One module a format. Nothing but the model goes in, and nothing is concluded here: what a view
//! says of a connection, every other view says too.
//!
//! - [`text::table`]: one line for each connection
//! - [`text::diagram`]: every step of one connection, with both ends' states
//! - [`json`]: everything, with stable names
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod json;
pub mod text;
