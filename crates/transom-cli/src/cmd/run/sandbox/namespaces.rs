//! Entering a network of our own, and saying what is in the way when that is refused.

use std::fs;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid};

/// Moves this process into a new network and mount namespace.
///
/// Where the process may do so directly (root with CAP_SYS_ADMIN), nothing else changes for the
/// program. Otherwise a user namespace comes along, in which the user stays who they were: uid and
/// gid are mapped to themselves, and exec drops the capabilities that set-up needs.
pub(crate) fn enter() -> Result<(), String> {
    let network = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    if Uid::effective().is_root() {
        match unshare(network) {
            Ok(()) => return Ok(()),
            Err(Errno::EPERM) => {}
            Err(error) => return Err(refused("a network namespace", error)),
        }
    }
    // Read before unshare: inside, until the maps are written, everybody is the overflow user.
    let (uid, gid) = (Uid::effective(), Gid::effective());
    unshare(network | CloneFlags::CLONE_NEWUSER)
        .map_err(|error| refused("a user namespace", error))?;
    // user_namespaces(7): an unprivileged process may map only itself, and its groups only after
    // it has given up setgroups(2).
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ];
    for (path, text) in maps {
        fs::write(path, text).map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            refused("a user namespace", errno)
        })?;
    }
    Ok(())
}

/// Why the kernel refuses `what`, as one sentence with the way out.
pub(crate) fn refused(what: &str, error: Errno) -> String {
    let knob = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let is = |path: &str, value: &str| knob(path).is_some_and(|text| text == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return "this system allows no user namespaces; \
                allow them with: sudo sysctl user.max_user_namespaces=10000"
            .to_owned();
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "this system keeps user namespaces for root; \
                allow them with: sudo sysctl kernel.unprivileged_userns_clone=1"
            .to_owned();
    }
    if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        return "AppArmor keeps user namespaces from ordinary programs; allow them with: \
                sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
            .to_owned();
    }
    match error {
        Errno::ENOSPC | Errno::EUSERS => format!(
            "the limit of namespaces is reached; \
             raise it with: sudo sysctl user.max_user_namespaces=10000 \
             user.max_net_namespaces=10000 user.max_mnt_namespaces=10000 ({what}: {error})"
        ),
        Errno::EPERM | Errno::EACCES => format!(
            "the kernel refuses {what} here ({error}); in a container, allow it with: \
             docker run --security-opt seccomp=unconfined, or run transom as root"
        ),
        Errno::EINVAL | Errno::ENOSYS => format!(
            "this kernel cannot make {what} ({error}); \
             it needs CONFIG_USER_NS and CONFIG_NET_NS, or run transom as root"
        ),
        _ => format!("cannot make {what}: {error}"),
    }
}
