//! Shell lines of scripts, as far as they set what Linux calls sysctls. Nothing is ever executed.
//!
//! A command is one of: a setting that the stack has ([`Change::Config`]), one that makes no difference to what a
//! script can see here (`HARMLESS`, `FIXED` at the value that the stack has), or an error that says so.

use std::time::Duration;

use transom_stack::FastOpenKeys;
use transom_stack::tcp::congestion::Algorithm;
use transom_stack::tcp::{AccEcnOption, Config, EcnUse, MtuProbing};

/// What a shell line changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A choice of the connections to come.
    Config(Setting),
    /// Frames are refused by the device's queue, or no longer.
    RefuseOutput(bool),
    /// Makes no difference here.
    Nothing,
    /// Fast Open cookies of past connections are forgotten; nothing else is remembered of them.
    ForgetPast,
    /// `net.ipv4.tcp_fastopen`.
    FastOpen(i64),
    /// `net.ipv4.tcp_fastopen_key`.
    FastOpenKeys(FastOpenKeys),
    /// `net.ipv4.tcp_fastopen_blackhole_timeout_sec`.
    FastOpenPause(Duration),
}

/// A choice of the connections to come: the sysctl's name without `net.ipv4.`, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    name: String,
    value: String,
}

/// Sysctls whose value makes no difference here: they tune what has no counterpart (segmentation by a kernel's
/// queues, memory of past connections), or limits that one script does not reach.
const HARMLESS: &[&str] = &[
    "tcp_no_metrics_save",
    "tcp_metrics_save",
    "tcp_min_tso_segs",
    "tcp_tso_win_divisor",
    "tcp_tso_rtt_log",
    "tcp_limit_output_bytes",
    "tcp_pacing_ss_ratio",
    "tcp_pacing_ca_ratio",
    "tcp_autocorking",
    "tcp_frto",
    "tcp_ecn_option_beacon",
    "tcp_fack",
    "tcp_low_latency",
    "tcp_moderate_rcvbuf",
    "tcp_adv_win_scale",
    "tcp_app_win",
    "tcp_mem",
    "tcp_max_orphans",
    "tcp_max_tw_buckets",
    "tcp_max_syn_backlog",
    "tcp_max_reordering",
    "tcp_challenge_ack_limit",
    "tcp_migrate_req",
    "tcp_syncookies",
    "tcp_comp_sack_delay_ns",
    "tcp_comp_sack_slack_ns",
    "tcp_comp_sack_nr",
    "tcp_backlog_ack_defer",
    "tcp_reflect_tos",
    "tcp_early_demux",
    "tcp_probe_interval",
    "tcp_probe_threshold",
    "ip_local_port_range",
    "ip_forward",
    "icmp_ratelimit",
    "icmp_msgs_per_sec",
    "net.core.somaxconn",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "net.core.default_qdisc",
    "net.core.optmem_max",
    "net.core.netdev_max_backlog",
];

/// Sysctls that the stack has no choice for, and the values that describe what it does.
const FIXED: &[(&str, &[&str])] = &[
    ("tcp_dsack", &["1"]),
    ("tcp_reordering", &["3"]),
    ("tcp_base_mss", &["1024"]),
    ("tcp_rfc1337", &["1"]),
    ("tcp_abort_on_overflow", &["0"]),
    ("tcp_stdurg", &["1"]),
    ("tcp_thin_linear_timeouts", &["0"]),
    ("tcp_thin_dupack", &["0"]),
    ("tcp_syn_linear_timeouts", &["0"]),
    ("tcp_shrink_window", &["0"]),
    ("tcp_workaround_signed_windows", &["0"]),
    ("tcp_tw_reuse", &["1", "2"]),
    ("tcp_ecn_fallback", &["1"]),
    ("ip_no_pmtu_disc", &["0"]),
];

/// What the script library's usual `defaults.sh` sets: production values on Linux.
const DEFAULTS: &[(&str, &str)] = &[
    ("tcp_rmem", "4096 540000 15728640"),
    ("tcp_wmem", "4096 262144 4194304"),
    ("tcp_timestamps", "1"),
    ("tcp_syn_retries", "5"),
    ("tcp_synack_retries", "5"),
    ("tcp_sack", "1"),
    ("tcp_congestion_control", "cubic"),
    ("tcp_slow_start_after_idle", "0"),
    ("tcp_early_retrans", "4"),
    ("tcp_recovery", "1"),
    ("tcp_ecn", "0"),
    ("tcp_notsent_lowat", "4294967295"),
    ("tcp_fastopen", "0x70403"),
    ("tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"),
];

