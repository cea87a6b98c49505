//! Our stack as the host, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use transom::stack_engine::tcp::{Config, Instant, State};
use transom::stack_engine::wire::{Capabilities, RxFrame};
use transom::stack_engine::{
    ConnId, ConnectOptions, ListenOn, ListenOptions, ListenerId, Stack, StackConfig,
};

use crate::dialogue::{Answer, Call, Seen, Setup, Step};
use crate::packets::{HOST, Numbers, Out, PEER, Read, build, read};

/// Longer than an acknowledgement is delayed, shorter than any other timer.
const STEP: Duration = Duration::from_millis(45);

pub(crate) struct Ours {
    stack: Stack,
    setup: Setup,
    numbers: Numbers,
    now: Instant,
    listener: ListenerId,
    connection: Option<ConnId>,
}

impl Ours {
    pub(crate) fn new(setup: &Setup) -> Self {
        let now = Instant::from_origin(Duration::from_secs(1000));
        // Time does not pass for the kernel, so no timer may expire here either.
        let tcp = Config::default()
            .pacing(false)
            .rto_initial(Duration::from_secs(30))
            .rto_min(Duration::from_secs(30))
            .rack(false)
            .nodelay(true)
            .challenge_interval(Duration::ZERO);
        let config = StackConfig::default().tcp(tcp);
        let mut secret = [3; 32];
        secret[..2].copy_from_slice(&setup.port.to_be_bytes());
        let mut stack = Stack::new(config, Capabilities::ip(1500), secret, now);
        stack.add_address("10.9.0.1/24".parse().unwrap());
        let on = ListenOptions::new(ListenOn::AnyAddress(7000));
        let listener = stack.tcp_listen(on).unwrap();
        Self {
            stack,
            setup: *setup,
            numbers: setup.numbers(),
            now,
            listener,
            connection: None,
        }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Seen {
        let answer = match step {
            Step::Segment(seg) => {
                let bytes = build(&self.numbers, seg, &self.setup.syn_options());
                let frame = RxFrame::from(bytes::Bytes::from(bytes));
                self.stack.handle_frame(self.now, frame);
                Answer::Nothing
            }
            Step::Call(call) => self.call(*call),
        };
        let mut sent = self.drain();
        let end = self.now + STEP;
        while let Some(next) = self
            .stack
            .poll_timeout(self.now)
            .filter(|next| *next <= end)
        {
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = end;
        while self.stack.poll_event().is_some() {}
        Seen {
            sent,
            state: self.state().name().to_owned(),
            answer,
        }
    }

    fn drain(&mut self) -> Vec<Out> {
        let mut sent = Vec::new();
        while let Some(frame) = self.stack.poll_transmit(self.now) {
            if let Read::Segment(out) = read(&mut self.numbers, &frame.to_vec()) {
                sent.push(out);
            }
        }
        sent
    }

    fn state(&self) -> State {
        let peer = SocketAddr::from((PEER, self.setup.port));
        // A connection that is over, and held by the application, may have a successor.
        self.stack
            .connections()
            .map(|(_, _, remote, state)| (remote, state))
            .find(|(remote, state)| *remote == peer && *state != State::Closed)
            .map_or(State::Closed, |(_, state)| state)
    }

    fn call(&mut self, call: Call) -> Answer {
        let now = self.now;
        if call == Call::Connect {
            let local = SocketAddr::from((HOST, 0));
            let remote = SocketAddr::from((PEER, self.setup.port));
            let options = ConnectOptions::new(remote).local(local);
            self.connection = self.stack.tcp_connect(now, options).ok();
            return Answer::Done(0);
        }
        if call == Call::Accept {
            if self.connection.is_some() || !self.setup.passive {
                return Answer::Nothing;
            }
            self.connection = self.stack.tcp_accept(self.listener);
            return match self.connection {
                Some(_) => Answer::Done(0),
                None => Answer::WouldBlock,
            };
        }
        let Some(id) = self.connection else {
            return Answer::Nothing;
        };
        let failed = |result: Result<(), _>| match result {
            Ok(()) => Answer::Done(0),
            Err::<(), ()>(()) => Answer::Failed,
        };
        match call {
            Call::Connect | Call::Accept => Answer::Nothing,
            Call::Send(len) => match self.stack.tcp_send_slice(now, id, &vec![b'h'; len]) {
                Ok(0) => Answer::WouldBlock,
                Ok(taken) => Answer::Done(taken),
                Err(_) => Answer::Failed,
            },
            Call::Receive => {
                let mut out = vec![0; 1 << 16];
                match self.stack.tcp_recv_into(now, id, &mut out) {
                    Ok(Some(0)) => Answer::EndOfStream,
                    Ok(Some(len)) => Answer::Done(len),
                    Ok(None) => Answer::WouldBlock,
                    Err(_) => Answer::Failed,
                }
            }
            Call::ShutdownWrite => failed(self.stack.tcp_shutdown_write(now, id).map_err(drop)),
            Call::Close => {
                self.stack.tcp_release(now, id);
                self.connection = None;
                Answer::Done(0)
            }
            Call::Abort => {
                self.stack.tcp_abort(now, id);
                self.stack.tcp_release(now, id);
                self.connection = None;
                Answer::Done(0)
            }
        }
    }
}
