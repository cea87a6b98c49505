//! transom-draw
