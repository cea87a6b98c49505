//! The keeper: a small process that makes the namespaces and everything in them, starts the
//! program's process, and afterwards only watches.
//!
//! It exists for two reasons. Entering a user namespace needs a process with a single thread, and
//! the parent must stay where it is to reach the host's network. And when the parent is killed
//! with SIGKILL, somebody has to end what it leaves behind: then the keeper's socket reports the
//! end, it kills every process that lives in its network namespace, and leaves. It never outlives
//! the parent by more than that.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::unistd::{Pid, chdir, getpid, setsid};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::child::{self, Program};
use super::super::netlink::Netlink;
use super::super::plan::Plan;
use super::control::Control;
use super::mounts::{Replaced, Scratch};
use super::{ladder, mounts, namespaces, network, sysctl};
use crate::sys::{self, Forked, SavedMask};

/// Sets up, starts the program's process, watches; never returns.
pub(crate) fn keep(
    control: Control,
    plan: &Plan,
    start: OwnedFd,
    mask: &SavedMask,
    program: Program,
) -> ! {
    let key_log = program.key_log.clone();
    let mut scratch = match set_up(&control, plan) {
        Ok(scratch) => scratch,
        Err(why) => {
            // A parent that has gone needs no explanation.
            let _ = control.tell_failed(&why);
            sys::leave(1)
        }
    };
    match sys::fork_sibling() {
        Ok(Forked::New) => {
            drop(control);
            child::become_program(start, mask, program)
        }
        Ok(Forked::Caller(pid)) => {
            drop(start);
            if control.tell_program(pid.as_raw()).is_err() {
                // The parent has gone; the program's process sees it too and leaves unstarted.
                sys::leave(1);
            }
            scratch.reap();
            watch(&control, key_log.as_deref())
        }
        Err(error) => {
            let _ = control.tell_failed(&format!("cannot make a process: {error}"));
            sys::leave(1)
        }
    }
}

fn set_up(control: &Control, plan: &Plan) -> Result<Scratch, String> {
    let settings = sysctl::Settings::read();
    namespaces::enter()?;
    let said = |what: &'static str| {
        move |error: io::Error| match error.raw_os_error() {
            Some(errno @ (libc::EPERM | libc::EACCES)) => namespaces::refused(
                "a user namespace with a network",
                nix::errno::Errno::from_raw(errno),
            ),
            _ => format!("cannot {what}: {error}"),
        }
    };
    let files = "give the program its own files";
    let Replaced {
        missing: mut notices,
        mut scratch,
    } = mounts::replace_files(plan).map_err(said(files))?;
    let mut netlink = Netlink::open().map_err(said("talk to the kernel's network"))?;
    let made = ladder::make_device(plan, &mut netlink)?;
    notices.extend(
        network::configure(plan, &made, &mut netlink)
            .map_err(said("set up the program's network"))?,
    );
    settings.write();
    let diag = || {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::DGRAM.cloexec(),
            Some(Protocol::from(libc::NETLINK_SOCK_DIAG)),
        );
        socket.map_err(said("observe the program's sockets"))
    };
    let (one, two) = (diag()?, diag()?);
    let told = |error: io::Error| format!("cannot report to the parent: {error}");
    for notice in notices {
        control.tell_notice(&notice).map_err(told)?;
    }
    scratch.see_off().map_err(said(files))?;
    control
        .tell_network(
            made.kind,
            made.descriptor.as_fd(),
            [one.as_fd(), two.as_fd()],
        )
        .map_err(told)?;
    Ok(scratch)
}

/// Waits for the parent's end, whichever it is.
fn watch(control: &Control, key_log: Option<&Path>) -> ! {
    // Out of reach of the terminal and of signals to the parent's process group, and holding
    // nothing that somebody could wait for.
    sys::ignore_all();
    let _ = setsid();
    let _ = chdir("/");
    sys::close_all_but(control.fd());
    if !control.wait_for_end() {
        end_everything();
        // The parent removes it otherwise.
        let _ = key_log.map(fs::remove_file);
    }
    sys::leave(0)
}

/// How often the process table is gone through before giving up: a process in an
/// uninterruptible system call cannot be killed, and this process must not stay for it.
const ROUNDS: u32 = 100;
/// Pause between two rounds.
const ROUND: Duration = Duration::from_millis(20);

fn end_everything() {
    for _ in 0..ROUNDS {
        let living = inhabitants();
        if living.is_empty() {
            return;
        }
        for pid in living {
            let _ = sys::send(pid, libc::SIGKILL);
        }
        thread::sleep(ROUND);
    }
}

/// The other processes in this process's network namespace.
fn inhabitants() -> Vec<Pid> {
    let Ok(ours) = fs::read_link("/proc/self/ns/net") else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|&pid| pid != getpid())
        .filter(|pid| {
            let link: PathBuf = format!("/proc/{pid}/ns/net").into();
            fs::read_link(link).is_ok_and(|theirs| theirs == ours)
        })
        .collect()
}
