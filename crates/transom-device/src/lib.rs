//! transom-device
