//! What the first bytes of each direction say of the protocol above TCP.

mod first;
mod read;
mod tls;

pub(crate) use first::{FIRST_MAX, Reading};
pub(crate) use read::DNS_PORT;

use crate::model::End;
use core::fmt;

/// The protocol above TCP, as far as the first bytes tell. Texts may hold any characters: whoever
/// shows them must escape them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Application {
    /// HTTP/1: the request line, and the status line of the answer.
    Http {
        /// Such as `GET / HTTP/1.1`.
        request: Box<str>,
        /// Such as `HTTP/1.1 200 OK`.
        status: Option<Box<str>>,
    },
    /// TLS.
    Tls {
        /// The server name that the client asks for (RFC 6066 §3).
        sni: Option<Box<str>>,
        /// The protocol chosen by the server, else what the client offers (RFC 7301).
        alpn: Option<Box<str>>,
        /// The version chosen by the server, such as `1.3`.
        version: Option<&'static str>,
    },
    /// SSH: the identification lines (RFC 4253 §4.2).
    Ssh {
        /// The client's.
        client: Option<Box<str>>,
        /// The server's.
        server: Option<Box<str>>,
    },
    /// DNS over TCP: the first question's name and type.
    Dns {
        /// The name asked for.
        name: Box<str>,
        /// The type of record asked for, as a number.
        kind: u16,
    },
    /// A first line of text, such as the greeting of a mail server.
    Other {
        /// The line.
        banner: Box<str>,
    },
}

/// What one direction says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spoken {
    Request(Box<str>),
    Status(Box<str>),
    Ssh(End, Box<str>),
    Question(Box<str>, u16),
    Banner(Box<str>),
    ClientHello {
        sni: Option<Box<str>>,
        alpn: Option<Box<str>>,
    },
    ServerHello {
        version: Option<&'static str>,
        alpn: Option<Box<str>>,
    },
}

impl Application {
    /// Adds what one direction says to what the other said. What does not fit together is left out.
    fn merge(known: &mut Option<Box<Self>>, spoken: Spoken) {
        let fresh = |application: Self| Some(Box::new(application));
        match (known.as_deref_mut(), spoken) {
            (None, Spoken::Request(request)) => {
                let status = None;
                *known = fresh(Self::Http { request, status });
            }
            (None, Spoken::Status(line)) => {
                let (request, status) = ("".into(), Some(line));
                *known = fresh(Self::Http { request, status });
            }
            (Some(Self::Http { status, .. }), Spoken::Status(line)) => *status = Some(line),
            (Some(Self::Http { request, .. }), Spoken::Request(line)) => *request = line,
            (None, Spoken::Ssh(End::Client, line)) => {
                let (client, server) = (Some(line), None);
                *known = fresh(Self::Ssh { client, server });
            }
            (None, Spoken::Ssh(End::Server, line)) => {
                let (client, server) = (None, Some(line));
                *known = fresh(Self::Ssh { client, server });
            }
            (Some(Self::Ssh { client, server }), Spoken::Ssh(from, line)) => match from {
                End::Client => *client = Some(line),
                End::Server => *server = Some(line),
            },
            (None, Spoken::ClientHello { sni, alpn }) => {
                let version = None;
                *known = fresh(Self::Tls { sni, alpn, version });
            }
            (None, Spoken::ServerHello { version, alpn }) => {
                let sni = None;
                *known = fresh(Self::Tls { sni, alpn, version });
            }
            (
                Some(Self::Tls { alpn, version, .. }),
                Spoken::ServerHello {
                    version: v,
                    alpn: a,
                },
            ) => {
                *version = v;
                if a.is_some() {
                    *alpn = a;
                }
            }
            (Some(Self::Tls { sni, alpn, .. }), Spoken::ClientHello { sni: s, alpn: a }) => {
                *sni = s;
                if alpn.is_none() {
                    *alpn = a;
                }
            }
            (None, Spoken::Question(name, kind)) => *known = fresh(Self::Dns { name, kind }),
            (None, Spoken::Banner(banner)) => *known = fresh(Self::Other { banner }),
            (Some(_), _) => {}
        }
    }

    /// A stable identifier: `http`, `tls`, `ssh`, `dns` or `other`.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Tls { .. } => "tls",
            Self::Ssh { .. } => "ssh",
            Self::Dns { .. } => "dns",
            Self::Other { .. } => "other",
        }
    }
}

impl fmt::Display for Application {
    /// One line, such as `TLS 1.3 example.com (h2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { request, status } => {
                f.write_str(request)?;
                status
                    .as_ref()
                    .map_or(Ok(()), |status| write!(f, " → {status}"))
            }
            Self::Tls { sni, alpn, version } => {
                f.write_str("TLS")?;
                if let Some(version) = version {
                    write!(f, " {version}")?;
                }
                if let Some(sni) = sni {
                    write!(f, " {sni}")?;
                }
                alpn.as_ref().map_or(Ok(()), |alpn| write!(f, " ({alpn})"))
            }
            Self::Ssh { client, server } => match (client, server) {
                (Some(client), Some(server)) => write!(f, "{client} → {server}"),
                (Some(line), None) | (None, Some(line)) => f.write_str(line),
                (None, None) => f.write_str("SSH"),
            },
            Self::Dns { name, kind } => match kind {
                1 => write!(f, "DNS {name} A"),
                2 => write!(f, "DNS {name} NS"),
                6 => write!(f, "DNS {name} SOA"),
                15 => write!(f, "DNS {name} MX"),
                16 => write!(f, "DNS {name} TXT"),
                28 => write!(f, "DNS {name} AAAA"),
                252 => write!(f, "DNS {name} AXFR"),
                kind => write!(f, "DNS {name} TYPE{kind}"),
            },
            Self::Other { banner } => f.write_str(banner),
        }
    }
}
