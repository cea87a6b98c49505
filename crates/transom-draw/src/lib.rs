//! Connections drawn: the model of `transom-flow` as text for a terminal and as JSON.
//!
//! One module a format. Nothing but the model goes in, and nothing is concluded here: what a view
//! says of a connection, every other view says too.
//!
//! - [`text::table`]: one line for each connection
//! - [`text::diagram`]: every step of one connection, with both ends' states
//! - [`json`]: everything, with stable names
//! - [`svg`]: the same diagram as a picture
//! - [`html`]: a page of connections that needs nothing else
//! - [`mermaid`]: the diagram as text that Mermaid draws
//! - [`calendar`]: dates, for those who write times
//! - [`conn_log`]: one line for each connection, as Zeek's `conn.log` has it
//!
//! ```
//! use transom_draw::text::{Options, diagram, table};
//! use transom_flow::{Connection, Tracker};
//!
//! fn report(tracker: &Tracker) -> String {
//!     let connections: Vec<&Connection> = tracker.connections().collect();
//!     let options = Options::new(100).color(true);
//!     let mut report = table(&connections, &options);
//!     for connection in connections {
//!         report.push_str(&diagram(connection, &options));
//!     }
//!     report
//! }
//! assert!(report(&Tracker::default()).contains("closed by"));
//! ```
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

pub mod calendar;
pub mod conn_log;
pub mod html;
pub mod json;
pub mod mermaid;
mod rows;
pub mod svg;
pub mod text;
