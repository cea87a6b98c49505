//! Results of a script's calls against those that it expects.

use super::args::{Meaning, epoll_data, member, number, option_value, pointed};
use crate::script::{Call as Written, Value};
use crate::sockets::{Errno, Fd, OptionValue, Outcome, Output, Returned, names};

/// Calls whose result is a new descriptor, whatever its number.
const MAKES_FILE: &[&str] = &[
    "socket",
    "accept",
    "accept4",
    "epoll_create",
    "epoll_create1",
];

impl Meaning {
    /// Compares a call's outcome with what the script expects, and learns new descriptors from it.
    ///
    /// # Errors
    /// The expected and the actual result, as phrases.
    pub(super) fn check(
        &mut self,
        written: &Written,
        outcome: &Outcome,
    ) -> Result<(), (String, String)> {
        let wanted = expected(written);
        let differs = || (wanted.clone(), actual(outcome));
        let returned = match outcome {
            Ok(returned) => returned,
            Err(crate::sockets::Fault::Errno(errno)) => {
                let result = number(&written.result).map_err(|error| (error, actual(outcome)))?;
                let named = match &written.errno {
                    Some(name) => Errno::from_name(name) == Some(*errno),
                    None => true,
                };
                return if result == -1 && named {
                    Ok(())
                } else {
                    Err(differs())
                };
            }
            Err(crate::sockets::Fault::Unsupported(_)) => return Err(differs()),
        };
        if written.result == Value::Ellipsis {
            return Ok(());
        }
        let result = number(&written.result).map_err(|error| (error, actual(outcome)))?;
        if MAKES_FILE.contains(&written.name.as_str()) {
            if result < 0 {
                return Err(differs());
            }
            self.files.insert(result, fd(returned.value));
            return Ok(());
        }
        if result != returned.value {
            return Err(differs());
        }
        self.check_output(written, returned)
    }

    fn check_output(
        &mut self,
        written: &Written,
        returned: &Returned,
    ) -> Result<(), (String, String)> {
        let wrong = |error: String| (error, String::new());
        match &returned.output {
            Output::Option(value, len) => check_option(written, value, *len),
            Output::Integer(value) => match written.args.get(2) {
                None | Some(Value::Ellipsis) => Ok(()),
                Some(expected) => {
                    let expected = number(pointed(expected)).map_err(wrong)?;
                    same("the integer", expected, *value)
                }
            },
            Output::Poll(found) => {
                let Some(Value::List(entries)) = written.args.first() else {
                    return Ok(());
                };
                for (entry, found) in entries.iter().zip(found) {
                    let wanted =
                        number(&member(entry, "revents").map_err(wrong)?).map_err(wrong)?;
                    if wanted != *found {
                        return Err((
                            format!("revents={}", events(wanted)),
                            format!("revents={}", events(*found)),
                        ));
                    }
                }
                Ok(())
            }
            Output::Epoll(found) => check_epoll(written, found),
            Output::Pipe(ends) => {
                if let Some(Value::List(numbers)) = written.args.first() {
                    for (value, end) in numbers.iter().zip(ends) {
                        self.files.insert(number(value).map_err(wrong)?, *end);
                    }
                }
                Ok(())
            }
            Output::Message { flags, unread } => check_message(written, *flags, *unread),
            Output::Nothing => Ok(()),
        }
    }
}

fn fd(value: i64) -> Fd {
    Fd::try_from(value).unwrap_or(-1)
}

fn same(what: &str, expected: i64, actual: i64) -> Result<(), (String, String)> {
    if expected == actual {
        Ok(())
    } else {
        Err((format!("{what} {expected}"), format!("{what} {actual}")))
    }
}

fn check_option(written: &Written, value: &OptionValue, len: i64) -> Result<(), (String, String)> {
    let wrong = |error: String| (error, String::new());
    if let Some(expected) = written.args.get(4)
        && *expected != Value::Ellipsis
    {
        let expected = number(pointed(expected)).map_err(wrong)?;
        // A script writes how long its own text is; Linux gives back the field's length.
        if !matches!(value, OptionValue::Text(_)) {
            same("the length", expected, len)?;
        }
    }
    let Some(expected) = written
        .args
        .get(3)
        .filter(|value| **value != Value::Ellipsis)
    else {
        return Ok(());
    };
    let expected = option_value(expected).map_err(wrong)?;
    let equal = match (&expected, value) {
        (OptionValue::Integer(expected), OptionValue::Integer(actual)) => {
            // Both are an int on Linux, whatever its sign.
            (expected ^ actual) & 0xffff_ffff == 0
        }
        (OptionValue::Text(expected), OptionValue::Text(actual)) => {
            expected.strip_suffix(b"\0").unwrap_or(expected) == actual.as_slice()
        }
        (expected, actual) => expected == actual,
    };
    if equal {
        Ok(())
    } else {
        Err((text(&expected), text(value)))
    }
}

