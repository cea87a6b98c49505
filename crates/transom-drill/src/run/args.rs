//! Arguments of a script's calls, turned into what the socket layer takes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::script::{Call as Written, Value};
use crate::sockets::{Call, Fd, OptionValue, names};

/// A descriptor that nothing is open under.
const NOBODY: Fd = Fd::MAX;

/// What the words of a script stand for in this run.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    /// The family of `...`.
    pub(super) domain: i64,
    /// Where `bind` with `...` binds to.
    pub(super) bind: SocketAddr,
    /// Where `connect` with `...` connects to.
    pub(super) connect: SocketAddr,
    /// The script's descriptors and the live ones.
    pub(super) files: BTreeMap<i64, Fd>,
}

impl Meaning {
    /// The live descriptor for one of the script.
    pub(super) fn fd(&self, value: &Value) -> Result<Fd, String> {
        let number = number(value)?;
        Ok(self.files.get(&number).copied().unwrap_or(NOBODY))
    }

    /// The call that is written.
    ///
    /// # Errors
    /// A phrase that says what in it is not understood.
    #[expect(clippy::too_many_lines, reason = "one arm for each call")]
    pub(super) fn call(&self, written: &Written) -> Result<Call, String> {
        let args = Args {
            name: &written.name,
            values: &written.args,
        };
        let fd = || self.fd(args.at(0)?);
        let call = match written.name.as_str() {
            "socket" => Call::Socket {
                domain: match args.at(0)? {
                    Value::Ellipsis => self.domain,
                    domain => number(domain)?,
                },
                kind: args.number(1)?,
                protocol: args.number(2)?,
            },
            "bind" => Call::Bind {
                fd: fd()?,
                address: self.address(args.at(1)?, self.bind)?.unwrap_or(self.bind),
            },
            "listen" => Call::Listen {
                fd: fd()?,
                backlog: args.number(1)?,
            },
            "accept" => Call::Accept {
                fd: fd()?,
                flags: 0,
            },
            "accept4" => Call::Accept {
                fd: fd()?,
                flags: args.number(3)?,
            },
            "connect" => Call::Connect {
                fd: fd()?,
                address: self.address(args.at(1)?, self.connect)?,
            },
            "read" | "recv" | "recvfrom" => Call::Receive {
                fd: fd()?,
                len: length(args.at(2)?)?,
                null: is_null(args.at(1)?),
                flags: args.number_or_zero(3)?,
            },
            "readv" => {
                let (len, null) = vector(args.at(1)?)?;
                Call::Receive {
                    fd: fd()?,
                    len,
                    null,
                    flags: 0,
                }
            }
            "recvmsg" => {
                let (len, null) = message(args.at(1)?)?;
                Call::Receive {
                    fd: fd()?,
                    len,
                    null,
                    flags: args.number(2)?,
                }
            }
            "write" | "send" | "sendto" => Call::Send {
                fd: fd()?,
                len: length(args.at(2)?)?,
                null: is_null(args.at(1)?),
                flags: args.number_or_zero(3)?,
                to: match args.values.get(4) {
                    Some(value) => Some(self.destination(value)?),
                    None => None,
                },
            },
            "writev" => {
                let (len, null) = vector(args.at(1)?)?;
                Call::Send {
                    fd: fd()?,
                    len,
                    null,
                    flags: 0,
                    to: None,
                }
            }
            "sendmsg" => {
                let (len, null) = message(args.at(1)?)?;
                Call::Send {
                    fd: fd()?,
                    len,
                    null,
                    flags: args.number(2)?,
                    to: match args.at(1)?.field("msg_name") {
                        Some(field) => Some(self.destination(&field.value)?),
                        None => None,
                    },
                }
            }
            "shutdown" => Call::Shutdown {
                fd: fd()?,
                how: args.number(1)?,
            },
            "close" => Call::Close { fd: fd()? },
            "fcntl" => Call::Fcntl {
                fd: fd()?,
                command: args.number(1)?,
                argument: args.number_or_zero(2)?,
            },
            "ioctl" => Call::Ioctl {
                fd: fd()?,
                request: args.number(1)?,
                argument: match args.values.get(2) {
                    None | Some(Value::Ellipsis) => 0,
                    Some(value) => number(pointed(value))?,
                },
            },
            "getsockopt" => Call::GetOption {
                fd: fd()?,
                level: args.number(1)?,
                name: args.number(2)?,
                len: match args.at(4)? {
                    Value::Ellipsis => 4,
                    value => number(pointed(value))?,
                },
            },
            "setsockopt" => Call::SetOption {
                fd: fd()?,
                level: args.number(1)?,
                name: args.number(2)?,
                value: option_value(args.at(3)?)?,
                len: match args.at(4)? {
                    Value::Ellipsis => 4,
                    value => number(value)?,
                },
            },
            "poll" => Call::Poll {
                entries: self.poll_entries(args.at(0)?)?,
                timeout: args.number(2)?,
            },
            "epoll_create" | "epoll_create1" => Call::EpollCreate,
            "epoll_ctl" => {
                let event = args.values.get(3);
                Call::EpollControl {
                    epoll: fd()?,
                    operation: args.number(1)?,
                    fd: self.fd(args.at(2)?)?,
                    events: match event.and_then(|event| event.field("events")) {
                        Some(field) => number(&field.value)?,
                        None => 0,
                    },
                    data: event.map_or(Ok(0), epoll_data)?,
                }
            }
            "epoll_wait" => Call::EpollWait {
                epoll: fd()?,
                max: args.number(2)?,
                timeout: args.number(3)?,
            },
            "pipe" => Call::Pipe,
            "splice" => Call::Splice {
                from: fd()?,
                to: self.fd(args.at(2)?)?,
                len: length(args.at(4)?)?,
                flags: args.number(5)?,
            },
            other => return Err(format!("the system call `{other}` is not supported")),
        };
        Ok(call)
    }

