//! Text in columns: width on the screen, padding, cutting, wrapping, and escapes.

use std::borrow::Cow;
use unicode_width::UnicodeWidthChar;

/// Columns that a character takes.
pub(crate) fn char_width(c: char) -> usize {
    UnicodeWidthChar::width(c).unwrap_or(0)
}

/// Columns that a text takes, each character counted for itself, as terminals do.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Makes text from outside safe to print: control characters, direction overrides and invisible
/// characters as escapes; with `ascii`, everything outside ASCII too.
#[must_use]
pub fn escaped(text: &str, ascii: bool) -> Cow<'_, str> {
    let is_plain =
        |c: char| (' '..='~').contains(&c) || (!ascii && !c.is_control() && !is_invisible(c));
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_plain(c) {
            safe.push(c);
        } else {
            safe.extend(c.escape_default());
        }
    }
    Cow::Owned(safe)
}

/// Characters that take no column, change the direction of text, or show nothing though they take
/// columns (soft hyphen, Hangul and other fillers, the blank of Braille).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
        || UnicodeWidthChar::width(c).is_none_or(|width| width == 0)
}

/// Cuts to at most `columns`, with `more` at the end if something is cut.
#[must_use]
pub fn cut<'a>(text: &'a str, columns: usize, more: &str) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(width(more));
    let mut taken = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = char_width(c);
        if used + columns > room {
            break;
        }
        used += columns;
        taken.push(c);
    }
    if used + width(more) <= columns {
        taken.push_str(more);
    }
    Cow::Owned(taken)
}

/// Cuts in the middle, so that both ends stay.
pub(crate) fn cut_middle(text: &str, columns: usize, more: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(more));
    let tail_room = room / 2;
    let mut tail: Vec<char> = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        let columns = char_width(c);
        if used + columns > tail_room {
            break;
        }
        used += columns;
        tail.push(c);
    }
    let head = cut(text, room - used, "");
    let mut joined = head.into_owned();
    joined.push_str(more);
    joined.extend(tail.iter().rev());
    joined
}

/// Appends `text`, padded to `columns` on the right.
pub(super) fn left(text: &str, columns: usize) -> String {
    let mut cell = text.to_owned();
    pad(&mut cell, columns);
    cell
}

/// `text` padded to `columns` on the left.
pub(super) fn right(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    let mut cell = " ".repeat(missing);
    cell.push_str(text);
    cell
}

/// Pads with spaces to `columns`.
pub(super) fn pad(cell: &mut String, columns: usize) {
    let missing = columns.saturating_sub(width(cell));
    cell.extend(std::iter::repeat_n(' ', missing));
}

/// Breaks text at spaces into lines of at most `columns`; a longer word is cut where it must be.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > columns {
            let head = cut(&word, columns, "").into_owned();
            if head.is_empty() {
                break;
            }
            word.drain(..head.len());
            lines.push(head);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("状態"), 4);
        assert_eq!(cut("状態確認", 5, "…"), "状態…");
        assert_eq!(cut("状態確認", 4, "…"), "状…");
        assert_eq!(width(&left("状態", 7)), 7);
        assert_eq!(right("状", 4), "  状");
        assert_eq!(
            cut_middle("example.verylongname.test:443", 15, "…"),
            "example…est:443"
        );
        assert_eq!(cut("abc", 3, "…"), "abc");
        assert_eq!(cut("abc", 0, "…"), "");
    }

    #[test]
    fn what_could_harm_a_terminal_is_escaped() {
        assert_eq!(escaped("GET /\x1b[2J", false), "GET /\\u{1b}[2J");
        assert_eq!(escaped("a\u{202e}b\u{200b}", false), "a\\u{202e}b\\u{200b}");
        assert_eq!(escaped("状態", false), "状態");
        assert_eq!(escaped("é", true), "\\u{e9}");
        assert_eq!(escaped("\u{9b}31m", false), "\\u{9b}31m");
    }

    #[test]
    fn lines_break_at_spaces_and_long_words_anywhere() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("状態 確認", 4), ["状態", "確認"]);
        assert!(wrapped("  ", 4).is_empty());
    }
}
