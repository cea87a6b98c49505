//! What is wrong with a filter, and where.

use core::fmt;
use core::ops::Range;

/// Why a filter cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// The byte of the filter's text where it goes wrong.
    pub position: usize,
    /// How many bytes are meant; 0 at the end of the text.
    pub len: usize,
    /// What is wrong, and what was expected.
    pub what: String,
    /// What may have been meant.
    pub hint: Option<String>,
}

impl Error {
    pub(super) fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self {
            position: at.start,
            len: at.end.saturating_sub(at.start),
            what: what.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The filter with carets under the place, for a terminal; `source` is the text that was parsed.
    ///
    /// ```
    /// use transom_flow::filter::Filter;
    /// let source = "tcp.prot == 80";
    /// let error = Filter::parse(source).unwrap_err();
    /// assert_eq!(
    ///     error.explain(source),
    ///     "tcp.prot == 80\n\
    ///      ^^^^^^^^ there is no field «tcp.prot»; did you mean tcp.port?"
    /// );
    /// ```
    #[must_use]
    pub fn explain(&self, source: &str) -> String {
        // Control characters would move what follows them, and more than a screen is no help.
        let shown = |text: &str| -> String {
            text.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        };
        let start = floor(source, self.position);
        let end = floor(source, self.position.saturating_add(self.len));
        let before = source.get(..start).unwrap_or_default();
        let meant = source.get(start..end).unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(BEFORE_MAX);
        let before: String = shown(before).chars().skip(skipped).collect();
        let rest: String = shown(source.get(start..).unwrap_or_default())
            .chars()
            .take(AFTER_MAX)
            .collect();
        let carets = meant.chars().count().clamp(1, AFTER_MAX);
        format!(
            "{before}{rest}\n{}{} {self}",
            " ".repeat(before.chars().count()),
            "^".repeat(carets)
        )
    }
}

/// Characters shown before the place.
const BEFORE_MAX: usize = 60;
/// Characters shown from the place on.
const AFTER_MAX: usize = 60;

/// The start of the character at this byte.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
