//! What is on the screen, and what keys do to it. Knows no terminal and no files: keys and news go in,
//! what is to be done comes out.

use std::collections::HashMap;

use ratatui::layout::Rect;
use transom_draw::text::{Options, Scale, diagram_lines};
use transom_flow::filter::Filter;
use transom_flow::{Connection, Entry};

use super::details;
use super::list::Listing;
use super::pager::{Needle, Pager};
use super::paint::Palette;
use super::prompt::{Prompt, Purpose};
use super::read::{News, Wanted};
use crate::cmd::explain::gather::Chosen;
use crate::cmd::explain::model::Explained;
use crate::failure::Failure;

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    List,
    Diagram,
    Details,
    /// The captures as such.
    Capture,
    Help,
}

/// What is to be done for the one at the keys.
#[derive(Debug)]
pub(super) enum Effect {
    Nothing,
    /// Read captures; what was being read is unwanted now.
    Read(Wanted),
    /// Nothing that is being read is wanted any more.
    Cancel,
    /// Draw everything anew.
    Redraw,
    Suspend,
    Leave,
}

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// Everything.
    Many,
    /// A connection, to be shown on this page.
    One(u64, Page),
}

/// How far a reading is: frames, and bytes of how many.
pub(super) type Progress = (u64, (u64, Option<u64>));

/// What the drawings that are kept depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Drawn {
    number: u64,
    is_close: bool,
    options: Options,
}

/// Columns beyond which diagrams are hard to follow.
const WIDEST: usize = 132;

/// Everything that is shown, and where the one who looks is.
#[derive(Debug)]
pub(super) struct App {
    pub(super) palette: Palette,
    /// How to draw; the width is the screen's.
    pub(super) options: Options,
    /// How the captures are called.
    pub(super) name: String,
    can_read_again: bool,
    streams: Vec<u64>,
    pub(super) filter: String,
    /// The filter whose connections are being read.
    next_filter: String,
    /// All but the connections, which are taken out of it.
    pub(super) explained: Option<Explained>,
    pub(super) listing: Listing,
    whole: HashMap<u64, Connection>,
    /// The connection that was read for itself.
    close: Option<Box<Connection>>,
    pub(super) page: Page,
    /// Where the help and the like lead back to.
    pub(super) behind: Page,
    pub(super) diagram: Pager,
    pub(super) details: Pager,
    pub(super) other: Pager,
    drawn: Option<Drawn>,
    drawn_other: Option<(Page, usize)>,
    pub(super) prompt: Option<Prompt>,
    pub(super) needle: Option<Needle>,
    pub(super) message: Option<String>,
    pub(super) busy: Option<Busy>,
    pub(super) progress: Option<Progress>,
    /// Where the list or the text is on the screen.
    pub(super) body: Rect,
}

impl App {
    /// Before anything was read; that everything is being read is taken for granted.
    pub(super) fn new(
        options: Options,
        name: &str,
        can_read_again: bool,
        streams: Vec<u64>,
        filter: String,
    ) -> Self {
        Self {
            palette: Palette::new(options.color),
            options: options.color(false).frames(true),
            name: transom_draw::text::escaped(name, !options.unicode).into_owned(),
            can_read_again,
            streams,
            next_filter: filter.clone(),
            filter,
            explained: None,
            listing: Listing::new(Vec::new()),
            whole: HashMap::new(),
            close: None,
            page: Page::List,
            behind: Page::List,
            diagram: Pager::default(),
            details: Pager::default(),
            other: Pager::default(),
            drawn: None,
            drawn_other: None,
            prompt: None,
            needle: None,
            message: None,
            busy: Some(Busy::Many),
            progress: None,
            body: Rect::ZERO,
        }
    }

