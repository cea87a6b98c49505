//! Connections at rest: what is written down of them takes one piece of memory unless something unusual has happened.

use transom_tcp::congestion::Algorithm;
use transom_tcp::{Config, Dormant};

use super::harness::pair::Pair;
use super::harness::{ms, secs};

/// Octets of the form that every connection has; what is unusual stands in a box beside.
const FORM: usize = size_of::<Dormant>() + 248;

fn pair(congestion: Algorithm) -> Pair {
    let mut pair = Pair::new(Config::default().congestion(congestion));
    for side in &mut pair.sides {
        side.finish = false;
    }
    pair.run_until(pair.now + ms(500));
    pair
}

/// Octets beside the form, of both sides.
fn beside(pair: &mut Pair) -> [usize; 2] {
    let mut octets = [0; 2];
    for (side, octets) in pair.sides.iter_mut().zip(&mut octets) {
        let dormant = side.conn().to_dormant().expect("it rests");
        *octets = dormant.memory() - FORM;
    }
    octets
}

/// So many requests, each answered.
fn talk(pair: &mut Pair, turns: usize) {
    for _ in 0..turns {
        for (side, octets) in [(0, 100), (1, 1000)] {
            pair.sides[side].to_write += octets;
            pair.run_until(pair.now + ms(300));
        }
    }
}

#[test]
fn a_connection_that_carried_nothing_has_nothing_beside() {
    for congestion in [Algorithm::Cubic, Algorithm::Reno] {
        assert_eq!(beside(&mut pair(congestion)), [0, 0], "{congestion:?}");
    }
}

#[test]
fn a_connection_that_carried_little_has_nothing_beside() {
    for congestion in [Algorithm::Cubic, Algorithm::Reno] {
        for turns in [1, 2, 20] {
            let mut pair = pair(congestion);
            talk(&mut pair, turns);
            assert_eq!(beside(&mut pair), [0, 0], "{congestion:?}, {turns} times");
            // Idle for long.
            pair.run_until(pair.now + secs(3600));
            assert_eq!(beside(&mut pair), [0, 0], "{congestion:?}, {turns} times");
        }
    }
}
