//! Durations, sizes and counts as people write them.

use core::time::Duration;

/// `48 ms`, `0.8 ms`, `1.2 s`, `2 min 5 s`; three digits at most, but for minutes and hours.
#[must_use]
pub fn duration(duration: Duration) -> String {
    // Numbers of 128 bits are slow to write, and no duration that is shown needs them.
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let ms = |digits: usize| format!("{:.digits$} ms", duration.as_secs_f64() * 1e3);
    match micros {
        0 => "0 ms".into(),
        1..=999 => format!("{micros} µs"),
        1_000..=9_949 => ms(1),
        9_950..=999_499 => ms(0),
        999_500..=9_949_999 => format!("{:.1} s", duration.as_secs_f64()),
        9_950_000..=119_499_999 => format!("{:.0} s", duration.as_secs_f64()),
        _ => {
            let seconds = micros.saturating_add(500_000) / 1_000_000;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match (hours, minutes, seconds) {
                (0, minutes, 0) => format!("{minutes} min"),
                (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
                (hours, 0, _) => format!("{hours} h"),
                (hours, minutes, _) => format!("{hours} h {minutes} min"),
            }
        }
    }
}

/// `77 B`, `1.6 KiB`, `1.4 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    scaled(bytes).map_or_else(
        || format!("{bytes} B"),
        |(number, unit)| format!("{number} {unit}iB"),
    )
}

/// As [`bytes`], in the narrow form of `ls -h`: `77 B`, `1.6K`, `1.4M`.
#[must_use]
pub fn bytes_narrow(bytes: u64) -> String {
    scaled(bytes).map_or_else(
        || format!("{bytes} B"),
        |(number, unit)| format!("{number}{unit}"),
    )
}

fn scaled(bytes: u64) -> Option<(String, char)> {
    if bytes < 1024 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut number = bytes as f64;
    let mut units = "KMGTPE".chars();
    let mut unit = units.next()?;
    number /= 1024.0;
    while number >= 1023.5
        && let Some(next) = units.next()
    {
        number /= 1024.0;
        unit = next;
    }
    let digits = usize::from(number < 9.95);
    Some((format!("{number:.digits$}"), unit))
}

/// `1 segment`, `1,024 segments`: a count with its noun, whose plural takes an s.
#[must_use]
pub fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// `1,024`.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `once`, `twice`, `3 times`.
#[must_use]
pub fn times(n: u64) -> String {
    match n {
        1 => "once".into(),
        2 => "twice".into(),
        n => format!("{} times", thousands(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_few_digits() {
        let cases = [
            (0, "0 ms"),
            (800, "800 µs"),
            (1_240, "1.2 ms"),
            (9_960, "10 ms"),
            (48_300, "48 ms"),
            (999_700, "1.0 s"),
            (3_440_000, "3.4 s"),
            (63_200_000, "63 s"),
            (120_000_000, "2 min"),
            (125_400_000, "2 min 5 s"),
            (7_260_000_000, "2 h 1 min"),
        ];
        for (micros, text) in cases {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn sizes_have_two_digits() {
        let cases = [
            (77, "77 B"),
            (1023, "1023 B"),
            (1638, "1.6K"),
            (10_240, "10K"),
            (1_048_500, "1.0M"),
            (1_468_006, "1.4M"),
            (u64::MAX, "16E"),
        ];
        for (size, text) in cases {
            assert_eq!(bytes_narrow(size), text);
        }
        assert_eq!(bytes(1638), "1.6 KiB");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "segment"), "1 segment");
        assert_eq!(times(2), "twice");
    }
}
