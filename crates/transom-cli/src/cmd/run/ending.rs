//! After the program's end: what it started may still live, and what it sent may still be on the
//! way. A plain run leaves both to the kernel; here we are the kernel.

use std::io::Write;
use std::time::Duration;

use tokio::time::timeout;

use super::activity::Activity;
use super::observe::Observer;
use super::processes::{Inside, Process};
use super::signals::Signals;
use super::sink::Haste;
use crate::sys;

/// How long processes that are about to end anyway get before anything is said.
const BREATH: Duration = Duration::from_millis(200);
/// Between two looks where a process cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long the real peers may take to accept what the program sent before it ended.
const DELIVERY: Duration = Duration::from_secs(30);
/// How long connections get to end in order once everything is delivered, so that the picture
/// shows both sides' ends. The user waits for this, so it is short.
const CLOSING: Duration = Duration::from_millis(250);

/// Sees a run to its end.
pub(crate) struct Ending<'a> {
    /// The program's namespace.
    pub(crate) inside: &'a Inside,
    /// What still goes on.
    pub(crate) activity: &'a Activity,
    /// For signals while we wait.
    pub(crate) signals: &'a Signals,
    /// Who is told.
    pub(crate) observer: &'a Observer,
    /// How long the capture's reader is waited for.
    pub(crate) haste: &'a Haste,
    /// `--no-wait`
    pub(crate) no_wait: bool,
    /// `--quiet`
    pub(crate) quiet: bool,
}

impl Ending<'_> {
    /// Waits for what is left.
    pub(crate) async fn see_off(&self) {
        let all_gone = self.wait_for_processes().await;
        self.haste.ended();
        if all_gone {
            self.wait_for_data().await;
        }
    }

    /// Waits for processes that the program started; false if somebody did not want to.
    async fn wait_for_processes(&self) -> bool {
        let mut left = self.inside.inhabitants();
        if left.is_empty() {
            return true;
        }
        if self.no_wait {
            self.observer
                .notice(&format!("cut off from the network: {}", listed(&left)));
            return false;
        }
        if timeout(BREATH, self.all_gone()).await.is_ok() {
            return true;
        }
        left = self.inside.inhabitants();
        if !self.quiet && !left.is_empty() {
            let text = format!(
                "transom: the program has ended; still serving {} (Ctrl-C to leave, or --no-wait)\n",
                listed(&left)
            );
            // Nobody may be reading any more.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        tokio::select! {
            () = self.all_gone() => true,
            () = self.signals.told_to_leave() => {
                let left = self.inside.inhabitants();
                if !left.is_empty() {
                    self.observer.notice(&format!("cut off from the network: {}", listed(&left)));
                }
                false
            }
        }
    }

    async fn all_gone(&self) {
        loop {
            let left = self.inside.inhabitants();
            let Some(one) = left.first() else { return };
            match sys::process_descriptor(one.pid).and_then(sys::watch_readable) {
                Ok(watched) => {
                    let _ = watched.readable().await;
                    // Ended, but not yet gone from the table; or already replaced.
                    tokio::task::yield_now().await;
                }
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn wait_for_data(&self) {
        let delivered = async {
            tokio::select! {
                () = self.activity.until(|counts| counts.undelivered == 0) => true,
                () = self.signals.told_to_leave() => false,
            }
        };
        if !timeout(DELIVERY, delivered).await.unwrap_or(false) {
            let left = self.activity.counts().undelivered;
            self.observer.notice(&format!(
                "given up: {} still had data of the program on the way",
                transom_flow::words::count(u64::try_from(left).unwrap_or(u64::MAX), "connection")
            ));
            return;
        }
        // Too slow an end is not shown; it happens all the same.
        let _ = timeout(CLOSING, self.activity.until(|counts| counts.open == 0)).await;
    }
}

/// As many processes as are listed by name.
const LISTED: usize = 5;

fn listed(processes: &[Process]) -> String {
    let mut text = processes
        .iter()
        .take(LISTED)
        .map(|process| format!("{}[{}]", process.name, process.pid))
        .collect::<Vec<_>>()
        .join(", ");
    if processes.len() > LISTED {
        text.push_str(&format!(" and {} more", processes.len() - LISTED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_processes_are_counted() {
        let process = |pid| Process {
            pid,
            name: "sleep".into(),
        };
        assert_eq!(listed(&[process(1), process(2)]), "sleep[1], sleep[2]");
        let many: Vec<_> = (1..=7).map(process).collect();
        assert!(listed(&many).ends_with("sleep[5] and 2 more"));
    }
}
