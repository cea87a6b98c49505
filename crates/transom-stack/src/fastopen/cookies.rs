//! The cookies that listeners give out.
//!
//! ```text
//! cookie = SipHash-2-4(key, client's address ‖ server's address), 8 octets
//! ```
//!
//! That is Linux's, so that machines behind one address can share a key. Nothing is kept of a cookie given out.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use transom_tcp::Instant;
use transom_wire::tcp::FastOpen;

use crate::secret::{Key, Purpose};
use crate::tuple::Tuple;

/// Keys for Fast Open cookies that several hosts share, or that outlive a restart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FastOpenKeys {
    primary: [u8; 16],
    backup: Option<[u8; 16]>,
}

impl FastOpenKeys {
    /// Cookies are made and recognised with `primary`.
    #[must_use]
    pub const fn new(primary: [u8; 16]) -> Self {
        Self {
            primary,
            backup: None,
        }
    }

    /// Cookies made with `backup` are recognised too, and replaced: the key that was in use before, or will be next.
    #[must_use]
    pub const fn backup(mut self, backup: [u8; 16]) -> Self {
        self.backup = Some(backup);
        self
    }
}

impl fmt::Debug for FastOpenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys never appear in logs.
        f.write_str("FastOpenKeys(..)")
    }
}

/// Whether a cookie is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Yes.
    Current,
    /// It was, with the key before; the peer should have another.
    Outdated,
    /// No.
    Unknown,
}

/// Makes cookies and knows its own.
#[derive(Debug)]
pub(crate) struct Cookies {
    secret: Key,
    lifetime: Duration,
    keys: Option<FastOpenKeys>,
}

impl Cookies {
    /// `lifetime`: how long a key is in use; zero for ever.
    pub(crate) fn new(secret: &[u8; 32], lifetime: Duration) -> Self {
        Self {
            secret: Key::derive(secret, Purpose::FastOpen),
            lifetime,
            keys: None,
        }
    }

    /// Keys of the application's, instead of those derived from the stack's secret.
    pub(crate) const fn set_keys(&mut self, keys: Option<FastOpenKeys>) {
        self.keys = keys;
    }

    /// The keys in use now: those of a listener, else the host's.
    // RFC 7413 §4.1.2, TFO-2: the key changes, and the one before is good as long again.
    fn keys(&self, listener: Option<FastOpenKeys>, now: Instant) -> (Key, Option<Key>) {
        if let Some(keys) = listener.or(self.keys) {
            return (
                Key::from_bytes(keys.primary),
                keys.backup.map(Key::from_bytes),
            );
        }
        let age = now.since_origin().as_nanos();
        let period = age.checked_div(self.lifetime.as_nanos()).unwrap_or(0);
        let key = |period: u128| self.secret.child(&period.to_be_bytes());
        (key(period), period.checked_sub(1).map(key))
    }

    /// The cookie for who sent a SYN.
    pub(super) fn give(
        &self,
        listener: Option<FastOpenKeys>,
        tuple: &Tuple,
        now: Instant,
    ) -> Option<FastOpen> {
        FastOpen::new(&mac(&self.keys(listener, now).0, tuple).to_le_bytes())
    }

    /// Whether a cookie is one of ours.
    pub(super) fn find(
        &self,
        listener: Option<FastOpenKeys>,
        tuple: &Tuple,
        cookie: &[u8],
        now: Instant,
    ) -> Found {
        let Ok(cookie) = <[u8; 8]>::try_from(cookie) else {
            return Found::Unknown;
        };
        let cookie = u64::from_le_bytes(cookie);
        let (current, before) = self.keys(listener, now);
        // TFO-12: one comparison of eight octets at once takes the same time whatever they are.
        let is_current = mac(&current, tuple) ^ cookie == 0;
        let is_outdated = before.is_some_and(|key| mac(&key, tuple) ^ cookie == 0);
        match (is_current, is_outdated) {
            (true, _) => Found::Current,
            (false, true) => Found::Outdated,
            (false, false) => Found::Unknown,
        }
    }
}

