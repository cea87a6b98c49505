use super::value::Value;

/// `'text' % values`: the conversions d i u x X o c s r f g e and %%, with flags, width and precision.
pub(super) fn format(text: &str, values: &Value) -> Result<String, String> {
    let single = std::slice::from_ref(values);
    let mut values = match values {
        Value::Tuple(values) => values.iter(),
        _ => single.iter(),
    };
    let mut out = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut take = |fits: fn(char) -> bool| {
            let mut taken = String::new();
            while let Some(next) = characters.next_if(|&c| fits(c)) {
                taken.push(next);
            }
            taken
        };
        let flags = take(|c| "-+ 0#".contains(c));
        let width = take(|c| c.is_ascii_digit());
        let precision = take(|c| c.is_ascii_digit() || c == '.');
        take(|c| "lh".contains(c));
        let Some(conversion) = characters.next() else {
            return Err("the text to fill ends in `%`".into());
        };
        if conversion == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or("there are too few values to fill in")?;
        let precision = precision.trim_start_matches('.').parse().ok();
        let shown = convert(conversion, value, precision)?;
        let width = width.parse().unwrap_or(0).min(MAX_WIDTH);
        out.push_str(&pad(&shown, &flags, width));
    }
    if values.next().is_some() {
        return Err("there are more values than places to fill in".into());
    }
    Ok(out)
}

const MAX_WIDTH: usize = 200;

fn convert(conversion: char, value: &Value, precision: Option<usize>) -> Result<String, String> {
    let precision = precision.unwrap_or(6).min(MAX_WIDTH);
    let wrong = || format!("`%{conversion}` does not take {}", value.kind());
    Ok(match conversion {
        's' => value.shown(),
        'r' => value.repr(),
        'd' | 'i' | 'u' => match (value.int(), value.float()) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => format!("{:.0}", number.trunc()),
            _ => return Err(wrong()),
        },
        'x' => format!("{:x}", value.int().ok_or_else(wrong)?),
        'X' => format!("{:X}", value.int().ok_or_else(wrong)?),
        'o' => format!("{:o}", value.int().ok_or_else(wrong)?),
        'f' => format!("{:.precision$}", value.float().ok_or_else(wrong)?),
        'e' | 'g' => value.float().ok_or_else(wrong)?.to_string(),
        _ => return Err(format!("`%{conversion}` is not known")),
    })
}

fn pad(text: &str, flags: &str, width: usize) -> String {
    let signed = if flags.contains('+') && !text.starts_with('-') {
        format!("+{text}")
    } else {
        text.to_owned()
    };
    let missing = width.saturating_sub(signed.chars().count());
    if flags.contains('-') {
        format!("{signed}{}", " ".repeat(missing))
    } else if flags.contains('0') {
        let (sign, digits) = match signed.strip_prefix(['-', '+']) {
            Some(digits) => signed.split_at(signed.len() - digits.len()),
            None => ("", signed.as_str()),
        };
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        format!("{}{signed}", " ".repeat(missing))
    }
}
