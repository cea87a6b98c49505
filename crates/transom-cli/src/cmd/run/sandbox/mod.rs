//! A network of its own for the program, made without root and leaving nothing behind.
//!
//! ```text
//! transom (host's network) ──fork──▶ keeper: unshare, mounts, device, addresses, routes
//!    ▲                                 │  device and sock_diag descriptors (SCM_RIGHTS)
//!    ├─────────────────────────────────┘
//!    └──▶ program: the keeper's fork, but our child (CLONE_PARENT); waits for the word, execs
//! ```
//!
//! All of it happens while this process has a single thread.

mod control;
mod keeper;
mod ladder;
mod mounts;
mod namespaces;
mod network;
mod sysctl;

use std::os::fd::OwnedFd;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use self::control::{Control, Message};
use super::child::{Program, Starter};
use super::plan::Plan;
use crate::failure::Failure;
use crate::sys::{self, Forked, SavedMask};

/// The program's network and its processes, as the parent holds them.
pub(crate) struct Sandbox {
    /// "tun" or "veth".
    pub(crate) kind: String,
    /// What carries packets: a TUN descriptor with virtio-net headers, or a packet socket.
    pub(crate) device: OwnedFd,
    /// Two NETLINK_SOCK_DIAG sockets of the program's network.
    pub(crate) diags: [OwnedFd; 2],
    /// What the user should know.
    pub(crate) notices: Vec<String>,
    /// The program's process, our child; it waits.
    pub(crate) program: Pid,
    /// Starts it.
    pub(crate) starter: Starter,
    /// Watches over it.
    pub(crate) keeper: Keeper,
}

/// The keeper, as the parent holds it; should the parent die first, it kills all that is inside.
pub(crate) struct Keeper {
    control: Control,
    pid: Pid,
}

impl Keeper {
    /// Lets the keeper go without killing anyone. Dropping the result waits for it.
    pub(crate) fn dismiss(self) -> Leaving {
        self.control.dismiss();
        Leaving(self.pid)
    }

    /// The keeper's process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }
}

/// A keeper that was dismissed; the namespaces that end with it take it some time.
pub(crate) struct Leaving(Pid);

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = waitpid(self.0, None);
    }
}

impl Sandbox {
    /// Makes everything; the program's process then waits to be started.
    pub(crate) fn make(plan: &Plan, mask: &SavedMask, program: Program) -> Result<Self, Failure> {
        let failed = |error| Failure::doing("prepare a process", error);
        let (ours, theirs) = Control::pair().map_err(failed)?;
        let (starter, start) = Starter::pair().map_err(failed)?;
        let pid = match sys::fork().map_err(|error| Failure::doing("make a process", error))? {
            Forked::New => {
                drop((ours, starter));
                keeper::keep(theirs, plan, start, mask, program)
            }
            Forked::Caller(pid) => pid,
        };
        drop((theirs, start));
        let keeper = Keeper { control: ours, pid };
        let mut network = None;
        let mut notices = Vec::new();
        loop {
            let message = keeper
                .control
                .hear()
                .map_err(|error| Failure::doing("set up the program's network", error))?;
            match message {
                Some(Message::Notice(text)) => notices.push(text),
                Some(Message::Network {
                    kind,
                    device,
                    diags,
                }) => network = Some((kind, device, diags)),
                Some(Message::Program(program)) => {
                    let Some((kind, device, diags)) = network else {
                        break;
                    };
                    let program = Pid::from_raw(program);
                    return Ok(Self {
                        kind,
                        device,
                        diags,
                        notices,
                        program,
                        starter,
                        keeper,
                    });
                }
                Some(Message::Failed(why)) => {
                    let _ = waitpid(keeper.pid, None);
                    return Err(Failure::new(why));
                }
                None => break,
            }
        }
        Err(Failure::new(
            "the process that sets up the program's network died; run it again",
        ))
    }
}
