//! The tree of a filter, and how it is printed.

use super::field::Field;
use super::value::{Datum, Value, quote};
use core::cmp::Ordering;
use core::fmt::{self, Display};
use regex_lite::Regex;

/// A filter's tree. `And`, `Or` and `Xor` have two members or more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Or(Vec<Self>),
    Xor(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Test(Test),
}

/// One question about one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) field: &'static Field,
    /// Whether all values have to fit, rather than one.
    pub(super) all: bool,
    pub(super) op: Op,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// The field is there.
    Present,
    /// Any of these bits is set.
    Masked(u64),
    /// Compares, after a mask where there is one.
    Compare(Option<u64>, Relation, Value),
    /// Is one of these, or between two of these.
    In(Vec<Member>),
    Contains(String),
    Matches(Pattern),
}

/// One value, or a range with both its ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Member {
    One(Value),
    Range(Value, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// A regular expression, equal to another if it was written the same.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) source: String,
    pub(super) regex: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Op {
    /// Whether it holds for one value.
    pub(super) fn holds(&self, datum: Datum<'_>) -> bool {
        match self {
            Self::Present => true,
            Self::Masked(mask) => {
                let zero = Value::Simple(super::value::Simple::Number(0));
                zero.compare(datum, Some(*mask))
                    .is_some_and(Ordering::is_ne)
            }
            Self::Compare(mask, relation, value) => value
                .compare(datum, *mask)
                .is_some_and(|ordering| relation.holds(ordering)),
            Self::In(members) => members.iter().any(|member| match member {
                Member::One(value) => value.compare(datum, None) == Some(Ordering::Equal),
                Member::Range(least, most) => {
                    least.compare(datum, None).is_some_and(Ordering::is_ge)
                        && most.compare(datum, None).is_some_and(Ordering::is_le)
                }
            }),
            Self::Contains(text) => match datum {
                Datum::Text(datum) => datum.contains(text.as_str()),
                Datum::Octets(datum) => contains(datum, text.as_bytes()),
                _ => false,
            },
            Self::Matches(pattern) => match datum {
                Datum::Text(datum) => pattern.regex.is_match(datum),
                Datum::Octets(datum) => pattern.regex.is_match(&String::from_utf8_lossy(datum)),
                _ => false,
            },
        }
    }
}

/// Whether the bytes hold these in a row.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    match part.split_first() {
        None => true,
        // Skips quickly to where it may start.
        Some((first, _)) => bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| *byte == first)
            .any(|(at, _)| bytes.get(at..).is_some_and(|rest| rest.starts_with(part))),
    }
}

impl Expr {
    /// How tightly it binds; a member of a tighter one needs parentheses.
    const fn rank(&self) -> u8 {
        match self {
            Self::Or(_) => 0,
            Self::Xor(_) => 1,
            Self::And(_) => 2,
            Self::Not(_) => 3,
            Self::Test(_) => 4,
        }
    }

    fn print(&self, f: &mut fmt::Formatter<'_>, outside: Option<u8>) -> fmt::Result {
        let in_brackets = outside.is_some_and(|outside| self.rank() <= outside && outside < 3)
            || (outside == Some(3) && self.rank() < 3);
        if in_brackets {
            f.write_str("(")?;
        }
        match self {
            Self::Or(members) => self.join(f, members, " or ")?,
            Self::Xor(members) => self.join(f, members, " xor ")?,
            Self::And(members) => self.join(f, members, " and ")?,
            Self::Not(member) => {
                f.write_str("not ")?;
                member.print(f, Some(self.rank()))?;
            }
            Self::Test(test) => test.fmt(f)?,
        }
        if in_brackets {
            f.write_str(")")?;
        }
        Ok(())
    }

    fn join(&self, f: &mut fmt::Formatter<'_>, members: &[Self], word: &str) -> fmt::Result {
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                f.write_str(word)?;
            }
            member.print(f, Some(self.rank()))?;
        }
        Ok(())
    }

    /// Every question in the tree.
    pub(super) fn tests<'a>(&'a self, visit: &mut impl FnMut(&'a Test)) {
        match self {
            Self::Or(members) | Self::Xor(members) | Self::And(members) => {
                for member in members {
                    member.tests(visit);
                }
            }
            Self::Not(member) => member.tests(visit),
            Self::Test(test) => visit(test),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, None)
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.field.name;
        if let Op::Compare(mask, relation, value) = &self.op {
            // The signs that carry their own quantifier.
            let (prefix, sign) = match (relation, self.all) {
                (Relation::NotEqual, true) => ("", "!="),
                (Relation::NotEqual, false) => ("", "!=="),
                (Relation::Equal, true) => ("", "==="),
                (relation, true) => ("all ", relation.sign()),
                (relation, false) => ("", relation.sign()),
            };
            write!(f, "{prefix}{name} ")?;
            if let Some(mask) = mask {
                write!(f, "& {mask:#x} ")?;
            }
            return write!(f, "{sign} {value}");
        }
        if self.all {
            f.write_str("all ")?;
        }
        f.write_str(name)?;
        match &self.op {
            Op::Present | Op::Compare(..) => Ok(()),
            Op::Masked(mask) => write!(f, " & {mask:#x}"),
            Op::In(members) => {
                for (at, member) in members.iter().enumerate() {
                    f.write_str(if at == 0 { " in {" } else { ", " })?;
                    match member {
                        Member::One(value) => value.fmt(f)?,
                        Member::Range(least, most) => write!(f, "{least}..{most}")?,
                    }
                }
                f.write_str("}")
            }
            Op::Contains(text) => {
                f.write_str(" contains ")?;
                quote(f, text)
            }
            Op::Matches(pattern) => {
                f.write_str(" matches ")?;
                quote(f, &pattern.source)
            }
        }
    }
}
