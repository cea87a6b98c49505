//! `transom ss`: the sockets of this machine's kernel, as `ss` lists them, and what their states mean.
//!
//! [`args`] is what was typed, [`plan`] what it means ([`filter`] reads the free-form tail). The
//! kernel's answers become [`line`]s, which a [`table`] writes.

pub(crate) mod args;
mod filter;
mod holders;
mod info;
mod kill;
mod line;
mod names;
mod number;
mod plan;
mod states;
mod summary;
mod table;

use std::io::{self, BufWriter, IsTerminal, Write};

use self::args::SsArgs;
use self::holders::Holders;
use self::line::{Line, Writer};
use self::names::Names;
use self::plan::Plan;
use self::table::{Look, Table};
use crate::failure::{Failure, Outcome};
use crate::kernel::inet_diag::{Diag, Extensions, Protocol, Query};
use crate::terminal;

/// Output is handed on in pieces of this size.
const BUFFER: usize = 128 * 1024;

/// Does what was typed.
pub(crate) fn ss(args: &SsArgs) -> Result<Outcome, Failure> {
    if let Some(name) = &args.net {
        enter(name)?;
    }
    if args.summary {
        terminal::print(&summary::text())?;
        return Ok(Outcome::Exited(0));
    }
    let names = Names::default();
    let plan = Plan::new(args, &names)?;
    let holders = (args.processes).then(Holders::read);
    let writer = Writer {
        wish: plan.wish,
        names: &names,
        holders: holders.as_ref(),
    };
    let mut diag = open()?;
    let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let table = Table::new(look(args, &plan), out);
    if args.kill {
        return kill_all(args, &plan, &writer, &mut diag, table);
    }
    list(&plan, &writer, &mut diag, table)?;
    if let Some(holders) = holders
        && holders.hidden > 0
    {
        let _ = writeln!(
            io::stderr(),
            "transom: the processes of other users are not shown: root sees them (sudo transom ss …)"
        );
    }
    Ok(Outcome::Exited(0))
}

fn list<W: Write>(
    plan: &Plan,
    writer: &Writer<'_>,
    diag: &mut Diag,
    mut table: Table<W>,
) -> Result<(), Failure> {
    let mut line = Line::default();
    for query in plan.queries(Extensions::default()) {
        let listed = diag.list(&query, |socket| {
            writer.write(socket, &mut line);
            table.push(&mut line).map_err(Gone::mark)
        });
        match listed {
            Err(error) if Gone::is(&error) => return written(Err(error)),
            Err(error) => return Err(refused(&query, &error)),
            Ok(()) => {}
        }
    }
    written(table.finish())
}

fn kill_all<W: Write>(
    args: &SsArgs,
    plan: &Plan,
    writer: &Writer<'_>,
    diag: &mut Diag,
    mut table: Table<W>,
) -> Result<Outcome, Failure> {
    let chosen =
        kill::choose(diag, plan, writer).map_err(|error| Failure::doing("list sockets", error))?;
    let mut count: usize = 0;
    for mut chosen in chosen {
        if !args.yes || kill::close(diag, &chosen)? {
            count += 1;
            written(table.push(&mut chosen.line))?;
        }
    }
    written(table.finish())?;
    if args.yes {
        return Ok(Outcome::Exited(0));
    }
    let sockets = transom_flow::words::count(count as u64, "socket");
    Err(Failure::new(format!(
        "nothing was closed; with --yes -K closes the {sockets} above"
    )))
}

/// The namespace of that name.
fn enter(name: &str) -> Result<(), Failure> {
    use nix::sched::{CloneFlags, setns};
    let path = format!("/run/netns/{name}");
    if name.contains('/') {
        return Err(Failure::new(format!(
            "no network namespace is called '{name}'"
        )));
    }
    let file = std::fs::File::open(&path)
        .map_err(|error| Failure::doing(&format!("open {path}"), error))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|_| {
        Failure::new(format!(
            "only root may enter the network namespace '{name}': sudo transom ss -N {name} …"
        ))
    })
}

fn open() -> Result<Diag, Failure> {
    Diag::open().map_err(|error| match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => Failure::new(
            "this kernel cannot list sockets over netlink (CONFIG_INET_DIAG); cat /proc/net/tcp",
        ),
        _ => Failure::doing("talk to the kernel's sock_diag", error),
    })
}

/// Why the kernel did not list.
fn refused(query: &Query<'_>, error: &io::Error) -> Failure {
    let module = match query.protocol {
        Protocol::Tcp => "tcp_diag",
        Protocol::Udp => "udp_diag",
    };
    match error.raw_os_error() {
        Some(libc::ENOENT) => Failure::new(format!(
            "the kernel's module {module} is missing: sudo modprobe {module}"
        )),
        Some(libc::EPERM) => {
            Failure::new("only root (CAP_NET_ADMIN) may filter by firewall mark: sudo transom ss …")
        }
        _ => Failure::doing("list the kernel's sockets", error),
    }
}

fn look(args: &SsArgs, plan: &Plan) -> Look {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    Look {
        netid: plan.protocols.len() > 1,
        state: !plan.states.is_single(),
        header: !args.no_header,
        oneline: args.oneline,
        terminal: is_terminal.then(|| terminal::columns(&stdout)),
        color: terminal::is_colored(is_terminal, args.color),
        words: false,
    }
}

/// Tells trouble with our reader from trouble with the kernel.
#[derive(Debug)]
struct Gone(io::Error);

impl Gone {
    fn mark(error: io::Error) -> io::Error {
        io::Error::other(Self(error))
    }

    fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Gone {}

/// A reader that went away has seen what it wanted.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    let Err(error) = result else { return Ok(()) };
    let kind = match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Gone>())
    {
        Some(Gone(inner)) => inner.kind(),
        None => error.kind(),
    };
    if kind == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Failure::doing("write to standard output", error))
}
