//! Tokens to a tree, by recursive descent of bounded depth.
//!
//! ```text
//! or    = xor  { ("or"  | "||") xor }
//! xor   = and  { ("xor" | "^^") and }
//! and   = not  { ("and" | "&&") not }
//! not   = { "not" | "!" } ( "(" or ")" | test )
//! test  = [ "any" | "all" ] FIELD [ "&" NUMBER ] [ relation VALUE | ["not"] "in" set | "contains" TEXT | "matches" TEXT ]
//! set   = "{" VALUE [ ".." VALUE ] { [","] VALUE [ ".." VALUE ] } "}"
//! ```

use super::error::Error;
use super::expr::{Expr, Member, Op, Pattern, Relation, Test};
use super::field::{Field, Kind, Scope, suggestion};
use super::lex::{Token, What, tokens};
use super::value::{Value, number, read};
use core::cmp::Ordering;
use core::ops::Range;

/// Bytes of a filter.
const SOURCE_MAX: usize = 64 << 10;
/// Parentheses and negations inside one another.
const DEPTH_MAX: usize = 64;
/// Questions in one filter.
const TESTS_MAX: usize = 4096;

pub(super) fn parse(source: &str) -> Result<Expr, Error> {
    if source.len() > SOURCE_MAX {
        let place = SOURCE_MAX..source.len();
        return Err(Error::new(
            place,
            format!("a filter has at most {SOURCE_MAX} bytes"),
        ));
    }
    let tokens = tokens(source)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
        tests: 0,
    };
    let expr = parser.or()?;
    let rest = parser.peek();
    match &rest.what {
        What::End => Ok(expr),
        What::Sign(")") => Err(Error::new(
            rest.at.clone(),
            "this parenthesis was never opened",
        )),
        _ => Err(parser.unexpected("«and» or «or», or the end")),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    tests: usize,
}

/// Stands for the token behind the last one, which is never read.
static NOTHING: Token = Token {
    what: What::End,
    at: 0..0,
};

