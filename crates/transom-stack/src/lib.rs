//! transom-stack
