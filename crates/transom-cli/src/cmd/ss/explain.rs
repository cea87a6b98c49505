//! What a socket's state means, in words, where it deserves them.
//!
//! The kernel does not say when a state was entered. What it says (when data and acknowledgements last
//! came, which timer runs, how often something was tried) often gives the time since then, and else
//! a lower bound; a sentence says which.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::time::Duration;

use transom_flow::words::{bytes, count};

use super::holders::Holders;
use crate::kernel::inet_diag::{KernelState, Protocol, Socket};
use crate::kernel::tcp_info::Raw;

/// How long unread data or an unanswered segment is nothing to speak of.
const USUAL: Duration = Duration::from_secs(1);
/// Linux' initial retransmission timeout, s (RFC 6298 §2.1).
const INITIAL_RTO: u64 = 1;
/// Linux' longest retransmission timeout, s.
const LONGEST_RTO: u64 = 120;

// What `Socket::timer` may be.
const RETRANSMISSION: u8 = 1;
const KEEP_ALIVE: u8 = 2;
const TIME_WAIT: u8 = 3;
const PROBE: u8 = 4;

/// Explains, and remembers what it has said already.
#[derive(Default)]
pub(crate) struct Explainer<'a> {
    given: Option<&'a Holders>,
    read: OnceCell<Holders>,
    said_time_wait: bool,
}

impl<'a> Explainer<'a> {
    /// With the processes, if they were looked at already; else they are when they are needed.
    pub(crate) fn new(given: Option<&'a Holders>) -> Self {
        Self {
            given,
            ..Self::default()
        }
    }

    /// A sentence, if the socket deserves one.
    pub(crate) fn words(&mut self, socket: &Socket<'_>) -> Option<String> {
        if socket.protocol == Protocol::Udp {
            return None;
        }
        let info = socket.attributes.info().map(Raw);
        match socket.state {
            KernelState::LISTEN => listener(socket),
            KernelState::SYN_SENT => Some(syn_sent(socket, info)),
            KernelState::SYN_RECV => syn_received(socket),
            KernelState::ESTABLISHED => self.established(socket, info?),
            KernelState::CLOSE_WAIT => Some(self.close_wait(socket, info?)),
            KernelState::FIN_WAIT_1 => Some(format!(
                "FIN-WAIT-1: this end has closed; {}",
                unacknowledged(socket, info)
            )),
            KernelState::FIN_WAIT_2 => Some(self.fin_wait_2(socket, info)),
            KernelState::CLOSING => Some(format!(
                "CLOSING: both ends closed at once; {} (RFC 9293 §3.6, case 3)",
                unacknowledged(socket, info)
            )),
            KernelState::LAST_ACK => Some(format!(
                "LAST-ACK: both ends have closed; {}",
                unacknowledged(socket, info)
            )),
            KernelState::TIME_WAIT => self.time_wait(),
            _ => None,
        }
    }

    /// "curl (pid 4242)", or what is known instead.
    fn holder(&self, socket: &Socket<'_>) -> String {
        let holders = self
            .given
            .unwrap_or_else(|| self.read.get_or_init(Holders::read));
        let mut all = holders.of(socket.inode);
        match all.next() {
            Some((name, holder)) => {
                let others: HashSet<u32> = all
                    .map(|(_, other)| other.pid)
                    .filter(|&pid| pid != holder.pid)
                    .collect();
                match others.len() {
                    0 => format!("{name} (pid {})", holder.pid),
                    others => format!("{name} (pid {}, and {others} more)", holder.pid),
                }
            }
            None if holders.hidden > 0 => "its program (root sees which)".to_owned(),
            None => "its program".to_owned(),
        }
    }

    /// RFC 9293 §3.6, case 2: the other end has closed, and this one is asked to.
    fn close_wait(&self, socket: &Socket<'_>, info: Raw<'_>) -> String {
        let acknowledged = info.last_ack_recv();
        // The FIN was the last that came, unless we sent something afterwards or probed.
        let exact = info.last_data_sent() >= acknowledged && socket.timer != KEEP_ALIVE;
        let time = lasting(millis(acknowledged), exact);
        if socket.inode == 0 {
            return format!(
                "CLOSE-WAIT {time}: the other end has closed, nobody has accepted the connection yet"
            );
        }
        let holder = self.holder(socket);
        let mut text = format!("CLOSE-WAIT {time}: the other end has closed, {holder} has not");
        if socket.recv_queue > 1 {
            // The FIN counts as one.
            let unread = bytes(u64::from(socket.recv_queue - 1));
            text.push_str(&format!("; it has {unread} left to read"));
        }
        text.push_str(" (RFC 9293 §3.6)");
        text
    }

    fn fin_wait_2(&self, socket: &Socket<'_>, info: Option<Raw<'_>>) -> String {
        const WAITS: &str = "the other end has not closed";
        if socket.timer == TIME_WAIT {
            let left = age(millis(socket.expires));
            return format!(
                "FIN-WAIT-2: {WAITS}; no program holds this end, the kernel forgets it in {left}"
            );
        }
        let time = info.map_or_else(String::new, |info| {
            // Data that the other end sent in the meantime was acknowledged, too.
            let exact = info.last_data_recv() >= info.last_ack_recv();
            format!(" {}", lasting(millis(info.last_ack_recv()), exact))
        });
        if socket.inode == 0 {
            return format!("FIN-WAIT-2{time}: {WAITS}; no program holds this end");
        }
        let holder = self.holder(socket);
        format!("FIN-WAIT-2{time}: {holder} sends no more, {WAITS} (RFC 9293 §3.6)")
    }

