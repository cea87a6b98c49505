//! `transom explain`: what happened on the connections of a capture.
//!
//! The way through: [`source`] reads the captures, [`gather`] makes connections of their frames and hands
//! them on as they end; [`model`] keeps the worst and counts the rest; [`output`] writes what was asked
//! for. No view concludes anything: what is said of a connection is said by `transom-flow`.

pub(crate) mod args;
mod catalogue;
pub(crate) mod gather;
pub(crate) mod model;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod sieve;
pub(crate) mod source;

use transom_flow::filter::Filter;

use self::args::ExplainArgs;
use self::gather::Chosen;
use self::output::Outputs;
use self::source::Sources;
use crate::browse;
use crate::failure::{Failure, Outcome};
use crate::terminal;

/// A capture could not be read to its end.
const EXIT_BROKEN: u8 = 1;

/// Carries out what was typed.
pub(crate) fn explain(args: &ExplainArgs) -> Result<Outcome, Failure> {
    if args.findings {
        terminal::print(&catalogue::text(args))?;
        return Ok(Outcome::Exited(0));
    }
    let chosen = Chosen {
        filter: args.filter.as_deref().map(filter).transpose()?,
        streams: args.stream.clone(),
    };
    if args.browse {
        return browse(args, chosen);
    }
    let sources = Sources::open(&args.files)?;
    let mut outputs = Outputs::open(args)?;
    let explained = gather::gather(sources, &chosen, &mut outputs)?;
    outputs.finish(&explained)?;
    let exit = if explained.capture.breaks.is_empty() {
        0
    } else {
        EXIT_BROKEN
    };
    Ok(Outcome::Exited(exit))
}

/// Shows it on the terminal instead of writing it.
fn browse(args: &ExplainArgs, chosen: Chosen) -> Result<Outcome, Failure> {
    let seen = browse::browse(args, chosen)?;
    for broken in &seen.breaks {
        terminal::remark(&format!("{}: {}", broken.source, broken.what));
    }
    Ok(match seen.signal {
        Some(signal) => Outcome::Signaled(signal),
        None if seen.breaks.is_empty() => Outcome::Exited(0),
        None => Outcome::Exited(EXIT_BROKEN),
    })
}

/// Reads the filter, and says what may be meant otherwise.
pub(crate) fn filter(source: &str) -> Result<Filter, Failure> {
    let filter = Filter::parse(source).map_err(|error| {
        Failure::new(format!(
            "cannot understand the filter\n{}",
            error.explain(source)
        ))
    })?;
    for remark in filter.remarks() {
        terminal::remark(remark);
    }
    Ok(filter)
}
