//! Field by field what `ss` prints.

use std::collections::{BTreeMap, BTreeSet};

use crate::place::Place;

/// How often each line occurs.
type Lines = BTreeMap<String, usize>;

/// One line a socket, one space between fields, and no time that passes between two looks.
fn normalised(text: &str) -> Lines {
    let text = text
        .replace("\n\t", " ")
        .replace("Address:PortProcess", "Address:Port Process");
    let mut lines = Lines::new();
    for line in text.lines() {
        // A closed window is probed, which both ends count: the one that waits, and the one that does
        // not read.
        let unread = line
            .split_whitespace()
            .nth(1)
            .is_some_and(|queue| queue == "13696");
        let probes = unread || line.contains(" notsent:");
        let fields: Vec<String> = line
            .split_whitespace()
            // Not printed in the millisecond in which it is 0, as after each probe.
            .filter(|field| !field.starts_with("lastack:"))
            .map(|field| timeless(field, probes))
            .collect();
        if !fields.is_empty() {
            *lines.entry(fields.join(" ")).or_default() += 1;
        }
    }
    lines
}

fn timeless(field: &str, probes: bool) -> String {
    if let Some(timer) = field.strip_prefix("timer:(") {
        let mut parts = timer.split(',');
        let (name, _, count) = (parts.next(), parts.next(), parts.next());
        let ticks = matches!(name, Some("on" | "persist"));
        let count = count.filter(|_| !ticks).unwrap_or("");
        return format!("timer:({},{count}", name.unwrap_or(""));
    }
    if probes
        && let Some((memory, _dropped)) = field
            .strip_prefix("skmem:")
            .and_then(|it| it.rsplit_once(",d"))
    {
        return memory.to_owned();
    }
    const PASSING: [&str; 5] = [
        "lastsnd:",
        "lastrcv:",
        "busy:",
        "rwnd_limited:",
        "sndbuf_limited:",
    ];
    const PROBING: [&str; 4] = ["backoff:", "segs_out:", "segs_in:", "ato:"];
    let mut passing = PASSING
        .into_iter()
        .chain(PROBING.into_iter().filter(|_| probes));
    match passing.find(|name| field.starts_with(name)) {
        Some(name) => name.to_owned(),
        None => field.to_owned(),
    }
}

