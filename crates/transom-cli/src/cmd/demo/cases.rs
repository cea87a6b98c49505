//! The textbook's cases, each a scene that is played by two real TCPs.

use std::time::Duration;

use transom_stack::tcp::{Config, State};
use transom_stack::wire::tcp::Flags;

use super::stage::{Side, Stage};
use crate::failure::Failure;

/// One scene.
pub(super) struct Case {
    /// What is typed.
    pub(super) name: &'static str,
    /// One line about it.
    pub(super) title: &'static str,
    /// What to look at.
    pub(super) about: &'static str,
    /// Plays it.
    pub(super) play: fn() -> Result<Stage, Failure>,
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const REQUEST: &[u8] =
    b"GET /http.txt HTTP/1.1\r\nHost: milestone-of-se.nesuke.com\r\nConnection: keep-alive\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 26\r\n\r\nThis page speaks HTTP only\n";

/// All scenes, in the order in which they teach.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "http",
        title: "handshake, GET, 200 OK; the server closes first, the browser seconds later",
        about: "The server is the active closer: its FIN comes after 5 s of silence, and its end goes through \
                FIN-WAIT-1 and FIN-WAIT-2. The client's application notices, but closes only 3 s later: until \
                then the connection is half closed, and the client's end is in CLOSE-WAIT. The active closer \
                stays in TIME-WAIT.",
        play: http,
    },
    Case {
        name: "fin-ack",
        title: "the passive closer answers FIN with FIN,ACK in one segment",
        about: "The server's application closes as soon as it sees the end of data, before its TCP has sent the \
                acknowledgement: one segment carries both, and three segments close the connection.",
        play: fin_ack,
    },
    Case {
        name: "ack-then-fin",
        title: "the passive closer sends ACK first, and FIN when its application closes",
        about: "The same close, but the server's application takes 300 ms: its TCP acknowledges the FIN alone, and \
                sends its own later. Which of the two happens is decided by the application, not by TCP.",
        play: ack_then_fin,
    },
    Case {
        name: "half-close",
        title: "one direction is closed, data goes on in the other",
        about: "The client says that it will send no more (shutdown) and waits for the answer: its end is in \
                FIN-WAIT-2 while data still arrives; the server's is in CLOSE-WAIT while it still sends.",
        play: half_close,
    },
    Case {
        name: "abort",
        title: "RST: one end aborts",
        about: "The client aborts: a single RST, no answer to it, and both ends are CLOSED at once. There is no \
                TIME-WAIT, and data in flight is lost.",
        play: abort,
    },
    Case {
        name: "rst-lost",
        title: "the RST is lost: the peer goes on, and is answered with RST each time",
        about: "The link loses the RST. The server does not know that the connection is gone and goes on sending; \
                the client's host knows of no connection and answers each segment with a RST, until one arrives.",
        play: rst_lost,
    },
    Case {
        name: "refused",
        title: "nobody listens: SYN is answered with RST,ACK",
        about: "No socket listens at the port. The RST acknowledges the SYN, which is how the client knows that it \
                is meant: connect() fails with «connection refused».",
        play: refused,
    },
    Case {
        name: "simultaneous-open",
        title: "both ends send SYN at the same moment",
        about: "Neither end listens; the SYNs cross. Both go from SYN-SENT to SYN-RECEIVED, answer with SYN,ACK, \
                and one connection is established, not two.",
        play: simultaneous_open,
    },
    Case {
        name: "simultaneous-close",
        title: "both ends send FIN at the same moment",
        about: "The FINs cross: both ends are active closers, go through CLOSING, and both stay in TIME-WAIT.",
        play: simultaneous_close,
    },
    Case {
        name: "zero-window",
        title: "the reader stops: the window closes, and probes ask until it opens",
        about: "The server's application does not read. Its buffer fills, its window goes to zero, and the client's \
                TCP sends probes at growing intervals, so that a lost window update cannot stop the connection \
                for ever.",
        play: zero_window,
    },
    Case {
        name: "lost-segment",
        title: "a segment is lost and sent again",
        about: "The first data segment is lost. Nothing is acknowledged, so the client's retransmission timer \
                runs out and the segment is sent again.",
        play: lost_segment,
    },
    Case {
        name: "fast-retransmit",
        title: "a segment in the middle is lost: duplicate ACKs with SACK, and a fast retransmission",
        about: "One of ten segments is lost. Each one behind it is answered with a duplicate ACK whose SACK blocks \
                say what has arrived; the missing segment is sent again long before the timer runs out.",
        play: fast_retransmit,
    },
];

/// Connected, with the handshake over on both sides.
fn connected(config: Config) -> Result<Stage, Failure> {
    let mut stage = Stage::new(config)?;
    stage.listen()?;
    stage.connect(Side::Client)?;
    stage.pass(ms(50))?;
    match stage.state(Side::Server) {
        Some(State::Established) => Ok(stage),
        other => Err(Failure::new(format!(
            "the handshake did not end: the server is in {other:?}"
        ))),
    }
}