/// What connections of a script begin with: as a Linux host that nobody has tuned.
#[must_use]
pub fn linux() -> Config {
    Config::default()
        .pacing(false)
        .syn_retries(6)
        .accecn_option(AccEcnOption::Always)
        .ecn_everywhere(true)
}

/// Reads the commands of a shell line.
///
/// # Errors
/// A phrase about the first command that is not known, or that asks for what the stack cannot do.
pub fn read(line: &str) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    let joined = line.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(|line| line.split_once(" #").map_or(line, |(line, _)| line));
    for command in lines
        .flat_map(|line| line.split(';'))
        .flat_map(|line| line.split("&&"))
    {
        let command = command.trim();
        if !command.is_empty() && !command.starts_with('#') {
            read_alternatives(command, &mut changes)?;
        }
    }
    Ok(changes)
}

/// Of `a || b`, what is known: the others would fail.
fn read_alternatives(command: &str, changes: &mut Vec<Change>) -> Result<(), String> {
    let mut outcome = Ok(());
    for alternative in command.split("||") {
        let mut read = Vec::new();
        outcome = read_command(alternative.trim(), &mut read);
        if outcome.is_ok() {
            changes.append(&mut read);
            break;
        }
    }
    outcome
}

fn read_command(command: &str, changes: &mut Vec<Change>) -> Result<(), String> {
    let words = words(command);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // What a command prints is not looked at.
    words.retain(|word| !matches!(*word, "2>&1" | "2>/dev/null" | ">/dev/null"));
    while let [.., ">" | "2>" | "&>", "/dev/null"] = words.as_slice() {
        words.truncate(words.len().saturating_sub(2));
    }
    let (Some(program), rest) = (words.first().copied(), words.get(1..).unwrap_or(&[])) else {
        return Ok(());
    };
    let name = program.rsplit('/').next().unwrap_or(program);
    match name {
        "sysctl" => {
            for word in rest.iter().filter(|word| !word.starts_with('-')) {
                let (key, value) = word
                    .split_once('=')
                    .ok_or_else(|| format!("`{command}` sets nothing"))?;
                changes.push(setting(key, value)?);
            }
        }
        "echo" => match rest {
            [value @ .., ">", path] => changes.push(setting(path, &value.join(" "))?),
            _ => return Err(unknown(command)),
        },
        "defaults.sh" => {
            changes.push(Change::ForgetPast);
            for (key, value) in DEFAULTS {
                changes.push(setting(key, value)?);
            }
        }
        "set_sysctls.py" => {
            for word in rest {
                let (path, value) = word
                    .split_once('=')
                    .ok_or_else(|| format!("`{word}` sets nothing"))?;
                changes.push(setting(path, value)?);
            }
        }
        "tc" => changes.push(queue(command, rest)?),
        "ip" if rest.contains(&"tcp_metrics") => changes.push(Change::ForgetPast),
        "ethtool" | "true" | ":" | "nstat" => changes.push(Change::Nothing),
        _ if name.starts_with("sysctl_restore_") => changes.push(Change::Nothing),
        _ => return Err(unknown(command)),
    }
    Ok(())
}

fn unknown(command: &str) -> String {
    format!(
        "the shell command `{command}` is not known (nothing is executed; sysctl, echo > /proc/sys/…, \
         defaults.sh and set_sysctls.py are understood)"
    )
}

/// `tc qdisc …`: only a queue that holds nothing can be seen.
fn queue(command: &str, rest: &[&str]) -> Result<Change, String> {
    let has = |word: &str| rest.contains(&word);
    let limit = rest.windows(2).find_map(|pair| match pair {
        ["limit", limit] => Some(*limit),
        _ => None,
    });
    match limit {
        Some("0") => Ok(Change::RefuseOutput(true)),
        _ if has("fq") => Err(format!("`{command}`: pacing by a queue cannot be shown")),
        _ if has("qdisc") => Ok(Change::RefuseOutput(false)),
        _ => Err(unknown(command)),
    }
}

/// Words as a shell separates them, quotation marks taken off, `$((a*b))` computed.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut depth = 0_u32;
    for character in command.chars() {
        match (character, quote) {
            (mark, Some(open)) if mark == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            ('(', _) => {
                depth += 1;
                word.push(character);
            }
            (')', _) => {
                depth = depth.saturating_sub(1);
                word.push(character);
            }
            (space, None) if space.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    words.push(computed(&core::mem::take(&mut word)));
                }
            }
            _ => word.push(character),
        }
    }
    if !word.is_empty() {
        words.push(computed(&word));
    }
    words
}

