//! A document written one connection at a time, so that it never has to be in memory as a whole.

use super::{Capture, Detail, FORMAT, VERSION, detailed};
use serde::Serialize;
use std::io;

/// Writes a document: [`start`](Self::start), [`connection`](Self::connection) as often as there
/// are connections, [`finish`](Self::finish).
///
/// Each connection is on a line of its own. What was written before an error, or before `finish`,
/// is no whole document. Wrap what does not buffer in a [`BufWriter`](io::BufWriter).
///
/// ```
/// use transom_draw::json::{Capture, Detail, Stream};
///
/// let mut capture = Capture::default();
/// capture.frames = 12;
/// let mut stream = Stream::start(Vec::new())?;
/// for connection in transom_flow::Tracker::default().connections() {
///     stream.connection(connection, Detail::Steps)?;
/// }
/// let written = stream.finish(Some(&capture))?;
/// assert!(written.starts_with(br#"{"format":"transom.connections","version":1,"#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream<W> {
    out: W,
    written: u64,
}

impl<W: io::Write> Stream<W> {
    /// Starts a document.
    ///
    /// # Errors
    /// Those of `out`, as in the other methods.
    pub fn start(mut out: W) -> io::Result<Self> {
        write!(
            out,
            "{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\"connections\":["
        )?;
        Ok(Self { out, written: 0 })
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn connection(
        &mut self,
        connection: &transom_flow::Connection,
        detail: Detail,
    ) -> io::Result<()> {
        self.separate()?;
        self.value(&detailed(connection, detail))
    }

    /// Ends the document with what is to be said of the capture as a whole, and gives `out` back.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self, capture: Option<&Capture<'_>>) -> io::Result<W> {
        self.out.write_all(b"\n]")?;
        if let Some(capture) = capture {
            self.out.write_all(b",\"capture\":")?;
            self.value(&capture.view())?;
        }
        self.out.write_all(b"}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// How many connections were written.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    fn separate(&mut self) -> io::Result<()> {
        let separator: &[u8] = if self.written == 0 { b"\n" } else { b",\n" };
        self.written += 1;
        self.out.write_all(separator)
    }

    fn value(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)
    }
}
