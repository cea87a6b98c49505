//! Numbers as C's printf writes them.

use std::fmt::Write;

/// `%g`: six significant digits at most.
pub(crate) fn push_g(to: &mut String, value: f64) {
    push_significant(to, value, 6);
}

/// `%.Ng`
fn push_significant(to: &mut String, value: f64, digits: usize) {
    if value == 0.0 || !value.is_finite() {
        to.push('0');
        return;
    }
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if (-4..limit).contains(&exponent) {
        let behind = usize::try_from(limit - 1 - exponent).unwrap_or(0);
        let plain = format!("{value:.behind$}");
        to.push_str(trimmed(&plain));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(to, "{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
}

fn trimmed(decimal: &str) -> &str {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.')
    } else {
        decimal
    }
}

/// Microseconds as milliseconds in `%g`.
pub(crate) fn push_millis(to: &mut String, micros: u32) {
    let (whole, part) = (micros / 1000, micros % 1000);
    if whole >= 1000 {
        return push_g(to, f64::from(micros) / 1000.0);
    }
    let _ = write!(to, "{whole}");
    if part != 0 {
        let decimal = format!(".{part:03}");
        to.push_str(trimmed(&decimal));
    }
}

/// A rate in bits per second: exactly, or in three digits and a prefix.
pub(crate) fn push_rate(to: &mut String, bits: f64, exact: bool) {
    if exact {
        let _ = write!(to, "{bits:.0}bps");
        return;
    }
    let mut value = bits;
    let mut prefix = "";
    for next in ["k", "M", "G", "T", "P", "E"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    push_significant(to, value, 3);
    let _ = write!(to, "{prefix}bps");
}

/// A timer as `ss` writes it: minutes and seconds, seconds, or seconds with milliseconds.
pub(crate) fn push_timer(to: &mut String, millis: u32) {
    let seconds = millis / 1000;
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let mut millis = millis % 1000;
    if minutes > 0 {
        millis = 0;
        let _ = write!(to, "{minutes}min");
        if minutes > 9 {
            return;
        }
    }
    if seconds > 0 {
        if seconds > 9 {
            millis = 0;
        }
        let _ = write!(to, "{seconds}{}", if millis > 0 { "." } else { "sec" });
    }
    if millis > 0 {
        let _ = write!(to, "{millis:03}ms");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut String)) -> String {
        let mut text = String::new();
        push(&mut text);
        text
    }

    #[test]
    fn g_is_that_of_printf() {
        for (value, expected) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (2.886_718_75, "2.88672"),
            (1234.5678, "1234.57"),
            (999_999.5, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_01, "1e-05"),
            (100.0, "100"),
        ] {
            assert_eq!(text(|to| push_g(to, value)), expected);
        }
        assert_eq!(text(|to| push_millis(to, 204_000)), "204");
        assert_eq!(text(|to| push_millis(to, 10)), "0.01");
        assert_eq!(text(|to| push_millis(to, 1_234_567)), "1234.57");
    }

    #[test]
    fn rates_have_three_digits_or_all() {
        assert_eq!(
            text(|to| push_rate(to, 19_712_000_000.0, false)),
            "19.7Gbps"
        );
        assert_eq!(text(|to| push_rate(to, 0.0, false)), "0bps");
        assert_eq!(text(|to| push_rate(to, 999.0, false)), "999bps");
        assert_eq!(
            text(|to| push_rate(to, 109_226_666_666.7, true)),
            "109226666667bps"
        );
    }

    #[test]
    fn timers_are_those_of_ss() {
        for (millis, expected) in [
            (0, ""),
            (896, "896ms"),
            (1234, "1.234ms"),
            (5000, "5sec"),
            (54_321, "54sec"),
            (119 * 60_000 + 5000, "119min"),
            (125_000, "2min5sec"),
        ] {
            assert_eq!(text(|to| push_timer(to, millis)), expected);
        }
    }
}