/// Our lines are those of `ss`. It is asked before and after us: what both times is there we must have,
/// and nothing that it has neither time.
fn assert_equal(place: &Place, options: &str) -> Lines {
    let before = normalised(&place.ss(options));
    let ours = normalised(&place.transom(options));
    let after = normalised(&place.ss(options));
    let all: BTreeSet<&String> = before
        .keys()
        .chain(ours.keys())
        .chain(after.keys())
        .collect();
    let wrong: Vec<String> = all
        .into_iter()
        .filter_map(|line| {
            let times = |lines: &Lines| lines.get(line).copied().unwrap_or(0);
            let (least, most) = (
                times(&before).min(times(&after)),
                times(&before).max(times(&after)),
            );
            let ours = times(&ours);
            (ours < least || ours > most)
                .then(|| format!("ss {least}..={most} times, we {ours}: {line}"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "ss {options}: {} lines differ\n{}",
        wrong.len(),
        wrong
            .iter()
            .take(10)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    ours
}

#[test]
fn ten_thousand_sockets_in_every_state_are_listed_as_ss_lists_them() {
    let place = Place::with(10_000);
    let all = assert_equal(&place, "-tan");
    let count = |state: &str| -> usize {
        let lines = all.iter().filter(|(line, _)| line.starts_with(state));
        lines.map(|(_, times)| times).sum()
    };
    for state in [
        "ESTAB",
        "SYN-SENT",
        "SYN-RECV",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "CLOSE-WAIT",
        "LAST-ACK",
        "CLOSING",
        "LISTEN",
    ] {
        assert!(count(state) > 0, "no socket in {state}");
    }
    assert!(count("") > 10_000, "{} lines", count(""));
    for form in [
        "*:7001",
        "[::]:7002",
        "0.0.0.0:7002",
        "0.0.0.0%lo:7003",
        "[fe80::8]%lo:7006",
        "[::ffff:127.0.0.1]:7001",
    ] {
        assert!(all.keys().any(|line| line.contains(form)), "no {form}");
    }
    for options in [
        "-tanp",
        "-tuane",
        "-tane4",
        "-tan6",
        "-ta",
        "-Htaone --tos --cgroup",
    ] {
        assert_equal(&place, options);
    }
    // Memory and TCP's numbers of sockets where nothing happens meanwhile.
    let quiet =
        "exclude syn-sent exclude syn-recv exclude fin-wait-1 exclude last-ack exclude closing";
    assert_equal(&place, &format!("-taoienm {quiet}"));
    assert_equal(&place, &format!("-tai {quiet}"));
}

#[test]
fn options_and_filters_choose_what_they_choose_in_ss() {
    let place = Place::with(300);
    for options in [
        "-tlnp",
        "-tl",
        "-tlr",
        "-t",
        "-u",
        "-uan",
        "-uanpoem",
        "-tu",
        "-tun4",
        "-l -t -a",
        "-a -l -t",
        "-tanO -e",
        "-H -t",
        "-t -n -f inet6",
        "-A tcp,udp -an",
        "-tan state time-wait",
        "-tan state connected exclude established",
        "-tan state bucket",
        "-tan state big dport le 7001 sport gt 30000",
        "-tuan state closed",
        "-tan exclude listening",
        "-tan sport = :7000",
        "-tan sport = 22 or dport > :50000",
        "-tan sport = :ssh",
        "-tan src 127.0.0.0/8",
        "-tan src 127/8 dst 127.0.0.1:7001",
        "-tan src [::1]:7000",
        "-tan src inet6:*",
        "-tan src :7002",
        "-tan src *:7002",
        "-tan src localhost",
        "-tan not ( src 127/8 or dst [::1] )",
        "-tan ! sport = :22 sport lt :7003",
        "-tan sport = :22 or sport = :7000 and dport = :0",
        "-tan sport != :7000 && dport neq :7000",
        "-tan sport ge :7001 & sport le :7003 | sport eq :22",
        "-tan autobound",
        "-tan dev lo",
        "-tan dev != lo",
        "-tan fwmark = 7",
        "-tan fwmark = 0x1/0x3 and not dport = :7001",
        "-tan dst [2001:db8:2::/32]",
        "-tan dst 198.51.100.66:80",
    ] {
        assert_equal(&place, options);
    }
    let mine = normalised(&place.transom("-A all,!udp -an"));
    assert_eq!(mine, normalised(&place.ss("-tan")));
}

#[test]
fn the_summary_is_that_of_ss() {
    let place = Place::with(300);
    let (ours, theirs) = (place.transom("-s"), place.ss("-s"));
    // ss counts the socket with which it asks, and the kernel counts allocated and orphaned sockets of
    // the whole machine together.
    let own_counts = |text: &str| -> Vec<String> {
        let line = |line: &str| match line.split_once('(') {
            Some((_, counts)) => counts
                .split(", ")
                .filter(|count| count.starts_with("estab") || count.starts_with("timewait"))
                .collect(),
            None => line.to_owned(),
        };
        text.lines().skip(1).map(line).collect()
    };
    assert!(own_counts(&ours).len() > 6, "{ours}");
    assert_eq!(own_counts(&ours), own_counts(&theirs));
}

#[test]
fn what_is_not_understood_is_said_in_a_sentence() {
    let place = Place::with(1);
    for (options, sentence) in [
        (
            "-x",
            "transom ss lists TCP and UDP sockets; for -x use ss itself",
        ),
        ("-E", "--watch shows what changes"),
        ("-t state open", "a state is one of all, connected,"),
        ("-t sport = :nothing", "a port is a number or a service"),
        ("-t -N no.such", "open /run/netns/no.such"),
    ] {
        let output = place.run(env!("CARGO_BIN_EXE_transom"), &format!("ss {options}"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(sentence), "{options}: {said}");
        assert_eq!(output.status.code(), Some(125), "{options}");
    }
}

#[test]
fn nothing_is_closed_without_yes_and_everything_chosen_with_it() {
    let place = Place::with(300);
    let connections = || {
        place
            .ss("-Htn state established dport = :7000")
            .lines()
            .count()
    };
    let before = connections();
    assert!(before > 0);
    let program = env!("CARGO_BIN_EXE_transom");
    let asked = place.run(program, "ss -HtnK state established dport = :7000");
    assert_eq!(
        String::from_utf8(asked.stdout).unwrap().lines().count(),
        before
    );
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("nothing was closed; with --yes"), "{said}");
    assert_eq!(connections(), before);
    let closed = place.run(program, "ss -HtnK --yes state established dport = :7000");
    let said = String::from_utf8(closed.stderr).unwrap();
    if said.contains("CONFIG_INET_DIAG_DESTROY") {
        return;
    }
    assert!(closed.status.success(), "{said}");
    assert_eq!(
        String::from_utf8(closed.stdout).unwrap().lines().count(),
        before
    );
    assert_eq!(connections(), 0);
    assert!(
        place
            .ss("-Htn state established dport = :7001")
            .lines()
            .count()
            > 0
    );
}
