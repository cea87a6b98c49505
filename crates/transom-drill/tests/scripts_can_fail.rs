//! Every script notices when the stack does not do what it says: with one number changed, it fails.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::{Path, PathBuf};

use transom_drill::run::{Settings, run};
use transom_drill::script::{Action, Body, Defines, Options, Script, Value};

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            files.push(path);
        }
    }
}

/// Changes a number of the last segment that the script expects, or else what its last call must give; false if
/// it has neither.
fn spoil(script: &mut Script) -> bool {
    for event in script.events.iter_mut().rev() {
        if let Action::Outbound(packet) = &mut event.action
            && let Body::Tcp(tcp) = &mut packet.body
        {
            // A number that a SYN defines cannot be wrong: its acknowledgement can.
            if tcp.flags.contains(SYN) && tcp.ack.is_none() {
                continue;
            }
            tcp.start = tcp.start.wrapping_add(7);
            tcp.end = tcp.end.wrapping_add(7);
            tcp.ack = tcp.ack.map(|ack| ack.wrapping_add(7));
            return true;
        }
    }
    for event in script.events.iter_mut().rev() {
        if let Action::Call(call) = &mut event.action {
            // A descriptor may be any number.
            if call.errno.is_some() {
                call.errno = Some("EDEADLK".into());
                return true;
            }
            if let Value::Integer(number) = &mut call.result
                && *number < 3
            {
                *number += 1_000_000;
                return true;
            }
        }
    }
    false
}

const SYN: transom_stack::wire::tcp::Flags = transom_stack::wire::tcp::Flags::SYN;

#[test]
fn a_script_with_a_wrong_number_fails() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut spoiled = 0;
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let name = file.display().to_string();
        let mut script = Script::parse(&name, &text, &Defines::new()).unwrap();
        if !spoil(&mut script) {
            continue;
        }
        spoiled += 1;
        let settings = Settings {
            options: Options::default(),
            verbose: false,
        };
        let failure = run(&script, &settings).failure;
        assert!(failure.is_some(), "{name} passes with a wrong number");
    }
    assert!(
        spoiled * 50 > files.len() * 49,
        "{spoiled} of {}",
        files.len()
    );
}
