use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::format::format as fill_in;
use super::parse::{Expression, Statement, What};
use super::value::Value;
use super::{Fault, Step};

/// Names and what was printed.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    names: BTreeMap<String, Value>,
    pub(super) printed: String,
}

/// Text kept of what is printed and built, in bytes.
const MAX_TEXT: usize = 1 << 20;

impl Machine {
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.names.insert(name.into(), value);
    }

    pub(super) fn run(&mut self, block: &[Statement]) -> Step<()> {
        for statement in block {
            self.statement(statement)?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Step<()> {
        let at = |message: String| Fault::new(statement.line, message);
        match &statement.what {
            What::Pass => {}
            What::Assert {
                test,
                message,
                text,
            } => {
                if !self.value(test).map_err(at)?.is_true() {
                    let message = message.as_ref().map(|message| self.value(message));
                    let message = message.transpose().map_err(at)?;
                    return Err(at(self.broken(test, text, message.as_ref())));
                }
            }
            What::Assign(name, sign, value) => {
                let value = self.value(value).map_err(at)?;
                let value = match sign {
                    None => value,
                    Some(sign) => {
                        let old = self.name(name).map_err(at)?;
                        operate(&old, sign, &value).map_err(at)?
                    }
                };
                self.names.insert(name.clone(), value);
            }
            What::Print(values) => {
                let texts = values
                    .iter()
                    .map(|value| self.value(value).map(|value| value.shown()))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(at)?;
                let line = texts.join(" ");
                if self.printed.len() + line.len() < MAX_TEXT {
                    self.printed.push_str(&line);
                    self.printed.push('\n');
                }
            }
            What::Expression(expression) => {
                self.value(expression).map_err(at)?;
            }
            What::If(branches, otherwise) => {
                for (test, block) in branches {
                    if self.value(test).map_err(at)?.is_true() {
                        return self.run(block);
                    }
                }
                self.run(otherwise)?;
            }
        }
        Ok(())
    }

    /// An assertion that does not hold, with the values of the names in it.
    fn broken(&self, test: &Expression, text: &str, message: Option<&Value>) -> String {
        let mut names = Vec::new();
        collect(test, &mut names);
        let values: Vec<String> = names
            .iter()
            .filter_map(|name| Some(format!("{name} is {}", self.names.get(*name)?.repr())))
            .collect();
        let mut out = format!("assert {text}: does not hold");
        if !values.is_empty() {
            out.push_str("; ");
            out.push_str(&values.join(", "));
        }
        if let Some(message) = message {
            out.push_str(": ");
            out.push_str(&message.shown());
        }
        out
    }

    fn name(&self, name: &str) -> Result<Value, String> {
        match self.names.get(name) {
            Some(value) => Ok(value.clone()),
            None => match name {
                "True" => Ok(Value::Bool(true)),
                "False" => Ok(Value::Bool(false)),
                "None" => Ok(Value::None),
                _ => Err(format!("`{name}` is not defined")),
            },
        }
    }

    fn value(&self, expression: &Expression) -> Result<Value, String> {
        Ok(match expression {
            Expression::Name(name) => self.name(name)?,
            Expression::Int(number) => Value::Int(*number),
            Expression::Float(number) => Value::Float(*number),
            Expression::Text(text) => Value::Text(text.clone()),
            Expression::Tuple(values) => Value::Tuple(self.values(values)?),
            Expression::Call(name, args) => call(name, &self.values(args)?)?,
            Expression::Unary(sign, inner) => unary(sign, &self.value(inner)?)?,
            Expression::Binary(left, sign, right) => {
                operate(&self.value(left)?, sign, &self.value(right)?)?
            }
            Expression::Compare(first, rest) => {
                let mut left = self.value(first)?;
                for (sign, right) in rest {
                    let right = self.value(right)?;
                    if !compare(&left, sign, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Expression::And(left, right) => {
                let left = self.value(left)?;
                if left.is_true() {
                    self.value(right)?
                } else {
                    left
                }
            }
            Expression::Or(left, right) => {
                let left = self.value(left)?;
                if left.is_true() {
                    left
                } else {
                    self.value(right)?
                }
            }
            Expression::Choice(test, then, otherwise) => {
                if self.value(test)?.is_true() {
                    self.value(then)?
                } else {
                    self.value(otherwise)?
                }
            }
        })
    }

    fn values(&self, expressions: &[Expression]) -> Result<Vec<Value>, String> {
        expressions.iter().map(|value| self.value(value)).collect()
    }
}

fn operate(left: &Value, sign: &str, right: &Value) -> Result<Value, String> {
    match (left, sign) {
        (Value::Text(text), "%") => fill_in(text, right).map(Value::Text),
        (Value::Text(text), _) if text.len() > MAX_TEXT => Err("the text is too long".into()),
        _ => left.binary(sign, right),
    }
}

fn unary(sign: &str, value: &Value) -> Result<Value, String> {
    if sign == "not" {
        return Ok(Value::Bool(!value.is_true()));
    }
    let wrong = || format!("`{sign}` does not take {}", value.kind());
    match (sign, value.int(), value.float()) {
        ("+", Some(number), _) => Ok(Value::Int(number)),
        ("-", Some(number), _) => number.checked_neg().map(Value::Int).ok_or_else(wrong),
        ("~", Some(number), _) => Ok(Value::Int(!number)),
        ("+", None, Some(number)) => Ok(Value::Float(number)),
        ("-", None, Some(number)) => Ok(Value::Float(-number)),
        _ => Err(wrong()),
    }
}

fn compare(left: &Value, sign: &str, right: &Value) -> Result<bool, String> {
    match sign {
        "==" => return Ok(left.equals(right)),
        "!=" => return Ok(!left.equals(right)),
        _ => {}
    }
    let order = left.order(right).ok_or_else(|| {
        let (left, right) = (left.kind(), right.kind());
        format!("`{sign}` does not compare {left} and {right}")
    })?;
    Ok(match sign {
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

/// The functions that exist.
fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let wrong = || format!("{name}() does not take these arguments");
    match (name, args) {
        ("abs", [value]) => match (value.int(), value.float()) {
            (Some(number), _) => number.checked_abs().map(Value::Int).ok_or_else(wrong),
            (None, Some(number)) => Ok(Value::Float(number.abs())),
            _ => Err(wrong()),
        },
        ("bool", [value]) => Ok(Value::Bool(value.is_true())),
        ("str", [value]) => Ok(Value::Text(value.shown())),
        ("hex", [value]) => match value.int() {
            Some(number) if number < 0 => {
                Ok(Value::Text(format!("-0x{:x}", number.unsigned_abs())))
            }
            Some(number) => Ok(Value::Text(format!("0x{number:x}"))),
            None => Err(wrong()),
        },
        ("len", [Value::Text(text)]) => Ok(Value::Int(count(text.chars().count()))),
        ("len", [Value::Tuple(values)]) => Ok(Value::Int(count(values.len()))),
        ("float", [value]) => value.float().map(Value::Float).ok_or_else(wrong),
        ("int" | "round", [value]) => match (value, value.int(), value.float()) {
            (_, Some(number), _) => Ok(Value::Int(number)),
            (Value::Text(text), ..) => text.trim().parse().map(Value::Int).map_err(|_| wrong()),
            (_, None, Some(number)) => whole(name, number).map(Value::Int).ok_or_else(wrong),
            _ => Err(wrong()),
        },
        ("min" | "max", values) => {
            let values = match values {
                [Value::Tuple(values)] => values,
                values => values,
            };
            let better = if name == "min" {
                Ordering::Less
            } else {
                Ordering::Greater
            };
            let (first, rest) = values.split_first().ok_or_else(wrong)?;
            rest.iter().try_fold(first.clone(), |best, value| {
                let order = value.order(&best).ok_or_else(wrong)?;
                Ok(if order == better { value.clone() } else { best })
            })
        }
        ("abs" | "bool" | "str" | "hex" | "len" | "float" | "int" | "round", _) => Err(wrong()),
        _ => Err(format!("there is no function `{name}`")),
    }
}

fn count(len: usize) -> i128 {
    i128::try_from(len).unwrap_or(i128::MAX)
}

/// A decimal cut or rounded to an integer.
fn whole(name: &str, number: f64) -> Option<i128> {
    let number = if name == "round" {
        number.round_ties_even()
    } else {
        number.trunc()
    };
    format!("{number:.0}").parse().ok()
}

/// The names in an expression, each once.
fn collect<'a>(expression: &'a Expression, names: &mut Vec<&'a str>) {
    match expression {
        Expression::Name(name) => {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        Expression::Int(_) | Expression::Float(_) | Expression::Text(_) => {}
        Expression::Tuple(values) | Expression::Call(_, values) => {
            for value in values {
                collect(value, names);
            }
        }
        Expression::Unary(_, inner) => collect(inner, names),
        Expression::Binary(left, _, right)
        | Expression::And(left, right)
        | Expression::Or(left, right) => {
            collect(left, names);
            collect(right, names);
        }
        Expression::Compare(first, rest) => {
            collect(first, names);
            for (_, value) in rest {
                collect(value, names);
            }
        }
        Expression::Choice(test, then, otherwise) => {
            for value in [test, then, otherwise] {
                collect(value, names);
            }
        }
    }
}
