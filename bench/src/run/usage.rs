//! What processes have used, as /proc tells it.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use crate::sys;

/// Processes below this one.
fn descendants() -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(parent) = fields(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![std::process::id()];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    found.split_off(1)
}

/// The fields of /proc/PID/stat behind the name: state, parent, …
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Seconds of processor time that all processes below this one have used so far.
pub(super) fn processor() -> f64 {
    let used = |pid: u32| {
        let fields = fields(pid)?;
        // utime and stime, the 14th and 15th of proc_pid_stat(5).
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(ticks(11)? + ticks(12)?)
    };
    descendants().into_iter().filter_map(used).sum::<f64>() / sys::ticks()
}

/// MiB of memory of the processes below this one that are another program: the relay. What processes share is
/// counted once.
pub(super) fn memory_of_relay() -> f64 {
    let ours = fs::read_link("/proc/self/exe").ok();
    let kib = |pid: u32| {
        let program: PathBuf = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        if Some(program) == ours {
            return None;
        }
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    descendants().into_iter().filter_map(kib).sum::<f64>() / 1024.0
}
