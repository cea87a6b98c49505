//! Medians, and the file of all results.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The median of what is finite; of nothing it is no number.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The file of all results.
pub(crate) fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md")
}

/// Release of the kernel.
pub(crate) fn kernel() -> io::Result<String> {
    let output = Command::new("uname").arg("-r").output()?.stdout;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// The three means of the machine's load.
pub(crate) fn load() -> io::Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let means: Vec<&str> = load.split_whitespace().take(3).collect();
    Ok(means.join(" "))
}

/// Puts a part of the results in place of the former one; other parts stay.
pub(crate) fn replace(path: &Path, heading: &str, text: &str) -> io::Result<()> {
    let old = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let (before, _, after) = parts(&old, heading);
    let gap = if before.trim().is_empty() { "" } else { "\n\n" };
    let (before, text) = (before.trim_end(), text.trim_end());
    std::fs::write(path, format!("{before}{gap}{text}\n{after}"))
}

/// What stands before the part of the results under this heading, the part, and what follows it: the next part
/// begins with the next heading of the same rank.
pub(crate) fn parts<'a>(all: &'a str, heading: &str) -> (&'a str, &'a str, &'a str) {
    let rank = heading.split(' ').next().unwrap_or_default();
    let is_heading = |(at, _): &(usize, &str)| {
        (*at == 0 || all[..*at].ends_with('\n')) && all[*at..].lines().next() == Some(heading)
    };
    let begin = all.match_indices(heading).find(is_heading);
    let (before, rest) = all.split_at(begin.map_or(all.len(), |(at, _)| at));
    let next = rest.find(&format!("\n{rank} "));
    let (own, after) = rest.split_at(next.unwrap_or(rest.len()));
    (before, own, after)
}

/// Puts new text in place of some of a part's sections, which have headings of the second rank; the others stay.
pub(crate) fn with_sections(part: &str, sections: &[(String, String)]) -> String {
    let first = part.find("\n## ").map_or("", |at| &part[at + 1..]);
    let mut all = first.trim_end().to_owned();
    for (heading, text) in sections {
        let (before, _, after) = parts(&all, heading);
        let gap = if before.trim().is_empty() { "" } else { "\n\n" };
        let (before, text) = (before.trim_end(), text.trim_end());
        all = format!("{before}{gap}{heading}\n\n{text}\n{after}")
            .trim_end()
            .to_owned();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_parts_of_the_results_stay() {
        let heading = "# Mine, and more";
        let old = format!("# Results\na\n{heading}\nold\n## Why\nw\n# Other\nb\n");
        let (before, own, after) = parts(&old, heading);
        assert_eq!((before, after), ("# Results\na\n", "\n# Other\nb\n"));
        assert!(own.starts_with(heading) && own.ends_with("w"));
        assert_eq!(parts("x", heading), ("x", "", ""));
    }

    #[test]
    fn a_heading_is_a_whole_line() {
        let all = "## Latency\nx\n# Latency, old\n# Latency\nb\n";
        assert_eq!(parts(all, "# Latency").1, "# Latency\nb\n");
    }

    #[test]
    fn a_section_that_is_measured_anew_leaves_the_others() {
        let part = "# Part\nwords\n\n## One\n\n1\n\n## Two\n\n2\n\n## Three\n\n3\n";
        let new = [
            ("## Two".to_owned(), "II".to_owned()),
            ("## Four".to_owned(), "IV".to_owned()),
        ];
        let text = with_sections(part, &new);
        assert_eq!(
            text,
            "## One\n\n1\n\n## Two\n\nII\n\n## Three\n\n3\n\n## Four\n\nIV"
        );
    }
}
