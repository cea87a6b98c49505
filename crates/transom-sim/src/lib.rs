//! transom-sim
