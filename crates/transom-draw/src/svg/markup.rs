//! Numbers and text as they may stand in XML.

use crate::text::cell;
use core::fmt;

/// A length or coordinate: at most one decimal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct N(pub(crate) f64);

impl fmt::Display for N {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round();
        if !tenths.is_finite() {
            return f.write_str("0");
        }
        if tenths % 10.0 == 0.0 {
            write!(f, "{:.0}", tenths / 10.0 + 0.0)
        } else {
            write!(f, "{:.1}", tenths / 10.0)
        }
    }
}

/// Text from anywhere, as character data or inside a quoted attribute, in XML and in HTML.
///
/// Markup characters become entities; control characters, direction overrides and invisible
/// characters become visible escapes, as in every drawing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in cell::escaped(self.0, false).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Not characters in XML 1.0 §2.2; the others of these were escaped above.
                '\u{fffe}' | '\u{ffff}' => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (-0.04, "0"),
            (12.34, "12.3"),
            (-7.96, "-8"),
            (f64::NAN, "0"),
            (f64::INFINITY, "0"),
        ];
        for (number, text) in cases {
            assert_eq!(N(number).to_string(), text);
        }
    }

    #[test]
    fn markup_in_text_stays_text() {
        let text = "</text><script>alert('1')</script>\" & \u{0}\u{202e}\u{ffff}";
        assert_eq!(
            Text(text).to_string(),
            "&lt;/text&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; &amp; \\u{0}\\u{202e}\\u{ffff}"
        );
    }
}
