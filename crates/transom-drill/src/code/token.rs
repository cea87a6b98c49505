use super::{Fault, Step};

/// A token and the line it is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
    /// Where it begins in the text.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// White space before it, if it is the first of its line.
    pub(super) indent: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Name(String),
    Int(i128),
    Float(f64),
    Text(String),
    Sign(&'static str),
    NewLine,
    End,
}

impl Kind {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Int(number) => format!("`{number}`"),
            Self::Float(number) => format!("`{number}`"),
            Self::Text(_) => "text".into(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::NewLine => "the end of the line".into(),
            Self::End => "the end of the block".into(),
        }
    }
}

/// Longer ones first, so that each is found whole.
const SIGNS: &[&str] = &[
    "**=", "//=", "<<=", ">>=", "**", "//", "<<", ">>", "==", "!=", "<=", ">=", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">", "=", "(",
    ")", ",", ":", ";",
];

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// Parentheses open: lines do not end in them.
    open: u32,
    indent: Option<usize>,
    tokens: Vec<Token>,
}

/// All tokens of a block whose first line is `line`.
pub(super) fn tokens(text: &str, line: u32) -> Step<Vec<Token>> {
    let mut reader = Reader {
        text,
        at: 0,
        line,
        open: 0,
        // What stands in the line of `%{` is not indented.
        indent: Some(0),
        tokens: Vec::new(),
    };
    while reader.step()? {}
    reader.push(Kind::NewLine, text.len());
    reader.push(Kind::End, text.len());
    Ok(reader.tokens)
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token {
            kind,
            line: self.line,
            start: self.at.min(end),
            end,
            indent: self.indent.take(),
        });
        self.at = end;
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> Step<bool> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(false);
        };
        match first {
            '\n' => {
                if self.open == 0 {
                    self.push(Kind::NewLine, self.at + 1);
                    self.indent = Some(0);
                } else {
                    self.at += 1;
                }
                self.line = self.line.saturating_add(1);
            }
            '\\' if rest.starts_with("\\\n") || rest.starts_with("\\\r\n") => {
                self.at += rest.find('\n').unwrap_or(0) + 1;
                self.line = self.line.saturating_add(1);
            }
            '#' => self.at += rest.find('\n').unwrap_or(rest.len()),
            _ if first.is_whitespace() => {
                self.at += first.len_utf8();
                // The line of `%{` stays at no indentation.
                if self
                    .tokens
                    .last()
                    .is_some_and(|last| last.kind == Kind::NewLine)
                    && let Some(indent) = &mut self.indent
                {
                    *indent += 1;
                }
            }
            '"' | '\'' => self.string(first)?,
            '0'..='9' | '.' => self.number()?,
            _ if is_word(first) => {
                let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let name = rest.get(..len).unwrap_or("").to_owned();
                self.push(Kind::Name(name), self.at + len);
            }
            _ => {
                let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) else {
                    let message = format!("`{}` has no meaning here", first.escape_debug());
                    return Err(Fault::new(self.line, message));
                };
                match *sign {
                    "(" => self.open += 1,
                    ")" => self.open = self.open.saturating_sub(1),
                    _ => {}
                }
                self.push(Kind::Sign(sign), self.at + sign.len());
            }
        }
        Ok(true)
    }

    fn number(&mut self) -> Step<()> {
        let rest = self.rest();
        let len = rest
            .find(|c: char| !(is_word(c) || c == '.'))
            .unwrap_or(rest.len());
        let text = rest.get(..len).unwrap_or("").replace('_', "");
        let radix = |digits, radix| i128::from_str_radix(digits, radix).ok().map(Kind::Int);
        let kind = if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            radix(hex, 16)
        } else if let Some(bits) = text.strip_prefix("0b") {
            radix(bits, 2)
        } else if let Some(octal) = text.strip_prefix("0o") {
            radix(octal, 8)
        } else {
            text.parse()
                .ok()
                .map(Kind::Int)
                .or_else(|| text.parse().ok().map(Kind::Float))
        };
        match kind {
            Some(kind) => {
                self.push(kind, self.at + len);
                Ok(())
            }
            None => Err(Fault::new(self.line, format!("`{text}` is not a number"))),
        }
    }

    fn string(&mut self, quote: char) -> Step<()> {
        let mut out = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\n' => break,
                '\\' => match characters.next().map(|(_, next)| next) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some(other) => out.push(other),
                    None => break,
                },
                _ if character == quote => {
                    let end = self.at + at + 1;
                    self.push(Kind::Text(out), end);
                    return Ok(());
                }
                _ => out.push(character),
            }
        }
        Err(Fault::new(self.line, "text without end"))
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
