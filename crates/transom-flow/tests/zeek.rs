//! The state and the history that Zeek's `conn.log` would have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod scene;

use scene::play;

#[track_caller]
fn assert_log(script: &str, state: &str, history: &str) {
    let scene = play(script);
    let connection = scene.connection();
    assert_eq!(
        (connection.conn_state(), connection.history()),
        (state, history)
    );
}

#[test]
fn s0_is_an_attempt_without_an_answer() {
    assert_log("0 > S\n 1000 > S seq=0", "S0", "S");
}

#[test]
fn s1_is_established_and_open() {
    assert_log(
        "
        0   > S
        1   < SA
        2   > A
        3   > PA len=10
        4   < A
        ",
        "S1",
        "ShADa",
    );
}

#[test]
fn sf_is_a_normal_end() {
    assert_log(
        "
        0   > S
        1   < SA
        2   > A
        3   > PA len=10
        4   < PA len=20
        5   > FA
        6   < FA
        7   > A
        ",
        "SF",
        "ShADdFf",
    );
}

#[test]
fn rej_is_refused() {
    assert_log("0 > S\n 1 < RA", "REJ", "Sr");
}

#[test]
fn s2_and_s3_are_closed_by_one_end() {
    assert_log("0 > S\n 1 < SA\n 2 > A\n 3 > FA\n 4 < A", "S2", "ShAFa");
    assert_log("0 > S\n 1 < SA\n 2 > A\n 3 < FA\n 4 > A", "S3", "ShAf");
}

#[test]
fn rsto_and_rstr_are_resets_of_established_connections() {
    assert_log("0 > S\n 1 < SA\n 2 > A\n 3 > RA", "RSTO", "ShAR");
    assert_log(
        "0 > S\n 1 < SA\n 2 > A\n 3 > PA len=9\n 4 < RA",
        "RSTR",
        "ShADr",
    );
}

#[test]
fn rstos0_is_a_syn_and_a_reset() {
    assert_log("0 > S\n 1 > R seq=1", "RSTOS0", "SR");
}

#[test]
fn rstrh_is_a_syn_ack_and_a_reset_of_one_end() {
    assert_log("0 < SA\n 1 < R", "RSTRH", "^hr");
}

#[test]
fn sh_and_shr_are_half_seen() {
    assert_log("0 > S\n 1 > F", "SH", "SF");
    assert_log("0 < SA\n 1 < FA", "SHR", "^hf");
}

#[test]
fn oth_is_the_middle_of_a_conversation() {
    assert_log(
        "0 > PA seq=1000 ack=500 len=20\n 1 < PA seq=500 len=10",
        "OTH",
        "Dd",
    );
    assert_log("0 < PA seq=1000 ack=500 len=20", "OTH", "^d");
}

#[test]
fn a_fin_after_fin_and_reset_is_a_normal_end() {
    assert_log(
        "
        0   > S
        1   < SA
        2   > A
        3   > FA
        4   > RA
        5   < FA
        ",
        "SF",
        "ShAFRf",
    );
}

#[test]
fn repeated_letters_are_counted_in_tens() {
    let mut script = String::from("0 > S\n 1 < SA\n 2 > A\n 3 > PA len=10\n");
    for n in 0..10 {
        script.push_str(&format!("{} > PA len=10 seq=1\n", 300 + n * 300));
    }
    // Eleven segments with the same data: ten of them again, so a letter for the 1st and the 10th.
    assert_log(&script, "S1", "ShADTT");
}

#[test]
fn gaps_and_closed_windows_have_letters() {
    assert_log(
        "
        0   > S
        1   < SA
        2   > A
        3   < A len=10 seq=101
        4   > A ack=111 win=0
        ",
        "S1",
        "ShAdWg",
    );
}

#[test]
fn several_control_bits_at_once() {
    assert_log("0 > S\n 1 < SA\n 2 > A\n 3 > FRA", "RSTO", "ShAI");
    assert_log("0 > SF", "SH", "Q");
}
