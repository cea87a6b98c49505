//! Deciding about connections before they are made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

mod wire;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use transom::{
    Capabilities, Stack, StackConfig, State, TcpListener, TcpStream, Unreachable, memory,
};
use wire::{bounded, check_stream, gateway, hosts, kind, write_stream};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An attempt of the client that goes on by itself.
fn connecting(client: &Stack, to: &str) -> JoinHandle<io::Result<TcpStream>> {
    let (client, to) = (client.clone(), address(to));
    tokio::spawn(async move { TcpStream::connect(&client, to).await })
}

#[tokio::test]
async fn any_address_and_port_is_accepted_from_there() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        for target in ["93.184.216.34:80", "8.8.8.8:53", "[2001:db8::7]:443"] {
            let target = address(target);
            let connect = TcpStream::connect(&client, target);
            let accept = async {
                let attempt = incoming.next().await.unwrap();
                assert_eq!(attempt.local_addr(), target);
                assert!(attempt.syn().sack_permitted);
                attempt.accept().await
            };
            let (near, far) = tokio::join!(connect, accept);
            let (mut near, mut far) = (near.unwrap(), far.unwrap());
            assert_eq!(far.local_addr().unwrap(), target);
            near.write_all(b"hello").await.unwrap();
            let mut five = [0; 5];
            far.read_exact(&mut five).await.unwrap();
            assert_eq!(&five, b"hello");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_answered_before_the_decision() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        let connect = connecting(&client, "1.2.3.4:5");
        let attempt = incoming.next().await.unwrap();
        let states: Vec<_> = client.connections().iter().map(|it| it.state).collect();
        assert_eq!(states, [State::SynSent]);
        assert_eq!(gateway.counters().frames_out, 0);
        attempt.accept().await.unwrap();
        connect.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_refused_attempt_is_refused_and_a_dropped_one_too() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        for refuse in [true, false] {
            let connect = TcpStream::connect(&client, address("1.2.3.4:5"));
            let decide = async {
                let attempt = incoming.next().await.unwrap();
                if refuse {
                    attempt.refuse();
                } else {
                    drop(attempt);
                }
            };
            let (refused, ()) = tokio::join!(connect, decide);
            assert_eq!(kind(refused), ErrorKind::ConnectionRefused);
        }
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_host_is_said_to_be_unreachable() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        let connect = TcpStream::connect(&client, address("1.2.3.4:5"));
        let decide = async {
            let attempt = incoming.next().await.unwrap();
            attempt.unreachable(Unreachable::Prohibited);
        };
        let (result, ()) = tokio::join!(connect, decide);
        assert_eq!(kind(result), ErrorKind::HostUnreachable);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_the_peer_has_given_up_fails_when_accepted() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        let connect = connecting(&client, "1.2.3.4:5");
        let attempt = incoming.next().await.unwrap();
        connect.abort();
        assert!(connect.await.unwrap_err().is_cancelled());
        // A SYN that is given up is not reset (RFC 9293 §3.10.4: delete the TCB), so the gateway learns
        // of it by the answer to its SYN-ACK.
        assert_eq!(client.connections(), []);
        assert_eq!(kind(attempt.accept().await), ErrorKind::ConnectionReset);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_too_long_is_gone() {
    let (left, right) = memory::pair(Capabilities::ip(1500));
    let config = StackConfig::default()
        .any_address(true)
        .incoming_timeout(Duration::from_secs(5));
    let gateway = Stack::builder()
        .config(config)
        .address("10.0.0.1/24")
        .device(left)
        .spawn()
        .unwrap();
    let client = Stack::builder()
        .address("10.0.0.2/24")
        .device(right)
        .spawn()
        .unwrap();
    let mut incoming = gateway.incoming().unwrap();
    let started = tokio::time::Instant::now();
    let connect = tokio::spawn({
        let client = client.clone();
        async move {
            let attempt = TcpStream::connect(&client, "10.0.0.1:80");
            tokio::time::timeout(Duration::from_secs(2), attempt).await
        }
    });
    let attempt = incoming.next().await.unwrap();
    attempt.gone().await;
    assert!(connect.await.unwrap().is_err(), "it was answered");
    let waited = started.elapsed();
    assert!((5..6).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(kind(attempt.accept().await), ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn only_one_may_take_everything_and_a_listener_goes_first() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        assert_eq!(kind(gateway.incoming()), ErrorKind::AddrInUse);
        let listener = TcpListener::bind(&gateway, "10.0.0.1:80").await.unwrap();
        let (connected, accepted) = tokio::join!(
            TcpStream::connect(&client, "10.0.0.1:80"),
            listener.accept()
        );
        connected.unwrap();
        accepted.unwrap();
        let (connected, attempt) =
            tokio::join!(TcpStream::connect(&client, "10.0.0.1:81"), async {
                incoming.next().await.unwrap().accept().await
            });
        connected.unwrap();
        attempt.unwrap();
        drop(incoming);
        let refused = TcpStream::connect(&client, "10.0.0.1:82").await;
        assert_eq!(kind(refused), ErrorKind::ConnectionRefused);
        gateway.incoming().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_accept_leaves_a_reset_behind_and_no_connection() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        let connect = tokio::spawn({
            let client = client.clone();
            async move {
                let mut stream = TcpStream::connect(&client, address("1.2.3.4:5")).await?;
                stream.read(&mut [0; 1]).await
            }
        });
        let attempt = incoming.next().await.unwrap();
        // Polled once: the SYN-ACK is out, the handshake is not complete.
        assert!(wire::poll_once(attempt.accept()).await.is_none());
        let result = connect.await.unwrap();
        assert!(
            matches!(&result, Err(error) if error.kind() == ErrorKind::ConnectionReset)
                || matches!(result, Ok(0)),
            "{result:?}"
        );
        gateway.idle().await;
    })
    .await;
}

#[tokio::test]
async fn many_attempts_wait_side_by_side() {
    bounded(async {
        let (gateway, client) = gateway();
        let mut incoming = gateway.incoming().unwrap();
        let clients: Vec<_> = (1..=100_u16)
            .map(|port| {
                let client = client.clone();
                tokio::spawn(async move {
                    let target = SocketAddr::from(([9, 9, 9, 9], port));
                    let mut stream = TcpStream::connect(&client, target).await.unwrap();
                    check_stream(&mut stream, u64::from(port)).await.unwrap()
                })
            })
            .collect();
        let mut attempts = Vec::new();
        for _ in 0..100 {
            attempts.push(incoming.next().await.unwrap());
        }
        for attempt in attempts {
            tokio::spawn(async move {
                let port = attempt.local_addr().port();
                let mut stream = attempt.accept().await.unwrap();
                write_stream(&mut stream, u64::from(port), 1000)
                    .await
                    .unwrap();
            });
        }
        for client in clients {
            assert_eq!(client.await.unwrap(), 1000);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_does_not_lose_connections() {
    bounded(async {
        let (server, client) = hosts();
        let options = transom::ListenOptions::new(transom::ListenOn::AnyAddress(80)).backlog(1);
        let listener = TcpListener::bind_with(&server, options).unwrap();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(&client, wire::SERVER).await.unwrap();
                    stream.read(&mut [0; 1]).await.unwrap()
                })
            })
            .collect();
        for _ in 0..4 {
            listener.accept().await.unwrap();
        }
        for client in clients {
            assert_eq!(client.await.unwrap(), 0);
        }
    })
    .await;
}
