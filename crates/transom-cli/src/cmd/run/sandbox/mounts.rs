//! Our own resolv.conf and hosts in the program's view of the file system.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::super::host::{HOSTS, RESOLV_CONF};
use super::super::plan::Plan;

/// Mounted over for a moment while the files are made; hidden from everybody outside.
const SCRATCH: &str = "/tmp";

/// Replaces the two files in this mount namespace only.
///
/// The new files live in a tmpfs that only their bind mounts keep alive: when the namespace ends,
/// nothing is left. The result lists what could not be replaced, in words for the user.
pub(crate) fn replace_files(plan: &Plan) -> io::Result<Vec<String>> {
    let none: Option<&str> = None;
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
    umount2(SCRATCH, MntFlags::MNT_DETACH)?;
    Ok(missing)
}

fn replace(target: &str, name: &str, text: &str) -> Result<(), Errno> {
    let errno = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let source = Path::new(SCRATCH).join(name);
    fs::write(&source, text).map_err(errno)?;
    fs::set_permissions(&source, fs::Permissions::from_mode(0o644)).map_err(errno)?;
    let none: Option<&str> = None;
    mount(Some(&source), target, none, MsFlags::MS_BIND, none)
}
