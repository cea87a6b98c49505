//! `transom explain --browse`: the list, the diagrams and the details on a terminal.
//!
//! [`read`] reads captures beside the screen, [`events`] brings keys, signals and news together,
//! [`app`] is what is shown and [`keys`] what keys do to it, [`view`] draws it, and [`screen`] is the
//! terminal, which is given back whatever happens.

mod app;
mod details;
mod events;
mod keys;
mod list;
mod pager;
mod paint;
mod prompt;
mod read;
mod screen;
#[cfg(test)]
mod tests;
mod view;

use std::fs;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver, Sender};

use ratatui::crossterm::event::Event as Input;

use self::app::{App, Effect};
use self::events::Event;
use self::read::{Reading, Wanted};
use self::screen::Screen;
use crate::cmd::explain::args::ExplainArgs;
use crate::cmd::explain::gather::Chosen;
use crate::cmd::explain::source::{self, Break, Sources};
use crate::failure::Failure;
use crate::terminal;

/// What the one at the terminal leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Where captures could not be read on.
    pub(crate) breaks: Vec<Break>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

/// Shows connections on the terminal until somebody has seen enough.
pub(crate) fn browse(args: &ExplainArgs, chosen: Chosen) -> Result<Seen, Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::new(
            "--browse needs a terminal, and standard output is none; leave --browse out for a report",
        ));
    }
    // A name that is wrong is told before the screen is taken; a pipe can be opened only once.
    let can_read_again = args.files.iter().all(|path| is_file(path));
    if can_read_again {
        Sources::open(&args.files)?;
    }
    let options = terminal::options(Some(&io::stdout()), args.color).fold(!args.unfold);
    let options = if args.ascii {
        options.ascii(true)
    } else {
        options
    };
    let mut name = args
        .files
        .first()
        .map_or_else(String::new, |path| named(path));
    if args.files.len() > 1 {
        name.push_str(&format!(" and {} more", args.files.len() - 1));
    }
    let app = App::new(
        options,
        &name,
        can_read_again,
        chosen.streams.clone(),
        args.filter.clone().unwrap_or_default(),
    );
    let (to, from) = mpsc::channel();
    events::signals(to.clone())?;
    let screen =
        Screen::enter().map_err(|error| Failure::doing("take the terminal over", error))?;
    events::inputs(to.clone());
    let mut browser = Browser {
        app,
        screen,
        args,
        to,
        reading: None,
        readings: 0,
    };
    browser.read(Wanted::Many(chosen));
    browser.run(&from)
}

/// A capture's name without its folder, which would take the room of everything else.
fn named(path: &std::path::Path) -> String {
    match path.file_name() {
        Some(name) if !source::is_stdin(path) => name.to_string_lossy().into_owned(),
        _ => source::named(path),
    }
}

fn is_file(path: &std::path::Path) -> bool {
    !source::is_stdin(path) && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Everything that runs while the terminal is ours.
struct Browser<'a> {
    app: App,
    screen: Screen,
    args: &'a ExplainArgs,
    to: Sender<Event>,
    reading: Option<Reading>,
    readings: u64,
}

impl Browser<'_> {
    fn read(&mut self, wanted: Wanted) {
        self.readings += 1;
        // The one before ends here.
        self.reading = Some(Reading::start(
            self.readings,
            self.args.files.clone(),
            wanted,
            self.to.clone(),
        ));
    }

    fn run(mut self, from: &Receiver<Event>) -> Result<Seen, Failure> {
        let mut seen = Seen::default();
        loop {
            let drawn = self.screen.draw(|frame| self.app.draw(frame));
            drawn.map_err(|error| Failure::doing("draw on the terminal", error))?;
            let Ok(first) = from.recv() else { break };
            // What has happened meanwhile is drawn at once.
            for event in std::iter::once(first).chain(from.try_iter()) {
                let effect = match event {
                    Event::Signal(signal @ (libc::SIGTSTP | libc::SIGCONT)) => {
                        self.job_control(signal)?;
                        Effect::Nothing
                    }
                    Event::Signal(signal) => {
                        seen.signal = Some(signal);
                        Effect::Leave
                    }
                    other => self.event(other)?,
                };
                if self.carry_out(effect)? {
                    if let Some(explained) = self.app.explained.take() {
                        seen.breaks = explained.capture.breaks;
                    }
                    return Ok(seen);
                }
            }
        }
        Ok(seen)
    }

    fn event(&mut self, event: Event) -> Result<Effect, Failure> {
        Ok(match event {
            Event::Input(Input::Key(key)) => self.app.key(key),
            Event::Input(Input::Mouse(mouse)) => self.app.mouse(mouse),
            // A new size is seen when it is drawn.
            Event::Input(_) | Event::Signal(_) => Effect::Nothing,
            Event::InputEnded(error) => return Err(Failure::doing("read the terminal", error)),
            Event::News(id, news) => {
                if self
                    .reading
                    .as_ref()
                    .is_some_and(|reading| reading.id == id)
                {
                    self.app.news(news)?;
                }
                Effect::Nothing
            }
        })
    }

    fn job_control(&mut self, signal: i32) -> Result<(), Failure> {
        let done = match signal {
            libc::SIGTSTP => self.screen.suspend(),
            _ => self.screen.resume(),
        };
        done.map_err(|error| Failure::doing("take the terminal over again", error))
    }

    /// Does what is to be done; whether that is to leave.
    fn carry_out(&mut self, effect: Effect) -> Result<bool, Failure> {
        match effect {
            Effect::Nothing => {}
            Effect::Read(wanted) => self.read(wanted),
            Effect::Cancel => self.reading = None,
            Effect::Redraw => {
                let forgotten = self.screen.forget();
                forgotten.map_err(|error| Failure::doing("draw on the terminal", error))?;
            }
            Effect::Suspend => self.job_control(libc::SIGTSTP)?,
            Effect::Leave => return Ok(true),
        }
        Ok(false)
    }
}
