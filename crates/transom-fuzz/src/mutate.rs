//! Inputs from inputs, without looking at what they reach.

use transom_sim::Random;

/// Values at which programs go wrong.
const BYTES: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0xff, 0xfe, 4, 40, 20];
const SHORTS: [u16; 8] = [0, 1, 0x7fff, 0x8000, 0xffff, 536, 1460, 20];
const WORDS: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x4000_0000];

/// A place in `bytes`, which may be its end.
fn place(random: &mut Random, bytes: &[u8]) -> usize {
    usize::try_from(random.below(bytes.len() as u64 + 1)).unwrap_or(0)
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[usize::try_from(random.below(choices.len() as u64)).unwrap_or(0)]
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *value;
    }
}

/// Changes `bytes` in one to eight places; `other` is another input, to take parts from.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], max_len: usize) {
    let times = 1 << random.below(4);
    for _ in 0..times {
        once(random, bytes, other);
    }
    bytes.truncate(max_len);
}

fn once(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = place(random, bytes);
    let end = (at + 1 + place(random, &[0; 8])).min(bytes.len());
    match random.below(13) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let value = random.next_u64().to_be_bytes();
            let count = place(random, &value);
            bytes.splice(at..at, value.into_iter().take(count));
        }
        3 => {
            let copied = bytes[at..end].to_vec();
            let to = place(random, bytes);
            bytes.splice(to..to, copied);
        }
        4 => overwrite(bytes, at, &pick(random, &SHORTS).to_be_bytes()),
        5 => overwrite(bytes, at, &pick(random, &WORDS).to_be_bytes()),
        6 => overwrite(bytes, at, &pick(random, &SHORTS).to_le_bytes()),
        7 => {
            // The rest of another input, or a piece of it.
            let from = place(random, other);
            let until = from + place(random, &other[from..]);
            if random.below(2) == 0 {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            } else {
                bytes.splice(at..at, other[from..until].iter().copied());
            }
        }
        8 => {
            let from = place(random, other);
            overwrite(bytes, at, &other[from..]);
        }
        9 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = pick(random, &BYTES);
            }
        }
        10 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte.wrapping_add(random.below(9) as u8).wrapping_sub(4);
            }
        }
        11 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.below(256) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_they_stay_short() {
        let run = || {
            let mut random = Random::new(7);
            let mut bytes = vec![1, 2, 3];
            (0..2000)
                .map(|_| {
                    mutate(&mut random, &mut bytes, b"another input", 50);
                    assert!(bytes.len() <= 50);
                    bytes.clone()
                })
                .collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(distinct.len() > 1000);
    }
}
