//! transom-tcp