    fn established(&self, socket: &Socket<'_>, info: Raw<'_>) -> Option<String> {
        if socket.inode == 0 {
            return Some(
                "nobody has accepted it yet: it waits in the listener's backlog".to_owned(),
            );
        }
        let sent = bytes(u64::from(socket.send_queue));
        let closed = info.snd_wnd() == Some(0) && info.notsent_bytes() > 0;
        if socket.timer == PROBE || closed {
            let (window, section) = if info.snd_wnd().unwrap_or(0) == 0 {
                ("is closed", "§3.8.6.1")
            } else {
                ("is too small for the next segment", "§3.8.6.2.1")
            };
            let probes = match info.probes() {
                0 => String::new(),
                probes => format!(", {} unanswered", count(probes.into(), "probe")),
            };
            return Some(format!(
                "Send-Q {sent}: the peer's window {window}{probes}; it does not read (RFC 9293 {section})"
            ));
        }
        if socket.timer == RETRANSMISSION && info.retransmits() > 0 {
            let since = lasting(millis(info.last_ack_recv()), false);
            return Some(format!(
                "Send-Q {sent}: sent {} again, no acknowledgement {since} (RFC 6298 §5)",
                times(info.retransmits())
            ));
        }
        if socket.timer == KEEP_ALIVE && info.probes() > 0 {
            let probes = count(info.probes().into(), "keep-alive probe");
            return Some(format!("{probes} unanswered (RFC 9293 §3.8.4)"));
        }
        let unread = millis(info.last_data_recv());
        if socket.recv_queue > 0 && unread > USUAL {
            let queue = bytes(socket.recv_queue.into());
            let holder = self.holder(socket);
            // Later data came after the oldest that is unread.
            let time = lasting(unread, false);
            return Some(format!("Recv-Q {queue}: {holder} has not read it {time}"));
        }
        None
    }

    fn time_wait(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.said_time_wait, true) {
            return None;
        }
        Some(
            "TIME-WAIT: this end closed first; for 60 s it keeps late segments out of a new \
             connection and answers a repeated FIN (RFC 9293 §3.6.1). No program holds it"
                .to_owned(),
        )
    }
}

fn listener(socket: &Socket<'_>) -> Option<String> {
    let (waiting, room) = (socket.recv_queue, socket.send_queue);
    // Linux takes one more than the backlog that the program asked for.
    if waiting > room {
        return Some(format!(
            "listen backlog full: {waiting} of {room}; new connections are dropped until the program accepts"
        ));
    }
    (waiting > 0 && waiting >= room / 2).then(|| {
        format!(
            "{} to be accepted: listen backlog {waiting} of {room}",
            if waiting == 1 {
                "1 connection waits".to_owned()
            } else {
                format!("{waiting} connections wait")
            }
        )
    })
}

/// The time since the first SYN follows from the tries: Linux waits the initial timeout for each
/// (the first few, in later versions, without backing off), then twice as long each time.
fn syn_sent(socket: &Socket<'_>, info: Option<Raw<'_>>) -> String {
    let Some(info) = info else {
        return "SYN-SENT: no answer yet".to_owned();
    };
    let tries = u64::from(info.retransmits());
    let backoff = u64::from(info.byte(4)).min(tries);
    let doubled: u64 = (0..backoff)
        .map(|step| INITIAL_RTO.checked_shl(u32::try_from(step).unwrap_or(u32::MAX)))
        .map(|seconds| seconds.unwrap_or(LONGEST_RTO).min(LONGEST_RTO))
        .sum();
    let before = Duration::from_secs((tries - backoff) * INITIAL_RTO + doubled);
    let rto = Duration::from_micros(info.word(8).into());
    let elapsed = before + rto.saturating_sub(millis(socket.expires));
    let ordinal = match tries + 1 {
        1 => "1st".to_owned(),
        2 => "2nd".to_owned(),
        3 => "3rd".to_owned(),
        n => format!("{n}th"),
    };
    format!(
        "SYN-SENT: {ordinal} try, no answer {}",
        lasting(elapsed, true)
    )
}

fn syn_received(socket: &Socket<'_>) -> Option<String> {
    (socket.retransmits > 0).then(|| {
        format!(
            "SYN-RECV: SYN,ACK sent {} again; the client's ACK has not come, or the listener waits \
             for data first (TCP_DEFER_ACCEPT)",
            times(socket.retransmits)
        )
    })
}

/// What keeps our FIN from being acknowledged.
fn unacknowledged(socket: &Socket<'_>, info: Option<Raw<'_>>) -> String {
    let waiting = bytes(socket.send_queue.into());
    let since = info.map_or_else(String::new, |info| {
        format!(
            ", the last acknowledgement came {} ago",
            age(millis(info.last_ack_recv()))
        )
    });
    match socket.timer {
        PROBE => format!("its FIN waits behind {waiting} for which the peer's window has no room"),
        RETRANSMISSION if socket.retransmits > 0 => format!(
            "its FIN (Send-Q {waiting}) was sent {} again{since}",
            times(socket.retransmits)
        ),
        _ => format!("its FIN is not acknowledged yet (Send-Q {waiting})"),
    }
}

fn times(n: u8) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn lasting(time: Duration, exact: bool) -> String {
    let time = age(time);
    if exact {
        format!("for {time}")
    } else {
        format!("for at least {time}")
    }
}

/// One unit, rounded down: what counts is the order of magnitude.
pub(crate) fn age(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match time.as_secs() {
        0 => format!("{} ms", time.subsec_millis()),
        seconds @ 1..MINUTE => format!("{seconds} s"),
        seconds @ MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        seconds @ HOUR..172_800 => format!("{} h", seconds / HOUR),
        seconds => format!("{} d", seconds / DAY),
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