    /// The address of `sendto`; none for `AF_UNSPEC`.
    fn destination(&self, value: &Value) -> Result<Option<SocketAddr>, String> {
        match value {
            Value::Symbol(name) if name == "AF_UNSPEC" => Ok(None),
            value => self.address(value, self.connect),
        }
    }

    /// The address of `bind` or `connect`; none for `AF_UNSPEC`.
    fn address(&self, value: &Value, usual: SocketAddr) -> Result<Option<SocketAddr>, String> {
        let Value::Struct(_) = value else {
            return match value {
                Value::Ellipsis => Ok(Some(usual)),
                other => Err(format!("`{other}` is not an address")),
            };
        };
        let family = value
            .field("sa_family")
            .or_else(|| value.field("sin_family"));
        let family = family
            .or_else(|| value.field("sin6_family"))
            .ok_or_else(|| format!("`{value}` has no sa_family"))?;
        if number(&family.value)? == names::AF_UNSPEC {
            return Ok(None);
        }
        let port = value
            .field("sin_port")
            .or_else(|| value.field("sin6_port"))
            .ok_or_else(|| format!("`{value}` has no port"))?;
        let port = u16::try_from(number(&port.value)?).map_err(|_| "not a port".to_owned())?;
        let address = value
            .field("sin_addr")
            .or_else(|| value.field("sin6_addr"))
            .ok_or_else(|| format!("`{value}` has no address"))?;
        Ok(Some(SocketAddr::new(ip(&address.value)?, port)))
    }

    fn poll_entries(&self, value: &Value) -> Result<Vec<(Fd, i64)>, String> {
        let Value::List(entries) = value else {
            return Err(format!("`{value}` is not a list of pollfd"));
        };
        entries
            .iter()
            .map(|entry| {
                let fd = self.fd(&member(entry, "fd")?)?;
                Ok((fd, number(&member(entry, "events")?)?))
            })
            .collect()
    }
}

/// The arguments of one call.
struct Args<'a> {
    name: &'a str,
    values: &'a [Value],
}

impl<'a> Args<'a> {
    fn at(&self, index: usize) -> Result<&'a Value, String> {
        self.values
            .get(index)
            .ok_or_else(|| format!("`{}` needs {} arguments at least", self.name, index + 1))
    }

    fn number(&self, index: usize) -> Result<i64, String> {
        number(self.at(index)?)
    }

    fn number_or_zero(&self, index: usize) -> Result<i64, String> {
        self.values.get(index).map_or(Ok(0), number)
    }
}

