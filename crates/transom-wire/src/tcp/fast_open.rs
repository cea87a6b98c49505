//! The TCP Fast Open option (RFC 7413 §4.1.1), and its experimental form.

use core::fmt;

/// What follows kind and length in the experimental form (RFC 6994), before the cookie.
pub(super) const EXPERIMENT: [u8; 2] = [0xf9, 0x89];
/// Length in bytes of the longest cookie.
const MAX_COOKIE: usize = 16;
/// Length in bytes of the shortest cookie.
const MIN_COOKIE: usize = 4;

/// A Fast Open option: a cookie, or the request for one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FastOpen {
    cookie: [u8; MAX_COOKIE],
    len: u8,
    form: Form,
}

/// Under which kind the option travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// Kind 34.
    Assigned,
    /// Kind 254 with the experiment's identifier 0xF989, from before the assignment.
    Experimental,
}

impl FastOpen {
    /// The request for a cookie.
    pub const REQUEST: Self = Self {
        cookie: [0; MAX_COOKIE],
        len: 0,
        form: Form::Assigned,
    };

    /// An option with these bytes: a request if there are none. `None` unless there are 4 to 16 of them, an even
    /// number (RFC 7413 §4.1.1).
    #[must_use]
    pub fn new(cookie: &[u8]) -> Option<Self> {
        let fits =
            matches!(cookie.len(), MIN_COOKIE..=MAX_COOKIE) && cookie.len().is_multiple_of(2);
        if !fits && !cookie.is_empty() {
            return None;
        }
        let mut option = Self::REQUEST;
        option
            .cookie
            .get_mut(..cookie.len())?
            .copy_from_slice(cookie);
        option.len = u8::try_from(cookie.len()).ok()?;
        Some(option)
    }

    /// The same in the experimental form (kind 254), or in the assigned one (kind 34).
    #[must_use]
    pub const fn experimental(mut self, experimental: bool) -> Self {
        self.form = if experimental {
            Form::Experimental
        } else {
            Form::Assigned
        };
        self
    }

    /// Whether it is in the experimental form.
    #[must_use]
    pub const fn is_experimental(&self) -> bool {
        matches!(self.form, Form::Experimental)
    }

    /// The cookie; empty in a request.
    #[must_use]
    pub fn cookie(&self) -> &[u8] {
        self.cookie.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether it asks for a cookie.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.len == 0
    }

    /// Length in bytes of the option itself.
    pub(super) const fn option_len(&self) -> usize {
        let head = match self.form {
            Form::Assigned => 2,
            Form::Experimental => 4,
        };
        head + self.len as usize
    }

    /// Length in bytes with the NOPs behind it.
    pub(super) const fn padded_len(&self) -> usize {
        self.option_len().next_multiple_of(4)
    }
}

impl fmt::Debug for FastOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.form {
            Form::Assigned => "FastOpen(",
            Form::Experimental => "FastOpenExperiment(",
        })?;
        for byte in self.cookie() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
