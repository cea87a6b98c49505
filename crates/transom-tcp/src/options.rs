//! What the two SYNs agreed on (RFC 9293 §3.7.1, RFC 7323, RFC 2018). Computed once; afterwards
//! nobody looks at the options of a SYN again.

use transom_wire::tcp::{Options, Timestamps};

use crate::config::{Config, Path};
use crate::pack::{Either, In, packed};

/// RFC 7323 §2.3: the largest shift.
const MAX_WINDOW_SHIFT: u8 = 14;
/// Least MSS believed: a smaller one makes header overhead an attack (Linux `TCP_MIN_MSS`).
pub(crate) const MIN_PEER_MSS: u16 = 88;
/// Octets that a timestamp takes in every segment, with its two NOPs.
const TIMESTAMP_LEN: u16 = 12;

/// The outcome of the negotiation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Negotiated {
    /// What the peer accepts, options not taken off; the default when it did not say.
    pub(crate) peer_mss: u16,
    /// What we offered to accept.
    pub(crate) advertised_mss: u16,
    /// `Snd.Wind.Shift`, `Rcv.Wind.Shift` of RFC 7323 §2.3; `None` when scaling is not in use.
    pub(crate) shifts: Option<(u8, u8)>,
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
}

packed!(Negotiated {
    peer_mss,
    advertised_mss: In<2>,
    shifts: Either,
    timestamps: In<1>,
    sack: In<1>,
});

impl Negotiated {
    /// What follows from our offer and the peer's SYN or SYN-ACK.
    pub(crate) fn from_peer_syn(config: &Config, path: &Path, peer: &Options) -> Self {
        // RFC 7323 §2.2 WS-3: scaling is in use only when both SYNs offer it; WS-5: at most 14.
        let shifts = peer
            .window_scale
            .filter(|_| config.window_scaling)
            .map(|shift| (shift.min(MAX_WINDOW_SHIFT), offered_shift(config)));
        Self {
            // RFC 9293 §3.7.1 MUST-15: 536 or 1220 when the peer does not say.
            // MSS-3: a tiny value must not make us send header after header.
            peer_mss: peer
                .mss
                .unwrap_or_else(|| path.default_mss())
                .max(MIN_PEER_MSS),
            advertised_mss: advertised_mss(config, path),
            shifts,
            timestamps: config.timestamps && peer.timestamps.is_some(),
            sack: config.sack && peer.sack_permitted,
        }
    }

    /// Shift to apply to windows that the peer sends.
    pub(crate) fn snd_shift(&self) -> u8 {
        self.shifts.map_or(0, |(snd, _)| snd)
    }

    /// Shift to apply to windows that we send.
    pub(crate) fn rcv_shift(&self) -> u8 {
        self.shifts.map_or(0, |(_, rcv)| rcv)
    }

    /// Octets of payload in a full segment that carries `options_len` octets of options.
    pub(crate) fn eff_snd_mss(&self, config: &Config, path: &Path, options_len: u16) -> u16 {
        // RFC 9293 §3.7.1 MUST-16: Eff.snd.MSS = min(SendMSS+20, MMS_S) − header − options.
        let limit = config.max_segment.unwrap_or(u16::MAX);
        let mss = self
            .peer_mss
            .min(path.send_mss())
            .min(limit.max(MIN_PEER_MSS));
        // Never so small that options fill the segment (the "SACK panic" of CVE-2019-11479).
        mss.saturating_sub(options_len).max(8)
    }

    /// Octets of option that every segment after the handshake carries.
    pub(crate) fn fixed_options_len(&self) -> u16 {
        if self.timestamps { TIMESTAMP_LEN } else { 0 }
    }

    /// Most SACK blocks that fit beside the other options (RFC 2018 §3: 4, or 3 with timestamps).
    pub(crate) fn max_sack_blocks(&self) -> usize {
        match (self.sack, self.timestamps) {
            (false, _) => 0,
            (true, true) => 3,
            (true, false) => 4,
        }
    }

    /// The options of a SYN-ACK: each only if the peer's SYN had it (WS-2, TS-1, SACK-1).
    pub(crate) fn syn_ack(&self, timestamps: Timestamps) -> Options {
        Options {
            mss: Some(self.advertised_mss),
            window_scale: self.shifts.map(|(_, rcv)| rcv),
            sack_permitted: self.sack,
            timestamps: self.timestamps.then_some(timestamps),
            ..Options::EMPTY
        }
    }
}

