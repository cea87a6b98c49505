//! System calls and their arguments.

use super::{Fault, Parser, Read, Token};
use crate::script::{Call, Field, Script, Value};

impl Parser<'_> {
    pub(super) fn call(&mut self) -> Read<Call> {
        let name = self.word("the name of a system call")?;
        self.sign('(')?;
        let args = self.values(')', 0)?;
        self.sign('=')?;
        let result = self.value(0)?;
        let errno = match self.peek()? {
            Token::Word(word) => {
                self.next()?;
                Some(word)
            }
            _ => None,
        };
        Ok(Call {
            name,
            args,
            result,
            errno,
            note: self.note()?,
        })
    }

    /// Text in parentheses, which may nest.
    fn note(&mut self) -> Read<Option<String>> {
        if !self.is_sign('(')? {
            return Ok(None);
        }
        let place = self.here()?;
        let mut depth = 0_u32;
        for (at, character) in self.cursor.rest().char_indices() {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let text = self.cursor.advance(at + 1);
                return Ok(text.get(1..at).map(|inner| inner.trim().to_owned()));
            }
        }
        Err(Fault::new(place, "a remark without end", "`)`"))
    }

    /// Values separated by commas, up to and with `close`.
    fn values(&mut self, close: char, depth: usize) -> Read<Vec<Value>> {
        let mut values = Vec::new();
        if self.has_sign(close)? {
            return Ok(values);
        }
        loop {
            values.push(self.value(depth)?);
            if self.has_sign(close)? {
                return Ok(values);
            }
            if !self.has_sign(',')? {
                return self.unexpected(format!("`,` or `{close}`"));
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        if depth > Script::MAX_DEPTH {
            let expected = format!("at most {} levels", Script::MAX_DEPTH);
            let place = self.here()?;
            return Err(Fault::new(place, "a value nested deeper", expected));
        }
        let first = self.single(depth)?;
        if !self.is_sign('|')? {
            return Ok(first);
        }
        let mut values = vec![first];
        while self.has_sign('|')? {
            values.push(self.single(depth)?);
        }
        Ok(Value::Or(values))
    }

    fn single(&mut self, depth: usize) -> Read<Value> {
        const EXPECTED: &str = "a value: a number, a name, text, `...`, `[`, `{` or `&`";
        match self.peek()? {
            Token::Ellipsis => {
                self.next()?;
                Ok(Value::Ellipsis)
            }
            Token::Integer(number) => {
                self.next()?;
                Ok(Value::Integer(number))
            }
            Token::Sign('-') => {
                self.next()?;
                let number: i64 = self.number("a number after `-`")?;
                Ok(Value::Integer(number.wrapping_neg()))
            }
            Token::Text(_) => self.text(),
            Token::Word(name) => {
                self.next()?;
                if self.has_sign('(')? {
                    Ok(Value::Call(name, self.values(')', depth + 1)?))
                } else {
                    Ok(Value::Symbol(name))
                }
            }
            Token::Sign('[') => {
                self.next()?;
                Ok(Value::List(self.values(']', depth + 1)?))
            }
            Token::Sign('{') => {
                self.next()?;
                Ok(Value::Struct(self.fields(depth + 1)?))
            }
            Token::Sign('&') => {
                self.next()?;
                Ok(Value::Reference(self.word("a name after `&`")?))
            }
            _ => self.unexpected(EXPECTED),
        }
    }

    /// Text; pieces that follow each other are one.
    fn text(&mut self) -> Read<Value> {
        let mut all = Vec::new();
        while let Token::Text(text) = self.peek()? {
            self.next()?;
            all.extend_from_slice(&text);
        }
        Ok(Value::Text(all))
    }

    fn fields(&mut self, depth: usize) -> Read<Vec<Field>> {
        let mut fields = Vec::new();
        if self.has_sign('}')? {
            return Ok(fields);
        }
        loop {
            fields.push(self.field(depth)?);
            if self.has_sign('}')? {
                return Ok(fields);
            }
            if !self.has_sign(',')? {
                return self.unexpected("`,` or `}`");
            }
        }
    }

    fn field(&mut self, depth: usize) -> Read<Field> {
        let place = self.here()?;
        let value = self.value(depth)?;
        if !self.has_sign('=')? {
            return Ok(Field {
                name: None,
                size: None,
                value,
            });
        }
        let (name, size) = match value {
            Value::Symbol(name) => (name, None),
            Value::Call(name, mut args) if args.len() == 1 => (name, args.pop()),
            other => {
                let found = format!("`{other}` before `=`");
                return Err(Fault::new(place, found, "the name of a member"));
            }
        };
        Ok(Field {
            name: Some(name),
            size,
            value: self.value(depth)?,
        })
    }
}