fn text(value: &OptionValue) -> String {
    match value {
        OptionValue::Integer(number) => format!("[{number}]"),
        OptionValue::Linger { on, seconds } => {
            format!("{{onoff={}, linger={seconds}}}", i32::from(*on))
        }
        OptionValue::Time { seconds, micros } => format!("{{tv_sec={seconds}, tv_usec={micros}}}"),
        OptionValue::Text(text) => format!("\"{}\"", text.escape_ascii()),
        OptionValue::Null => "NULL".to_owned(),
    }
}

fn check_epoll(written: &Written, found: &[(i64, u64)]) -> Result<(), (String, String)> {
    let wrong = |error: String| (error, String::new());
    let expected = match written.args.get(1) {
        Some(Value::List(events)) => events.as_slice(),
        Some(one) => core::slice::from_ref(one),
        None => &[],
    };
    for (expected, (bits, data)) in expected.iter().zip(found) {
        let wanted = number(&member(expected, "events").map_err(wrong)?).map_err(wrong)?;
        let wanted_data = epoll_data(expected).map_err(wrong)?;
        if wanted != *bits || wanted_data != *data {
            return Err((
                format!("events={} data={wanted_data}", events(wanted)),
                format!("events={} data={data}", events(*bits)),
            ));
        }
    }
    Ok(())
}

fn check_message(
    written: &Written,
    flags: i64,
    unread: Option<i64>,
) -> Result<(), (String, String)> {
    let wrong = |error: String| (error, String::new());
    let Some(header) = written.args.get(1).filter(|_| written.name == "recvmsg") else {
        return Ok(());
    };
    if let Some(expected) = header.field("msg_flags") {
        same("msg_flags", number(&expected.value).map_err(wrong)?, flags)?;
    }
    let Some(control) = header.field("msg_control") else {
        return Ok(());
    };
    let Value::List(messages) = &control.value else {
        return Ok(());
    };
    for message in messages {
        let kind = number(&member(message, "cmsg_type").map_err(wrong)?).map_err(wrong)?;
        if kind != names::TCP_CM_INQ {
            return Err((message.to_string(), "no such control message".to_owned()));
        }
        let expected = number(&member(message, "cmsg_data").map_err(wrong)?).map_err(wrong)?;
        match unread {
            Some(unread) => same("octets left", expected, unread)?,
            None => return Err((message.to_string(), "no control message".to_owned())),
        }
    }
    Ok(())
}

/// The result that the script expects, as it writes it.
fn expected(written: &Written) -> String {
    match &written.errno {
        Some(errno) => format!("{} {errno}", written.result),
        None => written.result.to_string(),
    }
}

/// An outcome as a script would write it.
pub(super) fn actual(outcome: &Outcome) -> String {
    match outcome {
        Ok(returned) => returned.value.to_string(),
        Err(crate::sockets::Fault::Errno(errno)) => format!("-1 {errno}"),
        Err(crate::sockets::Fault::Unsupported(what)) => format!("not supported: {what}"),
    }
}

/// Poll events by name.
fn events(bits: i64) -> String {
    const NAMES: &[(i64, &str)] = &[
        (names::POLLIN, "POLLIN"),
        (names::POLLPRI, "POLLPRI"),
        (names::POLLOUT, "POLLOUT"),
        (names::POLLERR, "POLLERR"),
        (names::POLLHUP, "POLLHUP"),
        (names::POLLNVAL, "POLLNVAL"),
        (names::POLLRDNORM, "POLLRDNORM"),
        (names::POLLWRNORM, "POLLWRNORM"),
        (names::POLLRDHUP, "POLLRDHUP"),
    ];
    let mut parts: Vec<&str> = NAMES
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    if parts.is_empty() {
        parts.push("0");
    }
    parts.join("|")
}
