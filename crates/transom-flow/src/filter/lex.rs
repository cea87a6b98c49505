//! Text to tokens.

use super::error::Error;
use core::ops::Range;

/// A piece of the filter, with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) what: What,
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// A name, number or address: whatever is written without quotes.
    Word(String),
    /// Text in quotes, without them.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    /// Nothing is left.
    End,
}

/// Longest first, so that `===` is not read as `==`.
const SIGNS: &[&str] = &[
    "===", "!==", "==", "!=", "~=", "<=", ">=", "&&", "||", "^^", "..", "<", ">", "!", "(", ")",
    "{", "}", ",", "&", "~",
];

/// All tokens, the last of which is [`What::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (what, len) = if first == '"' || first == '\'' {
            text(rest, at, first)?
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (What::Sign(sign), sign.len())
        } else {
            let len = word_len(rest);
            if len == 0 {
                let place = at..at + first.len_utf8();
                return Err(Error::new(place, format!("«{first}» means nothing here")));
            }
            (What::Word(rest.get(..len).unwrap_or_default().into()), len)
        };
        tokens.push(Token {
            what,
            at: at..at + len,
        });
        at += len;
    }
    tokens.push(Token {
        what: What::End,
        at: source.len()..source.len(),
    });
    Ok(tokens)
}

/// How many bytes belong to the word: up to a blank, a sign, or the two dots of a range.
fn word_len(rest: &str) -> usize {
    let mut len = 0;
    for c in rest.chars() {
        let is_range = rest.get(len..).is_some_and(|rest| rest.starts_with(".."));
        if is_range || !(c.is_alphanumeric() || "_.-:/*[]%".contains(c)) {
            break;
        }
        len += c.len_utf8();
    }
    len
}

/// Text in quotes and how many bytes it takes with them.
fn text(rest: &str, at: usize, quote: char) -> Result<(What, usize), Error> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        if c == quote {
            return Ok((What::Text(text), offset + 1));
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        let escape = at + offset;
        let Some((_, escaped)) = chars.next() else {
            break;
        };
        text.push(match escaped {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            '\\' | '"' | '\'' => escaped,
            'u' => unicode(&mut chars).ok_or_else(|| {
                Error::new(escape..escape + 2, "\\u{…} needs the number of a character")
            })?,
            _ => {
                let place = escape..escape + 1 + escaped.len_utf8();
                return Err(
                    Error::new(place, format!("«\\{escaped}» is no character in quotes"))
                        .hint("write \\\\ for a backslash"),
                );
            }
        });
    }
    Err(Error::new(
        at..at + quote.len_utf8(),
        "this quotation mark is never closed",
    ))
}

/// The character of `{41}`, where `\u` was read.
fn unicode(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    chars.next().filter(|(_, c)| *c == '{')?;
    let mut number = 0_u32;
    for _ in 0..7 {
        match chars.next()?.1 {
            '}' => return char::from_u32(number),
            c => number = number * 16 + c.to_digit(16)?,
        }
    }
    None
}