/// What ties a cookie to the client, and to us.
fn mac(key: &Key, tuple: &Tuple) -> u64 {
    match (tuple.remote, tuple.local) {
        (IpAddr::V4(client), IpAddr::V4(server)) => key.mac_of(&client.octets(), &server.octets()),
        (IpAddr::V6(client), IpAddr::V6(server)) => key.mac_of(&client.octets(), &server.octets()),
        // There is no such packet.
        _ => key.mac(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn tuple(client: &str, port: u16) -> Tuple {
        Tuple::new(
            "10.0.0.1:80".parse().unwrap(),
            format!("{client}:{port}").parse().unwrap(),
        )
    }

    fn after(days: u32) -> Instant {
        Instant::from_origin(DAY * days + Duration::from_secs(5))
    }

    #[test]
    fn req_tfo_2_a_cookie_belongs_to_an_address_not_to_a_port() {
        let cookies = Cookies::new(&[3; 32], DAY);
        let given = cookies.give(None, &tuple("10.0.0.9", 1), after(0)).unwrap();
        let find = |tuple: &Tuple| cookies.find(None, tuple, given.cookie(), after(0));
        assert_eq!(find(&tuple("10.0.0.9", 2)), Found::Current);
        assert_eq!(find(&tuple("10.0.0.8", 1)), Found::Unknown);
        let other = Cookies::new(&[4; 32], DAY);
        let found = other.find(None, &tuple("10.0.0.9", 1), given.cookie(), after(0));
        assert_eq!(found, Found::Unknown);
    }

    #[test]
    fn req_tfo_2_the_key_changes_and_the_one_before_is_good_for_one_period_more() {
        let cookies = Cookies::new(&[3; 32], DAY);
        let tuple = tuple("10.0.0.9", 1);
        let given = cookies.give(None, &tuple, after(0)).unwrap();
        let found = [0, 1, 2].map(|days| cookies.find(None, &tuple, given.cookie(), after(days)));
        assert_eq!(found, [Found::Current, Found::Outdated, Found::Unknown]);
        let for_ever = Cookies::new(&[3; 32], Duration::ZERO);
        let given = for_ever.give(None, &tuple, after(0)).unwrap();
        let found = for_ever.find(None, &tuple, given.cookie(), after(1000));
        assert_eq!(found, Found::Current);
    }

    #[test]
    fn req_tfo_2_keys_that_are_given_replace_each_other_with_grace() {
        let mut cookies = Cookies::new(&[3; 32], DAY);
        let tuple = tuple("10.0.0.9", 1);
        cookies.set_keys(Some(FastOpenKeys::new([1; 16])));
        let given = cookies.give(None, &tuple, after(0)).unwrap();
        cookies.set_keys(Some(FastOpenKeys::new([2; 16]).backup([1; 16])));
        let found = cookies.find(None, &tuple, given.cookie(), after(0));
        assert_eq!(found, Found::Outdated);
        // A listener may have its own.
        let own = Some(FastOpenKeys::new([1; 16]));
        let found = cookies.find(own, &tuple, given.cookie(), after(0));
        assert_eq!(found, Found::Current);
    }

    #[test]
    fn req_tfo_12_a_cookie_has_eight_octets_and_each_of_them_counts() {
        let cookies = Cookies::new(&[3; 32], DAY);
        let tuple = tuple("10.0.0.9", 1);
        let given = cookies.give(None, &tuple, after(0)).unwrap();
        assert_eq!(given.cookie().len(), 8);
        for at in 0..8 {
            let mut forged = given.cookie().to_vec();
            forged[at] ^= 1;
            let found = cookies.find(None, &tuple, &forged, after(0));
            assert_eq!(found, Found::Unknown, "octet {at}");
        }
        let shorter = cookies.find(None, &tuple, &given.cookie()[..6], after(0));
        assert_eq!(shorter, Found::Unknown);
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let keys = FastOpenKeys::new([7; 16]);
        assert_eq!(format!("{keys:?}"), "FastOpenKeys(..)");
    }
}
