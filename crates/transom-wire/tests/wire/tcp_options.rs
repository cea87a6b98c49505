use proptest::prelude::*;
use transom_wire::tcp::{
    FastOpen, Flags, Header, Options, OptionsFault, SackBlocks, TcpOption, TcpView, Timestamps,
};
use transom_wire::{Seq, SeqRange};

const TS: Timestamps = Timestamps {
    val: 0x0102_0304,
    ecr: 0x0506_0708,
};

fn emitted(options: Options) -> Vec<u8> {
    let mut out = vec![0xee; options.emitted_len()];
    assert_eq!(options.emit(&mut out), out.len());
    out
}

fn block(start: u32, end: u32) -> SeqRange {
    SeqRange::new(Seq::new(start), Seq::new(end))
}

fn blocks(n: u32) -> SackBlocks {
    (0..n).map(|i| block(i * 100, i * 100 + 50)).collect()
}

/// The segment around some option bytes, padded with `padding` to a multiple of 4.
fn segment(flags: Flags, options: &[u8], padding: u8) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes.extend(options);
    while !bytes.len().is_multiple_of(4) {
        bytes.push(padding);
    }
    bytes[12] = (bytes.len() as u8 / 4) << 4;
    bytes[13] = flags.bits() as u8;
    bytes.extend(b"data");
    bytes
}

#[test]
fn req_must_4_eol_nop_and_mss_in_any_order() {
    for options in [
        &[2, 4, 5, 0xb4][..],
        &[1, 1, 2, 4, 5, 0xb4],
        &[1, 2, 4, 5, 0xb4, 0, 0, 0],
        &[1, 1, 1, 2, 4, 5, 0xb4, 0],
        &[2, 4, 5, 0xb4, 1, 0, 9, 9],
    ] {
        let (parsed, fault) = Options::parse(options);
        assert_eq!((parsed.mss, fault), (Some(1460), None), "{options:?}");
    }
    // What stands behind EOL is not an option.
    assert_eq!(Options::parse(&[0, 2, 4, 5, 0xb4]), (Options::EMPTY, None));
}

#[test]
fn req_must_5_options_are_read_on_any_segment() {
    let options = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 200, 4, 0, 0];
    for flags in [
        Flags::SYN,
        Flags::ACK,
        Flags::FIN | Flags::ACK,
        Flags::RST,
        Flags::EMPTY,
    ] {
        let bytes = segment(flags, &options, 0);
        let view = TcpView::new(&bytes).unwrap();
        assert_eq!(
            view.options(),
            (
                Options {
                    timestamps: Some(TS),
                    ..Options::EMPTY
                },
                None
            )
        );
        assert_eq!(view.payload(), b"data");
    }
}

#[test]
fn req_must_6_unknown_options_are_skipped() {
    let (options, fault) = Options::parse(&[200, 6, 1, 2, 3, 4, 2, 4, 5, 0xb4, 254, 2]);
    assert_eq!((options.mss, fault), (Some(1460), None));
}

#[test]
fn req_must_7_illegal_lengths_end_the_walk_and_keep_what_came_before() {
    let mss = [2, 4, 5, 0xb4];
    let cases: [(&[u8], OptionsFault); 5] = [
        (
            &[200, 0, 1, 1],
            OptionsFault::LengthTooSmall { kind: 200, at: 4 },
        ),
        (
            &[8, 1, 1, 1],
            OptionsFault::LengthTooSmall { kind: 8, at: 4 },
        ),
        (
            &[8, 10, 1, 1],
            OptionsFault::LengthTooLarge { kind: 8, at: 4 },
        ),
        (
            &[1, 1, 1, 3],
            OptionsFault::LengthMissing { kind: 3, at: 7 },
        ),
        (
            &[5, 255, 0, 0],
            OptionsFault::LengthTooLarge { kind: 5, at: 4 },
        ),
    ];
    for (bad, expected) in cases {
        let bytes = [&mss, bad].concat();
        let (options, fault) = Options::parse(&bytes);
        assert_eq!(
            options,
            Options {
                mss: Some(1460),
                ..Options::EMPTY
            }
        );
        assert_eq!(fault, Some(expected));
    }
}

