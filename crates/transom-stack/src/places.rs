//! Memory of connections that are over, for those that are made next.
//!
//! A connection is more than an allocator's quick lists take, and short ones come and go as fast as segments do.

use transom_tcp::Connection;

use crate::rest::Body;

/// So much of it is kept: as many as may end before others begin.
const MOST: usize = 64;

/// Places of connections that are over. What these were is still in them: little, and it goes when another one takes the place.
#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "the boxes are what is kept, and given out again"
)]
pub(crate) struct Places(Vec<Box<Connection>>);

impl Places {
    /// A connection in its place.
    pub(crate) fn put(&mut self, connection: Connection) -> Box<Connection> {
        match self.0.pop() {
            Some(mut place) => {
                *place = connection;
                place
            }
            None => Box::new(connection),
        }
    }

    /// A connection is over.
    pub(crate) fn keep(&mut self, body: Body) {
        if let Body::Whole(whole) = body
            && self.0.len() < MOST
        {
            self.0.push(whole.connection);
        }
    }
}
