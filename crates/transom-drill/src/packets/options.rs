//! TCP options as octets, both ways. Written apart from the stack's own code, so that neither can hide a fault of the
//! other.

use crate::script::TcpOption;

/// Kinds as assigned by IANA.
mod kind {
    pub(super) const EOL: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK_PERMITTED: u8 = 4;
    pub(super) const SACK: u8 = 5;
    pub(super) const TIMESTAMPS: u8 = 8;
    pub(super) const MD5: u8 = 19;
    pub(super) const FAST_OPEN: u8 = 34;
    pub(super) const ACC_ECN_0: u8 = 172;
    pub(super) const ACC_ECN_1: u8 = 174;
    pub(super) const EXPERIMENT: u8 = 254;
}

const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// The octets of options, in order.
pub(super) fn encode(options: &[TcpOption]) -> Vec<u8> {
    let mut out = Vec::new();
    for option in options {
        encode_one(option, &mut out);
    }
    out
}

fn encode_one(option: &TcpOption, out: &mut Vec<u8>) {
    match option {
        TcpOption::EndOfList => out.push(kind::EOL),
        TcpOption::Nop => out.push(kind::NOP),
        TcpOption::Mss(mss) => put(out, kind::MSS, &mss.to_be_bytes()),
        TcpOption::WindowScale(shift) => put(out, kind::WINDOW_SCALE, &[*shift]),
        TcpOption::SackPermitted => put(out, kind::SACK_PERMITTED, &[]),
        TcpOption::Sack(blocks) => {
            let edges = blocks.iter().flat_map(|&(start, end)| [start, end]);
            let data: Vec<u8> = edges.flat_map(u32::to_be_bytes).collect();
            put(out, kind::SACK, &data);
        }
        TcpOption::Timestamps { val, ecr } => {
            let data: Vec<u8> = [*val, *ecr]
                .into_iter()
                .flat_map(u32::to_be_bytes)
                .collect();
            put(out, kind::TIMESTAMPS, &data);
        }
        TcpOption::Md5(digest) => put(out, kind::MD5, digest),
        TcpOption::FastOpen(cookie) => put(out, kind::FAST_OPEN, cookie),
        TcpOption::FastOpenExperiment(cookie) => {
            let data: Vec<u8> = FAST_OPEN_EXPERIMENT
                .into_iter()
                .chain(cookie.iter().copied())
                .collect();
            put(out, kind::EXPERIMENT, &data);
        }
        TcpOption::AccEcn { e1_first, counters } => {
            let data: Vec<u8> = counters
                .iter()
                .flat_map(|counter| {
                    let [_, a, b, c] = counter.to_be_bytes();
                    [a, b, c]
                })
                .collect();
            let kind = if *e1_first {
                kind::ACC_ECN_1
            } else {
                kind::ACC_ECN_0
            };
            put(out, kind, &data);
        }
        TcpOption::Other { kind, data } => put(out, *kind, data),
        TcpOption::Bytes(bytes) => out.extend_from_slice(bytes),
    }
}

fn put(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.push(kind);
    // An option longer than any header is refused before it gets here.
    out.push(u8::try_from(data.len() + 2).unwrap_or(u8::MAX));
    out.extend_from_slice(data);
}

/// The options in a header; what cannot be read is kept as octets.
pub(super) fn decode(mut bytes: &[u8]) -> Vec<TcpOption> {
    let mut options = Vec::new();
    while let [first, rest @ ..] = bytes {
        let (option, after) = match (*first, rest) {
            (kind::EOL, _) => (TcpOption::EndOfList, rest),
            (kind::NOP, _) => (TcpOption::Nop, rest),
            (kind, [len, data @ ..]) => {
                match usize::from(*len)
                    .checked_sub(2)
                    .and_then(|len| data.split_at_checked(len))
                {
                    Some((data, after)) => (decode_one(kind, data), after),
                    None => (TcpOption::Bytes(bytes.to_vec()), &[][..]),
                }
            }
            _ => (TcpOption::Bytes(bytes.to_vec()), &[][..]),
        };
        options.push(option);
        bytes = after;
    }
    options
}

fn decode_one(kind: u8, data: &[u8]) -> TcpOption {
    match (kind, data) {
        (kind::MSS, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
        (kind::WINDOW_SCALE, &[shift]) => TcpOption::WindowScale(shift),
        (kind::SACK_PERMITTED, []) => TcpOption::SackPermitted,
        (kind::SACK, _) if data.len().is_multiple_of(8) => TcpOption::Sack(
            data.as_chunks::<8>()
                .0
                .iter()
                .map(|&[a, b, c, d, e, f, g, h]| {
                    (
                        u32::from_be_bytes([a, b, c, d]),
                        u32::from_be_bytes([e, f, g, h]),
                    )
                })
                .collect(),
        ),
        (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => TcpOption::Timestamps {
            val: u32::from_be_bytes([a, b, c, d]),
            ecr: u32::from_be_bytes([e, f, g, h]),
        },
        (kind::MD5, _) if data.len() == 16 => TcpOption::Md5(data.to_vec()),
        (kind::FAST_OPEN, _) => TcpOption::FastOpen(data.to_vec()),
        (kind::EXPERIMENT, _) if data.starts_with(&FAST_OPEN_EXPERIMENT) => {
            TcpOption::FastOpenExperiment(data.iter().skip(2).copied().collect())
        }
        (kind::ACC_ECN_0 | kind::ACC_ECN_1, _)
            if data.len().is_multiple_of(3) && data.len() <= 9 =>
        {
            TcpOption::AccEcn {
                e1_first: kind == kind::ACC_ECN_1,
                counters: data
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c]))
                    .collect(),
            }
        }
        _ => TcpOption::Other {
            kind,
            data: data.to_vec(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_back_as_they_were_written() {
        let all = vec![
            TcpOption::Mss(1460),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { val: 7, ecr: 9 },
            TcpOption::Nop,
            TcpOption::WindowScale(8),
            TcpOption::Sack(vec![(1, 2), (3, 4)]),
            TcpOption::Md5(vec![7; 16]),
            TcpOption::FastOpen(vec![]),
            TcpOption::FastOpen(vec![1, 2, 3, 4]),
            TcpOption::FastOpenExperiment(vec![5; 8]),
            TcpOption::AccEcn {
                e1_first: true,
                counters: vec![1, 2, 0xff_ffff],
            },
            TcpOption::Other {
                kind: 2,
                data: vec![1],
            },
            TcpOption::EndOfList,
        ];
        let bytes = encode(&all);
        assert_eq!(decode(&bytes), all);
        assert_eq!(bytes.len(), all.iter().map(TcpOption::wire_len).sum());
    }

    #[test]
    fn what_is_broken_is_kept_as_octets() {
        for broken in [&[2][..], &[2, 0], &[2, 1, 5], &[8, 10, 1]] {
            assert_eq!(decode(broken), vec![TcpOption::Bytes(broken.to_vec())]);
        }
    }
}
