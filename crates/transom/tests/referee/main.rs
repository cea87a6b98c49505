//! The kernel as referee: the same dialogues, of a raw peer and of socket calls, are played to our stack and to
//! Linux, and what each of them sends is compared step by step, and the state it is in.
//!
//! A dialogue is made while it is played to our stack, in virtual time, so that its segments aim at what the stack
//! has. Then the kernel gets the same segments and calls in a network namespace of its own, over TUN. Nothing waits for
//! silence: a ping after each step comes back when everything before it has been answered.
//!
//! What differs on purpose is named in [`known::Known`] and in `docs/DEVIATIONS.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests"
)]

mod dialogue;
mod kernel;
mod known;
#[path = "../../../transom-device/tests/kernel/namespace.rs"]
mod namespace;
mod ours;
mod packets;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dialogue::{Dialogue, Seen};
use known::Known;
use namespace::in_namespace_with_tun;

/// How many dialogues are played; with `TRANSOM_SEEDS=n`, n.
const DIALOGUES: u64 = 1500;
/// On a busy machine fewer are played.
const PATIENCE: Duration = Duration::from_secs(15);
/// At least so many, or the test has not tested.
const LEAST: u64 = 100;

#[test]
fn our_stack_sends_what_linux_sends() {
    in_namespace_with_tun("our_stack_sends_what_linux_sends", || {
        let wished = std::env::var("TRANSOM_SEEDS").ok();
        let wished: Option<u64> = wished.and_then(|text| text.parse().ok());
        let begin = Instant::now();
        let mut kernel = kernel::Kernel::new();
        let mut differences: BTreeMap<String, (u64, String)> = BTreeMap::new();
        let mut known: BTreeMap<Known, u64> = BTreeMap::new();
        let (mut played, mut steps) = (0, 0);
        for seed in 1..=wished.unwrap_or(DIALOGUES) {
            if wished.is_none() && begin.elapsed() > PATIENCE {
                break;
            }
            let (dialogue, ours) = Dialogue::make(seed);
            let theirs = kernel.play(&dialogue);
            played += 1;
            steps += theirs.len();
            if let Some((at, kind)) = first_difference(&dialogue, &ours, &theirs) {
                if let Some(name) = Known::of(&dialogue, at, &ours[at], &theirs[at]) {
                    *known.entry(name).or_default() += 1;
                    continue;
                }
                let story = story(seed, &dialogue, &ours, &theirs, at);
                differences.entry(kind).or_insert((0, story)).0 += 1;
            }
        }
        println!("{played} dialogues, {steps} steps, known differences: {known:?}");
        assert!(played >= LEAST, "only {played} dialogues in {PATIENCE:?}");
        let report: Vec<String> = differences
            .iter()
            .map(|(kind, (count, story))| format!("{count} times {kind}:\n{story}"))
            .collect();
        assert!(report.is_empty(), "{}", report.join("\n"));
    });
}

/// The first step after which the two differ, and in which way.
fn first_difference(
    dialogue: &Dialogue,
    ours: &[Seen],
    theirs: &[Seen],
) -> Option<(usize, String)> {
    let at = ours
        .iter()
        .zip(theirs)
        .position(|(ours, theirs)| ours != theirs)?;
    let before = match at {
        0 => "CLOSED".to_owned(),
        _ => ours[at - 1].state.clone(),
    };
    let (ours, theirs) = (&ours[at], &theirs[at]);
    let shapes = |seen: &Seen| -> Vec<String> { seen.sent.iter().map(|out| out.shape()).collect() };
    let kind = format!(
        "{before} {}: {:?} {} {:?}, {:?} {} {:?}",
        dialogue.steps[at].kind(),
        shapes(ours),
        ours.state,
        ours.answer,
        shapes(theirs),
        theirs.state,
        theirs.answer,
    );
    Some((at, kind))
}

/// The dialogue up to the difference, one line a step.
fn story(seed: u64, dialogue: &Dialogue, ours: &[Seen], theirs: &[Seen], at: usize) -> String {
    let mut text = format!("seed {seed}, {:?}\n", dialogue.setup);
    for (index, step) in dialogue.steps.iter().enumerate().take(at + 1) {
        text += &format!("  {step}\n");
        if index < at {
            text += &format!("      both: {}\n", ours[index]);
        } else {
            text += &format!(
                "      ours: {}\n     Linux: {}\n",
                ours[index], theirs[index]
            );
        }
    }
    text
}
