//! How wide a text will be.
//!
//! The viewer's font is not known. The widths here are those of a wide sans-serif face, rounded up;
//! in the fonts that most systems have, text is up to a fifth narrower.

use unicode_width::UnicodeWidthChar;

/// How heavy the strokes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Weight {
    #[default]
    Normal,
    Bold,
}

/// Hundredths of the font size for the characters from space to tilde.
#[rustfmt::skip]
const NORMAL: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 54,
    100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79,
    61, 79, 70, 64, 62, 74, 69, 99, 69, 62, 69, 40, 34, 40, 84, 50,
    50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62,
    64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// The same in bold.
#[rustfmt::skip]
const BOLD: [u8; 95] = [
    35, 46, 53, 84, 70, 101, 88, 31, 46, 46, 53, 84, 38, 42, 38, 37,
    70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 40, 40, 84, 84, 84, 59,
    100, 78, 77, 74, 84, 69, 69, 83, 84, 38, 38, 78, 64, 100, 84, 86,
    74, 86, 78, 73, 69, 82, 78, 111, 78, 73, 73, 46, 37, 46, 84, 50,
    50, 68, 72, 60, 72, 68, 44, 72, 72, 35, 35, 67, 35, 105, 72, 69,
    72, 72, 50, 60, 48, 72, 66, 93, 65, 66, 59, 72, 37, 72, 84,
];

/// Other characters: one column of a terminal, and each more.
const COLUMN: f64 = 0.9;
const WIDE: f64 = 1.05;

fn advance(c: char, weight: Weight) -> f64 {
    let table = match weight {
        Weight::Normal => &NORMAL,
        Weight::Bold => &BOLD,
    };
    let at = u32::from(c).wrapping_sub(u32::from(' '));
    if let Some(hundredths) = usize::try_from(at).ok().and_then(|at| table.get(at)) {
        return f64::from(*hundredths) / 100.0;
    }
    match (c, UnicodeWidthChar::width(c)) {
        ('·', _) => 0.38,
        ('–' | '§', _) => 0.5,
        (_, Some(2)) => WIDE,
        _ => COLUMN,
    }
}

/// Width of a text in a font of `size` pixels.
pub(crate) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    text.chars().map(|c| advance(c, weight)).sum::<f64>() * size
}

/// Cuts a text to at most `room` pixels, with `…` where something is cut; empty where nothing fits.
pub(crate) fn cut(text: &str, size: f64, weight: Weight, room: f64) -> String {
    if width(text, size, weight) <= room {
        return text.to_owned();
    }
    let mut left = room - advance('…', weight) * size;
    let mut kept = String::new();
    for c in text.chars() {
        left -= advance(c, weight) * size;
        if left < 0.0 {
            break;
        }
        kept.push(c);
    }
    let end = kept.trim_end().len();
    kept.truncate(end);
    if !kept.is_empty() {
        kept.push('…');
    }
    kept
}

/// Cuts a text in its middle, so that both its ends stay: for names and addresses.
pub(crate) fn cut_middle(text: &str, size: f64, weight: Weight, room: f64) -> String {
    if width(text, size, weight) <= room {
        return text.to_owned();
    }
    let half = (room - advance('…', weight) * size) / 2.0;
    let take = |chars: &mut dyn Iterator<Item = char>| {
        let mut left = half;
        let mut kept: Vec<char> = Vec::new();
        for c in chars {
            left -= advance(c, weight) * size;
            if left < 0.0 {
                break;
            }
            kept.push(c);
        }
        kept
    };
    let head = take(&mut text.chars());
    let tail = take(&mut text.chars().rev());
    if tail.is_empty() {
        return String::new();
    }
    head.into_iter()
        .chain(['…'])
        .chain(tail.into_iter().rev())
        .collect()
}

/// Breaks a text at blanks into lines of at most `room` pixels; longer words are cut into pieces.
pub(crate) fn wrapped(text: &str, size: f64, weight: Weight, room: f64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let joined = width(&line, size, weight) + width(word, size, weight) + 0.35 * size;
        if !line.is_empty() && joined > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut used = width(&line, size, weight);
        for c in word.chars() {
            let more = advance(c, weight) * size;
            if used + more > room && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            used += more;
            line.push(c);
        }
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
    fn what_is_cut_fits() {
        for room in [0.0, 5.0, 12.0, 30.0, 77.0, 200.0] {
            for text in [
                "2001:db8::1:443",
                "状態確認",
                "",
                "GET /index.html HTTP/1.1",
            ] {
                for weight in [Weight::Normal, Weight::Bold] {
                    let cut = cut(text, 12.0, weight, room);
                    assert!(width(&cut, 12.0, weight) <= room, "{cut}");
                    let cut = cut_middle(text, 12.0, weight, room);
                    assert!(width(&cut, 12.0, weight) <= room, "{cut}");
                }
            }
        }
        let cut = cut_middle(
            "a.very.long.name.example.com:443",
            10.0,
            Weight::Normal,
            100.0,
        );
        assert!(cut.starts_with("a.ve") && cut.ends_with(":443"), "{cut}");
    }

    #[test]
    fn lines_fit_and_lose_nothing() {
        let text =
            "The server finished first, and averyveryverylongwordthatfitsnowhere 状態 follows.";
        for room in [40.0, 90.0, 400.0] {
            let lines = wrapped(text, 12.0, Weight::Normal, room);
            for line in &lines {
                assert!(width(line, 12.0, Weight::Normal) <= room + 0.1, "{line}");
            }
            let joined: String = lines.concat().split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>());
        }
    }
}
