//! The table of transitions, drawn. Changing it changes a snapshot that a reviewer sees.

use alloc::format;
use alloc::string::String;

use super::{State, TRANSITIONS};

fn dot() -> String {
    let mut text = String::from("digraph tcp {\n");
    for t in TRANSITIONS {
        text += &format!(
            "    \"{}\" -> \"{}\" [label=\"{}\"];\n",
            t.from, t.to, t.cause
        );
    }
    text + "}\n"
}

fn matrix() -> String {
    let mut text = format!("{:13}", "from \\ to");
    for to in State::ALL {
        text += &format!(" {to:12}");
    }
    text = String::from(text.trim_end()) + "\n";
    for from in State::ALL {
        let mut line = format!("{from:13}");
        for to in State::ALL {
            line += &format!(" {:12}", if from.may_become(to) { "x" } else { "." });
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[test]
fn the_diagram_is_the_one_that_was_reviewed() {
    assert_eq!(dot(), include_str!("transitions.dot"));
}

#[test]
fn the_matrix_is_the_one_that_was_reviewed() {
    assert_eq!(matrix(), include_str!("transitions.txt"));
}

#[test]
fn every_state_can_be_reached_and_left() {
    for state in State::ALL {
        assert!(
            TRANSITIONS.iter().any(|t| t.to == state),
            "{state} cannot be reached"
        );
        assert!(
            TRANSITIONS.iter().any(|t| t.from == state),
            "{state} cannot be left"
        );
    }
}

#[test]
fn names_are_spelt_as_in_the_rfc() {
    assert_eq!(format!("{}", State::FinWait1), "FIN-WAIT-1");
    assert_eq!(format!("{:>12}|", State::Closed), "      CLOSED|");
}
