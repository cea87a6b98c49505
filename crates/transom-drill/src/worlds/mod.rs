//! Random worlds: any network, any applications, and what must hold all the same.
//!
//! A [`Scenario`] is made of a seed: hosts with random settings, one or two paths between them with random
//! impairments, and connections whose applications send, pause, close, half-close and abort at random.
//! [`Scenario::play`] runs it in virtual time and checks that
//!
//! - the octets that arrive are those that were sent, in order, and the end of data comes after the last of them;
//! - on a path that no rule of TCP lets a connection give up, none gives up and all arrives within a bound that
//!   is computed from the scenario;
//! - nothing is left at the end: when the applications are done, the world falls silent within the sum of TCP's
//!   longest timeouts, and no stack holds a connection;
//! - no buffer holds more than its limit.

mod application;
mod orphans;
mod play;
mod scenario;

pub use play::{Played, Violation};
pub use scenario::Scenario;
