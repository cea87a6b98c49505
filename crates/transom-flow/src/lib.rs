//! transom-flow