/// Replaces `$((a*b*…))` by its value.
fn computed(word: &str) -> String {
    let mut rest = word;
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once("$((") {
        let Some((expression, after)) = after.split_once("))") else {
            break;
        };
        let product = expression
            .split('*')
            .map(|factor| factor.trim().parse::<u64>().ok())
            .try_fold(1_u64, |product, factor| product.checked_mul(factor?));
        text.push_str(before);
        match product {
            Some(product) => text.push_str(&product.to_string()),
            None => text.push_str(expression),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// A sysctl by its dotted name or its path under /proc/sys.
fn setting(key: &str, value: &str) -> Result<Change, String> {
    let key = key
        .strip_prefix("/proc/sys/")
        .unwrap_or(key)
        .replace('/', ".");
    let name = key.strip_prefix("net.ipv4.").unwrap_or(&key);
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if HARMLESS.contains(&name) {
        return Ok(Change::Nothing);
    }
    if let Some(change) = fast_open(name, &value) {
        return change.ok_or_else(|| format!("{name}={value}: not a value for it"));
    }
    if let Some((_, values)) = FIXED.iter().find(|(fixed, _)| *fixed == name) {
        return if values.contains(&value.as_str()) {
            Ok(Change::Nothing)
        } else {
            Err(format!("{name}={value}: the stack has no such choice"))
        };
    }
    let setting = Setting {
        name: name.to_owned(),
        value,
    };
    // A trial shows whether name and value are known.
    setting.apply(&mut Config::default())?;
    Ok(Change::Config(setting))
}

/// The sysctls of TCP Fast Open; none within for a value that does not fit.
fn fast_open(name: &str, value: &str) -> Option<Option<Change>> {
    match name {
        "tcp_fastopen" => {
            let number = match value.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16),
                None => value.parse(),
            };
            Some(number.ok().map(Change::FastOpen))
        }
        "tcp_fastopen_blackhole_timeout_sec" => {
            let seconds = value.parse().ok();
            Some(seconds.map(|seconds| Change::FastOpenPause(Duration::from_secs(seconds))))
        }
        "tcp_fastopen_key" => Some(fast_open_keys(value).map(Change::FastOpenKeys)),
        _ => None,
    }
}

/// One key, or two separated by a comma.
fn fast_open_keys(value: &str) -> Option<FastOpenKeys> {
    match value.split_once(',') {
        Some((primary, backup)) => {
            Some(FastOpenKeys::new(fast_open_key(primary)?).backup(fast_open_key(backup)?))
        }
        None => fast_open_key(value).map(FastOpenKeys::new),
    }
}

/// Four words in hexadecimal, each with its low octet first in the key.
fn fast_open_key(text: &str) -> Option<[u8; 16]> {
    let words: Vec<[u8; 4]> = text
        .trim()
        .split('-')
        .map(|word| u32::from_str_radix(word, 16).map(u32::to_le_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    words.concat().try_into().ok()
}

impl Setting {
    /// Applies it.
    ///
    /// # Errors
    /// A phrase, when there is no such sysctl or the value does not fit it.
    pub fn apply(&self, config: &mut Config) -> Result<(), String> {
        let Self { name, value } = self;
        let wrong = || format!("{name}={value}: not a value for it");
        let number = || value.parse::<u64>().map_err(|_| wrong());
        let small = || value.parse::<u8>().map_err(|_| wrong());
        let flag = || match value.as_str() {
            "0" => Ok(false),
            "1" | "2" => Ok(true),
            _ => Err(wrong()),
        };
        let seconds = || number().map(Duration::from_secs);
        match name.as_str() {
            "tcp_rmem" => {
                let [_, initial, most] = triple(value).ok_or_else(wrong)?;
                config.recv_buffer = most;
                // Linux offers half of what it sets aside (tcp_adv_win_scale 1).
                config.recv_buffer_initial = (initial / 2).min(most);
            }
            "tcp_wmem" => {
                let [_, initial, most] = triple(value).ok_or_else(wrong)?;
                config.send_buffer = most;
                config.send_buffer_initial = initial.min(most);
            }
            "tcp_timestamps" => config.timestamps = flag()?,
            "tcp_sack" => config.sack = flag()?,
            "tcp_window_scaling" => config.window_scaling = flag()?,
            "tcp_recovery" => config.rack = number()? & 1 != 0,
            "tcp_early_retrans" => config.tail_loss_probe = number()? > 2,
            "tcp_slow_start_after_idle" => config.restart_after_idle = flag()?,
            "tcp_syn_retries" => config.syn_retries = small()?,
            "tcp_synack_retries" => config.syn_ack_retries = small()?,
            "tcp_retries1" => config.retries_r1 = small()?,
            "tcp_retries2" => config.retries_r2 = small()?,
            "tcp_orphan_retries" => config.orphan_retries = small()?,
            "tcp_fin_timeout" => config.fin_wait_2 = seconds()?,
            "tcp_invalid_ratelimit" => {
                config.challenge_interval = Duration::from_millis(number()?);
            }
            "tcp_rto_min_us" => config.rto_min = Duration::from_micros(number()?),
            "tcp_rto_max_ms" => config.rto_max = Duration::from_millis(number()?),
            "tcp_notsent_lowat" => {
                let limit = number()?;
                config.unsent_limit = (limit < u64::from(u32::MAX))
                    .then(|| usize::try_from(limit).unwrap_or(usize::MAX));
            }
            "tcp_ecn" => {
                config.ecn = match value.as_str() {
                    "0" => EcnUse::Off,
                    "1" => EcnUse::Request,
                    "2" => EcnUse::Accept,
                    "3" => EcnUse::Accurate,
                    "4" => EcnUse::RequestClassic,
                    "5" => EcnUse::AcceptAccurate,
                    _ => return Err(wrong()),
                };
            }
            "tcp_ecn_option" => {
                config.accecn_option = match value.as_str() {
                    "0" => AccEcnOption::Never,
                    "1" => AccEcnOption::Needed,
                    "2" => AccEcnOption::Always,
                    _ => return Err(wrong()),
                };
            }
            "tcp_congestion_control" => {
                config.congestion = Algorithm::from_name(value)
                    .ok_or_else(|| format!("{name}={value}: no such controller"))?;
            }
            "tcp_mtu_probing" => {
                config.mtu_probing = match value.as_str() {
                    "0" => MtuProbing::Off,
                    "1" => MtuProbing::BlackHole,
                    "2" => MtuProbing::Always,
                    _ => return Err(wrong()),
                };
            }
            "tcp_keepalive_time" | "tcp_keepalive_intvl" | "tcp_keepalive_probes" => {
                return Err(format!("{name}: set the option of the socket instead"));
            }
            _ => return Err(format!("the sysctl {name} is not known")),
        }
        Ok(())
    }
}

fn triple(value: &str) -> Option<[usize; 3]> {
    let numbers: Vec<usize> = value
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(line: &str) -> Config {
        let mut config = linux();
        for change in read(line).unwrap() {
            if let Change::Config(setting) = change {
                setting.apply(&mut config).unwrap();
            }
        }
        config
    }

    #[test]
    fn sysctls_are_taken_in_every_way_of_writing() {
        assert!(!configured("sysctl -q net.ipv4.tcp_sack=0").sack);
        assert!(!configured("sysctl -w net/ipv4/tcp_sack=0 > /dev/null 2>&1").sack);
        assert!(!configured("echo 0 > /proc/sys/net/ipv4/tcp_timestamps").timestamps);
        let config = configured(
            "../common/defaults.sh\n../common/set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0 \\\n \
             /proc/sys/net/ipv4/tcp_wmem=\"4096 50000 100000\"",
        );
        assert!(!config.timestamps);
        assert_eq!(config.send_buffer, 100_000);
        assert_eq!(config.recv_buffer, 15 << 20);
        let rmem = configured("sysctl -q net.ipv4.tcp_rmem=\"4096 540000 $((15*1024*1024))\"");
        assert_eq!(rmem.recv_buffer, 15 << 20);
    }

    #[test]
    fn what_is_not_known_is_an_error_that_names_it() {
        for (line, part) in [
            ("rm -rf /", "`rm -rf /`"),
            ("sysctl -q net.ipv4.tcp_surely_not=1", "tcp_surely_not"),
            ("sysctl -q net.ipv4.tcp_sack=maybe", "tcp_sack=maybe"),
            ("sysctl -q net.ipv4.tcp_mtu_probing=3", "tcp_mtu_probing=3"),
            ("sysctl -q net.ipv4.tcp_congestion_control=vegas", "vegas"),
            ("cat /etc/passwd | grep x", "cat"),
            ("tc qdisc replace dev tun0 root fq", "pacing"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn harmless_lines_change_nothing() {
        let line = "ip tcp_metrics flush all > /dev/null 2>&1; ethtool -K tun0 tso off gso off\n\
                    /tmp/sysctl_restore_17.sh";
        assert_eq!(
            read(line),
            Ok(vec![Change::ForgetPast, Change::Nothing, Change::Nothing])
        );
        assert_eq!(
            read("tc qdisc replace dev tun0 root pfifo limit 0"),
            Ok(vec![Change::RefuseOutput(true)])
        );
    }
}
