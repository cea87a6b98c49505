//! transom-wire