#[test]
fn req_must_64_options_need_not_be_aligned() {
    // Window scale, MSS, timestamps, SACK-permitted, all at odd places.
    let bytes = [3, 3, 7, 2, 4, 5, 0xb4, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 4, 2];
    let expected = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(TS),
        accecn: None,
        sack: SackBlocks::EMPTY,
        ..Options::EMPTY
    };
    assert_eq!(Options::parse(&bytes), (expected, None));
}

#[test]
fn req_must_65_mss_is_written_in_syn_segments_only() {
    let all = Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(TS),
        accecn: None,
        sack: blocks(4),
        ..Options::EMPTY
    };
    for bits in 0..0x200 {
        let header = Header {
            flags: Flags::from_bits(bits),
            options: all,
            ..Header::default()
        };
        let mut out = vec![0; header.header_len()];
        header.emit(&mut out);
        let (read, fault) = TcpView::new(&out).unwrap().options();
        assert_eq!(fault, None);
        let syn = header.flags.contains(Flags::SYN);
        assert_eq!(read.mss.is_some(), syn);
        assert_eq!(read.window_scale.is_some(), syn);
        assert_eq!(read.sack_permitted, syn);
        assert_eq!(read.sack.is_empty(), syn);
        assert_eq!(read.timestamps, Some(TS));
    }
}

#[test]
fn req_ws_1_window_scale_is_kind_3_length_3_and_only_in_syn() {
    let options = Options {
        window_scale: Some(7),
        ..Options::EMPTY
    };
    assert_eq!(emitted(options), [1, 3, 3, 7]);
    assert!(options.allowed_in(false).is_empty());
    assert_eq!(options.allowed_in(true), options);
}