/// The options of our SYN.
pub(crate) fn syn(config: &Config, path: &Path, ts_val: u32) -> Options {
    Options {
        // RFC 9293 §3.7.1 MUST-14, MAY-3: always sent.
        mss: Some(advertised_mss(config, path)),
        window_scale: config.window_scaling.then(|| offered_shift(config)),
        sack_permitted: config.sack,
        // RFC 7323 §3.2 TS-1: TSecr is 0 in a SYN.
        timestamps: config.timestamps.then_some(Timestamps {
            val: ts_val,
            ecr: 0,
        }),
        ..Options::EMPTY
    }
}

/// RFC 9293 §3.7.1 MUST-67, RFC 2923 §2.3: from the link, not from the path.
fn advertised_mss(config: &Config, path: &Path) -> u16 {
    path.advertised_mss()
        .min(config.max_segment.unwrap_or(u16::MAX).max(MIN_PEER_MSS))
}

/// The smallest shift with which 16 bits can express the largest window (WS-8).
fn offered_shift(config: &Config) -> u8 {
    (0..MAX_WINDOW_SHIFT)
        .find(|shift| config.recv_buffer <= usize::from(u16::MAX) << shift)
        .unwrap_or(MAX_WINDOW_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift_for(recv_buffer: usize) -> u8 {
        offered_shift(&Config::default().recv_buffer(recv_buffer))
    }

    #[test]
    fn req_ws_8_the_shift_is_chosen_from_the_largest_buffer() {
        assert_eq!(shift_for(1000), 0);
        assert_eq!(shift_for(65_535), 0);
        assert_eq!(shift_for(65_536), 1);
        assert_eq!(shift_for(6 << 20), 7);
        assert_eq!(shift_for(usize::MAX), 14);
    }

    #[test]
    fn req_ws_5_a_shift_above_14_counts_as_14() {
        let (config, path) = (Config::default(), Path::new(1500, 20));
        for offered in [15, 255] {
            let peer = Options {
                window_scale: Some(offered),
                ..Options::EMPTY
            };
            assert_eq!(
                Negotiated::from_peer_syn(&config, &path, &peer).snd_shift(),
                14
            );
        }
    }

    #[test]
    fn req_ws_3_scaling_needs_both_offers() {
        let path = Path::new(1500, 20);
        for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
            let config = Config::default().window_scaling(ours);
            let peer = Options {
                window_scale: theirs.then_some(3),
                ..Options::EMPTY
            };
            let negotiated = Negotiated::from_peer_syn(&config, &path, &peer);
            assert_eq!(negotiated.shifts.is_some(), ours && theirs);
            assert_eq!(
                negotiated
                    .syn_ack(Timestamps { val: 0, ecr: 0 })
                    .window_scale
                    .is_some(),
                ours && theirs
            );
        }
    }

    #[test]
    fn req_mss_3_and_lx_24_a_tiny_mss_is_raised() {
        let (config, path) = (Config::default(), Path::new(1500, 20));
        for mss in [0, 1, 8, 47] {
            let peer = Options {
                mss: Some(mss),
                ..Options::EMPTY
            };
            let negotiated = Negotiated::from_peer_syn(&config, &path, &peer);
            assert_eq!(negotiated.eff_snd_mss(&config, &path, 12), 76);
        }
    }

    #[test]
    fn req_mss_4_an_unlimited_mss_is_limited_by_the_path() {
        let (config, path) = (Config::default(), Path::new(1500, 40));
        let peer = Options {
            mss: Some(65_535),
            ..Options::EMPTY
        };
        let negotiated = Negotiated::from_peer_syn(&config, &path, &peer);
        assert_eq!(negotiated.eff_snd_mss(&config, &path, 0), 1440);
    }

    #[test]
    fn req_must_16_effective_mss_takes_off_the_options() {
        let config = Config::default();
        let peer = |mss| Options {
            mss: Some(mss),
            timestamps: Some(Timestamps { val: 1, ecr: 0 }),
            ..Options::EMPTY
        };
        for (mtu, header, mss, expected) in [
            (1500, 20, 9000, 1448),
            (1500, 40, 9000, 1428),
            (1500, 20, 1000, 988),
        ] {
            let path = Path::new(mtu, header);
            let negotiated = Negotiated::from_peer_syn(&config, &path, &peer(mss));
            assert_eq!(
                negotiated.eff_snd_mss(&config, &path, negotiated.fixed_options_len()),
                expected
            );
        }
    }
}
