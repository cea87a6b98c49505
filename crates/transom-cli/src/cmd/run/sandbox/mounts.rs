//! Our own resolv.conf and hosts in the program's view of the file system.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::super::host::{HOSTS, RESOLV_CONF};
use super::super::plan::Plan;
use crate::sys::{self, Forked};

/// Mounted over for a moment while the files are made; hidden from everybody outside.
const SCRATCH: &str = "/tmp";

/// What became of the files.
pub(crate) struct Replaced {
    /// What could not be replaced, in words for the user.
    pub(crate) missing: Vec<String>,
    /// The mount for a moment, on its way out.
    pub(crate) scratch: Scratch,
}

/// Replaces the two files in this mount namespace only.
///
/// The new files live in a tmpfs that only their bind mounts keep alive: when the namespace ends,
/// nothing is left.
pub(crate) fn replace_files(plan: &Plan) -> io::Result<Replaced> {
    let none: Option<&str> = None;
    let before = identity(SCRATCH)?;
    // As a slave, mounts that the host makes later still appear, and ours never reach the host.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(
        Some("transom"),
        SCRATCH,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=755"),
    )?;
    let mut missing = Vec::new();
    match &plan.resolv_conf {
        Some(text) => {
            if let Err(error) = replace(RESOLV_CONF, "resolv.conf", text) {
                missing.push(format!(
                    "names cannot be resolved over our network: {RESOLV_CONF} cannot be replaced \
                     ({error}); create it with: echo nameserver {} | sudo tee {RESOLV_CONF}",
                    plan.v4.dns
                ));
            }
        }
        None => {
            missing.push(format!(
                "names cannot be resolved over our network: {RESOLV_CONF} cannot be read; \
                 mend it with: sudo chmod a+r {RESOLV_CONF}"
            ));
        }
    }
    // Without /etc/hosts the name is still answered over DNS.
    let _ = replace(HOSTS, "hosts", &plan.hosts);
    Ok(Replaced {
        missing,
        scratch: Scratch {
            before,
            remover: remove()?,
        },
    })
}

/// A mount that a process of its own takes away.
///
/// The mount is gone at once, but the kernel lets who did that wait for all processors: a third of the
/// time that setting up takes.
pub(crate) struct Scratch {
    /// What was there before.
    before: (u64, u64),
    remover: Option<Pid>,
}

impl Scratch {
    /// Waits until the mount has gone: usually not at all.
    pub(crate) fn see_off(&mut self) -> io::Result<()> {
        if identity(SCRATCH)? == self.before {
            return Ok(());
        }
        self.reap();
        if identity(SCRATCH)? == self.before {
            return Ok(());
        }
        Err(io::Error::other(format!("cannot unmount from {SCRATCH}")))
    }

    /// Waits for the process.
    pub(crate) fn reap(&mut self) {
        if let Some(remover) = self.remover.take() {
            let _ = waitpid(remover, None);
        }
    }
}

/// What a path leads to: a device and a number on it.
fn identity(path: &str) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Unmounts, in a process of its own if one can be made.
fn remove() -> io::Result<Option<Pid>> {
    match sys::fork() {
        Ok(Forked::Caller(pid)) => Ok(Some(pid)),
        Ok(Forked::New) => {
            // Who made this process sees whether it worked.
            let _ = umount2(SCRATCH, MntFlags::MNT_DETACH);
            sys::leave(0)
        }
        Err(_) => {
            umount2(SCRATCH, MntFlags::MNT_DETACH)?;
            Ok(None)
        }
    }
}

fn replace(target: &str, name: &str, text: &str) -> Result<(), Errno> {
    let errno = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let source = Path::new(SCRATCH).join(name);
    fs::write(&source, text).map_err(errno)?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o644)).map_err(errno)?;
    let none: Option<&str> = None;
    mount(Some(&source), target, none, MsFlags::MS_BIND, none)
}
