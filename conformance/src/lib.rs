//! The requirements of `docs/rfc/*.toml` held against the sources.
//!
//! A requirement is **done** when at least one test carries its id in its name, **waived** when
//! the file gives a reason, **todo** otherwise. The id in a test's name is written in lower case
//! with underscores behind `req_`: `MUST-40` is verified by `req_must_40_delayed_ack_…`. A test
//! that verifies several names them all, joined by `_and_`:
//! `req_must_13_and_tw_14_time_wait_lasts_two_msl`.
//!
//! Citations in code have the form `RFC 9293 §3.8.6.3 MUST-40: …`; an id that is cited but unknown
//! is an error, so that a misspelt citation cannot pass for one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What is known of one requirement's place in the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A test with the id in its name shows it.
    Done,
    /// Deliberately not implemented; the reason stands beside it.
    Waived,
    /// Not shown by a test yet.
    Todo,
}

/// One row of `docs/rfc/*.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The short identifier, for instance `MUST-40` or `EV-T-11`.
    pub id: String,
    /// RFC and section, or the topic that groups the row.
    pub source: String,
    /// `must`, `should`, `may`, `own` (a rule of ours), `linux` (a deviation that is copied), `draft`.
    pub level: String,
    /// 0 is needed first, 2 is optional.
    pub priority: u8,
    /// The requirement in our own words.
    pub text: String,
    /// Done, waived or todo.
    pub status: Status,
    /// Why it is waived; only with [`Status::Waived`].
    pub reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    requirement: Vec<Requirement>,
}

/// A file that could not be read or parsed.
#[derive(Debug)]
pub struct Unreadable {
    path: PathBuf,
    why: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

impl std::error::Error for Unreadable {}

fn read(path: &Path) -> Result<String, Unreadable> {
    std::fs::read_to_string(path).map_err(|why| Unreadable {
        path: path.to_owned(),
        why: why.to_string(),
    })
}

/// The workspace's root folder.
#[must_use]
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// All requirements, by file name and in the order of the files.
///
/// # Errors
/// A file that cannot be read, or that is not of the form described above.
pub fn requirements(root: &Path) -> Result<BTreeMap<String, Vec<Requirement>>, Unreadable> {
    let mut files = BTreeMap::new();
    for path in files_under(&root.join("docs/rfc"), "toml") {
        let file: File = toml::from_str(&read(&path)?).map_err(|why| Unreadable {
            path: path.clone(),
            why: why.to_string(),
        })?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        files.insert(name, file.requirement);
    }
    Ok(files)
}

/// Every file with the extension below a folder, sorted; build output is left out.
#[must_use]
pub fn files_under(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// `EV-T-11` as it stands in a test's name: `ev_t_11`.
#[must_use]
pub fn slug(id: &str) -> String {
    id.to_lowercase().replace('-', "_")
}

/// What the sources say of the requirements.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Requirement id → names of the tests that verify it.
    pub tests: BTreeMap<String, BTreeSet<String>>,
    /// Tests whose name begins with `req_` and names no known requirement.
    pub nameless: BTreeSet<String>,
    /// Requirement id → number of citations in code.
    pub citations: BTreeMap<String, usize>,
    /// Citations of ids that do not exist, with file and line.
    pub unknown: Vec<String>,
}

/// Reads every Rust file of the workspace for tests and citations.
///
/// # Errors
/// A source file that cannot be read.
pub fn evidence(root: &Path, ids: &BTreeSet<String>) -> Result<Evidence, Unreadable> {
    let slugs: BTreeMap<String, String> = ids.iter().map(|id| (slug(id), id.clone())).collect();
    let families: BTreeSet<&str> = ids
        .iter()
        .filter_map(|id| id.rsplit_once('-').map(|(family, _)| family))
        .collect();
    let mut evidence = Evidence::default();
    for folder in ["crates", "fuzz", "bench"] {
        for path in files_under(&root.join(folder), "rs") {
            for (number, line) in read(&path)?.lines().enumerate() {
                note_test(line, &slugs, &mut evidence);
                for word in cited(line, &families) {
                    if ids.contains(word) {
                        *evidence.citations.entry(word.to_owned()).or_default() += 1;
                    } else {
                        let place = path.strip_prefix(root).unwrap_or(&path);
                        evidence.unknown.push(format!(
                            "{}:{}: {word}",
                            place.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    Ok(evidence)
}

fn note_test(line: &str, slugs: &BTreeMap<String, String>, evidence: &mut Evidence) {
    let Some(start) = line.find("req_") else {
        return;
    };
    let before = line.get(..start).unwrap_or_default();
    if !(before.trim_end().ends_with("fn")
        || before.trim_end().ends_with('!')
        || before.trim().is_empty())
    {
        return;
    }
    let name: String = line
        .get(start..)
        .unwrap_or_default()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    let ids = ids_of_test(&name, slugs);
    if ids.is_empty() {
        evidence.nameless.insert(name);
    } else {
        for id in ids {
            evidence.tests.entry(id).or_default().insert(name.clone());
        }
    }
}

/// The requirements that a test's name claims.
fn ids_of_test(name: &str, slugs: &BTreeMap<String, String>) -> Vec<String> {
    let mut rest = name.trim_start_matches("req_");
    let mut ids = Vec::new();
    loop {
        // `tw_1` is a prefix of `tw_14`: only a whole slug counts.
        let best = slugs.iter().filter_map(|(slug, id)| {
            let after = rest.strip_prefix(slug.as_str())?;
            (after.is_empty() || after.starts_with('_')).then_some((after, id))
        });
        let Some((after, id)) = best.min_by_key(|(after, _)| after.len()) else {
            return ids;
        };
        ids.push(id.clone());
        let Some(next) = after.strip_prefix("_and_") else {
            return ids;
        };
        rest = next;
    }
}

/// The words of a comment that look like requirement ids of a known family.
fn cited<'a>(line: &'a str, families: &BTreeSet<&str>) -> Vec<&'a str> {
    let Some(comment) = line.find("//").and_then(|start| line.get(start..)) else {
        return Vec::new();
    };
    comment
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| {
            word.rsplit_once('-').is_some_and(|(family, number)| {
                families.contains(family)
                    && !number.is_empty()
                    && number.chars().all(|c| c.is_ascii_digit())
            })
        })
        // RFC names such as IPv6 or rare words never match a family; state names do not end in digits.
        .collect()
}
