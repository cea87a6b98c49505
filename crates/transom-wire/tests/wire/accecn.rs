//! The accurate-ECN option (RFC 9768 §3.2.3).

use transom_wire::tcp::{AccEcn, AccEcnOrder, Options, SackBlocks, Timestamps};
use transom_wire::{Seq, SeqRange};

const TS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

fn emitted(options: Options) -> Vec<u8> {
    let mut out = vec![0xee; options.emitted_len()];
    assert_eq!(options.emit(&mut out), out.len());
    assert_eq!(Options::parse(&out), (options, None));
    out
}

fn with(order: AccEcnOrder, fields: usize) -> Options {
    Options {
        accecn: Some(AccEcn::new(order, fields, 0x0a0b0c, 0x101112, 0x202122)),
        ..Options::EMPTY
    }
}

fn blocks(n: u32) -> SackBlocks {
    (0..n)
        .map(|i| SeqRange::new(Seq::new(100 * i), Seq::new(100 * i + 50)))
        .collect()
}

#[test]
fn req_acc_12_kind_and_length_say_which_counters_there_are() {
    use AccEcnOrder::{One, Zero};
    let (e0b, ceb, e1b) = ([0x0a, 0x0b, 0x0c], [0x10, 0x11, 0x12], [0x20, 0x21, 0x22]);
    for (order, kind, fields) in [(Zero, 172, [e0b, ceb, e1b]), (One, 174, [e1b, ceb, e0b])] {
        for count in 0..=3 {
            let option = with(order, count);
            let bytes = emitted(option);
            let len = 2 + 3 * count;
            assert_eq!(bytes[..2], [kind, len as u8]);
            assert_eq!(bytes[2..len], fields.concat()[..3 * count]);
            assert!(bytes[len..].iter().all(|byte| *byte == 1), "{bytes:?}");
            assert_eq!(bytes.len(), len.next_multiple_of(4));
            let read = option.accecn.unwrap();
            assert_eq!(read.option_len(), len);
            let present = [read.e0b(), read.ceb(), read.e1b()];
            assert_eq!(present.iter().flatten().count(), count);
        }
    }
    let whole = with(Zero, 3).accecn.unwrap();
    assert_eq!(
        (whole.e0b(), whole.ceb(), whole.e1b()),
        (Some(0x0a0b0c), Some(0x101112), Some(0x202122))
    );
}

#[test]
fn req_acc_12_of_a_strange_length_the_whole_counters_count() {
    for len in 2..=40usize {
        let mut bytes = vec![172, len as u8];
        bytes.resize(len, 7);
        let (options, fault) = Options::parse(&bytes);
        assert_eq!(fault, None);
        assert_eq!(options.accecn.unwrap().fields(), ((len - 2) / 3).min(3));
    }
}

#[test]
fn only_24_bits_of_a_counter_are_written() {
    let option = AccEcn::new(AccEcnOrder::Zero, 3, 0xff00_0001, 0x0100_0000, u32::MAX);
    assert_eq!(
        (option.e0b(), option.ceb(), option.e1b()),
        (Some(1), Some(0), Some(0xff_ffff))
    );
}

#[test]
fn its_end_takes_the_place_of_padding_before_other_options() {
    let one = with(AccEcnOrder::One, 1);
    let none = with(AccEcnOrder::One, 0);
    // SACK, and SACK-permitted without timestamps, have two NOPs before them otherwise.
    let sack = |options: Options| {
        emitted(Options {
            sack: blocks(1),
            ..options
        })
    };
    assert_eq!(sack(one)[..8], [174, 5, 0x20, 0x21, 0x22, 1, 5, 10]);
    assert_eq!(sack(one).len(), 16);
    assert_eq!(sack(none)[..4], [174, 2, 5, 10]);
    assert_eq!(sack(none).len(), 12);
    let permitted = Options {
        sack_permitted: true,
        ..none
    };
    assert_eq!(emitted(permitted), [174, 2, 4, 2]);
}

#[test]
fn req_acc_15_two_sack_blocks_fit_beside_timestamps_and_two_counters() {
    let timestamps = Some(Timestamps { val: 1, ecr: 2 });
    for (fields, expected) in [(0, 3), (1, 2), (2, 2), (3, 1)] {
        let options = Options {
            timestamps,
            sack: blocks(3),
            ..with(AccEcnOrder::Zero, fields)
        };
        assert_eq!(options.emitted_sack_blocks(), expected, "{fields}");
        assert!(options.emitted_len() <= 40);
        let mut out = vec![0; options.emitted_len()];
        options.emit(&mut out);
        assert_eq!(out[..12], TS);
        assert_eq!(Options::parse(&out).0.accecn, options.accecn);
    }
}
