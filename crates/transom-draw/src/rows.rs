//! Which steps of a connection are drawn in full, and which as counts: the same in every drawing.

use transom_flow::{Connection, End, EndState, Ends, Entry, Fate, Fold, Meaning, Step, What};

/// Bulk steps in a row that are drawn in full at the start and at the end of a run.
const RUN_HEAD: usize = 3;
const RUN_TAIL: usize = 2;
/// A run is worth folding from this many steps on.
const RUN_MIN: usize = RUN_HEAD + RUN_TAIL + 6;
/// From this duplicate ACK in a row on, they only say again what the first three said.
const DUPLICATES_TOLD: u32 = 4;

/// A row to draw.
#[derive(Clone, Debug)]
pub(crate) enum Row<'a> {
    /// A step in full.
    Step(&'a Step),
    /// Steps as counts.
    Fold(Fold),
}

/// Whether the step may be drawn as part of a count, given the states before it.
fn is_dull(step: &Step, before: Ends<EndState>) -> bool {
    let is_bulk = matches!(&step.what, What::Segment(s) if s.hint.is_none()
        && matches!(s.meaning, Meaning::Data | Meaning::Ack | Meaning::WindowUpdate | Meaning::OutOfOrder
            | Meaning::DataAfterGap | Meaning::DuplicateAck(DUPLICATES_TOLD..))
        && s.fate != Fate::Lost);
    is_bulk
        && End::BOTH
            .iter()
            .all(|end| step.states[*end].state == before[*end].state)
}

/// The rows of a connection: its entries, with long runs of dull steps folded.
pub(crate) fn rows(connection: &Connection, fold: bool) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut run: Vec<Row<'_>> = Vec::new();
    let mut before = connection.initial_states();
    for entry in connection.entries() {
        match entry {
            Entry::Step(step) if fold && is_dull(step, before) => run.push(Row::Step(step)),
            Entry::Step(step) => {
                end_run(&mut rows, &mut run);
                rows.push(Row::Step(step));
            }
            Entry::Fold(folded) => run.push(Row::Fold(folded.clone())),
        }
        before = match entry {
            Entry::Step(step) => step.states,
            Entry::Fold(fold) => fold.states,
        };
    }
    end_run(&mut rows, &mut run);
    rows
}

/// Draws a run of dull steps: short ones in full, long ones with their middle folded.
fn end_run<'a>(rows: &mut Vec<Row<'a>>, run: &mut Vec<Row<'a>>) {
    let run = std::mem::take(run);
    let has_folds = run.iter().any(|row| matches!(row, Row::Fold(_)));
    if run.len() < RUN_MIN && !has_folds {
        rows.extend(run);
        return;
    }
    let middle = RUN_HEAD..run.len().saturating_sub(RUN_TAIL);
    let mut folded: Option<Fold> = None;
    for (at, row) in run.into_iter().enumerate() {
        let next = match row {
            Row::Step(step) if middle.contains(&at) => Fold::new(step),
            Row::Step(step) => {
                rows.extend(folded.take().map(Row::Fold));
                rows.push(Row::Step(step));
                continue;
            }
            Row::Fold(fold) => fold,
        };
        match &mut folded {
            Some(folded) => folded.join(&next),
            none => *none = Some(next),
        }
    }
    rows.extend(folded.map(Row::Fold));
}
