//! The committed corpora, the targets' own seeds, and some thousand changes of them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use transom_fuzz::mutate::mutate;
use transom_fuzz::{TARGETS, Target, target};
use transom_sim::Random;

fn corpus(target: Target) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut files: Vec<PathBuf> = fs::read_dir(root.join(target.name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn replay(name: &str, changed: u64) {
    let target = target(name).unwrap();
    let files = corpus(target);
    assert!(!files.is_empty(), "an empty corpus tests nothing");
    let mut inputs = (target.seeds)();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(bytes.len() <= 16 << 10, "{} is too long", file.display());
        let run = std::panic::catch_unwind(|| (target.run)(&bytes));
        assert!(run.is_ok(), "{}", file.display());
        inputs.push(bytes);
    }
    for seed in 0..changed {
        let mut random = Random::stream(seed, 1);
        let index = (seed % inputs.len() as u64) as usize;
        let mut bytes = inputs[index].clone();
        let other = inputs[random.below(inputs.len() as u64) as usize].clone();
        mutate(&mut random, &mut bytes, &other, target.max_len);
        (target.run)(&bytes);
    }
}

#[test]
fn wire() {
    replay("wire", 20_000);
}

#[test]
fn connection() {
    replay("connection", 2000);
}

#[test]
fn stack() {
    replay("stack", 500);
}

#[test]
fn script() {
    replay("script", 2000);
}

#[test]
fn capture() {
    replay("capture", 2000);
}

/// Nothing to begin with would mean that next to nothing is reached.
#[test]
fn every_target_has_seeds_and_a_folder() {
    for target in TARGETS {
        assert!(!(target.seeds)().is_empty(), "{}", target.name);
        assert!(!corpus(target).is_empty(), "{}", target.name);
    }
}
