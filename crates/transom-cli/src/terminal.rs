//! How wide, with which characters and in which colours to draw on a stream.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use transom_draw::text::Options;

use crate::args::ColorChoice;
use crate::failure::Failure;
use crate::sys;

/// Columns where there is no terminal to ask.
const WIDTH: usize = 80;
/// Columns beyond which lines are hard to follow.
const WIDEST: usize = 132;

/// The options for drawing on this stream, or for a file where there is none: a terminal's own width, or 80 columns;
/// on a terminal colour, unless `NO_COLOR` is set, and only ASCII if the locale has no UTF-8.
pub(crate) fn options<S: AsFd + IsTerminal>(stream: Option<&S>, color: ColorChoice) -> Options {
    let terminal = stream.filter(|stream| stream.is_terminal());
    let width = terminal.map_or(WIDTH, columns).min(WIDEST);
    Options::new(width)
        .ascii(terminal.is_some() && !is_utf8())
        .color(is_colored(terminal.is_some(), color))
}

/// How wide a terminal is.
pub(crate) fn columns(terminal: &impl AsFd) -> usize {
    sys::columns(terminal).unwrap_or(WIDTH)
}

/// Whether to use colours on a terminal, or where there is none.
pub(crate) fn is_colored(terminal: bool, color: ColorChoice) -> bool {
    match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // https://no-color.org
        ColorChoice::Auto => terminal && variable("NO_COLOR").is_none(),
    }
}

/// Whether the locale says that the terminal understands UTF-8; without a locale we trust it to.
fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(variable);
    locale.is_none_or(|name| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

/// A variable of the environment that is set to something.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// Writes to standard output. A reader that went away is no failure: it has seen what it wanted.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("write to standard output", error))
        }
        _ => Ok(()),
    }
}

/// Says something beside the output, on stderr; a closed stderr is nobody who wants to know.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "transom: {text}");
}

/// Words in lines of at most so many columns.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