impl Parser<'_> {
    fn peek(&self) -> &Token {
        let last = self.tokens.last().unwrap_or(&NOTHING);
        self.tokens.get(self.at).unwrap_or(last)
    }

    /// Takes the next token if it is one of these signs or words, and says which.
    fn take<'w>(&mut self, signs: &[&'w str], words: &[&'w str]) -> Option<&'w str> {
        let taken = match &self.peek().what {
            What::Sign(sign) => signs.iter().find(|wanted| *wanted == sign),
            What::Word(word) => words.iter().find(|wanted| *wanted == word),
            _ => None,
        }?;
        self.at += 1;
        Some(taken)
    }

    fn unexpected(&self, expected: &str) -> Error {
        let token = self.peek();
        let found = match &token.what {
            What::Word(word) => format!("expected {expected} instead of «{word}»"),
            What::Text(_) => format!("expected {expected} instead of text in quotes"),
            What::Sign(sign) => format!("expected {expected} instead of «{sign}»"),
            What::End => format!("the filter ends where {expected} is expected"),
        };
        Error::new(token.at.clone(), found)
    }

    fn or(&mut self) -> Result<Expr, Error> {
        self.chain(&["||"], &["or"], Expr::Or, |parser| {
            parser.chain(&["^^"], &["xor"], Expr::Xor, |parser| {
                parser.chain(&["&&"], &["and"], Expr::And, Self::not)
            })
        })
    }

    fn chain(
        &mut self,
        signs: &[&str],
        words: &[&str],
        join: impl Fn(Vec<Expr>) -> Expr,
        member: impl Fn(&mut Self) -> Result<Expr, Error>,
    ) -> Result<Expr, Error> {
        let first = member(self)?;
        let mut members = Vec::new();
        while self.take(signs, words).is_some() {
            members.push(member(self)?);
        }
        if members.is_empty() {
            return Ok(first);
        }
        members.insert(0, first);
        Ok(join(members))
    }

    fn not(&mut self) -> Result<Expr, Error> {
        let place = self.peek().at.clone();
        if self.depth >= DEPTH_MAX {
            return Err(Error::new(
                place,
                format!("parentheses and negations are nested more than {DEPTH_MAX} deep"),
            ));
        }
        self.depth += 1;
        let expr = if self.take(&["!"], &["not"]).is_some() {
            Expr::Not(Box::new(self.not()?))
        } else if self.take(&["("], &[]).is_some() {
            let inner = self.or()?;
            if self.take(&[")"], &[]).is_none() {
                let error = self.unexpected("«)»");
                return Err(if matches!(self.peek().what, What::End) {
                    Error::new(place, "this parenthesis is never closed")
                } else {
                    error
                });
            }
            inner
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test(&mut self) -> Result<Expr, Error> {
        let place = self.peek().at.clone();
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Err(Error::new(
                place,
                format!("a filter has at most {TESTS_MAX} comparisons"),
            ));
        }
        let quantifier = self.take(&[], &["any", "all"]);
        let field = self.field()?;
        let mut all = quantifier == Some("all");
        let mask = self.mask(field)?;
        let operator_at = self.peek().at.clone();
        if let Some((relation, sign_all)) = self.relation() {
            all = quantifier.map_or(sign_all, |_| all);
            let is_equality = matches!(relation, Relation::Equal | Relation::NotEqual);
            if field.kind == Kind::Presence {
                return Err(presence(field, operator_at));
            }
            if !is_equality && !field.kind.is_ordered() {
                let what = format!("{} has no order: only == and != make sense", field.name);
                return Err(Error::new(operator_at, what));
            }
            let value = self.value(field)?;
            return Ok(test(field, all, Op::Compare(mask, relation, value)));
        }
        if let Some(mask) = mask {
            return Ok(test(field, all, Op::Masked(mask)));
        }
        self.other(field, all, operator_at)
    }

    /// What may follow a field besides a comparison.
    fn other(
        &mut self,
        field: &'static Field,
        all: bool,
        operator_at: Range<usize>,
    ) -> Result<Expr, Error> {
        if self.take(&[], &["in"]).is_some() {
            return Ok(test(field, all, Op::In(self.set(field, operator_at)?)));
        }
        if self.take(&["!"], &["not"]).is_some() {
            if self.take(&[], &["in"]).is_none() {
                return Err(self.unexpected("«in»"));
            }
            let inside = test(field, all, Op::In(self.set(field, operator_at)?));
            return Ok(Expr::Not(Box::new(inside)));
        }
        let is_contains = self.take(&[], &["contains"]).is_some();
        if !is_contains && self.take(&["~"], &["matches"]).is_none() {
            return Ok(test(field, all, Op::Present));
        }
        let is_text = matches!(field.kind, Kind::Text | Kind::Octets | Kind::Word(_));
        if !is_text {
            let what = format!("{} is no text", field.name);
            let hint = format!("compare it with {}", field.kind.expectation());
            return Err(Error::new(operator_at, what).hint(hint));
        }
        let token = self.peek().clone();
        let (What::Word(text) | What::Text(text)) = token.what else {
            return Err(self.unexpected("text in quotes"));
        };
        self.at += 1;
        if is_contains {
            return Ok(test(field, all, Op::Contains(text)));
        }
        // As in Wireshark, whatever the case of letters.
        let regex = regex_lite::RegexBuilder::new(&text)
            .case_insensitive(true)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| Error::new(token.at, format!("no regular expression: {error}")))?;
        let pattern = Pattern {
            source: text,
            regex,
        };
        Ok(test(field, all, Op::Matches(pattern)))
    }

    fn field(&mut self) -> Result<&'static Field, Error> {
        let token = self.peek();
        let What::Word(name) = &token.what else {
            return Err(self.unexpected("a field such as tcp.port"));
        };
        if let Some(field) = Field::named(name) {
            self.at += 1;
            return Ok(field);
        }
        let error = Error::new(token.at.clone(), format!("there is no field «{name}»"));
        if name.contains('[') {
            return Err(error.hint("parts of fields in brackets are not known here"));
        }
        Err(match name.split('.').next() {
            Some("http" | "http2" | "tls" | "dns" | "ssh") => error.hint(
                "protocols above TCP are not dissected; tcp.payload contains \"…\" looks into the data",
            ),
            Some("udp" | "arp" | "eth") => error.hint("only TCP and the IP below it are read"),
            _ => match suggestion(name) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            },
        })
    }

    /// `& 0x12`, which only numbers take.
    fn mask(&mut self, field: &Field) -> Result<Option<u64>, Error> {
        let place = self.peek().at.clone();
        if self.take(&["&"], &["bitwise_and"]).is_none() {
            return Ok(None);
        }
        if !matches!(field.kind, Kind::Number | Kind::Size) {
            let what = format!("{} is no number, and has no bits", field.name);
            return Err(Error::new(place, what));
        }
        let mask = match &self.peek().what {
            What::Word(word) => number(word),
            _ => None,
        };
        let mask = mask.ok_or_else(|| self.unexpected("a number such as 0x12"))?;
        self.at += 1;
        Ok(Some(mask))
    }

    /// The relation, and whether it asks all values where nothing else is said.
    fn relation(&mut self) -> Option<(Relation, bool)> {
        const SIGNS: &[&str] = &["==", "!=", "===", "!==", "~=", "<", "<=", ">", ">="];
        const WORDS: &[&str] = &[
            "eq", "any_eq", "all_eq", "ne", "all_ne", "any_ne", "lt", "le", "gt", "ge",
        ];
        Some(match self.take(SIGNS, WORDS)? {
            "==" | "eq" | "any_eq" => (Relation::Equal, false),
            "===" | "all_eq" => (Relation::Equal, true),
            // Since Wireshark 4: no value is equal. Before, and in !==: some value differs.
            "!=" | "ne" | "all_ne" => (Relation::NotEqual, true),
            "!==" | "~=" | "any_ne" => (Relation::NotEqual, false),
            "<" | "lt" => (Relation::Less, false),
            "<=" | "le" => (Relation::LessOrEqual, false),
            ">" | "gt" => (Relation::Greater, false),
            _ => (Relation::GreaterOrEqual, false),
        })
    }

    fn value(&mut self, field: &Field) -> Result<Value, Error> {
        let token = self.peek().clone();
        let (What::Word(word) | What::Text(word)) = &token.what else {
            return Err(self.unexpected(field.kind.expectation()));
        };
        let value = read(field.kind, word).map_err(|hint| {
            let is_field = Field::named(word).is_some();
            let expected = field.kind.expectation();
            let error = Error::new(
                token.at.clone(),
                format!("{} expects {expected}, not «{word}»", field.name),
            );
            match hint {
                Some(hint) => error.hint(hint),
                None if is_field => error.hint("two fields cannot be compared"),
                None => error,
            }
        })?;
        self.at += 1;
        Ok(value)
    }

    fn set(&mut self, field: &Field, place: Range<usize>) -> Result<Vec<Member>, Error> {
        if field.kind == Kind::Presence {
            return Err(presence(field, place));
        }
        let open = self.peek().at.clone();
        if self.take(&["{"], &[]).is_none() {
            return Err(self.unexpected("a set such as {80, 443, 8000..8010}"));
        }
        let mut members = Vec::new();
        loop {
            if matches!(self.peek().what, What::End) {
                return Err(Error::new(open, "this set is never closed"));
            }
            let start = self.peek().at.start;
            let first = self.value(field)?;
            if self.take(&[".."], &[]).is_some() {
                if !field.kind.is_ordered() {
                    let what = format!("{} has no order, and so no ranges", field.name);
                    return Err(Error::new(start..self.peek().at.start, what));
                }
                let last = self.value(field)?;
                self.check_range(start, &first, &last)?;
                members.push(Member::Range(first, last));
            } else {
                members.push(Member::One(first));
            }
            let has_comma = self.take(&[","], &[]).is_some();
            if !has_comma && self.take(&["}"], &[]).is_some() {
                return Ok(members);
            }
        }
    }

    fn check_range(&self, start: usize, first: &Value, last: &Value) -> Result<(), Error> {
        let end = self
            .at
            .checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .map_or(start, |token| token.at.end);
        let order = match (first, last) {
            (Value::Simple(first), Value::Simple(last)) => first.order(*last),
            _ => None,
        };
        if order.is_some_and(Ordering::is_le) {
            return Ok(());
        }
        Err(Error::new(
            start..end,
            "a range goes from the smaller value to the greater",
        ))
    }
}

fn test(field: &'static Field, all: bool, op: Op) -> Expr {
    Expr::Test(Test { field, all, op })
}

fn presence(field: &Field, place: Range<usize>) -> Error {
    let what = format!("{} is there or it is not: it has no value", field.name);
    let hint = match field.scope {
        Scope::Frame => format!("write «{0}» or «not {0}»", field.name),
        Scope::Connection => String::new(),
    };
    Error::new(place, what).hint(hint)
}
