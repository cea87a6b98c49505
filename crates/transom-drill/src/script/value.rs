use std::fmt;

/// An argument or a result of a call.
///
/// Structures and lists stand as written; what they mean depends on the call.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `...`: whatever the call needs here (an address, a length, a buffer).
    Ellipsis,
    /// A number, decimal or hexadecimal.
    Integer(i64),
    /// A word: a constant's name (`SOL_TCP`), `NULL`.
    Symbol(String),
    /// `A|B|…`: two or more values joined by bitwise or.
    Or(Vec<Self>),
    /// Text in quotation marks, escapes replaced.
    Text(Vec<u8>),
    /// `[a, b, …]`: an array; one integer in it stands for a pointer to that integer.
    List(Vec<Self>),
    /// `{…}`: a structure; its members may have names or just an order.
    Struct(Vec<Field>),
    /// `htons(8080)`, `inet_addr("192.0.2.1")`: a function of other values.
    Call(String, Vec<Self>),
    /// `&name`: the address of a member (in `inet_pton`).
    Reference(String),
}

/// A member of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name; none if it is given by its position.
    pub name: Option<String>,
    /// The value in parentheses after the name, as `msg_iov(1)=…` has (a length).
    pub size: Option<Value>,
    /// Its value.
    pub value: Value,
}

/// A value that is no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// A symbol of this name is not known.
    Unknown(String),
    /// It is of another kind altogether: this text.
    NoNumber(String),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "`{name}` is not a known constant"),
            Self::NoNumber(text) => write!(f, "`{text}` is not a number"),
        }
    }
}

impl std::error::Error for Unresolved {}

impl Value {
    /// Its number, where `symbol` gives the numbers of names.
    ///
    /// # Errors
    /// When it is no number, or a name in it is not known.
    pub fn resolve(&self, symbol: &dyn Fn(&str) -> Option<i64>) -> Result<i64, Unresolved> {
        match self {
            Self::Integer(number) => Ok(*number),
            Self::Symbol(name) => symbol(name).ok_or_else(|| Unresolved::Unknown(name.clone())),
            Self::Or(values) => values
                .iter()
                .try_fold(0, |sum, value| Ok(sum | value.resolve(symbol)?)),
            _ => Err(Unresolved::NoNumber(self.to_string())),
        }
    }

    /// The member of this name, if it is a structure that has one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        match self {
            Self::Struct(fields) => fields
                .iter()
                .find(|field| field.name.as_deref() == Some(name)),
            _ => None,
        }
    }
}

fn joined<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    values: &[T],
    separator: &str,
) -> fmt::Result {
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        value.fmt(f)?;
    }
    Ok(())
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ellipsis => f.write_str("..."),
            Self::Integer(number) => number.fmt(f),
            Self::Symbol(name) => f.write_str(name),
            Self::Or(values) => joined(f, values, "|"),
            Self::Text(text) => write!(f, "\"{}\"", text.escape_ascii()),
            Self::List(values) => {
                f.write_str("[")?;
                joined(f, values, ", ")?;
                f.write_str("]")
            }
            Self::Struct(fields) => {
                f.write_str("{")?;
                joined(f, fields, ", ")?;
                f.write_str("}")
            }
            Self::Call(name, values) => {
                write!(f, "{name}(")?;
                joined(f, values, ", ")?;
                f.write_str(")")
            }
            Self::Reference(name) => write!(f, "&{name}"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            f.write_str(name)?;
            if let Some(size) = &self.size {
                write!(f, "({size})")?;
            }
            f.write_str("=")?;
        }
        self.value.fmt(f)
    }
}
