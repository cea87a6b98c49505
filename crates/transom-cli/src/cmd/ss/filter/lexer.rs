//! The words of a filter.

/// A word, and where it begins in the text (bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) at: usize,
}

/// Characters that form words of their own.
const OPERATORS: [char; 8] = ['=', '!', '<', '>', '&', '|', '(', ')'];

/// Cuts a text at spaces, operators and parentheses. Shells need no care: what stands in one
/// argument or in several is the same.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, first)) = rest.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::from(first);
        if OPERATORS.contains(&first) {
            let doubled = match first {
                '=' | '!' | '<' | '>' => rest.peek().filter(|(_, next)| *next == '='),
                '&' | '|' => rest.peek().filter(|(_, next)| *next == first),
                _ => None,
            };
            if let Some(&(_, next)) = doubled {
                word.push(next);
                rest.next();
            }
        } else {
            while let Some(&(_, next)) = rest.peek() {
                if next.is_whitespace() || OPERATORS.contains(&next) {
                    break;
                }
                word.push(next);
                rest.next();
            }
        }
        tokens.push(Token { text: word, at });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_need_no_spaces_around_operators() {
        let words = |text| -> Vec<String> { tokens(text).into_iter().map(|t| t.text).collect() };
        assert_eq!(
            words("(sport>=:22||!dst [::1]:443)"),
            [
                "(",
                "sport",
                ">=",
                ":22",
                "||",
                "!",
                "dst",
                "[::1]:443",
                ")"
            ]
        );
        assert_eq!(words(" a  b "), ["a", "b"]);
        assert_eq!(words("é=ü"), ["é", "=", "ü"]);
        assert!(words("").is_empty());
    }
}