/// A number, or a symbol that stands for one.
pub(super) fn number(value: &Value) -> Result<i64, String> {
    if let Value::Call(function, values) = value
        && matches!(function.as_str(), "htons" | "htonl")
        && let [value] = values.as_slice()
    {
        // Addresses are handed over as numbers, not as bytes in memory.
        return number(value);
    }
    value
        .resolve(&names::value)
        .map_err(|error| error.to_string())
}

fn length(value: &Value) -> Result<usize, String> {
    usize::try_from(number(value)?).map_err(|_| format!("`{value}` is not a length"))
}

fn is_null(value: &Value) -> bool {
    matches!(value, Value::Symbol(name) if name == "NULL")
}

/// What a list of one points at.
pub(super) fn pointed(value: &Value) -> &Value {
    match value {
        Value::List(values) => match values.as_slice() {
            [one] => one,
            _ => value,
        },
        _ => value,
    }
}

/// A member of a structure.
pub(super) fn member(value: &Value, name: &str) -> Result<Value, String> {
    value
        .field(name)
        .map(|field| field.value.clone())
        .ok_or_else(|| format!("`{value}` has no member {name}"))
}

/// The data of an epoll event, whichever member of the union it is.
pub(super) fn epoll_data(event: &Value) -> Result<u64, String> {
    for name in ["fd", "ptr", "u32", "u64"] {
        if let Some(field) = event.field(name) {
            return number(&field.value).map(i64::cast_unsigned);
        }
    }
    Ok(0)
}

/// The octets of an array of buffers, and whether one with room is `NULL`.
fn vector(value: &Value) -> Result<(usize, bool), String> {
    let Value::List(buffers) = value else {
        return Err(format!("`{value}` is not a list of buffers"));
    };
    let mut total = 0_usize;
    let mut null = false;
    for buffer in buffers {
        let Value::Struct(fields) = buffer else {
            return Err(format!("`{buffer}` is not a buffer"));
        };
        let [base, len] = fields.as_slice() else {
            return Err(format!("`{buffer}` is not a buffer and its length"));
        };
        let len = length(&len.value)?;
        total = total.saturating_add(len);
        null |= len > 0 && is_null(&base.value);
    }
    Ok((total, null))
}

/// The same of a msghdr.
fn message(value: &Value) -> Result<(usize, bool), String> {
    match value.field("msg_iov") {
        Some(field) => vector(&field.value),
        None => Err(format!("`{value}` has no msg_iov")),
    }
}

/// The value of a socket option.
pub(super) fn option_value(value: &Value) -> Result<OptionValue, String> {
    let value = pointed(value);
    match value {
        Value::Text(text) => Ok(OptionValue::Text(text.clone())),
        Value::Struct(fields) => {
            let at = |index: usize| {
                fields
                    .get(index)
                    .map_or(Ok(0), |field| number(&field.value))
            };
            let is_time = fields.iter().any(|field| {
                field
                    .name
                    .as_deref()
                    .is_some_and(|name| name.starts_with("tv_"))
            });
            Ok(if is_time {
                OptionValue::Time {
                    seconds: at(0)?,
                    micros: at(1)?,
                }
            } else {
                OptionValue::Linger {
                    on: at(0)? != 0,
                    seconds: at(1)?,
                }
            })
        }
        value if is_null(value) => Ok(OptionValue::Null),
        Value::Ellipsis => Ok(OptionValue::Integer(0)),
        value => number(value).map(OptionValue::Integer),
    }
}

/// An address as a function of a text gives it.
fn ip(value: &Value) -> Result<IpAddr, String> {
    let text = match value {
        Value::Call(_, values) => values.iter().find_map(|value| match value {
            Value::Text(text) => core::str::from_utf8(text).ok(),
            _ => None,
        }),
        Value::Text(text) => core::str::from_utf8(text).ok(),
        _ => None,
    };
    if let Some(text) = text {
        return text
            .parse()
            .map_err(|_| format!("`{text}` is not an IP address"));
    }
    let number = u32::try_from(number(value)?).map_err(|_| format!("`{value}` is no address"))?;
    Ok(IpAddr::V4(number.into()))
}
