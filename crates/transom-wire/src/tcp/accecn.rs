//! The accurate-ECN option (RFC 9768 §3.2.3): counters of octets that arrived with each codepoint of the IP header.

/// The kind of the option with the order E0B, CEB, E1B.
pub(super) const KIND_0: u8 = 172;
/// The kind of the option with the order E1B, CEB, E0B.
pub(super) const KIND_1: u8 = 174;
/// Octets of a counter.
const FIELD: usize = 3;
/// Counters in a whole option.
const FIELDS: usize = 3;

/// Which counter comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccEcnOrder {
    /// E0B, CEB, E1B: kind 172.
    Zero,
    /// E1B, CEB, E0B: kind 174.
    One,
}

/// The counters of an accurate-ECN option, each modulo 2^24. Fewer than three are the first ones of the order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccEcn {
    order: AccEcnOrder,
    /// How many of `fields` are there.
    len: u8,
    /// Big-endian, zero where there is none.
    fields: [[u8; FIELD]; FIELDS],
}

impl AccEcn {
    /// The first `fields` counters (at most three) of an order; only the low 24 bits of each count.
    #[must_use]
    pub fn new(order: AccEcnOrder, fields: usize, e0b: u32, ceb: u32, e1b: u32) -> Self {
        let values = match order {
            AccEcnOrder::Zero => [e0b, ceb, e1b],
            AccEcnOrder::One => [e1b, ceb, e0b],
        };
        let mut all = values.map(|value| {
            let [_, a, b, c] = value.to_be_bytes();
            [a, b, c]
        });
        for absent in all.iter_mut().skip(fields) {
            *absent = [0; FIELD];
        }
        Self {
            order,
            #[expect(clippy::cast_possible_truncation, reason = "at most three")]
            len: fields.min(FIELDS) as u8,
            fields: all,
        }
    }

    /// From what follows kind and length.
    // RFC 9768 §3.2.3 ACC-12: of any other length the whole counters that fit count, and the rest is padding.
    pub(super) fn read(kind: u8, data: &[u8]) -> Self {
        let order = if kind == KIND_0 {
            AccEcnOrder::Zero
        } else {
            AccEcnOrder::One
        };
        let mut fields = [[0; FIELD]; FIELDS];
        let mut len = 0;
        let (whole, _) = data.as_chunks::<FIELD>();
        for (to, from) in fields.iter_mut().zip(whole) {
            *to = *from;
            len += 1;
        }
        Self { order, len, fields }
    }

    /// Which counter comes first.
    #[must_use]
    pub const fn order(&self) -> AccEcnOrder {
        self.order
    }

    /// How many counters there are.
    #[must_use]
    pub const fn fields(&self) -> usize {
        self.len as usize
    }

    /// Octets that arrived as ECT(0).
    #[must_use]
    pub fn e0b(&self) -> Option<u32> {
        self.field(match self.order {
            AccEcnOrder::Zero => 0,
            AccEcnOrder::One => 2,
        })
    }

    /// Octets that arrived as CE.
    #[must_use]
    pub fn ceb(&self) -> Option<u32> {
        self.field(1)
    }

    /// Octets that arrived as ECT(1).
    #[must_use]
    pub fn e1b(&self) -> Option<u32> {
        self.field(match self.order {
            AccEcnOrder::Zero => 2,
            AccEcnOrder::One => 0,
        })
    }

    fn field(&self, at: usize) -> Option<u32> {
        let [a, b, c] = *self.fields.get(..self.fields())?.get(at)?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    /// Length of the option in octets, not padded: 2, 5, 8 or 11.
    #[must_use]
    pub const fn option_len(&self) -> usize {
        2 + FIELD * self.fields()
    }

    /// Kind, length and counters; only the first [`option_len`](Self::option_len) octets count.
    pub(super) fn bytes(&self) -> [u8; 2 + FIELD * FIELDS] {
        let [[a, b, c], [d, e, f], [g, h, i]] = self.fields;
        let kind = match self.order {
            AccEcnOrder::Zero => KIND_0,
            AccEcnOrder::One => KIND_1,
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most eleven")]
        let len = self.option_len() as u8;
        [kind, len, a, b, c, d, e, f, g, h, i]
    }
}

impl core::fmt::Debug for AccEcn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AccEcn")
            .field("order", &self.order)
            .field("e0b", &self.e0b())
            .field("ceb", &self.ceb())
            .field("e1b", &self.e1b())
            .finish()
    }
}
