//! Connections that their applications have let go of, and how long TCP tries on.

use transom_sim::{Impairment, Loss, Probability};

use super::scenario::{ConnectionPlan, HostPlan};

/// Whether an end that lets go of unacknowledged data may use up an orphan's retries: in an outage, and what is left of
/// them on losses in a row. Once in a thousand is too often.
pub(super) fn may_give_up(
    connection: &ConnectionPlan,
    hosts: &[HostPlan],
    path: &[Impairment; 2],
) -> bool {
    let outages = path.iter().filter_map(|link| link.outage);
    let Some(longest) = outages.map(|outage| outage.length).max() else {
        return false;
    };
    let ends = [connection.client, connection.server];
    ends.iter().zip(&connection.scripts).any(|(host, script)| {
        let config = &hosts[*host].config;
        // Timeouts that double from the shortest on.
        let in_outage = (longest.as_millis() / config.rto_min.as_millis().max(1) + 1).ilog2();
        let left = i32::from(config.orphan_retries) - in_outage as i32;
        let lost = path.iter().map(|link| all_lost(&link.loss, left));
        script.lets_go && script.bytes > 0 && lost.sum::<f64>() > 1e-3
    })
}

/// How probable it is that so many packets in a row are lost.
fn all_lost(loss: &Loss, packets: i32) -> f64 {
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
