//! A part of the results: what was measured, printed or written into the file of all results.

use std::io;

use crate::comparison::{Row, Section};
use crate::{has, number, option, plot, show, table};

/// Rounds of which the median is taken, where nothing else is said.
const ROUNDS: u64 = 5;

/// Options that every part has.
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// Only configurations whose name has this in it.
    only: String,
    /// Only sections whose title has this in it.
    section: String,
    /// Into the file.
    write: bool,
}

impl Options {
    pub(crate) fn of(arguments: &[String]) -> io::Result<Self> {
        let options = Self {
            rounds: usize::try_from(number(arguments, "--rounds", ROUNDS)?)
                .map_err(io::Error::other)?,
            only: option(arguments, "--only").unwrap_or_default(),
            section: option(arguments, "--section").unwrap_or_default(),
            write: has(arguments, "--write"),
        };
        if options.write && !options.only.is_empty() {
            return Err(io::Error::other(
                "--only leaves out rows: that is not a table to --write (--section chooses tables)",
            ));
        }
        Ok(options)
    }

    /// Whether the section is to be measured.
    pub(crate) fn wants(&self, title: &str) -> bool {
        title.contains(&self.section)
    }

    /// Whether the configuration is to be measured.
    pub(crate) fn wants_row(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// A row for each configuration that is to be measured.
    pub(crate) fn chosen<N: AsRef<str>, C>(
        &self,
        configurations: impl IntoIterator<Item = (N, C)>,
    ) -> Vec<(Row, C)> {
        configurations
            .into_iter()
            .filter(|(name, _)| self.wants_row(name.as_ref()))
            .map(|(name, configuration)| (Row::new(name.as_ref()), configuration))
            .collect()
    }

    /// Prints the sections, and writes them if that is wanted: those of the part that were not measured stay.
    ///
    /// `about` says how it was measured, beyond what is the same for all parts.
    pub(crate) fn finish(&self, part: &Part, sections: &[Section]) -> io::Result<()> {
        for section in sections {
            show(&format!("## {}\n\n{}", section.title, section.markdown()));
        }
        if self.write {
            part.write(self.rounds, sections)?;
        }
        Ok(())
    }
}

/// A part of the file of results, which one command measures.
pub(crate) struct Part {
    /// Its first line.
    pub(crate) heading: &'static str,
    /// The command that measures it.
    pub(crate) command: &'static str,
    /// How it is measured.
    pub(crate) about: &'static str,
}

impl Part {
    fn write(&self, rounds: usize, sections: &[Section]) -> io::Result<()> {
        let path = table::results();
        let old = std::fs::read_to_string(&path)?;
        let measured = sections.iter().map(|section| {
            let picture = plot::draw(section)?;
            let text = format!(
                "{}\n{} rounds, load of the machine at the end: {}.\n\n![{}]({})\n",
                section.markdown(),
                rounds,
                table::load()?,
                section.title,
                picture.display(),
            );
            Ok((format!("## {}", section.title), text))
        });
        let measured = measured.collect::<io::Result<Vec<_>>>()?;
        let sections = table::with_sections(table::parts(&old, self.heading).1, &measured);
        let text = format!(
            "{}\n\nMade by `cargo run --release -p bench -- {}`. {}\n\n{sections}\n",
            self.heading, self.command, self.about,
        );
        table::replace(&path, self.heading, &text)
    }
}
