//! Text to tokens, on demand: the parser asks for a token or, where the language has no tokens (control bits,
//! cookies, addresses), for a run of characters.

use std::time::Duration;

use super::{Defines, Definition, Error, Place};

/// A piece of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// The end of the file.
    End,
    /// A word that stands for itself.
    Word(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction, as it stands.
    Decimal(String),
    /// Text in quotation marks.
    Text(Vec<u8>),
    /// A shell command.
    Shell(String),
    /// A block of code.
    Code(String),
    /// `...`
    Ellipsis,
    /// Any other character.
    Sign(char),
}

impl Token {
    /// The token as errors name it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::End => "the end of the file".into(),
            Self::Word(word) => format!("`{}`", shortened(word)),
            Self::Integer(number) => format!("`{number}`"),
            Self::Decimal(text) => format!("`{}`", shortened(text)),
            Self::Text(text) => format!("\"{}\"", shortened(&text.escape_ascii().to_string())),
            Self::Shell(_) => "a shell command".into(),
            Self::Code(_) => "a block of code".into(),
            Self::Ellipsis => "`...`".into(),
            Self::Sign(sign) => format!("`{}`", sign.escape_debug()),
        }
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.into();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// Where reading is: cheap to copy, so that the parser can look ahead and come back.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
    place: Place,
}

/// What went wrong while a token was read: where, what was found, what was expected.
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) found: String,
    pub(super) expected: String,
}

impl Fault {
    pub(super) fn new(place: Place, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            place,
            found: found.into(),
            expected: expected.into(),
        }
    }

    pub(super) fn in_file(self, file: &str) -> Error {
        Error {
            file: file.into(),
            place: self.place,
            found: self.found,
            expected: self.expected,
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            place: Place::START,
        }
    }

    pub(super) const fn place(&self) -> Place {
        self.place
    }

    pub(super) const fn rest(&self) -> &'a str {
        self.rest
    }

    /// Goes on by so many bytes, which must end between two characters.
    pub(super) fn advance(&mut self, bytes: usize) -> &'a str {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for character in passed.chars() {
            if character == '\n' {
                self.place.line = self.place.line.saturating_add(1);
                self.place.column = 1;
            } else {
                self.place.column = self.place.column.saturating_add(1);
            }
        }
        self.rest = rest;
        passed
    }

    /// Goes past characters as long as they fit, and returns them.
    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        self.advance(end)
    }

    /// Goes past white space and comments.
    pub(super) fn skip_space(&mut self) -> Result<(), Fault> {
        loop {
            self.take_while(char::is_whitespace);
            if self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                let place = self.place;
                match self.rest.find("*/") {
                    Some(end) => {
                        self.advance(end + 2);
                    }
                    None => return Err(Fault::new(place, "a comment without end", "`*/`")),
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Goes past the text up to `close`, and returns what is between; the cursor stands on `open`.
    fn enclosed(&mut self, open: &str, close: &str, what: &str) -> Result<&'a str, Fault> {
        let place = self.place;
        let inner = self.rest.get(open.len()..).unwrap_or("");
        let Some(len) = inner.find(close) else {
            return Err(Fault::new(
                place,
                format!("{what} without end"),
                format!("`{close}`"),
            ));
        };
        self.advance(open.len() + len + close.len());
        Ok(inner.get(..len).unwrap_or(""))
    }

    /// The next token. A word that is defined becomes what it stands for.
    pub(super) fn token(&mut self, defines: &Defines) -> Result<Token, Fault> {
        self.skip_space()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        let second = self.rest.chars().nth(1);
        match first {
            '"' => self.text(),
            '`' => Ok(Token::Shell(
                self.enclosed("`", "`", "a shell command")?.into(),
            )),
            '%' if second == Some('{') => Ok(Token::Code(
                self.enclosed("%{", "}%", "a block of code")?.into(),
            )),
            '.' if self.rest.starts_with("...") => {
                self.advance(3);
                Ok(Token::Ellipsis)
            }
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            _ if is_word(first) => Ok(defined(self.take_while(is_word), defines)),
            _ => {
                self.advance(first.len_utf8());
                Ok(Token::Sign(first))
            }
        }
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let place = self.place;
        let mut ahead = *self;
        let whole = ahead.take_while(is_word);
        let fraction = ahead.rest.starts_with('.')
            && ahead
                .rest
                .chars()
                .nth(1)
                .is_some_and(|c| c.is_ascii_digit());
        if fraction {
            let start = self.rest;
            ahead.advance(1);
            ahead.take_while(is_word);
            let len = start.len() - ahead.rest.len();
            let text = start.get(..len).unwrap_or("");
            *self = ahead;
            return if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
                Ok(Token::Decimal(text.into()))
            } else {
                Err(Fault::new(
                    place,
                    format!("`{}`", shortened(text)),
                    "a number",
                ))
            };
        }
        *self = ahead;
        let parsed = match whole
            .strip_prefix("0x")
            .or_else(|| whole.strip_prefix("0X"))
        {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => whole.parse().ok(),
        };
        match parsed {
            // Constants such as 0xffffffffffffffff stand for the bits.
            Some(number) => Ok(Token::Integer(number.cast_signed())),
            None => Err(Fault::new(
                place,
                format!("`{}`", shortened(whole)),
                "a number below 2^64",
            )),
        }
    }

    fn text(&mut self) -> Result<Token, Fault> {
        let place = self.place;
        let mut out = Vec::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.advance(at + 1);
                    return Ok(Token::Text(out));
                }
                '\\' => match characters.next().map(|(_, escaped)| escaped) {
                    Some('x') => {
                        let digit = |c: Option<(usize, char)>| c.and_then(|(_, c)| c.to_digit(16));
                        let (Some(high), Some(low)) =
                            (digit(characters.next()), digit(characters.next()))
                        else {
                            self.advance(at);
                            return Err(Fault::new(
                                self.place,
                                "an escape `\\x`",
                                "two hexadecimal digits after it",
                            ));
                        };
                        out.push(u8::try_from(high * 16 + low).unwrap_or(0));
                    }
                    Some('n') => out.push(b'\n'),
                    Some('r') => out.push(b'\r'),
                    Some('t') => out.push(b'\t'),
                    Some('0') => out.push(0),
                    Some(same @ ('\\' | '"' | '\'')) => push(&mut out, same),
                    _ => {
                        self.advance(at);
                        return Err(Fault::new(
                            self.place,
                            "a backslash",
                            "an escape: \\xHH, \\n, \\r, \\t, \\0, \\\\ or \\\"",
                        ));
                    }
                },
                other => push(&mut out, other),
            }
        }
        Err(Fault::new(place, "text without end", "`\"`"))
    }
}

fn push(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

pub(super) fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn defined(word: &str, defines: &Defines) -> Token {
    match defines.get(word) {
        None => Token::Word(word.into()),
        Some(Definition::Word(other)) => Token::Word(other.clone()),
        Some(Definition::Integer(number)) => Token::Integer(*number),
        Some(Definition::Text(text)) => Token::Text(text.clone()),
        Some(Definition::Shell(command)) => Token::Shell(command.clone()),
    }
}

/// Seconds as they stand: `1`, `.25`, `0.100`. None from a thousand million on.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().ok().filter(|&n| n < 1_000_000_000)?,
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(Duration::new(whole, nanos))
}
