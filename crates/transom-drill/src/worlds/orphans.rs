//! Connections that TCP may give up although the path comes back: their retries end with an outage and a few losses.

use std::time::Duration;

use transom_sim::{Impairment, Loss, Probability};

use super::application::Ending;
use super::scenario::{ConnectionPlan, HostPlan};

/// What is given up once in a thousand is given up too often.
const OFTEN: f64 = 1e-3;

/// Whether an outage, and losses in a row after it, may use up the retries of an orphan or of a handshake.
pub(super) fn may_give_up(
    connection: &ConnectionPlan,
    hosts: &[HostPlan],
    path: &[Impairment; 2],
) -> bool {
    path.iter().any(|link| link.outage.is_some())
        && (orphan_may(connection, hosts, path) || handshake_may(connection, hosts, path))
}

/// An end that lets go of unacknowledged data has an orphan's retries.
fn orphan_may(connection: &ConnectionPlan, hosts: &[HostPlan], path: &[Impairment; 2]) -> bool {
    let longest = lengths(path).max().unwrap_or_default();
    let ends = [connection.client, connection.server];
    ends.iter().zip(&connection.scripts).any(|(host, script)| {
        let config = &hosts[*host].config;
        let left = i32::from(config.orphan_retries) - doublings(longest, config.rto_min);
        script.lets_go && script.bytes > 0 && all_lost(path, left) > OFTEN
    })
}

/// A server that has no answer to its SYN-ACKs forgets the client; one that waits for its server to speak first says
/// nothing that would complete the handshake after all.
fn handshake_may(connection: &ConnectionPlan, hosts: &[HostPlan], path: &[Impairment; 2]) -> bool {
    let [client, _] = &connection.scripts;
    let config = &hosts[connection.server].config;
    // The SYN-ACK is lost in an outage of one direction, then its answers in one of the other.
    let left =
        i32::from(config.syn_ack_retries) - doublings(lengths(path).sum(), config.rto_initial);
    client.bytes == 0 && client.ending == Ending::AfterPeer && all_lost(path, left) > OFTEN
}

fn lengths(path: &[Impairment; 2]) -> impl Iterator<Item = Duration> {
    path.iter()
        .filter_map(|link| link.outage)
        .map(|outage| outage.length)
}

/// How many waits, each twice the one before, pass in an outage.
fn doublings(outage: Duration, first: Duration) -> i32 {
    (outage.as_millis() / first.as_millis().max(1) + 1).ilog2() as i32
}

/// How probable it is that so many packets in a row are lost, one way or the other.
fn all_lost(path: &[Impairment; 2], packets: i32) -> f64 {
    path.iter().map(|link| lost(&link.loss, packets)).sum()
}

fn lost(loss: &Loss, packets: i32) -> f64 {
    let share = |probability: &Probability| {
        f64::from(probability.parts()) / f64::from(Probability::ALWAYS.parts())
    };
    match loss {
        Loss::Random(probability) => share(probability).powi(packets),
        Loss::GilbertElliott {
            to_bad, to_good, ..
        } => share(to_bad) * (1.0 - share(to_good)).powi(packets - 1),
        _ => 0.0,
    }
}
