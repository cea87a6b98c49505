//! What is said of captures that our own engines made on a simulated path, at either end of it.

use crate::engine::{Habits, capture, play};
use std::time::Duration;
use transom_flow::Severity;
use transom_sim::{Impairment, Loss, Probability, Queue};
use transom_tcp::Config;

fn path() -> Impairment {
    Impairment::new().delay(Duration::from_millis(10))
}

/// Plays a transfer by the client; both captures must say what is due, and nothing that is grave but it.
#[track_caller]
fn assert_said(
    config: &Config,
    habits: [Habits; 2],
    there: Impairment,
    due: &[&str],
    may: &[&str],
) {
    for peer in &play(config, habits, there, path()) {
        let connection = capture(peer);
        let verdict = connection.verdict();
        let text = verdict.text();
        let said: Vec<&str> = verdict.findings.iter().map(|finding| finding.id).collect();
        for id in due {
            assert!(said.contains(id), "{id} is not in {said:?}: {text}");
        }
        for finding in &verdict.findings {
            let is_known = due.contains(&finding.id) || may.contains(&finding.id);
            let is_harmless = finding.severity == Severity::Fine;
            assert!(is_known || is_harmless, "{}: {}", finding.id, finding.text);
        }
    }
}

#[test]
fn a_transfer_without_trouble() {
    let habits = [Habits::bulk(400_000), Habits::bulk(0)];
    assert_said(&Config::default(), habits, path(), &[], &[]);
}

#[test]
fn a_transfer_with_loss() {
    let lossy = path()
        .loss(Loss::Random(Probability::from_parts(3_000_000)))
        .seed(3);
    let habits = [Habits::bulk(400_000), Habits::bulk(0)];
    let may = ["loss_limited", "spurious_retransmissions"];
    assert_said(
        &Config::default(),
        habits,
        lossy,
        &["retransmissions"],
        &may,
    );
}

#[test]
fn a_reader_that_is_too_slow() {
    let mut habits = [Habits::bulk(400_000), Habits::bulk(0)];
    (habits[1].read, habits[1].read_every) = (4_000, Duration::from_millis(30));
    let config = Config::default().recv_buffer(40_000);
    let may = ["zero_window", "receiver_limited", "small_window"];
    assert_said(&config, habits, path(), &[], &may);
}

#[test]
fn a_receive_buffer_that_is_too_small() {
    let habits = [Habits::bulk(400_000), Habits::bulk(0)];
    let config = Config::default().recv_buffer(16_000);
    assert_said(&config, habits, path(), &["receiver_limited"], &[]);
}

#[test]
fn a_link_that_takes_less_than_it_says() {
    let habits = [Habits::bulk(100_000), Habits::bulk(0)];
    let [client, _] = &play(&Config::default(), habits, path().mtu(1200), path());
    let verdict = capture(client).verdict();
    let said: Vec<&str> = verdict.findings.iter().map(|finding| finding.id).collect();
    assert_eq!(said.first(), Some(&"mtu_black_hole"), "{}", verdict.text());
    assert!(!said.contains(&"backlog_overflow"), "{}", verdict.text());
}

#[test]
fn a_queue_that_is_too_long() {
    let habits = [Habits::bulk(3_000_000), Habits::bulk(0)];
    let bloated = path().rate(5_000_000).queue(Queue::Packets(2000));
    let [client, _] = &play(&Config::default(), habits, bloated, path());
    let verdict = capture(client).verdict();
    let said: Vec<&str> = verdict.findings.iter().map(|finding| finding.id).collect();
    assert!(said.contains(&"bufferbloat"), "{}", verdict.text());
}