    /// Takes what a reading tells. A failure of the first leaves nothing to show.
    pub(super) fn news(&mut self, news: News) -> Result<(), Failure> {
        let explained = match news {
            News::Progress(frames, read) => {
                self.progress = Some((frames, read));
                return Ok(());
            }
            News::Done(explained) => explained,
        };
        self.progress = None;
        let busy = self.busy.take();
        let explained = match explained {
            Ok(explained) => *explained,
            Err(failure) if self.explained.is_none() => return Err(failure),
            Err(failure) => {
                self.message = Some(failure.message);
                return Ok(());
            }
        };
        match busy {
            Some(Busy::Many) => self.take(explained),
            Some(Busy::One(number, page)) => self.take_one(explained, number, page),
            None => {}
        }
        Ok(())
    }

    fn take(&mut self, mut explained: Explained) {
        let is_first = self.explained.is_none();
        self.filter.clone_from(&self.next_filter);
        self.listing.replace(std::mem::take(&mut explained.listed));
        self.whole = explained
            .whole
            .drain(..)
            .map(|connection| (connection.number(), connection))
            .collect();
        self.close = None;
        self.drawn = None;
        self.drawn_other = None;
        let more = explained
            .counts
            .chosen
            .saturating_sub(self.listing.len() as u64);
        if more > 0 {
            let listed = self.listing.len();
            self.message = Some(format!("the worst {listed} are listed, {more} are not"));
        }
        self.explained = Some(explained);
        // Who asked for one connection wants to see it.
        if is_first && self.listing.len() == 1 {
            self.page = Page::Diagram;
        }
    }

    fn take_one(&mut self, mut explained: Explained, number: u64, page: Page) {
        match explained.whole.pop() {
            Some(connection) if connection.number() == number => {
                self.close = Some(Box::new(connection));
                self.page = page;
                self.drawn = None;
            }
            _ => self.message = Some("the capture has changed; read it anew with f, Enter".into()),
        }
    }

    /// The chosen connection, where it is kept.
    fn connection(&self) -> Option<&Connection> {
        let number = self.listing.chosen()?.number;
        let close = self.close.as_ref();
        let close = close.filter(|connection| connection.number() == number);
        close
            .map(|connection| &**connection)
            .or_else(|| self.whole.get(&number))
    }

    fn is_close(&self, number: u64) -> bool {
        let close = self.close.as_ref();
        close.is_some_and(|connection| connection.number() == number)
    }

    /// Shows the chosen connection.
    pub(super) fn open(&mut self, page: Page) -> Effect {
        if self.connection().is_some() {
            self.page = page;
            // One that has to be unfolded may need more than is kept.
            return self.look_closely();
        }
        let Some(number) = self.listing.chosen().map(|chosen| chosen.number) else {
            return Effect::Nothing;
        };
        self.read_one(number, page)
    }

    fn read_one(&mut self, number: u64, page: Page) -> Effect {
        if !self.can_read_again {
            self.message = Some(
                "not kept, and standard input can be read only once; save it to a file".into(),
            );
            return Effect::Nothing;
        }
        let of = self.explained.as_ref().map(|e| e.counts.connections);
        self.busy = Some(Busy::One(number, page));
        Effect::Read(Wanted::One {
            number,
            of: of.unwrap_or(1),
        })
    }

    /// Reads the shown connection for itself, if that shows more steps.
    fn look_closely(&mut self) -> Effect {
        let Some(connection) = self.connection() else {
            return Effect::Nothing;
        };
        let number = connection.number();
        let lacks = !self.options.fold
            && self.page == Page::Diagram
            && !self.is_close(number)
            && connection.entries().any(|e| matches!(e, Entry::Fold(_)));
        if lacks && self.can_read_again {
            return self.read_one(number, self.page);
        }
        Effect::Nothing
    }

    pub(super) fn toggle_fold(&mut self) -> Effect {
        self.options.fold = !self.options.fold;
        self.look_closely()
    }

    pub(super) fn toggle_scale(&mut self) {
        self.options.scale = match self.options.scale {
            Scale::Compressed => Scale::Linear,
            Scale::Linear => Scale::Compressed,
        };
    }

