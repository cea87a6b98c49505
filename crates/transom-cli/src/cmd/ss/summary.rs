//! `-s`: how many sockets there are, from the kernel's own counts.

use std::fmt::Write;
use std::fs;

/// The counts in the files of /proc/net that the kernel keeps of a network namespace.
pub(crate) fn text() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    write(&read("sockstat"), &read("sockstat6"), &read("snmp"))
}

fn write(sockstat: &str, sockstat6: &str, snmp: &str) -> String {
    let v4 = |table: &str, name: &str| value(sockstat, table, name);
    let v6 = |table: &str| value(sockstat6, table, "inuse");
    let time_wait = v4("TCP", "tw");
    let allocated = v4("TCP", "alloc");
    let hashed = v4("TCP", "inuse") + v6("TCP6");
    let closed = allocated.saturating_sub(hashed.saturating_sub(time_wait));
    let mut text = format!(
        "Total: {}\nTCP:   {} (estab {}, closed {closed}, orphaned {}, timewait {time_wait})\n\n",
        v4("sockets", "used"),
        allocated + time_wait,
        established(snmp),
        v4("TCP", "orphan"),
    );
    text.push_str("Transport Total     IP        IPv6\n");
    let mut sums = (0, 0);
    for (name, table, table6) in [
        ("RAW", "RAW", "RAW6"),
        ("UDP", "UDP", "UDP6"),
        ("TCP", "TCP", "TCP6"),
        ("INET", "", ""),
        ("FRAG", "FRAG", "FRAG6"),
    ] {
        let (ip, ipv6) = if name == "INET" {
            sums
        } else {
            (v4(table, "inuse"), v6(table6))
        };
        sums = (sums.0 + ip, sums.1 + ipv6);
        let _ = writeln!(text, "{name}\t  {:<9} {ip:<9} {ipv6:<9}", ip + ipv6);
    }
    text.push('\n');
    text
}

/// The number behind a name in the line of a table: `TCP: inuse 5 orphan 0 …`.
fn value(text: &str, table: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| {
        line.strip_prefix(table)
            .and_then(|rest| rest.strip_prefix(':'))
    });
    let mut words = line.unwrap_or_default().split_whitespace();
    words
        .find(|&word| word == name)
        .and_then(|_| words.next()?.parse().ok())
        .unwrap_or(0)
}

/// CurrEstab of the two lines `Tcp:`, of which the first has the names.
fn established(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == "CurrEstab")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_put_together_as_ss_does() {
        let sockstat = "sockets: used 263\nTCP: inuse 152 orphan 1 tw 2 alloc 258 mem 435\n\
                        UDP: inuse 2 mem 0\nUDPLITE: inuse 9\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n";
        let sockstat6 = "TCP6: inuse 97\nUDP6: inuse 4\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n";
        let snmp = "Ip: a\nIp: 1\nTcp: Rto CurrEstab X\nTcp: 1 172 5\n";
        let text = write(sockstat, sockstat6, snmp);
        assert_eq!(
            text,
            "Total: 263\nTCP:   260 (estab 172, closed 11, orphaned 1, timewait 2)\n\n\
             Transport Total     IP        IPv6\nRAW\t  0         0         0        \n\
             UDP\t  6         2         4        \nTCP\t  249       152       97       \n\
             INET\t  255       154       101      \nFRAG\t  0         0         0        \n\n"
        );
        assert!(write("", "", "").starts_with("Total: 0\n"));
    }
}
