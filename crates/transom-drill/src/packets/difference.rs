use std::fmt;

use crate::script::Place;

/// A live packet that is not what the script expects. Displays with the two one above the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where the script expects something else.
    pub place: Place,
    /// The packet of the script.
    pub expected: String,
    /// The live packet in script notation.
    pub actual: String,
    /// What differs, a phrase each.
    pub fields: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the stack sent another packet than the script expects")?;
        writeln!(f, "  expected: {}", self.expected)?;
        write!(f, "  actual:   {}", self.actual)?;
        for field in &self.fields {
            write!(f, "\n  {field}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Difference {}
