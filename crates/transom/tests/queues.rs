//! A host with several queues, in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

mod wire;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::task::Waker;

use transom::device::memory::MemoryDevice;
use transom::device::{Device, Notify, Readiness};
use transom::stack_engine::wire::{RxFrame, TxFrame};
use transom::{Capabilities, Stack, TcpListener, TcpStream, memory};
use wire::{SERVER, bounded, check_stream, kind, write_stream};

const LEN: u64 = 3 << 20;

/// The far end of two queues, which sends everything to the second, whomever it is for.
struct Crosswise([MemoryDevice; 2]);

impl Device for Crosswise {
    fn capabilities(&self) -> Capabilities {
        self.0[0].capabilities()
    }

    fn recv(&mut self, out: &mut Vec<RxFrame>, max: usize) -> io::Result<usize> {
        let [first, second] = &mut self.0;
        match first.recv(out, max) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => second.recv(out, max),
            result => result,
        }
    }

    fn send(&mut self, frames: &mut VecDeque<TxFrame>) -> io::Result<usize> {
        self.0[1].send(frames)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Notify(self)
    }
}

impl Notify for Crosswise {
    fn register(&self, waker: &Waker) {
        self.0.iter().for_each(|wire| wire.register(waker));
    }
}

/// A server with two queues, and a client.
fn hosts() -> (Stack, Stack) {
    let [(first, one), (second, other)] = [(), ()].map(|()| memory::pair(Capabilities::ip(1500)));
    let server = Stack::builder()
        .address("10.0.0.1/24")
        .devices([first, second])
        .spawn()
        .unwrap();
    let client = Stack::builder()
        .address("10.0.0.2/24")
        .device(Crosswise([one, other]))
        .spawn()
        .unwrap();
    (server, client)
}

/// A connection whose server's end belongs to the first queue: the client's and the server's.
async fn at_the_first(server: &Stack, client: &Stack) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(server, SERVER).await.unwrap();
    loop {
        let (near, far) = tokio::join!(TcpStream::connect(client, SERVER), listener.accept());
        let (near, far) = (near.unwrap(), far.unwrap().0);
        let peer = near.local_addr().unwrap();
        let entries = server.connections();
        let entry = entries.iter().find(|entry| entry.peer == peer).unwrap();
        if entry.shard == 0 {
            return (near, far);
        }
        far.abort();
    }
}

#[tokio::test]
async fn a_queue_stays_until_no_connection_of_any_other_needs_it() {
    bounded(async {
        let (server, client) = hosts();
        let unasked = TcpListener::bind(&client, "10.0.0.2:80").await.unwrap();
        let (mut near, mut far) = at_the_first(&server, &client).await;
        // More than the client takes before it reads.
        let written = tokio::spawn(async move {
            write_stream(&mut far, 5, LEN).await.unwrap();
            // The last that holds the server. Its second stack has nothing to do.
            drop(far);
        });
        drop(server);
        assert_eq!(check_stream(&mut near, 5).await.unwrap(), LEN);
        written.await.unwrap();
        // Acknowledgements and our FIN come in on the queue of the other, which gives it back when it is over.
        drop(near);
        assert_eq!(kind(unasked.accept().await), ErrorKind::NetworkDown);
    })
    .await;
}
