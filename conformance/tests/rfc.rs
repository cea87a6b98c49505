//! The build fails when the list of requirements and the code disagree.

#![expect(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use std::collections::BTreeSet;

use transom_conformance::{Evidence, Requirement, Status, evidence, requirements, root};

fn all() -> (Vec<Requirement>, Evidence) {
    let root = root();
    let rows: Vec<_> = requirements(&root)
        .unwrap()
        .into_values()
        .flatten()
        .collect();
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id.clone()).collect();
    let evidence = evidence(&root, &ids).unwrap();
    (rows, evidence)
}

#[test]
fn every_requirement_stands_once() {
    let (rows, _) = all();
    let ids: BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands twice in docs/rfc");
    assert_eq!(
        rows.len(),
        834,
        "a requirement was lost or added: change this figure on purpose"
    );
}

#[test]
fn done_means_a_test_with_the_id_in_its_name() {
    let (rows, evidence) = all();
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| (row.status == Status::Done) != evidence.tests.contains_key(&row.id))
        .map(|row| format!("{} is marked {:?}", row.id, row.status))
        .collect();
    assert!(
        wrong.is_empty(),
        "done without a test, or todo or waived although a test exists:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn waived_means_a_reason() {
    let (rows, _) = all();
    for row in rows {
        let reasoned = row
            .reason
            .as_deref()
            .is_some_and(|reason| !reason.trim().is_empty());
        assert_eq!(
            row.status == Status::Waived,
            reasoned,
            "{}: waived and reason go together",
            row.id
        );
    }
}

#[test]
fn every_test_and_every_citation_names_a_known_requirement() {
    let (_, evidence) = all();
    assert!(
        evidence.nameless.is_empty(),
        "tests that claim an unknown id: {:?}",
        evidence.nameless
    );
    assert!(
        evidence.unknown.is_empty(),
        "citations of unknown ids:\n{}",
        evidence.unknown.join("\n")
    );
}
