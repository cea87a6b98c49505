//! Looking at one of the program's sockets.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use transom_flow::Process;

use super::super::diag::{Diag, KernelSocket};
use super::super::processes::{self, Inside, Owners, Regular};
use super::Look;

/// What it takes to look: once for glances, and once for looks that take longer, so that no glance waits for one.
pub(crate) struct Eyes {
    glancing: Mutex<Pair>,
    looking: Mutex<Pair>,
}

struct Pair {
    diag: Diag,
    owners: Owners,
}

impl std::fmt::Debug for Eyes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Eyes").finish_non_exhaustive()
    }
}

impl Eyes {
    /// With two sock_diag sockets of the inside.
    pub(crate) fn new(diags: [Diag; 2], inside: &Inside) -> Self {
        let [glancing, looking] = diags.map(|diag| {
            Mutex::new(Pair {
                diag,
                owners: Owners::new(inside.clone()),
            })
        });
        Self { glancing, looking }
    }

    /// A look at one socket that takes a few microseconds, on the thread that carries the program's packets.
    ///
    /// None if it would take longer, as the owner is not where it was expected.
    pub(crate) fn glance(&self, program: SocketAddr, peer: SocketAddr) -> Option<Look> {
        let mut pair = lock(&self.glancing);
        let socket = pair.diag.one(program, peer).ok()??;
        let process = pair.owners.guess(socket.inode)?;
        Some(look(socket, Some(process)))
    }

    /// A look at one socket; None if there is none, or if the kernel does not tell.
    pub(crate) fn look_at(&self, program: SocketAddr, peer: SocketAddr) -> Option<Look> {
        let mut pair = lock(&self.looking);
        let socket = pair.diag.one(program, peer).ok()??;
        Some(self.complete(&mut pair, socket))
    }

    /// As [`look_at`](Self::look_at), after a glance was not enough: lets later glances know what was found.
    pub(crate) fn look_closely(&self, program: SocketAddr, peer: SocketAddr) -> Option<Look> {
        let mut pair = lock(&self.looking);
        let socket = pair.diag.one(program, peer).ok()??;
        let owner = pair.owners.owner(socket.inode);
        if let Some(regular) = owner
            .as_ref()
            .and_then(|owner| Regular::with(owner, socket.inode))
        {
            lock(&self.glancing).owners.meet(regular);
        }
        Some(look(socket, owner))
    }

    /// A look at all sockets that `wanted` says, at most so many.
    pub(crate) fn look_at_all(
        &self,
        most: usize,
        wanted: impl Fn(&KernelSocket) -> bool,
    ) -> Vec<Look> {
        let mut pair = lock(&self.looking);
        let sockets = pair.diag.all().unwrap_or_default();
        let chosen = sockets.into_iter().filter(wanted).take(most);
        let looks = chosen.map(|socket| self.complete(&mut pair, socket));
        looks.collect()
    }

    /// Finds the owner; most were found by a glance, when the connection began.
    fn complete(&self, looking: &mut Pair, socket: KernelSocket) -> Look {
        let glanced_at = lock(&self.glancing).owners.remembered(socket.inode);
        let owner = glanced_at.or_else(|| looking.owners.owner(socket.inode));
        look(socket, owner)
    }
}

fn lock(pair: &Mutex<Pair>) -> MutexGuard<'_, Pair> {
    pair.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(socket: KernelSocket, owner: Option<processes::Process>) -> Look {
    let process = owner.map(|process| Process {
        name: process.name,
        pid: process.pid,
    });
    Look { socket, process }
}