fn exchanged() -> Result<Stage, Failure> {
    let mut stage = connected(Config::default())?;
    stage.send(Side::Client, REQUEST)?;
    stage.pass(ms(60))?;
    stage.send(Side::Server, RESPONSE)?;
    stage.pass(ms(100))?;
    Ok(stage)
}

fn http() -> Result<Stage, Failure> {
    let mut stage = exchanged()?;
    stage.pass(ms(5000))?;
    stage.close(Side::Server)?;
    stage.pass(ms(3000))?;
    stage.close(Side::Client)?;
    stage.finish()?;
    Ok(stage)
}

fn fin_ack() -> Result<Stage, Failure> {
    let mut stage = exchanged()?;
    stage.close_at_end(Side::Server)?;
    stage.close(Side::Client)?;
    stage.finish()?;
    Ok(stage)
}

fn ack_then_fin() -> Result<Stage, Failure> {
    let mut stage = exchanged()?;
    stage.close(Side::Client)?;
    stage.pass(ms(310))?;
    stage.close(Side::Server)?;
    stage.finish()?;
    Ok(stage)
}

fn half_close() -> Result<Stage, Failure> {
    let mut stage = connected(Config::default())?;
    stage.send(Side::Client, b"sort these lines\nb\na\n")?;
    stage.shut_down_writing(Side::Client)?;
    stage.pass(ms(400))?;
    for line in [b"a\n", b"b\n"] {
        stage.send(Side::Server, line)?;
        stage.pass(ms(200))?;
    }
    stage.close(Side::Server)?;
    stage.finish()?;
    Ok(stage)
}

fn abort() -> Result<Stage, Failure> {
    let mut stage = exchanged()?;
    stage.abort(Side::Client)?;
    stage.finish()?;
    Ok(stage)
}

fn rst_lost() -> Result<Stage, Failure> {
    let mut stage = exchanged()?;
    let mut losses = 0;
    stage.lose_while(Side::Client, move |flags| {
        losses += usize::from(flags.contains(Flags::RST));
        flags.contains(Flags::RST) && losses <= 3
    });
    stage.abort(Side::Client)?;
    stage.pass(ms(500))?;
    for _ in 0..3 {
        stage.send(Side::Server, b"are you there?\n")?;
        stage.pass(ms(100))?;
        if stage.state(Side::Server) == Some(State::Closed) {
            break;
        }
    }
    stage.finish()?;
    Ok(stage)
}

fn refused() -> Result<Stage, Failure> {
    let mut stage = Stage::new(Config::default())?;
    stage.connect(Side::Client)?;
    stage.finish()?;
    Ok(stage)
}

fn simultaneous_open() -> Result<Stage, Failure> {
    let mut stage = Stage::new(Config::default())?;
    stage.connect(Side::Client)?;
    stage.connect(Side::Server)?;
    stage.pass(ms(100))?;
    stage.send(Side::Client, b"one connection, not two\n")?;
    stage.pass(ms(100))?;
    stage.close(Side::Client)?;
    stage.pass(ms(100))?;
    stage.close(Side::Server)?;
    stage.finish()?;
    Ok(stage)
}

fn simultaneous_close() -> Result<Stage, Failure> {
    let mut stage = exchanged()?;
    stage.close(Side::Client)?;
    stage.close(Side::Server)?;
    stage.finish()?;
    Ok(stage)
}

fn zero_window() -> Result<Stage, Failure> {
    let mut stage = connected(Config::default().recv_buffer(4096))?;
    stage.set_deaf(Side::Server, true)?;
    stage.send(Side::Client, &[b'x'; 10_000])?;
    stage.pass(ms(2000))?;
    stage.set_deaf(Side::Server, false)?;
    stage.pass(ms(500))?;
    stage.close(Side::Client)?;
    stage.pass(ms(100))?;
    stage.close(Side::Server)?;
    stage.finish()?;
    Ok(stage)
}

fn lost_segment() -> Result<Stage, Failure> {
    let mut stage = connected(Config::default())?;
    stage.lose_next(Side::Client, Flags::PSH);
    stage.send(Side::Client, REQUEST)?;
    stage.pass(ms(500))?;
    stage.send(Side::Server, RESPONSE)?;
    stage.pass(ms(100))?;
    stage.close(Side::Server)?;
    stage.pass(ms(100))?;
    stage.close(Side::Client)?;
    stage.finish()?;
    Ok(stage)
}

fn fast_retransmit() -> Result<Stage, Failure> {
    let mut stage = connected(Config::default())?;
    let mut segments = 0;
    stage.lose_while(Side::Client, move |flags| {
        // After the handshake each segment of this side is one of the ten.
        segments += usize::from(flags.contains(Flags::ACK));
        segments == 3
    });
    stage.set_rate(Side::Client, 10_000_000);
    stage.send(Side::Client, &[b'x'; 10 * 1448])?;
    stage.pass(ms(300))?;
    stage.close(Side::Client)?;
    stage.pass(ms(100))?;
    stage.close(Side::Server)?;
    stage.finish()?;
    Ok(stage)
}
