//! Names of states, and sets of them.

use crate::kernel::inet_diag::KernelState;

/// A set of states: [`KernelState::bit`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct States(pub(crate) u32);

/// Bits 0 to 11, as `ss` asks for "all".
const ALL: u32 = (1 << 12) - 1;
const UNCONNECTED: u32 = KernelState::LISTEN.bit() | KernelState::CLOSE.bit();
/// States without a full socket. TIME-WAIT sockets and requests are small records.
const BUCKET: u32 = KernelState::SYN_RECV.bit() | KernelState::TIME_WAIT.bit();

impl States {
    pub(crate) const ALL: Self = Self(ALL);
    /// What `-l` lists.
    pub(crate) const LISTENING: Self = Self(UNCONNECTED);
    /// What is listed of TCP when nothing was said.
    pub(crate) const USUAL: Self = Self(ALL & !UNCONNECTED & !BUCKET);

    /// The set that a word of a filter means.
    pub(crate) fn named(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let connected = ALL & !UNCONNECTED;
        let bits = match word.as_str() {
            "all" => ALL,
            "connected" => connected,
            "synchronized" => connected & !KernelState::SYN_SENT.bit(),
            "bucket" => BUCKET,
            "big" => ALL & !BUCKET,
            _ => one(&word)?.bit(),
        };
        Some(Self(bits))
    }

    /// Whether a state is among them.
    pub(crate) fn has(self, state: KernelState) -> bool {
        self.0 & state.bit() != 0
    }

    /// Whether there is only one, so that no column needs to say which.
    pub(crate) fn is_single(self) -> bool {
        self.0.is_power_of_two()
    }
}

fn one(word: &str) -> Option<KernelState> {
    Some(match word {
        "established" | "estab" => KernelState::ESTABLISHED,
        "syn-sent" => KernelState::SYN_SENT,
        "syn-recv" | "syn-rcv" | "syn-received" => KernelState::SYN_RECV,
        "fin-wait-1" => KernelState::FIN_WAIT_1,
        "fin-wait-2" => KernelState::FIN_WAIT_2,
        "time-wait" => KernelState::TIME_WAIT,
        "closed" | "close" | "unconnected" | "unconn" => KernelState::CLOSE,
        "close-wait" => KernelState::CLOSE_WAIT,
        "last-ack" => KernelState::LAST_ACK,
        "listening" | "listen" => KernelState::LISTEN,
        "closing" => KernelState::CLOSING,
        _ => return None,
    })
}

/// A state as `ss` prints it.
pub(crate) fn name(state: KernelState) -> &'static str {
    const NAMES: [&str; 13] = [
        "UNKNOWN",
        "ESTAB",
        "SYN-SENT",
        "SYN-RECV",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "TIME-WAIT",
        "UNCONN",
        "CLOSE-WAIT",
        "LAST-ACK",
        "LISTEN",
        "CLOSING",
        "SYN-RECV",
    ];
    NAMES
        .get(usize::from(state.0))
        .copied()
        .unwrap_or("UNKNOWN")
}

/// Every word that [`States::named`] knows, for messages.
pub(crate) const WORDS: &str = "all, connected, synchronized, bucket, big, established, syn-sent, \
    syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening, closing";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_those_of_ss() {
        let set = |word| States::named(word).unwrap().0;
        assert_eq!(set("all"), set("big") | set("bucket"));
        assert_eq!(set("connected"), set("synchronized") | set("syn-sent"));
        assert_eq!(
            set("all"),
            set("connected") | set("closed") | set("listening")
        );
        assert!(States::named("Established").unwrap().is_single());
        assert_eq!(States::named("opened"), None);
        assert!(!States::USUAL.has(KernelState::TIME_WAIT));
        assert!(States::USUAL.has(KernelState::CLOSE_WAIT));
    }
}
