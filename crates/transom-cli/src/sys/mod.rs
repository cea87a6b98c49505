//! The only place of this crate with `unsafe`: thin, safe wrappers around system calls that
//! have none yet.
#![expect(
    unsafe_code,
    reason = "system calls without a safe wrapper; each block says why it is sound"
)]

mod descriptor;
mod device;
mod names;
mod process;
mod signal;
mod socket;

pub(crate) use descriptor::{adopt, close_all_but, inherited, release, watch_readable};
pub(crate) use device::{attach_tun, columns, keep_tun, size};
pub(crate) use names::host_name;
pub(crate) use process::{
    ChildState, Forked, die_with_parent, exec, fork, fork_sibling, hurry_thread, leave,
    process_descriptor, raise_descriptor_limit, wait_for,
};
pub(crate) use signal::{
    SavedMask, block_all, block_and_watch, die_by, ignore_all, is_ignored, is_pending, send,
    stop_by, take_pending,
};
pub(crate) use socket::tcp_info;
