//! What is no capture, or only a part of one, and what else cannot be done.

use crate::capture::mixed;
use crate::{Place, command, refused, run};

#[test]
fn what_is_no_capture_is_refused_in_one_sentence() {
    let place = Place::new("none");
    let text = place.file("notes.txt", b"These are notes, not packets.\n");
    let errors = refused(&run(&text, &[]), 125);
    assert!(
        errors.contains("notes.txt: not a capture") && errors.contains("like text"),
        "{errors}"
    );
    let empty = place.file("empty.pcap", b"");
    let errors = refused(&run(&empty, &[]), 125);
    assert!(errors.contains("empty"), "{errors}");
    let errors = refused(&run(&place.path("missing.pcap"), &[]), 125);
    assert!(
        errors.contains("cannot read") && errors.contains("missing.pcap"),
        "{errors}"
    );
    let errors = refused(&run(&place.path(""), &[]), 125);
    assert!(errors.contains("is a directory"), "{errors}");
    let output = command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    // One of several is enough, and nothing is explained then.
    let good = place.file("good.pcapng", &mixed().pcapng());
    let output = command(&[]).arg(&good).arg(&text).output().unwrap();
    refused(&output, 125);
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_capture_that_is_cut_off_is_explained_up_to_there() {
    let place = Place::new("cut");
    let whole = mixed().pcap();
    // The last frame has an IP header, a TCP header with one option, and a header of its own.
    let last = whole.len() - 16 - 44;
    for (name, cut) in [("in-header", last + 7), ("in-packet", last + 30)] {
        let file = place.file(name, &whole[..cut]);
        let output = run(&file, &["--diagram", "none"]);
        assert_eq!(output.status.code(), Some(1));
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(report.contains("14 frames"), "{report}");
        assert!(report.contains("3 TCP connections"), "{report}");
        let place = format!("cut short: the record at byte {last}");
        let joined = report.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(joined.contains(&place), "{report}");
    }
    let file = place.file("whole", &whole);
    assert_eq!(run(&file, &[]).status.code(), Some(0));
}

#[test]
fn a_capture_that_breaks_is_explained_up_to_there_in_every_form() {
    let place = Place::new("break");
    let mut broken = mixed().pcapng();
    // The length at the end of the last block no longer agrees with that at its start.
    let at = broken.len() - 4;
    broken[at] ^= 0x55;
    let file = place.file("broken.pcapng", &broken);
    let output = run(&file, &["--json"]);
    let errors = refused(&output, 1);
    assert!(errors.contains("broken.pcapng"), "{errors}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["connections"].as_array().unwrap().len(), 3);
    assert!(document["capture"]["broken"]["offset"].as_u64().unwrap() > 0);
    let output = run(&file, &["--conn-log"]);
    refused(&output, 1);
    assert!(String::from_utf8(output.stdout).unwrap().contains("REJ"));
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let place = Place::new("together");
    let file = place.file("mixed.pcapng", &mixed().pcapng());
    for arguments in [
        &["--json", "--mermaid"][..],
        &["--json", "--conn-log"],
        &["--brief"],
        &["--stream", "x"],
        &["--limit", "-1"],
    ] {
        assert_eq!(
            run(&file, arguments).status.code(),
            Some(125),
            "{arguments:?}"
        );
    }
    let output = command(&["-", "-"]).output().unwrap();
    assert!(refused(&output, 125).contains("only once"));
}

#[test]
fn damage_of_any_kind_neither_panics_nor_hangs() {
    let place = Place::new("damage");
    let whole = mixed().pcapng();
    for at in (0..whole.len()).step_by(29) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let file = place.file("damaged.pcapng", &damaged);
        let output = run(&file, &["--json", "-f", "tcp"]);
        let code = output.status.code();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(code, Some(0 | 1 | 125)),
            "byte {at}: {code:?} {errors}"
        );
        assert!(!errors.contains("panicked"), "byte {at}: {errors}");
    }
}
