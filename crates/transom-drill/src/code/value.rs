use std::cmp::Ordering;

/// A value of the language.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Tuple(Vec<Self>),
}

/// A number as arithmetic sees it: a truth value is 0 or 1.
#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "an integer beside a decimal becomes the nearest decimal"
    )]
    const fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl Value {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a decimal",
            Self::Text(_) => "text",
            Self::Tuple(_) => "a tuple",
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Tuple(values) => !values.is_empty(),
        }
    }

    /// The value as `print` shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            _ => self.repr(),
        }
    }

    /// The value as it would be written.
    pub(super) fn repr(&self) -> String {
        match self {
            Self::None => "None".into(),
            Self::Bool(true) => "True".into(),
            Self::Bool(false) => "False".into(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 1e16 => {
                format!("{number:.1}")
            }
            Self::Float(number) => number.to_string(),
            Self::Text(text) => format!("'{}'", text.escape_default()),
            Self::Tuple(values) => {
                let texts: Vec<String> = values.iter().map(Self::repr).collect();
                match texts.as_slice() {
                    [one] => format!("({one},)"),
                    _ => format!("({})", texts.join(", ")),
                }
            }
        }
    }

    const fn number(&self) -> Option<Number> {
        match self {
            Self::Bool(truth) => Some(Number::Int(*truth as i128)),
            Self::Int(number) => Some(Number::Int(*number)),
            Self::Float(number) => Some(Number::Float(*number)),
            _ => None,
        }
    }

    /// The value as an integer, if it is one.
    pub(super) const fn int(&self) -> Option<i128> {
        match self.number() {
            Some(Number::Int(number)) => Some(number),
            _ => None,
        }
    }

    /// The value as a decimal, if it is a number.
    pub(super) fn float(&self) -> Option<f64> {
        self.number().map(Number::float)
    }

    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(Number::Int(a)), Some(Number::Int(b))) => a == b,
            (Some(a), Some(b)) => {
                a.float().to_bits() == b.float().to_bits() || a.float() == b.float()
            }
            (None, None) => self == other,
            _ => false,
        }
    }

    /// The order of two numbers or two texts; none for anything else.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self.number(), other.number()) {
            (Some(Number::Int(a)), Some(Number::Int(b))) => Some(a.cmp(&b)),
            (Some(a), Some(b)) => a.float().partial_cmp(&b.float()),
            _ => match (self, other) {
                (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
                _ => None,
            },
        }
    }

    /// An arithmetic operation; the error is a phrase.
    pub(super) fn binary(&self, sign: &str, other: &Self) -> Result<Self, String> {
        if let (Self::Text(a), "+", Self::Text(b)) = (self, sign, other) {
            return Ok(Self::Text(format!("{a}{b}")));
        }
        let mismatch = || {
            format!(
                "`{sign}` does not take {} and {}",
                self.kind(),
                other.kind()
            )
        };
        match (self.number(), other.number()) {
            (Some(Number::Int(a)), Some(Number::Int(b))) if sign != "/" => {
                let result = integers(a, sign, b).ok_or_else(mismatch)?;
                result.map(Self::Int)
            }
            (Some(a), Some(b)) => {
                let (a, b) = (a.float(), b.float());
                if matches!(sign, "/" | "//" | "%") && b == 0.0 {
                    return Err("division by zero".into());
                }
                let result = match sign {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "/" => a / b,
                    "//" => (a / b).floor(),
                    "%" => a - b * (a / b).floor(),
                    "**" => a.powf(b),
                    _ => return Err(mismatch()),
                };
                Ok(Self::Float(result))
            }
            _ => Err(mismatch()),
        }
    }
}

/// An operation on integers; none if there is none of this sign.
fn integers(a: i128, sign: &str, b: i128) -> Option<Result<i128, String>> {
    let shift = u32::try_from(b).ok().filter(|&bits| bits < 127);
    let checked = match sign {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "//" | "%" if b == 0 => return Some(Err("division by zero".into())),
        // Both round towards minus infinity.
        "//" => {
            let quotient = a.checked_div(b);
            let inexact = a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
            quotient.map(|quotient| quotient - i128::from(inexact))
        }
        "%" => {
            let rest = a.wrapping_rem(b);
            let other_sign = rest != 0 && (rest < 0) != (b < 0);
            Some(if other_sign { rest + b } else { rest })
        }
        "&" => Some(a & b),
        "|" => Some(a | b),
        "^" => Some(a ^ b),
        "<<" => shift.and_then(|bits| a.checked_mul(1 << bits)),
        ">>" => u32::try_from(b).ok().map(|bits| a >> bits.min(127)),
        "**" => u32::try_from(b).ok().and_then(|power| a.checked_pow(power)),
        _ => return None,
    };
    Some(checked.ok_or_else(|| format!("{a} {sign} {b} has no value of 127 bits")))
}
