//! A section as a picture: a bar for each median, a line from the lowest to the highest.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::comparison::Section;

const NAMES: f64 = 300.0;
const BARS: f64 = 380.0;
const VALUES: f64 = 70.0;
const LINE: f64 = 24.0;
const TOP: f64 = 46.0;

/// Draws a section into `bench/plots`; gives the path from `bench`.
pub(crate) fn draw(section: &Section) -> io::Result<PathBuf> {
    let path = Path::new("plots").join(format!("{}.svg", file_name(&section.title)));
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
    if let Some(folder) = absolute.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(absolute, svg(section))?;
    Ok(path)
}

/// Words in lower case, joined by hyphens.
fn file_name(title: &str) -> String {
    let words = title
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

fn svg(section: &Section) -> String {
    let bars: Vec<_> = section
        .rows
        .iter()
        .filter_map(|row| Some((row.name.as_str(), row.middle()?)))
        .collect();
    let greatest = bars.iter().map(|(_, bar)| bar.greatest).fold(0.0, f64::max);
    let scale = if greatest > 0.0 { BARS / greatest } else { 0.0 };
    let digits = section.figures.first().map_or(2, |figure| figure.1);
    let (width, height) = (NAMES + BARS + VALUES, TOP + LINE * bars.len() as f64 + 10.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"18\" font-weight=\"bold\">{}</text>\n\
         <text x=\"10\" y=\"34\" fill=\"#666\">{}; bar: median, line: lowest to highest</text>\n",
        escape(&section.title),
        escape(section.figures.first().map_or("", |figure| figure.0)),
    );
    for (at, (name, bar)) in bars.iter().enumerate() {
        let top = TOP + LINE * at as f64;
        let (middle, text) = (top + LINE / 2.0, top + LINE / 2.0 + 4.0);
        let colour = if name.starts_with("transom") {
            "#0b6e99"
        } else if Some(*name) == section.ceiling {
            "#bbb"
        } else {
            "#d9a066"
        };
        let [median, least, most] = [bar.median, bar.least, bar.greatest].map(|n| n * scale);
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{median:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
             <path d=\"M{:.1} {middle:.1}H{:.1}\" stroke=\"#222\"/>\
             <text x=\"{:.1}\" y=\"{text:.1}\">{:.digits$}</text>",
            NAMES - 8.0,
            escape(name),
            top + 3.0,
            LINE - 6.0,
            NAMES + least,
            NAMES + most,
            NAMES + most + 6.0,
            bar.median,
        );
    }
    out.push_str("</svg>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
