//! Every finding has a capture that produces it, and nothing but what belongs to it.
//!
//! A case is a conversation as in `scene`, the identifiers of what is said of its last connection (the
//! ending first), and words that must be among what is said. `open` stands for a handshake that takes
//! 10 ms; times count from its SYN.

#![expect(clippy::unwrap_used, reason = "a broken test ends here")]

#[path = "../engine/mod.rs"]
mod engine;
#[path = "../scene/mod.rs"]
mod scene;

use scene::play;
use std::collections::BTreeSet;
use transom_flow::verdict::{CATALOGUE, Kind};
use transom_flow::{Summary, Weight};

/// A conversation and what is to be said of it.
pub(crate) struct Case {
    pub(crate) ids: &'static str,
    pub(crate) says: &'static [&'static str],
    pub(crate) script: &'static str,
}

impl Case {
    #[track_caller]
    pub(crate) fn check(&self) {
        let script = self.script.replace("open", "0 > S\n10 < SA\n10.1 > A\n");
        let scene = play(&script);
        let connection = scene.last_connection();
        let verdict = connection.verdict();
        assert_eq!(Weight::of(connection), Summary::from(connection).weight);
        let mut ids = vec![verdict.ending.id];
        let mut texts = vec![verdict.ending.text.as_str()];
        for finding in &verdict.findings {
            ids.push(finding.id);
            texts.push(&finding.text);
        }
        let all = texts.join("\n");
        assert_eq!(
            ids.join(" "),
            self.ids,
            "\n{all}\n{}\n",
            scene::story(connection)
        );
        for words in self.says {
            assert!(all.contains(words), "{words:?} is not in\n{all}\n");
        }
        for text in texts {
            assert!(text.ends_with('.'), "{text}");
            let first = text.chars().next();
            assert!(first.is_some_and(|c| !c.is_lowercase()), "{text}");
        }
    }
}

macro_rules! cases {
    ($($name:ident: $ids:literal, [$($says:literal),* $(,)?], $script:literal;)*) => {
        pub(crate) const CASES: &[crate::Case] = &[$(crate::Case {
            ids: $ids,
            says: &[$($says),*],
            script: $script,
        }),*];
        $(
            #[test]
            fn $name() {
                crate::Case {
                    ids: $ids,
                    says: &[$($says),*],
                    script: $script,
                }
                .check();
            }
        )*
    };
}

mod clean;
mod endings;
mod engines;
mod openings;
mod overview;
mod resets;
mod transfers;
mod trouble;

#[test]
fn every_finding_of_the_catalogue_has_a_capture_that_produces_it() {
    let cases = [
        clean::CASES,
        endings::CASES,
        openings::CASES,
        resets::CASES,
        transfers::CASES,
        trouble::CASES,
    ];
    let mut shown: BTreeSet<&str> = cases
        .into_iter()
        .flatten()
        .flat_map(|case| case.ids.split(' '))
        .collect();
    shown.extend(overview::SHOWN);
    let missing: Vec<&str> = CATALOGUE
        .iter()
        .map(|known| known.id)
        .filter(|id| !shown.contains(id))
        .collect();
    assert!(missing.is_empty(), "no capture shows {missing:?}");
    let known: BTreeSet<&str> = CATALOGUE.iter().map(|known| known.id).collect();
    let unknown: Vec<&&str> = shown.difference(&known).collect();
    assert!(unknown.is_empty(), "not in the catalogue: {unknown:?}");
}

#[test]
fn the_catalogue_is_in_order() {
    let ids: BTreeSet<&str> = CATALOGUE.iter().map(|known| known.id).collect();
    assert_eq!(ids.len(), CATALOGUE.len(), "an identifier occurs twice");
    assert!(CATALOGUE.is_sorted_by_key(|known| match known.kind {
        Kind::Ending => 0,
        Kind::Remark => 1,
        Kind::Capture => 2,
    }));
    for known in CATALOGUE {
        assert!(known.means.ends_with('.'), "{}", known.id);
        assert!(
            known.advice.is_empty() || known.advice.ends_with(['.', '?']),
            "{}",
            known.id
        );
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
        assert!(known.id.chars().all(is_plain), "{}", known.id);
    }
}

/// Where the list of all findings is, in words.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FINDINGS.md");

/// `TRANSOM_WRITE_FINDINGS=1 cargo test -p transom-flow --test findings document` writes it anew.
#[test]
fn the_document_says_what_the_catalogue_says() {
    let told = transom_flow::verdict::document();
    if std::env::var_os("TRANSOM_WRITE_FINDINGS").is_some() {
        std::fs::write(DOCUMENT, &told).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap();
    assert!(
        written == told,
        "docs/FINDINGS.md is not what the catalogue says"
    );
}
