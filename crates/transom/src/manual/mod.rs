//! How the parts are used together.