    /// Begins to type something.
    pub(super) fn ask(&mut self, purpose: Purpose) {
        let text = match purpose {
            Purpose::Search => "",
            Purpose::Filter => &self.filter,
        };
        self.prompt = Some(Prompt::new(purpose, text));
    }

    /// Does what a complete line is for.
    pub(super) fn entered(&mut self, prompt: &Prompt) -> Effect {
        let text = prompt.text();
        match prompt.purpose {
            Purpose::Search => {
                if !text.is_empty() {
                    self.needle = Some(Needle::new(&text));
                }
                self.search(false);
                Effect::Nothing
            }
            Purpose::Filter => self.refilter(text.trim()),
        }
    }

    fn refilter(&mut self, text: &str) -> Effect {
        if !self.can_read_again {
            self.message =
                Some("standard input can be read only once; filter it with -f".to_owned());
            return Effect::Nothing;
        }
        let filter = if text.is_empty() {
            None
        } else {
            match Filter::parse(text) {
                Ok(filter) => Some(filter),
                Err(error) => {
                    self.message = Some(error.to_string());
                    return Effect::Nothing;
                }
            }
        };
        text.clone_into(&mut self.next_filter);
        self.page = Page::List;
        self.busy = Some(Busy::Many);
        Effect::Read(Wanted::Many(Chosen {
            filter,
            streams: self.streams.clone(),
        }))
    }

    pub(super) fn search(&mut self, backwards: bool) {
        let Some(needle) = &self.needle else {
            self.message = Some("nothing was searched for yet".to_owned());
            return;
        };
        let is_found = match self.page {
            Page::List => self.listing.search(needle, backwards),
            Page::Diagram => self.diagram.search(needle, backwards),
            Page::Details => self.details.search(needle, backwards),
            Page::Capture | Page::Help => self.other.search(needle, backwards),
        };
        if !is_found {
            let way = if backwards { "above" } else { "below" };
            let text = transom_draw::text::escaped(&needle.text, !self.options.unicode);
            self.message = Some(format!("no further «{text}» {way}"));
        }
    }

    /// The text on the screen, if it is one.
    pub(super) const fn pager(&mut self) -> Option<&mut Pager> {
        match self.page {
            Page::List => None,
            Page::Diagram => Some(&mut self.diagram),
            Page::Details => Some(&mut self.details),
            Page::Capture | Page::Help => Some(&mut self.other),
        }
    }

    /// Draws the texts of the page anew, where something changed that they depend on.
    pub(super) fn refresh(&mut self, width: usize) {
        let mut options = self.options;
        options.width = width.min(WIDEST);
        match self.page {
            Page::List => {}
            Page::Diagram | Page::Details => self.refresh_connection(&options),
            Page::Help | Page::Capture => {
                let wanted = Some((self.page, width));
                if self.drawn_other == wanted {
                    return;
                }
                let lines = match &self.explained {
                    Some(explained) if self.page == Page::Capture => {
                        details::capture(explained, &options)
                    }
                    _ => details::help(&options),
                };
                let is_same = self.drawn_other.is_some_and(|(page, _)| page == self.page);
                if is_same {
                    self.other.replace(lines);
                } else {
                    self.other = Pager::new(lines);
                }
                self.drawn_other = wanted;
            }
        }
    }

    fn refresh_connection(&mut self, options: &Options) {
        let Some(connection) = self.connection() else {
            return;
        };
        let number = connection.number();
        let wanted = Drawn {
            number,
            is_close: self.is_close(number),
            options: *options,
        };
        if self.drawn == Some(wanted) {
            return;
        }
        let first = self.explained.as_ref().and_then(|e| e.capture.first);
        let diagram = diagram_lines(connection, options);
        let details = details::details(connection, first, options);
        if self.drawn.is_some_and(|drawn| drawn.number == number) {
            self.diagram.replace(diagram);
            self.details.replace(details);
        } else {
            self.diagram = Pager::new(diagram);
            self.details = Pager::new(details);
        }
        self.drawn = Some(wanted);
    }
}
