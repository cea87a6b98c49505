//! Tokens to a script, by recursive descent: a file a part of the language.

mod call;
mod icmp;
mod packet;
mod segment;

use super::lexer::{Cursor, Fault, Token, seconds};
use super::{
    Action, Code, Defines, Error, Event, OptionError, Options, Place, Script, Shell, Time,
};

type Read<T> = Result<T, Fault>;

/// Reads a script; see [`Script::parse`].
pub(super) fn parse(name: &str, text: &str, defines: &Defines) -> Result<Script, Error> {
    if text.len() > Script::MAX_LEN {
        let found = format!("{} bytes", text.len());
        let expected = format!("at most {} bytes", Script::MAX_LEN);
        return Err(Fault::new(Place::START, found, expected).in_file(name));
    }
    let mut parser = Parser {
        cursor: Cursor::new(text),
        defines: defines.clone(),
    };
    parser.script(name).map_err(|fault| fault.in_file(name))
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    defines: Defines,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Read<Token> {
        self.cursor.token(&self.defines)
    }

    fn peek(&self) -> Read<Token> {
        let mut ahead = self.cursor;
        ahead.token(&self.defines)
    }

    /// Where the next token begins.
    fn here(&mut self) -> Read<Place> {
        self.cursor.skip_space()?;
        Ok(self.cursor.place())
    }

    /// The error that the next token is not what may stand here.
    fn unexpected<T>(&mut self, expected: impl Into<String>) -> Read<T> {
        let place = self.here()?;
        Err(Fault::new(place, self.peek()?.describe(), expected))
    }

    fn is_sign(&self, sign: char) -> Read<bool> {
        Ok(self.peek()? == Token::Sign(sign))
    }

    /// Goes past a character if it comes next.
    fn has_sign(&mut self, sign: char) -> Read<bool> {
        let found = self.is_sign(sign)?;
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn sign(&mut self, sign: char) -> Read<()> {
        if self.has_sign(sign)? {
            Ok(())
        } else {
            self.unexpected(format!("`{sign}`"))
        }
    }

    /// Goes past a word if it comes next.
    fn has_word(&mut self, word: &str) -> Read<bool> {
        let found = matches!(self.peek()?, Token::Word(next) if next == word);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    fn word(&mut self, expected: &str) -> Read<String> {
        match self.peek()? {
            Token::Word(word) => {
                self.next()?;
                Ok(word)
            }
            _ => self.unexpected(expected),
        }
    }

    /// A whole number that fits the type.
    fn number<T: TryFrom<i64>>(&mut self, expected: &str) -> Read<T> {
        if let Token::Integer(number) = self.peek()?
            && let Ok(number) = T::try_from(number)
        {
            self.next()?;
            return Ok(number);
        }
        self.unexpected(expected)
    }

    /// A run of characters that fit, after white space.
    fn run(&mut self, fits: impl Fn(char) -> bool) -> Read<&'a str> {
        self.cursor.skip_space()?;
        Ok(self.cursor.take_while(fits))
    }

    fn script(&mut self, name: &str) -> Read<Script> {
        if self.cursor.rest().starts_with("#!") {
            self.cursor.take_while(|c| c != '\n');
        }
        let options = self.options()?;
        for (word, meaning) in &options.defines {
            self.defines
                .entry(word.clone())
                .or_insert_with(|| meaning.clone());
        }
        let mut script = Script {
            name: name.into(),
            options,
            init: self.shell()?,
            events: Vec::new(),
            cleanup: None,
        };
        loop {
            if self.peek()? == Token::End {
                return Ok(script);
            }
            if let Some(shell) = self.shell()? {
                script.cleanup = Some(shell);
                return match self.peek()? {
                    Token::End => Ok(script),
                    _ => self.unexpected("the end of the file after a command without a time"),
                };
            }
            let event = self.event()?;
            script.events.push(event);
        }
    }

    fn shell(&mut self) -> Read<Option<Shell>> {
        let place = self.here()?;
        match self.peek()? {
            Token::Shell(command) => {
                self.next()?;
                Ok(Some(Shell { place, command }))
            }
            _ => Ok(None),
        }
    }

    /// Lines `--name=value` or `--name` at the top.
    fn options(&mut self) -> Read<Options> {
        let mut options = Options::default();
        loop {
            let place = self.here()?;
            if !self.cursor.rest().starts_with('-') {
                return Ok(options);
            }
            self.cursor.take_while(|c| c == '-');
            let name = self
                .cursor
                .take_while(|c| c.is_ascii_alphanumeric() || c == '_')
                .to_owned();
            let value = self.option_value(&name)?;
            options.set(&name, value.as_deref()).map_err(|error| {
                let expected = match &error {
                    OptionError::Unknown(_) => "the name of an option",
                    OptionError::NoValue(expected) | OptionError::BadValue { expected, .. } => {
                        expected
                    }
                };
                let shown = value.map_or_else(String::new, |value| format!("={value}"));
                Fault::new(place, format!("`--{name}{shown}`"), expected)
            })?;
        }
    }

    fn option_value(&mut self, name: &str) -> Read<Option<String>> {
        if self.cursor.rest().starts_with('=') {
            self.cursor.advance(1);
        } else if matches!(name, "define" | "D") {
            self.cursor.take_while(|c| c == ' ' || c == '\t');
        } else {
            return Ok(None);
        }
        let place = self.cursor.place();
        let mut value = self
            .cursor
            .take_while(|c| !c.is_whitespace() && c != '"' && c != '`')
            .to_owned();
        // A value in quotation marks may have spaces in it.
        if let Some(quote @ ('"' | '`')) = self.cursor.rest().chars().next() {
            self.cursor.advance(1);
            let inner = self.cursor.take_while(|c| c != quote);
            value = format!("{value}{quote}{inner}{quote}");
            if self.cursor.advance(1).is_empty() {
                return Err(Fault::new(
                    place,
                    "a value without end",
                    format!("`{quote}`"),
                ));
            }
        }
        Ok(Some(value))
    }

    fn event(&mut self) -> Read<Event> {
        let place = self.here()?;
        let time = self.time()?;
        let action = self.action()?;
        let wrong = match (&time, &action) {
            (Time::Any | Time::AbsoluteRange(..) | Time::RelativeRange(..), action)
                if !matches!(action, Action::Outbound(_)) =>
            {
                Some("one time: only a packet with `>` may have a range or `*`")
            }
            (Time::AbsoluteSpan(..) | Time::RelativeSpan(..), action)
                if !matches!(action, Action::Call(_)) =>
            {
                Some("one time: only a call may have a start and an end")
            }
            _ => None,
        };
        match wrong {
            Some(expected) => Err(Fault::new(place, "this time", expected)),
            None => Ok(Event {
                place,
                time,
                action,
            }),
        }
    }

    fn time(&mut self) -> Read<Time> {
        if self.has_sign('*')? {
            return Ok(Time::Any);
        }
        let relative = self.has_sign('+')?;
        let first = self.seconds()?;
        if self.has_sign('~')? {
            if self.is_sign('+')? && !relative {
                return self.unexpected("a time without `+`, as the first");
            }
            self.has_sign('+')?;
            let place = self.here()?;
            let last = self.seconds()?;
            if last < first {
                return Err(Fault::new(place, "an earlier time", "the end of the range"));
            }
            return Ok(if relative {
                Time::RelativeRange(first, last)
            } else {
                Time::AbsoluteRange(first, last)
            });
        }
        if self.peek()? == Token::Ellipsis {
            self.next()?;
            let place = self.here()?;
            let end = self.seconds()?;
            if end < first {
                return Err(Fault::new(
                    place,
                    "an earlier time",
                    "when the call returns",
                ));
            }
            return Ok(if relative {
                Time::RelativeSpan(first, end)
            } else {
                Time::AbsoluteSpan(first, end)
            });
        }
        Ok(if relative {
            Time::Relative(first)
        } else {
            Time::Absolute(first)
        })
    }

    fn seconds(&mut self) -> Read<std::time::Duration> {
        let text = match self.peek()? {
            Token::Integer(number) => number.to_string(),
            Token::Decimal(text) => text,
            _ => return self.unexpected("a time in seconds"),
        };
        match seconds(&text) {
            Some(time) => {
                self.next()?;
                Ok(time)
            }
            None => self.unexpected("a time below 1000000000 seconds"),
        }
    }

    fn action(&mut self) -> Read<Action> {
        let place = self.here()?;
        match self.peek()? {
            Token::Sign('<') => {
                self.next()?;
                Ok(Action::Inbound(self.packet(place, Way::In)?))
            }
            Token::Sign('>') => {
                self.next()?;
                Ok(Action::Outbound(self.packet(place, Way::Out)?))
            }
            Token::Shell(command) => {
                self.next()?;
                Ok(Action::Shell(Shell { place, command }))
            }
            Token::Code(text) => {
                self.next()?;
                let place = Place {
                    column: place.column.saturating_add(2),
                    ..place
                };
                Ok(Action::Code(Code { place, text }))
            }
            Token::Word(_) => Ok(Action::Call(self.call()?)),
            _ => self.unexpected("`<`, `>`, a system call, a shell command or `%{`"),
        }
    }
}
