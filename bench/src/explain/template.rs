//! Conversations as lists of segments, of which captures are made.

use transom_flow::wire::tcp::Flags;

pub(super) const MSS: u32 = 1448;
pub(super) const REQUEST: &[u8] =
    b"GET /articles/2024/01/index.html HTTP/1.1\r\nHost: www.example.com\r\n\
User-Agent: curl/8.5.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n";

/// Where a segment's data comes from.
#[derive(Clone, Copy)]
pub(super) enum Data {
    None,
    Request,
    /// The response from this offset on, so many bytes.
    Response(u32, u32),
}

/// One segment of a template: after the one before it by so many hundredths of the round trip.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) after: u32,
    pub(super) from_client: bool,
    pub(super) flags: Flags,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) data: Data,
    pub(super) sack: Option<(u32, u32)>,
}

const fn line(after: u32, from_client: bool, flags: Flags, seq: u32, ack: u32, data: Data) -> Line {
    Line {
        after,
        from_client,
        flags,
        seq,
        ack,
        data,
        sack: None,
    }
}

pub(super) const RESPONSE_LEN: u32 = 3200;

/// Two requests on one connection, then an orderly close by the client: 19 segments.
pub(super) fn conversation(is_lossy: bool) -> Vec<Line> {
    let push = Flags::ACK | Flags::PSH;
    let finish = Flags::ACK | Flags::FIN;
    let q = REQUEST.len() as u32;
    let r = RESPONSE_LEN;
    let mut lines = vec![
        line(0, true, Flags::SYN, 0, 0, Data::None),
        line(60, false, Flags::SYN | Flags::ACK, 0, 1, Data::None),
        line(40, true, Flags::ACK, 1, 1, Data::None),
    ];
    for round in 0..2 {
        let (seq, ack) = (1 + round * q, 1 + round * r);
        // Octets of this round's response, and the client's acknowledgement of those before an offset.
        let response = |after: u32, flags: Flags, from: u32, to: u32| {
            let data = Data::Response(from, to - from);
            line(after, false, flags, ack + from, seq + q, data)
        };
        let answer = |at: u32| line(40, true, Flags::ACK, seq + q, ack + at, Data::None);
        lines.push(line(5, true, push, seq, ack, Data::Request));
        lines.push(line(60, false, Flags::ACK, ack, seq + q, Data::None));
        lines.push(response(30, Flags::ACK, 0, MSS));
        if is_lossy && round == 1 {
            // The second segment is lost before the capture point and comes again after the timer.
            lines.push(response(1, push, 2 * MSS, r));
            lines.push(Line {
                sack: Some((ack + 2 * MSS, ack + r)),
                ..answer(MSS)
            });
            lines.push(response(1000, Flags::ACK, MSS, 2 * MSS));
        } else {
            lines.push(response(1, Flags::ACK, MSS, 2 * MSS));
            lines.push(response(1, push, 2 * MSS, r));
            if round == 0 {
                lines.push(answer(2 * MSS));
            }
        }
        lines.push(answer(r));
    }
    let (seq, ack) = (1 + 2 * q, 1 + 2 * r);
    lines.push(line(20, true, finish, seq, ack, Data::None));
    lines.push(line(60, false, finish, ack, seq + 1, Data::None));
    lines.push(line(40, true, Flags::ACK, seq + 1, ack + 1, Data::None));
    lines
}

/// The server resets it in the middle.
pub(super) fn reset() -> Vec<Line> {
    let mut lines = conversation(false);
    lines.truncate(10);
    let ack = 1 + REQUEST.len() as u32;
    lines.push(line(
        500,
        false,
        Flags::RST | Flags::ACK,
        1 + RESPONSE_LEN,
        ack,
        Data::None,
    ));
    lines
}

/// Nobody listens.
pub(super) fn refused() -> Vec<Line> {
    vec![
        line(0, true, Flags::SYN, 0, 0, Data::None),
        line(60, false, Flags::RST | Flags::ACK, 0, 1, Data::None),
    ]
}
