//! The terminal while it is ours: entered, left, and left in any case.

use std::io::{self, BufWriter, Stdout};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

use crate::sys;

/// The terminal in raw mode, with a screen of its own. Dropping it gives everything back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(io::stdout())))?;
        // Made before the modes are changed, so that a failure on the way is undone, too.
        let screen = Self { terminal };
        up()?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }

    /// Draws everything anew the next time.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // Not Terminal::clear(): that asks the terminal where its cursor is, and another thread reads
        // what the terminal says.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Gives the terminal back, stops as Ctrl-Z does, and takes it again when we are continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        down();
        sys::stop_by(libc::SIGTSTP);
        up()?;
        self.forget()
    }

    /// Takes the terminal again: whoever had it meanwhile may have changed its modes.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        // Raw mode that is believed to be on would not be set again, and a screen of our own that is
        // entered twice would forget where the cursor was.
        down();
        up()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        down();
    }
}

fn up() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture)
}

fn down() {
    // A terminal that is gone cannot be given back.
    let _ = execute!(
        io::stdout(),
        DisableMouseCapture,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}
