//! The manual says what the program does.

use transom_flow::filter::{FIELDS, Filter};

const MANUAL: &str = include_str!("../../../../docs/EXPLAIN.md");

#[test]
fn every_field_is_in_the_manual() {
    for field in FIELDS {
        let row = format!("| `{}` | ", field.name);
        let line = MANUAL.lines().find(|line| line.starts_with(&row));
        assert!(
            line.is_some_and(|line| line.ends_with(&format!("| {} |", field.about))),
            "{}: {}",
            field.name,
            field.about
        );
    }
}

#[test]
fn filters_in_the_manual_are_understood() {
    let mut filters = 0;
    for line in MANUAL.lines().filter(|line| line.starts_with("$ transom")) {
        let Some((_, rest)) = line.split_once("-f '") else {
            continue;
        };
        let (filter, _) = rest.split_once('\'').unwrap();
        Filter::parse(filter).unwrap_or_else(|error| panic!("{}", error.explain(filter)));
        filters += 1;
    }
    assert!(filters >= 6, "{filters}");
}
