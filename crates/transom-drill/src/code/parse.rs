use super::token::{Kind, Token, tokens};
use super::{Fault, Step};

/// A statement and the line it begins in.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Assert {
        test: Expression,
        message: Option<Expression>,
        /// The test as it stands.
        text: String,
    },
    /// With the sign of an augmented assignment.
    Assign(String, Option<&'static str>, Expression),
    Print(Vec<Expression>),
    Expression(Expression),
    If(Vec<(Expression, Vec<Statement>)>, Vec<Statement>),
    Pass,
}

#[derive(Debug)]
pub(super) enum Expression {
    Name(String),
    Int(i128),
    Float(f64),
    Text(String),
    Tuple(Vec<Self>),
    Call(String, Vec<Self>),
    Unary(&'static str, Box<Self>),
    Binary(Box<Self>, &'static str, Box<Self>),
    /// The first value, then each comparison with the next.
    Compare(Box<Self>, Vec<(&'static str, Self)>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    /// Test, then, else.
    Choice(Box<Self>, Box<Self>, Box<Self>),
}

/// How deep expressions and blocks may nest.
const MAX_DEPTH: usize = 60;

/// How many terms one operator may join.
const MAX_TERMS: usize = 200;

const KEYWORDS: &[&str] = &["and", "or", "not", "if", "else", "elif", "assert", "pass"];

/// Binary operators, loosest first.
const LEVELS: &[&[&str]] = &[
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "//", "%"],
];

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// The statements of a block that begins in `line`.
pub(super) fn parse(text: &str, line: u32) -> Step<Vec<Statement>> {
    let mut parser = Parser {
        text,
        tokens: tokens(text, line)?,
        at: 0,
        depth: 0,
    };
    let mut block = Vec::new();
    while !parser.is(&Kind::End) {
        parser.line_of_statements(&mut block)?;
    }
    Ok(block)
}

impl Parser<'_> {
    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at).or_else(|| self.tokens.last())
    }

    fn line(&self) -> u32 {
        self.token().map_or(0, |token| token.line)
    }

