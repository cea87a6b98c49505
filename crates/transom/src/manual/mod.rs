//! How the parts are used together, and why the defaults are what they are.
//!
//! 1. [Sockets](_01_sockets): how they compare with tokio's, closing, errors, cancellation.
//! 2. [Incoming](_02_incoming): connections to any address and port, decided one by one.
//! 3. [Relay](_03_relay): joining two connections without changing how they end.
//! 4. [Defaults](_04_defaults): each with its reason.

pub mod _01_sockets;
pub mod _02_incoming;
pub mod _03_relay;
pub mod _04_defaults;
