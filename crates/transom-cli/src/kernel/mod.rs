//! What the kernel tells: sockets and routes over netlink, processes under /proc.

pub(crate) mod control;
pub(crate) mod inet_diag;
pub(crate) mod netlink;
pub(crate) mod tcp_info;
