//! From what was typed to what will be listed.

use std::time::Duration;

use super::args::SsArgs;
use super::filter::{self, Filter, Names};
use super::line::Wish;
use super::states::States;
use crate::failure::Failure;
use crate::kernel::inet_diag::{Extensions, Family, KernelState, Protocol, Query};

/// Which sockets, and how they are shown.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order in which they are listed.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) families: Vec<Family>,
    pub(crate) states: States,
    pub(crate) filter: Option<Filter>,
    bytecode: Vec<u8>,
    pub(crate) wish: Wish,
    /// With `--watch`: how often to look.
    pub(crate) watch: Option<Duration>,
}

impl Plan {
    /// Decides.
    ///
    /// Fails with a sentence on what was not understood.
    pub(crate) fn new(args: &SsArgs, names: &dyn Names) -> Result<Self, Failure> {
        if let Some(refusal) = args.others.refusal() {
            return Err(Failure::new(refusal));
        }
        let (words, watch) = args.filter_and_watch().map_err(Failure::new)?;
        let wanted = filter::wanted(words, names).map_err(Failure::new)?;
        let protocols = protocols(args)?;
        let usual = if args.all {
            States::ALL
        } else if args.listening {
            States::LISTENING
        } else if protocols == [Protocol::Udp] {
            States(KernelState::ESTABLISHED.bit())
        } else {
            States::USUAL
        };
        let states = wanted.states.unwrap_or(usual);
        let bytecode = match &wanted.filter {
            None => Vec::new(),
            Some(filter) => filter.bytecode().ok_or_else(|| {
                Failure::new("the filter is too long for the kernel: list more, and search that")
            })?,
        };
        Ok(Self {
            protocols,
            families: families(args)?,
            states,
            filter: wanted.filter,
            bytecode,
            watch,
            wish: Wish {
                numeric: args.numeric && !args.resolve,
                resolve: args.resolve,
                timers: args.options || args.extended,
                extended: args.extended,
                memory: args.memory,
                info: args.info,
                tos: args.tos,
                cgroup: args.cgroup,
            },
        })
    }

    /// Every question for the kernel, with these attributes beyond those that the plan shows.
    pub(crate) fn queries(&self, more: Extensions) -> impl Iterator<Item = Query<'_>> {
        let mut extensions = more;
        for (wished, needs) in [
            (self.wish.info, Extensions::INFO),
            (self.wish.memory, Extensions::MEMORY),
            (self.wish.tos, Extensions::TOS),
        ] {
            if wished {
                extensions = extensions.and(needs);
            }
        }
        self.protocols.iter().flat_map(move |&protocol| {
            self.families.iter().map(move |&family| Query {
                protocol,
                family,
                states: self.states.0,
                extensions,
                bytecode: &self.bytecode,
            })
        })
    }
}

/// UDP first, as `ss` has it.
fn protocols(args: &SsArgs) -> Result<Vec<Protocol>, Failure> {
    let (mut udp, mut tcp) = (args.udp, args.tcp);
    for word in args.query.iter().flat_map(|query| query.split(',')) {
        let (on, word) = match word.strip_prefix('!') {
            Some(word) => (false, word),
            None => (true, word),
        };
        match word {
            "tcp" => tcp = on,
            "udp" => udp = on,
            "inet" | "all" => (tcp, udp) = (on, on),
            other => {
                return Err(Failure::new(format!(
                    "transom ss lists TCP and UDP sockets; for '{other}' use ss itself"
                )));
            }
        }
    }
    if !udp && !tcp {
        if args.query.is_some() {
            return Err(Failure::new("-A leaves no table to list"));
        }
        (udp, tcp) = (true, true);
    }
    let both = [(udp, Protocol::Udp), (tcp, Protocol::Tcp)];
    Ok(both
        .into_iter()
        .filter_map(|(on, protocol)| on.then_some(protocol))
        .collect())
}

fn families(args: &SsArgs) -> Result<Vec<Family>, Failure> {
    let (mut v4, mut v6) = (args.ipv4, args.ipv6);
    match args.family.as_deref() {
        None => {}
        Some("inet") => v4 = true,
        Some("inet6") => v6 = true,
        Some(other) => {
            return Err(Failure::new(format!(
                "transom ss knows the families inet and inet6; for '{other}' use ss itself"
            )));
        }
    }
    if !v4 && !v6 {
        (v4, v6) = (true, true);
    }
    let both = [(v4, Family::V4), (v6, Family::V6)];
    Ok(both
        .into_iter()
        .filter_map(|(on, family)| on.then_some(family))
        .collect())
}