    fn is(&self, kind: &Kind) -> bool {
        self.token().is_none_or(|token| token.kind == *kind)
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.token().map(|token| &token.kind), Some(Kind::Sign(next)) if *next == sign)
    }

    fn has_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token().map(|token| &token.kind), Some(Kind::Name(next)) if next == word)
    }

    fn has_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn unexpected<T>(&self, expected: &str) -> Step<T> {
        let found = self
            .token()
            .map_or_else(String::new, |token| token.kind.describe());
        let message = format!("found {found}, expected {expected}");
        Err(Fault::new(self.line(), message))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        if self.depth >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Fault::new(self.line(), message));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Counts a term of a chain, which nests as deep as it is long.
    fn another(&self, terms: &mut usize) -> Step<()> {
        *terms += 1;
        if *terms > MAX_TERMS {
            let message = format!("more than {MAX_TERMS} terms");
            return Err(Fault::new(self.line(), message));
        }
        Ok(())
    }

    /// Statements up to the end of the line, or one `if` with its blocks.
    fn line_of_statements(&mut self, block: &mut Vec<Statement>) -> Step<()> {
        if self.is(&Kind::NewLine) {
            self.at += 1;
            return Ok(());
        }
        if self.is_word("if") {
            let statement = self.deeper(Self::conditional)?;
            block.push(statement);
            return Ok(());
        }
        loop {
            block.push(self.simple()?);
            let more = self.has_sign(";");
            if self.is(&Kind::NewLine) {
                self.at += 1;
                return Ok(());
            }
            if !more {
                return self.unexpected("`;` or the end of the line");
            }
        }
    }

    fn conditional(&mut self) -> Step<Statement> {
        let line = self.line();
        let indent = self.token().and_then(|token| token.indent).unwrap_or(0);
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        self.at += 1;
        loop {
            let test = self.expression()?;
            branches.push((test, self.block(indent)?));
            // `elif` and `else` belong here only when they stand as far left as the `if`.
            let same = self
                .token()
                .is_some_and(|token| token.indent == Some(indent));
            if same && self.has_word("elif") {
                continue;
            }
            if same && self.has_word("else") {
                otherwise = self.block(indent)?;
            }
            break;
        }
        Ok(Statement {
            line,
            what: What::If(branches, otherwise),
        })
    }

    /// `:` and the statements in the same line, or the lines that are further right.
    fn block(&mut self, indent: usize) -> Step<Vec<Statement>> {
        if !self.has_sign(":") {
            return self.unexpected("`:`");
        }
        let mut block = Vec::new();
        if !self.is(&Kind::NewLine) {
            self.line_of_statements(&mut block)?;
            return Ok(block);
        }
        loop {
            while self.is(&Kind::NewLine) {
                self.at += 1;
            }
            let further = self
                .token()
                .is_some_and(|token| token.indent.is_some_and(|own| own > indent));
            if self.is(&Kind::End) || !further {
                break;
            }
            self.line_of_statements(&mut block)?;
        }
        if block.is_empty() {
            return self.unexpected("a statement further right");
        }
        Ok(block)
    }

    fn simple(&mut self) -> Step<Statement> {
        let line = self.line();
        let what = if self.has_word("assert") {
            self.assertion()?
        } else if self.has_word("pass") {
            What::Pass
        } else if self.is_word("print") {
            self.at += 1;
            if !self.has_sign("(") {
                return self.unexpected("`(`");
            }
            What::Print(self.arguments()?)
        } else {
            self.assignment()?
        };
        Ok(Statement { line, what })
    }

    fn assertion(&mut self) -> Step<What> {
        let start = self.token().map_or(0, |token| token.start);
        let test = self.expression()?;
        let end = self
            .at
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(start, |token| token.end);
        let text = self.text.get(start..end).unwrap_or("");
        let words: Vec<&str> = text.split_whitespace().collect();
        let message = if self.has_sign(",") {
            Some(self.expression()?)
        } else {
            None
        };
        Ok(What::Assert {
            test,
            message,
            text: words.join(" "),
        })
    }

    fn assignment(&mut self) -> Step<What> {
        let value = self.expressions()?;
        let sign = match self.token().map(|token| &token.kind) {
            Some(Kind::Sign("=")) => None,
            Some(Kind::Sign(sign)) if sign.ends_with('=') => Some(*sign),
            _ => return Ok(What::Expression(value)),
        };
        let Expression::Name(name) = value else {
            return self.unexpected("a name before it, to assign to");
        };
        self.at += 1;
        let value = self.expressions()?;
        Ok(What::Assign(
            name,
            sign.and_then(|sign| sign.strip_suffix('=')),
            value,
        ))
    }

    /// One expression, or several separated by commas.
    fn expressions(&mut self) -> Step<Expression> {
        let first = self.expression()?;
        if !self.is_sign(",") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.has_sign(",") {
            all.push(self.expression()?);
        }
        Ok(Expression::Tuple(all))
    }

    fn expression(&mut self) -> Step<Expression> {
        self.deeper(|parser| {
            let value = parser.either()?;
            if !parser.has_word("if") {
                return Ok(value);
            }
            let test = parser.either()?;
            if !parser.has_word("else") {
                return parser.unexpected("`else`");
            }
            let otherwise = parser.expression()?;
            Ok(Expression::Choice(
                Box::new(test),
                Box::new(value),
                Box::new(otherwise),
            ))
        })
    }

    fn either(&mut self) -> Step<Expression> {
        let mut left = self.both()?;
        let mut terms = 0;
        while self.has_word("or") {
            self.another(&mut terms)?;
            left = Expression::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Step<Expression> {
        let mut left = self.negation()?;
        let mut terms = 0;
        while self.has_word("and") {
            self.another(&mut terms)?;
            left = Expression::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Step<Expression> {
        if self.has_word("not") {
            let inner = self.deeper(Self::negation)?;
            return Ok(Expression::Unary("not", Box::new(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Step<Expression> {
        const SIGNS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
        let first = self.binary(LEVELS)?;
        let mut rest = Vec::new();
        while let Some(sign) = SIGNS.iter().find(|sign| self.is_sign(sign)) {
            self.at += 1;
            rest.push((*sign, self.binary(LEVELS)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expression::Compare(Box::new(first), rest))
    }

    fn binary(&mut self, levels: &[&[&'static str]]) -> Step<Expression> {
        let Some((signs, tighter)) = levels.split_first() else {
            return self.unary();
        };
        let mut left = self.binary(tighter)?;
        let mut terms = 0;
        while let Some(sign) = signs.iter().find(|sign| self.is_sign(sign)) {
            self.at += 1;
            self.another(&mut terms)?;
            let right = self.binary(tighter)?;
            left = Expression::Binary(Box::new(left), sign, Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Step<Expression> {
        for sign in ["-", "+", "~"] {
            if self.has_sign(sign) {
                let inner = self.deeper(Self::unary)?;
                return Ok(Expression::Unary(sign, Box::new(inner)));
            }
        }
        let base = self.atom()?;
        if self.has_sign("**") {
            let exponent = self.deeper(Self::unary)?;
            return Ok(Expression::Binary(Box::new(base), "**", Box::new(exponent)));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Step<Expression> {
        let kind = self.token().map_or(Kind::End, |token| token.kind.clone());
        match kind {
            Kind::Int(number) => {
                self.at += 1;
                Ok(Expression::Int(number))
            }
            Kind::Float(number) => {
                self.at += 1;
                Ok(Expression::Float(number))
            }
            Kind::Text(mut text) => {
                self.at += 1;
                while let Some(Kind::Text(more)) = self.token().map(|token| &token.kind) {
                    text.push_str(more);
                    self.at += 1;
                }
                Ok(Expression::Text(text))
            }
            Kind::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                self.at += 1;
                if self.has_sign("(") {
                    return Ok(Expression::Call(name, self.arguments()?));
                }
                Ok(Expression::Name(name))
            }
            Kind::Sign("(") => {
                self.at += 1;
                let inner = self.deeper(Self::arguments_or_value)?;
                Ok(inner)
            }
            _ => self.unexpected("a value"),
        }
    }

    /// After `(`: a value in parentheses, or a tuple.
    fn arguments_or_value(&mut self) -> Step<Expression> {
        if self.has_sign(")") {
            return Ok(Expression::Tuple(Vec::new()));
        }
        let first = self.expression()?;
        if self.has_sign(")") {
            return Ok(first);
        }
        if !self.has_sign(",") {
            return self.unexpected("`,` or `)`");
        }
        let mut all = vec![first];
        all.extend(self.arguments()?);
        Ok(Expression::Tuple(all))
    }

    /// After `(`: expressions up to and with `)`.
    fn arguments(&mut self) -> Step<Vec<Expression>> {
        let mut all = Vec::new();
        loop {
            if self.has_sign(")") {
                return Ok(all);
            }
            all.push(self.expression()?);
            if !self.has_sign(",") && !self.is_sign(")") {
                return self.unexpected("`,` or `)`");
            }
        }
    }
}