#[test]
fn req_ts_1_timestamps_are_kind_8_length_10() {
    let options = Options {
        timestamps: Some(TS),
        ..Options::EMPTY
    };
    assert_eq!(emitted(options), [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(Options::parse(&emitted(options)), (options, None));
    // Another length is not the timestamps option.
    assert_eq!(
        Options::parse(&[8, 9, 1, 2, 3, 4, 5, 6, 7, 1, 1, 1]),
        (Options::EMPTY, None)
    );
}

#[test]
fn the_order_is_that_of_linux() {
    let mss = Options {
        mss: Some(1460),
        ..Options::EMPTY
    };
    let ws = Options {
        window_scale: Some(7),
        ..mss
    };
    let sack_ws = Options {
        sack_permitted: true,
        ..ws
    };
    let all = Options {
        timestamps: Some(TS),
        ..sack_ws
    };
    let ts = [8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(emitted(mss), [2, 4, 5, 0xb4]);
    assert_eq!(emitted(ws), [2, 4, 5, 0xb4, 1, 3, 3, 7]);
    assert_eq!(emitted(sack_ws), [2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7]);
    assert_eq!(
        emitted(all),
        [&[2, 4, 5, 0xb4, 4, 2][..], &ts, &[1, 3, 3, 7]].concat()
    );
    let ts_sack = Options {
        timestamps: Some(TS),
        sack: blocks(1),
        ..Options::EMPTY
    };
    let sack = [1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 50];
    assert_eq!(emitted(ts_sack), [&[1, 1][..], &ts, &sack].concat());
    assert_eq!(
        emitted(Options {
            timestamps: None,
            ..ts_sack
        }),
        sack
    );
}

#[test]
fn req_sack_3_blocks_take_8n_plus_2_bytes_and_as_many_as_fit_are_written() {
    for (timestamps, most) in [(None, 4), (Some(TS), 3)] {
        for n in 0..=4 {
            let options = Options {
                timestamps,
                sack: blocks(n),
                ..Options::EMPTY
            };
            let bytes = emitted(options);
            let (read, fault) = Options::parse(&bytes);
            let written = (n as usize).min(most);
            assert_eq!(fault, None);
            assert_eq!(options.emitted_sack_blocks(), written);
            // The first ones, which are the most recent.
            assert_eq!(read.sack.as_slice(), &options.sack.as_slice()[..written]);
            let sack_at = if timestamps.is_some() { 12 } else { 0 };
            if written > 0 {
                assert_eq!(usize::from(bytes[sack_at + 3]), 8 * written + 2);
            }
        }
    }
    // With every other option in use there is room for two.
    let full = Options {
        mss: Some(1),
        window_scale: Some(1),
        sack_permitted: true,
        timestamps: Some(TS),
        accecn: None,
        sack: blocks(4),
        ..Options::EMPTY
    };
    assert_eq!((full.emitted_len(), full.emitted_sack_blocks()), (40, 2));
}

#[test]
fn sack_of_a_wrong_length_is_no_sack() {
    for len in [2u8, 3, 9, 11, 17, 19, 33] {
        let mut bytes = vec![5, len];
        bytes.resize(len.into(), 1);
        bytes.resize(40, 1);
        assert!(Options::parse(&bytes).0.sack.is_empty(), "{len}");
    }
}

#[test]
fn req_mss_5_of_two_options_of_a_kind_the_last_counts() {
    let bytes = [2, 4, 1, 0, 3, 3, 1, 2, 4, 2, 0, 3, 3, 9, 0];
    let (options, fault) = Options::parse(&bytes);
    assert_eq!(
        (options.mss, options.window_scale, fault),
        (Some(0x200), Some(9), None)
    );
}

#[test]
fn req_must_68_all_options_but_eol_and_nop_have_a_length() {
    // The reader takes every other kind for one with a length, whatever it is.
    for kind in 2..=u8::MAX {
        let bytes = [kind, 3, 0xaa, 2, 4, 5, 0xb4];
        assert_eq!(Options::parse(&bytes).0.mss, Some(1460), "{kind}");
        assert_eq!(
            Options::parse(&[kind]).1,
            Some(OptionsFault::LengthMissing { kind, at: 0 })
        );
    }
}

#[test]
fn req_must_69_padding_behind_eol_is_ignored_when_read_and_zero_when_written() {
    for padding in [0, 1, 2, 0xff] {
        let bytes = segment(
            Flags::SYN,
            &[3, 3, 7, 0, padding, padding, padding],
            padding,
        );
        let view = TcpView::new(&bytes).unwrap();
        let expected = Options {
            window_scale: Some(7),
            ..Options::EMPTY
        };
        assert_eq!(view.options(), (expected, None));
        assert_eq!(view.payload(), b"data");
    }
}

#[test]
fn req_sec_opt_1_every_kind_with_every_length_is_read_without_harm() {
    let mut bytes = [0u8; 40];
    for kind in 0..=u8::MAX {
        for len in 0..=u8::MAX {
            for room in [2, 3, 4, 10, 12, 40] {
                bytes[0] = kind;
                bytes[1] = len;
                let (options, fault) = Options::parse(&bytes[..room]);
                assert!(options.emitted_len() <= 40);
                // EOL and NOP have no length: what follows them is the next option or nothing.
                if kind < 2 {
                    continue;
                }
                let illegal = len < 2 || usize::from(len) > room;
                assert_eq!(
                    fault.is_some(),
                    illegal,
                    "kind {kind} len {len} room {room}"
                );
            }
        }
    }
    for offset in 0..=15u8 {
        let mut segment = [0; 32];
        segment[12] = offset << 4;
        assert_eq!(
            TcpView::new(&segment).is_ok(),
            (5..=8).contains(&offset),
            "{offset}"
        );
    }
}

#[test]
fn req_sec_opt_3_duplicate_options_are_read_the_same_way_each_time() {
    let first = [8, 10, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1];
    let second = [8, 10, 0, 0, 0, 2, 0, 0, 0, 2, 1, 1];
    let read = |bytes: &[u8]| Options::parse(bytes).0.timestamps.unwrap().val;
    assert_eq!(read(&[first, second].concat()), 2);
    assert_eq!(read(&[second, first].concat()), 1);
}

#[test]
fn req_tfo_1_a_cookie_has_4_to_16_octets_and_an_even_number_of_them() {
    for len in 0..=18_usize {
        let cookie: Vec<u8> = (1..=len as u8).collect();
        let valid = len == 0 || (4..=16).contains(&len) && len % 2 == 0;
        assert_eq!(FastOpen::new(&cookie).is_some(), valid, "{len}");
        for (head, experimental) in [(vec![34], false), (vec![254, 0xf9, 0x89], true)] {
            let mut bytes = vec![head[0], (head.len() + 1 + len) as u8];
            bytes.extend(&head[1..]);
            bytes.extend(&cookie);
            let (options, fault) = Options::parse(&bytes);
            assert_eq!(fault, None);
            let read = options.fast_open;
            assert_eq!(read.is_some(), valid, "{len} {experimental}");
            if let Some(read) = read {
                assert_eq!(read.cookie(), cookie);
                assert_eq!(read.is_request(), len == 0);
                assert_eq!(read.is_experimental(), experimental);
            }
        }
    }
    // Another experiment under the same kind.
    let (options, _) = Options::parse(&[254, 4, 0xf9, 0x90]);
    assert_eq!(options.fast_open, None);
}

#[test]
fn req_tfo_1_the_option_is_the_last_of_a_syn_and_padded_behind() {
    let syn = |option: Option<FastOpen>| Options {
        mss: Some(1460),
        window_scale: Some(8),
        sack_permitted: true,
        timestamps: Some(Timestamps { val: 1, ecr: 0 }),
        fast_open: option,
        ..Options::EMPTY
    };
    let cookie = FastOpen::new(&[0xaa; 8]).unwrap();
    let written = |options: &Options| {
        let mut out = [0xee; 40];
        let len = options.emit(&mut out[..options.emitted_len()]);
        out[20..len].to_vec()
    };
    assert_eq!(written(&syn(None)), []);
    assert_eq!(written(&syn(Some(FastOpen::REQUEST))), [34, 2, 1, 1]);
    assert_eq!(
        written(&syn(Some(cookie))),
        [34, 10, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 1, 1]
    );
    let experimental = written(&syn(Some(FastOpen::REQUEST.experimental(true))));
    assert_eq!(experimental, [254, 4, 0xf9, 0x89]);
    // The longest cookie fills the header to its end.
    for form in [false, true] {
        let longest = FastOpen::new(&[7; 16]).unwrap().experimental(form);
        assert_eq!(syn(Some(longest)).emitted_len(), 40);
        assert_eq!(
            Options::parse(&written(&syn(Some(longest)))).0.fast_open,
            Some(longest)
        );
    }
    // In other segments it is not written.
    assert_eq!(syn(Some(cookie)).allowed_in(false).fast_open, None);
}

#[test]
fn the_iterator_shows_what_stands_there() {
    let bytes = [1, 34, 4, 7, 7, 28, 4, 0x80, 5, 2, 3, 9, 77, 3, 1, 0, 66];
    let seen: Vec<_> = transom_wire::tcp::OptionIter::new(&bytes)
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        seen,
        [
            TcpOption::Nop,
            TcpOption::FastOpen(&[7, 7]),
            TcpOption::UserTimeout(0x8005),
            TcpOption::Other {
                kind: 2,
                data: &[9]
            },
            TcpOption::Other {
                kind: 77,
                data: &[1]
            },
            TcpOption::EndOfList,
        ]
    );
}

proptest! {
    #[test]
    fn any_bytes_are_walked_in_bounded_steps(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let steps = transom_wire::tcp::OptionIter::new(&bytes).count();
        prop_assert!(steps <= bytes.len() + 1);
        let _ = Options::parse(&bytes);
    }
}
