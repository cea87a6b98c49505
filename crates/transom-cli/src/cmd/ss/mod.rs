//! `transom ss`: the sockets of this machine's kernel, as `ss` lists them, and what their states mean.
//!
//! [`args`] is what was typed, [`plan`] what it means ([`filter`] reads the free-form tail). The
//! kernel's answers become [`mod@line`]s, which a [`table`] writes.

pub(crate) mod args;
mod explain;
mod filter;
mod holders;
mod info;
mod json;
mod kill;
mod line;
mod names;
mod number;
mod plan;
mod stacks;
mod states;
mod summary;
mod table;
mod watch;

use std::io::{self, BufWriter, IsTerminal, Write};

use self::args::SsArgs;
use self::explain::Explainer;
use self::holders::Holders;
use self::json::Array;
use self::line::{Line, Writer};
use self::names::Names;
use self::plan::Plan;
use self::stacks::End;
use self::table::{Look, Table};
use self::watch::Manner;
use crate::failure::{Failure, Outcome};
use crate::kernel::inet_diag::{Diag, Extensions, Protocol, Query, Socket};
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
    let mut diag = open()?;
    let is_terminal = io::stdout().is_terminal();
    // As ss in a pipe, and with everything where somebody looks.
    let explain = args.explain || is_terminal && !args.no_explain;
    let stacks = args.stacks || (is_terminal || args.json) && !args.no_stacks;
    if let Some(interval) = plan.watch {
        let manner = Manner {
            interval,
            processes: args.processes,
            explain,
            stacks: !args.no_stacks,
            json: args.json,
            color: terminal::is_colored(is_terminal, args.color),
        };
        return watch::watch(&plan, &names, &mut diag, manner);
    }
    let holders = args.processes.then(Holders::read);
    let listing = Listing {
        plan: &plan,
        writer: Writer {
            wish: plan.wish,
            names: &names,
            holders: holders.as_ref(),
        },
        explain: explain || args.json && !args.no_explain,
        stacks,
    };
    let out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    if args.kill {
        let table = Table::new(look(args, &plan, false), out);
        return kill_all(args, &plan, &listing.writer, &mut diag, table);
    }
    if args.json {
        listing.json(&mut diag, Array::new(out))?;
    } else {
        listing.table(&mut diag, Table::new(look(args, &plan, explain), out))?;
    }
    if holders.is_some_and(|holders| holders.hidden > 0) {
        let _ = writeln!(
            io::stderr(),
            "transom: the processes of other users are not shown: root sees them (sudo transom ss …)"
        );
    }
    Ok(Outcome::Exited(0))
}

/// What is listed, and with what.
struct Listing<'a> {
    plan: &'a Plan,
    writer: Writer<'a>,
    /// Whether a state that deserves it is explained.
    explain: bool,
    /// Whether running Transom programs are asked.
    stacks: bool,
}

impl Listing<'_> {
    fn table<W: Write>(&self, diag: &mut Diag, mut table: Table<W>) -> Result<(), Failure> {
        let mut line = Line::default();
        let mut explainer = self.explainer();
        let more = if self.explain {
            Extensions::INFO_ONLY
        } else {
            Extensions::default()
        };
        let listed = self.each(diag, more, |socket| {
            self.writer.write(socket, &mut line);
            if let Some(explainer) = &mut explainer {
                line.words = explainer.words(socket).unwrap_or_default();
            }
            table.push(&mut line)
        })?;
        if !listed {
            return Ok(());
        }
        for end in self.ends() {
            end.write(self.writer.holders.is_some(), &mut line);
            if self.explain {
                line.words = end.words();
            }
            written(table.push(&mut line))?;
        }
        written(table.finish())
    }

    fn json<W: Write>(&self, diag: &mut Diag, mut array: Array<W>) -> Result<(), Failure> {
        let mut explainer = self.explainer();
        let everything = Extensions::INFO.and(Extensions::MEMORY);
        let listed = self.each(diag, everything, |socket| {
            let words = explainer.as_mut().and_then(|it| it.words(socket));
            let Writer { names, holders, .. } = &self.writer;
            array.push(&json::socket(socket, names, *holders, words))
        })?;
        if !listed {
            return Ok(());
        }
        for end in self.ends() {
            written(array.push(&json::end(&end)))?;
        }
        written(array.finish())
    }

    fn explainer(&self) -> Option<Explainer<'_>> {
        self.explain.then(|| Explainer::new(self.writer.holders))
    }

    fn ends(&self) -> Vec<End> {
        if !self.stacks {
            return Vec::new();
        }
        let (ends, left_out) = stacks::ends(self.plan, self.plan.states);
        if left_out > 0 {
            let _ = writeln!(
                io::stderr(),
                "transom: {left_out} more connections of transom runs are not listed"
            );
        }
        ends
    }

    /// Hands over every socket of the kernel; false if nobody reads any more.
    fn each(
        &self,
        diag: &mut Diag,
        more: Extensions,
        mut show: impl FnMut(&Socket<'_>) -> io::Result<()>,
    ) -> Result<bool, Failure> {
        for query in self.plan.queries(more) {
            match diag.list(&query, |socket| show(socket).map_err(Gone::mark)) {
                Err(error) if Gone::is(&error) => return written(Err(error)).map(|()| false),
                Err(error) => return Err(refused(&query, &error)),
                Ok(()) => {}
            }
        }
        Ok(true)
    }
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

fn look(args: &SsArgs, plan: &Plan, words: bool) -> Look {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    Look {
        netid: plan.protocols.len() > 1,
        state: !plan.states.is_single(),
        header: !args.no_header,
        oneline: args.oneline,
        terminal: is_terminal.then(|| terminal::columns(&stdout)),
        color: terminal::is_colored(is_terminal, args.color),
        words,
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
