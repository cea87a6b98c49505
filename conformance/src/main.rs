//! Brings `docs/rfc/*.toml` up to date with the tests, and writes `docs/CONFORMANCE.md` from it.
//!
//! `cargo run -p transom-conformance` after adding or removing a `req_…` test; the test
//! `conformance/tests/rfc.rs` fails until this has been done.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;

use transom_conformance::{Evidence, Requirement, Status, evidence, requirements, root};

fn main() -> Result<(), Box<dyn Error>> {
    let root = root();
    let files = requirements(&root)?;
    let ids: BTreeSet<_> = files.values().flatten().map(|row| row.id.clone()).collect();
    let evidence = evidence(&root, &ids)?;
    for name in files.keys() {
        let path = root.join("docs/rfc").join(name);
        fs::write(&path, with_statuses(&fs::read_to_string(&path)?, &evidence))?;
    }
    let rows: Vec<_> = requirements(&root)?.into_values().flatten().collect();
    fs::write(root.join("docs/CONFORMANCE.md"), table(&rows, &evidence))?;
    Ok(())
}

/// The file with each `status` line set to what the tests show; waived rows stay as they are.
fn with_statuses(text: &str, evidence: &Evidence) -> String {
    let mut out = String::with_capacity(text.len());
    let mut id = String::new();
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("id = ") {
            id = found.trim_matches('"').to_owned();
        }
        let shown = match line {
            "status = \"done\"" | "status = \"todo\"" => {
                if evidence.tests.contains_key(&id) {
                    "status = \"done\""
                } else {
                    "status = \"todo\""
                }
            }
            other => other,
        };
        out.push_str(shown);
        out.push('\n');
    }
    out
}

fn table(rows: &[Requirement], evidence: &Evidence) -> String {
    let mut out = String::from(
        "# Conformance\n\nMade by `cargo run -p transom-conformance` from `docs/rfc/*.toml` and the tests' names. A requirement\n\
         is **done** when a test carries its id; **waived** rows give their reason; **todo** rows are open.\n\n\
         | priority | done | waived | todo |\n|---|---|---|---|\n",
    );
    for priority in 0..=2 {
        let count = |status| {
            rows.iter()
                .filter(|row| row.priority == priority && row.status == status)
                .count()
        };
        let (done, waived, todo) = (
            count(Status::Done),
            count(Status::Waived),
            count(Status::Todo),
        );
        let _ = writeln!(out, "| {priority} | {done} | {waived} | {todo} |");
    }
    out.push_str("\n| id | requirement | status | shown by |\n|---|---|---|---|\n");
    for row in rows {
        let (status, shown) = match row.status {
            Status::Done => {
                let tests = evidence.tests.get(&row.id);
                (
                    "done",
                    tests
                        .and_then(|tests| tests.first())
                        .map(|test| format!("`{test}`"))
                        .unwrap_or_default(),
                )
            }
            Status::Waived => ("waived", row.reason.clone().unwrap_or_default()),
            Status::Todo => ("todo", String::new()),
        };
        let text = row.text.replace('|', "\\|");
        let _ = writeln!(out, "| {} | {text} | {status} | {shown} |", row.id);
    }
    out
}
