//! Which connections are meant: an expression in the language of Wireshark's display filter.
//!
//! ```
//! use transom_flow::filter::Filter;
//! let filter = Filter::parse("tcp.port == 11699 && (tcp.flags.reset == 1 or retrans > 3)")?;
//! assert_eq!(filter.to_string(), "tcp.port == 11699 and (tcp.flags.reset == 1 or retrans > 3)");
//! # Ok::<(), transom_flow::filter::Error>(())
//! ```
//!
//! Fields of frames have Wireshark's names and meaning; [`FIELDS`] lists them, with our own terms for
//! connections (`closed_by`, `retrans`, `finding`, …) behind them.
//!
//! - **A frame fits** by its own fields and by the terms of its connection. **A connection fits if one
//!   of its frames does.**
//! - A field may have several values (`ip.addr`: two) or none. `==`, `<`, `in`, … ask whether *one*
//!   value is so; `!=` asks whether *all* differ and there is one, as in Wireshark since version 4.
//!   `any` and `all` before the field say it outright; `===` is "all equal", `!==` "some differs".
//! - A field alone asks whether it is there, as in Wireshark: `tcp.flags.reset` is true of every segment,
//!   `tcp.flags.reset == 1` of resets. [`Filter::remarks`] warns of it.
//! - `not` binds tightest, then `and`, `xor`, `or`.
//!
//! Beyond Wireshark: sizes and durations may have units (`64KiB`, `200ms`), sets may do without commas,
//! words for states and findings need no quotes.

mod error;
mod expr;
mod field;
mod hits;
mod lex;
mod parse;
mod subject;
mod terms;
mod value;

pub use error::Error;
pub use field::{FIELDS, Field, Kind, Scope};
pub use hits::Hits;
pub use subject::{Place, Subject};

use crate::connection::Connection;
use crate::verdict::Verdict;
use core::fmt;
use core::str::FromStr;
use expr::{Expr, Op, Test};
use hits::QUESTIONS_MAX;
use subject::Parsed;
use terms::Terms;
use value::Datum;

/// A filter, ready to be asked.
///
/// For each frame [`frame`](Self::frame) says what is left open; add the answers of one connection's
/// frames up, and ask [`connection`](Self::connection) at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    expr: Expr,
    /// The different tests of connection terms, in the order of first use.
    questions: Vec<Test>,
    remarks: Vec<String>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`Error`] with the place, what was expected there, and where possible what was meant.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let expr = parse::parse(source)?;
        let mut questions: Vec<Test> = Vec::new();
        let mut remarks: Vec<String> = Vec::new();
        expr.tests(&mut |test| {
            if test.field.scope == Scope::Connection && !questions.contains(test) {
                questions.push(test.clone());
            }
            if let Some(remark) = remark(test)
                && !remarks.contains(&remark)
            {
                remarks.push(remark);
            }
        });
        if questions.len() > QUESTIONS_MAX {
            return Err(Error::new(
                0..source.len(),
                format!(
                    "a filter has at most {QUESTIONS_MAX} different comparisons of connection terms"
                ),
            )
            .hint("a set such as finding in {refused, unanswered} counts as one"));
        }
        Ok(Self {
            expr,
            questions,
            remarks,
        })
    }

    /// What a reader of the filter may have got wrong, though it means something.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Whether it asks anything that only the end of a connection tells.
    #[must_use]
    pub fn needs_connection(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Whether it asks anything of frames.
    #[must_use]
    pub fn needs_frames(&self) -> bool {
        let mut needs = false;
        self.expr
            .tests(&mut |test| needs |= test.field.scope == Scope::Frame);
        needs
    }

    /// What a frame leaves to be answered by the end of its connection.
    #[must_use]
    pub fn frame(&self, subject: &Subject<'_>) -> Hits {
        let parsed = Parsed::new(*subject);
        self.hits(&self.expr, &parsed)
    }

    /// Whether a connection fits, one frame of which at least left this open.
    #[must_use]
    pub fn connection(&self, hits: Hits, connection: &Connection) -> bool {
        self.answer(hits, || Terms::new(connection, None))
    }

    /// The same, where the verdict is at hand.
    #[must_use]
    pub fn judged(&self, hits: Hits, connection: &Connection, verdict: &Verdict) -> bool {
        self.answer(hits, || Terms::new(connection, Some(verdict)))
    }

    fn answer<'a>(&self, hits: Hits, terms: impl FnOnce() -> Terms<'a>) -> bool {
        if hits.is_settled() {
            return !hits.is_never();
        }
        let terms = terms();
        let answers = self
            .questions
            .iter()
            .enumerate()
            .filter(|(_, test)| holds(test, |visit| terms.each(test.field.id, visit)))
            .fold(0_u8, |answers, (n, _)| answers | 1 << n);
        hits.fits(answers)
    }

    fn hits(&self, expr: &Expr, parsed: &Parsed<'_>) -> Hits {
        match expr {
            Expr::Or(members) => {
                let mut hits = Hits::NEVER;
                for member in members {
                    hits.add(self.hits(member, parsed));
                    if hits == Hits::ALWAYS {
                        break;
                    }
                }
                hits
            }
            Expr::And(members) => {
                let mut hits = Hits::ALWAYS;
                for member in members {
                    hits = hits.and(self.hits(member, parsed));
                    if hits.is_never() {
                        break;
                    }
                }
                hits
            }
            Expr::Xor(members) => members.iter().fold(Hits::NEVER, |hits, member| {
                hits.xor(self.hits(member, parsed))
            }),
            Expr::Not(member) => self.hits(member, parsed).not(),
            Expr::Test(test) => match test.field.scope {
                Scope::Connection => self
                    .questions
                    .iter()
                    .position(|question| question == test)
                    .map_or(Hits::NEVER, Hits::question),
                Scope::Frame if holds(test, |visit| parsed.each(test.field.id, visit)) => {
                    Hits::ALWAYS
                }
                Scope::Frame => Hits::NEVER,
            },
        }
    }
}

/// Whether one value of the field fits, or all where that is asked; never, where there is none.
fn holds(test: &Test, values: impl FnOnce(&mut dyn FnMut(Datum<'_>))) -> bool {
    let (mut count, mut fitting) = (0_usize, 0_usize);
    values(&mut |datum| {
        count += 1;
        fitting += usize::from(test.op.holds(datum));
    });
    if test.all {
        count > 0 && fitting == count
    } else {
        fitting > 0
    }
}

fn remark(test: &Test) -> Option<String> {
    let name = test.field.name;
    (test.op == Op::Present && test.field.kind == Kind::Bool).then(|| {
        format!(
            "«{name}» alone asks whether there is such a field, and every segment has it; \
             {name} == 1 asks whether it is set"
        )
    })
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(source: &str) -> Result<Self, Error> {
        Self::parse(source)
    }
}

impl fmt::Display for Filter {
    /// In a canonical form, which is read back as the same filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

#[cfg(test)]
mod tests;
