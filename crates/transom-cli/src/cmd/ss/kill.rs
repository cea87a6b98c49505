//! `-K`: closing sockets that are not ours, when somebody means it.

use std::io;

use super::line::{Line, Writer};
use super::plan::Plan;
use crate::failure::Failure;
use crate::kernel::inet_diag::{Diag, Extensions, Family, Identity, Protocol, Query};

/// One that the filter leaves.
pub(crate) struct Chosen {
    protocol: Protocol,
    family: Family,
    identity: Identity,
    /// As it is shown.
    pub(crate) line: Line,
}

/// Everything that the filter leaves. Nothing is closed yet: the kernel's list does not change
/// under our hands.
pub(crate) fn choose(diag: &mut Diag, plan: &Plan, writer: &Writer<'_>) -> io::Result<Vec<Chosen>> {
    let mut chosen = Vec::new();
    for query in plan.queries(Extensions::default()) {
        diag.list(&query, |socket| {
            let mut line = Line::default();
            writer.write(socket, &mut line);
            chosen.push(Chosen {
                protocol: socket.protocol,
                family: socket.family,
                identity: socket.identity,
                line,
            });
            Ok(())
        })?;
    }
    Ok(chosen)
}

/// Closes one; false if it had gone by itself, or is of a kind that the kernel does not close.
pub(crate) fn close(diag: &mut Diag, chosen: &Chosen) -> Result<bool, Failure> {
    let query = Query {
        protocol: chosen.protocol,
        family: chosen.family,
        states: u32::MAX,
        extensions: Extensions::default(),
        bytecode: &[],
    };
    let Err(error) = diag.destroy(&query, &chosen.identity) else {
        return Ok(true);
    };
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ESTALE) => Ok(false),
        Some(libc::EPERM | libc::EACCES) => Err(Failure::new(
            "only root (CAP_NET_ADMIN) may close the sockets of others: sudo transom ss -K --yes …",
        )),
        Some(libc::EOPNOTSUPP) => Err(Failure::new(
            "this kernel closes no sockets on request (CONFIG_INET_DIAG_DESTROY is off)",
        )),
        _ => Err(Failure::doing("close a socket", error)),
    }
}
