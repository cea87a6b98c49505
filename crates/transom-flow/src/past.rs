//! A connection as it is followed, and as it is handed over once it is over: whole, or as a record of which
//! the whole is made when somebody asks.

use crate::connection::Connection;
use crate::model::{End, Ends};
use crate::ordinary::Ordinary;
use crate::summary::Weight;
use crate::tracker::Limits;
use core::cell::OnceCell;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection that is followed.
#[derive(Clone, Debug)]
pub(crate) enum Followed {
    /// Nothing but the ordinary happened on it so far.
    Ordinary(Box<Ordinary>),
    /// With all that is known of it.
    Whole(Box<Connection>),
}

impl Followed {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Ordinary(ordinary) => ordinary.number,
            Self::Whole(connection) => connection.number,
        }
    }

    /// Whether it is the connection between two sockets.
    pub(crate) fn joins(&self, a: &SocketAddr, b: &SocketAddr) -> bool {
        let (client, server) = match self {
            Self::Ordinary(ordinary) => ordinary.sockets(),
            Self::Whole(connection) => {
                let Ends { client, server } = &connection.endpoints;
                (&client.addr, &server.addr)
            }
        };
        (client == a && server == b) || (client == b && server == a)
    }

    /// Reads something of each part that following a segment needs.
    pub(crate) fn read(&self) -> u64 {
        match self {
            Self::Ordinary(ordinary) => ordinary.read(),
            Self::Whole(connection) => connection.number,
        }
    }

    pub(crate) fn addr(&self, end: End) -> SocketAddr {
        match self {
            Self::Ordinary(ordinary) => ordinary.addr(end),
            Self::Whole(connection) => connection.endpoints[end].addr,
        }
    }

    /// When it closed, if it is closed.
    pub(crate) fn closed_at(&self) -> Option<Duration> {
        match self {
            Self::Ordinary(ordinary) => ordinary.closed_at,
            Self::Whole(connection) => connection.closed_at,
        }
    }

    pub(crate) fn set_closed_at(&mut self, at: Option<Duration>) {
        match self {
            Self::Ordinary(ordinary) => ordinary.closed_at = at,
            Self::Whole(connection) => connection.closed_at = at,
        }
    }

    /// Whether neither end holds the connection any more, TIME-WAIT aside.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Ordinary(ordinary) => ordinary.is_over(),
            Self::Whole(connection) => connection.is_closed(),
        }
    }

    /// The same just after a segment.
    pub(crate) fn is_closed_after_newest(&self) -> bool {
        match self {
            Self::Ordinary(ordinary) => ordinary.is_over(),
            Self::Whole(connection) => connection.is_closed_after_newest(),
        }
    }

    /// Names an end that has no name.
    pub(crate) fn name(&mut self, end: End, name: &Arc<str>) {
        match self {
            Self::Ordinary(ordinary) => {
                ordinary.hosts[end].get_or_insert_with(|| Arc::clone(name));
            }
            Self::Whole(connection) if connection.endpoints[end].host.is_none() => {
                connection.set_host(end, name);
            }
            Self::Whole(_) => {}
        }
    }

    /// Nothing more will come of it. The capture went on until then.
    pub(crate) fn finish(&mut self, watched_until: Duration) {
        match self {
            Self::Ordinary(ordinary) => ordinary.watched_until = Some(watched_until),
            Self::Whole(connection) => connection.finish(watched_until),
        }
    }

    /// The whole connection, if it was made.
    pub(crate) fn whole(&self) -> Option<&Connection> {
        match self {
            Self::Ordinary(_) => None,
            Self::Whole(connection) => Some(connection),
        }
    }

    /// The whole connection; made now, if there is only a record of it.
    pub(crate) fn into_whole(self) -> Box<Connection> {
        match self {
            Self::Ordinary(record) => whole(Some(&record)),
            Self::Whole(connection) => connection,
        }
    }
}

/// Memory for a connection.
pub(crate) fn blank() -> Box<Connection> {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let limits = Limits::default();
    Box::new(Connection::new(
        0,
        nowhere,
        nowhere,
        Duration::ZERO,
        &limits,
    ))
}

/// A connection with all that its record tells.
fn whole(record: Option<&Ordinary>) -> Box<Connection> {
    let mut connection = blank();
    if let Some(record) = record {
        record.follow(&mut connection);
    }
    connection
}

/// A connection that is over.
///
/// Of most connections there is only a record of their segments, as nobody looks at more of them than
/// their [`weight`](Self::weight): the [`Connection`] is made of it when it is asked for.
#[derive(Clone, Debug)]
pub struct Past {
    pub(crate) record: Option<Box<Ordinary>>,
    pub(crate) whole: OnceCell<Box<Connection>>,
}

impl Past {
    /// Number of the connection in the order of first segments, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        match &self.record {
            Some(record) => record.number,
            None => self.connection().number,
        }
    }

    /// Gives it another number, for those who count in another way.
    pub fn set_number(&mut self, number: u64) {
        if let Some(record) = &mut self.record {
            record.number = number;
        }
        if let Some(connection) = self.whole.get_mut() {
            connection.set_number(number);
        }
    }

    /// Its place in a list, as [`Weight::of`] the connection.
    #[must_use]
    pub fn weight(&self) -> Weight {
        let known = self.ordinary().and_then(Ordinary::weight);
        known.unwrap_or_else(|| Weight::of(self.connection()))
    }

    /// The connection; made now, where there was only a record.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.whole.get_or_init(|| whole(self.record.as_deref()))
    }

    /// The same by value.
    #[must_use]
    pub fn into_connection(self) -> Box<Connection> {
        let record = self.record;
        let made = self.whole.into_inner();
        made.unwrap_or_else(|| whole(record.as_deref()))
    }

    /// Address and port of an end.
    pub(crate) fn addr(&self, end: End) -> SocketAddr {
        match &self.record {
            Some(record) => record.addr(end),
            None => self.connection().endpoints[end].addr,
        }
    }

    /// The record, if that is all there is.
    pub(crate) fn ordinary(&self) -> Option<&Ordinary> {
        match self.whole.get() {
            None => self.record.as_deref(),
            Some(_) => None,
        }
    }

    /// Places at which the capture lacks segments.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        match self.ordinary() {
            Some(_) => 0,
            None => {
                let totals = self.connection().totals();
                totals.client.gaps + totals.server.gaps
            }
        }
    }
}

impl From<Box<Connection>> for Past {
    fn from(connection: Box<Connection>) -> Self {
        Self {
            record: None,
            whole: connection.into(),
        }
    }
}

impl From<Followed> for Past {
    fn from(followed: Followed) -> Self {
        match followed {
            Followed::Ordinary(record) => Self {
                record: Some(record),
                whole: OnceCell::new(),
            },
            Followed::Whole(connection) => connection.into(),
        }
    }
}
