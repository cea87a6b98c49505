//! The test bed: bulk flows between our own stacks across a bottleneck, in virtual time.
//!
//! [`Dumbbell`] says what the network and the flows are, [`Dumbbell::run`] plays it, and [`Report`] says what came
//! of it: for each flow what it carried and its window, flight and round trip over time; for the bottleneck its
//! queue. The same plan gives the same report, on every machine.
//!
//! ```text
//! sender 1 ──┐                                  ┌── receiver 1
//! sender 2 ──┤ router ═══ bottleneck ═══ router ├── receiver 2
//!        …  ─┘        ═══    back    ═══        └─ …
//! ```

mod dumbbell;
mod flow;
mod report;

pub use dumbbell::Dumbbell;
pub use flow::Flow;
pub use report::{Bottleneck, FlowReport, Moment, Report, Sample, jain};
