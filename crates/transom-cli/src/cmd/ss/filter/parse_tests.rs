//! What filters mean.

use super::*;
use crate::cmd::ss::filter::Shown;

struct Few;

impl Names for Few {
    fn port(&self, service: &str) -> Option<u16> {
        (service == "ssh").then_some(22)
    }
    fn device(&self, name: &str) -> Option<u32> {
        (name == "eth0").then_some(2)
    }
    fn cgroup(&self, path: &str) -> Option<u64> {
        (path == "/system.slice").then_some(77)
    }
    fn ephemeral(&self) -> (u16, u16) {
        (5000, 6000)
    }
    fn host(&self, name: &str) -> Vec<IpAddr> {
        match name {
            "both.example" => vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            _ => Vec::new(),
        }
    }
}

fn read(text: &str) -> Result<Wanted, String> {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    wanted(&words, &Few)
}

/// Which of some sockets a filter takes.
fn takes(text: &str) -> Vec<&'static str> {
    let filter = read(text).unwrap().filter.unwrap();
    [
        ("a", "10.0.0.1:22", "192.0.2.1:5000"),
        ("b", "127.0.0.1:7000", "127.0.0.1:443"),
        ("c", "[::1]:7000", "[2001:db8::1]:443"),
        ("d", "[::ffff:10.9.0.1]:80", "[::ffff:192.0.2.9]:1024"),
    ]
    .into_iter()
    .filter(|(_, source, destination)| {
        filter.matches(&Shown {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            device: 2,
        })
    })
    .map(|(name, _, _)| name)
    .collect()
}

#[test]
fn ports_compare_with_every_operator_and_its_aliases() {
    for text in [
        "sport = :22",
        "sport :22",
        "sport 22",
        "sport eq ssh",
        "sport==:ssh",
        "sport=:22",
    ] {
        assert_eq!(takes(text), ["a"], "{text}");
    }
    assert_eq!(takes("dport > :1024"), ["a"]);
    assert_eq!(takes("dport ge :1024"), ["a", "d"]);
    assert_eq!(takes("dport lt :1024"), ["b", "c"]);
    assert_eq!(takes("dport leq :1024"), ["b", "c", "d"]);
    assert_eq!(takes("sport != :7000 and sport neq 22"), ["d"]);
}

#[test]
fn and_binds_more_than_or_and_not_more_than_and() {
    assert_eq!(takes("sport :22 or sport :7000 src 127/8"), ["a", "b"]);
    assert_eq!(takes("src 127/8 sport :22 or sport :7000"), ["b", "c"]);
    assert_eq!(takes("src 127/8 and (sport :22 or sport :7000)"), ["b"]);
    assert_eq!(takes("not sport :22 and sport :7000"), ["b", "c"]);
    assert_eq!(takes("! ( sport :22 | sport :7000 )"), ["d"]);
    assert_eq!(
        takes("!sport=:22&&!sport=:80||dport=:5000"),
        ["a", "b", "c"]
    );
    assert_eq!(takes("not not sport :22"), ["a"]);
}

#[test]
fn hosts_have_prefixes_ports_families_and_names() {
    assert_eq!(takes("src 10.0.0.0/8"), ["a", "d"]);
    assert_eq!(takes("src 10/8"), ["a", "d"]);
    assert_eq!(takes("src 10.0.0.0/8:22"), ["a"]);
    assert_eq!(takes("src [::1]:7000"), ["c"]);
    assert_eq!(takes("src ::1"), ["c"]);
    assert_eq!(takes("src [::1]"), ["c"]);
    assert_eq!(takes("dst [2001:db8::]/32:443"), ["c"]);
    assert_eq!(takes("dst [2001:db8::/32]:443"), ["c"]);
    assert_eq!(takes("dst [2001:db8::]/32"), ["c"]);
    assert_eq!(takes("src :7000"), ["b", "c"]);
    assert_eq!(takes("src *:7000"), ["b", "c"]);
    assert_eq!(takes("src inet6:*"), ["c", "d"]);
    assert_eq!(takes("dst both.example"), ["a", "c"]);
    assert_eq!(takes("dst inet6:both.example:443"), ["c"]);
    assert_eq!(takes("src = 10.0.0.1"), ["a"]);
    assert_eq!(takes("dev eth0 sport 22"), ["a"]);
    assert_eq!(takes("dev != 2").len(), 0);
}

#[test]
fn states_add_up_and_are_left_out() {
    let states = |text| read(text).unwrap().states.unwrap();
    assert_eq!(
        states("state established state time-wait").0,
        States::named("established").unwrap().0 | States::named("time-wait").unwrap().0
    );
    assert_eq!(
        states("exclude listening exclude closed").0,
        States::named("connected").unwrap().0
    );
    assert_eq!(
        states("state connected exclude syn-sent sport = :22"),
        States::named("synchronized").unwrap()
    );
    assert_eq!(read("sport = :22").unwrap().states, None);
    let nothing: Wanted = wanted(&[], &Few).unwrap();
    assert_eq!((nothing.states, nothing.filter), (None, None));
}

#[test]
fn marks_and_cgroups_are_understood() {
    let filter = |text| read(text).unwrap().filter.unwrap();
    assert_eq!(
        filter("fwmark = 0x01/0x03"),
        Filter::Mark { value: 1, mask: 3 }
    );
    assert_eq!(
        filter("fwmark 7"),
        Filter::Mark {
            value: 7,
            mask: u32::MAX
        }
    );
    assert_eq!(
        filter("cgroup != /system.slice"),
        Filter::Not(Box::new(Filter::Cgroup(77)))
    );
    assert_eq!(filter("autobound"), Filter::Autobound(5000, 6000));
}

#[test]
fn what_is_not_understood_is_pointed_at() {
    for (text, mark) in [
        ("sport = :nothing", "          ^^^^^^^^"),
        ("sport = :70000", "          ^^^^^^"),
        ("state opened", "        ^^^^^^"),
        ("(sport = :22", "              ^"),
        ("sport = :22 )", "              ^"),
        ("sport = :22 or", "                ^"),
        ("colour = red", "  ^^^^^^"),
        ("src != 10.0.0.1", "      ^^"),
        ("src 10.0.0.0/33", "      ^^^^^^^^^^^"),
        ("src no.such.host", "      ^^^^^^^^^^^^"),
        ("dev < eth0", "      ^"),
        ("sport :22 state all", "            ^^^^^"),
        ("not", "     ^"),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.lines().last(), Some(mark), "{error}");
        assert_eq!(error.lines().nth(1).map(str::trim), Some(text), "{error}");
    }
    let deep = "(".repeat(1000);
    assert!(read(&deep).unwrap_err().contains("nested too deeply"));
}
