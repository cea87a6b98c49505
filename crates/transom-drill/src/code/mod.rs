//! Assertions of a script: what stands between `%{` and `}%`, the common subset of Python.
//!
//! Statements: `assert` with and without a message, assignment plain and augmented (`+=` …), `print`, `if` with `elif`
//! and `else`, `pass`, expressions; several on a line with `;`. Expressions: integers of 127 bits, decimals, text, truth
//! values, `and or not`, chained comparisons, `a if c else b`, `| ^ & << >> + - * / // % ** ~`, formatting of text
//! with `%`, and `abs bool float hex int len max min round str`. There are no loops and no definitions: every block ends.
//!
//! Blocks run after the script in order, in one name space; before each one, the names of its snapshot (`tcpi_…`)
//! are set anew.

mod eval;
mod format;
mod parse;
mod token;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use crate::script::Code;
use eval::Machine;
use value::Value;

/// The name space of one script.
#[derive(Clone, Debug)]
pub struct Program {
    file: String,
    machine: Machine,
}

/// An assertion that does not hold, or code that cannot be run. Displays as `file:line: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The script's name.
    pub file: String,
    /// The line in the script.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for Failure {}

/// What is wrong at a line.
#[derive(Debug)]
struct Fault {
    line: u32,
    message: String,
}

impl Fault {
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

type Step<T> = Result<T, Fault>;

impl Program {
    /// An empty name space; `file` goes into failures.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            machine: Machine::default(),
        }
    }

    /// Runs a block after setting the names of its snapshot.
    ///
    /// # Errors
    /// When an assertion does not hold or something cannot be read or computed.
    pub fn run(&mut self, code: &Code, snapshot: &BTreeMap<String, i64>) -> Result<(), Failure> {
        for (name, &number) in snapshot {
            self.machine.set(name, Value::Int(number.into()));
        }
        let block = parse::parse(&code.text, code.place.line);
        block
            .and_then(|block| self.machine.run(&block))
            .map_err(|fault| Failure {
                file: self.file.clone(),
                line: fault.line,
                message: fault.message,
            })
    }

    /// What `print` wrote so far.
    #[must_use]
    pub fn printed(&self) -> &str {
        &self.machine.printed
    }
}
