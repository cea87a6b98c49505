//! A host with several queues, the kernel as peer.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use transom::device::{PacketSocket, Tun, TunOptions, XdpOptions, XdpSocket};
use transom::{Stack, StackConfig, State, TcpListener, TcpStream};

use super::namespace::{in_namespace, in_namespace_with_tun, run};
use super::with_xdp::in_namespace_with_xdp;
use super::{KERNEL, MIB, OURS, echo_client, echo_server, veth_pair, with_queues};

/// More than enough for each of two stacks to have some of them.
const CONNECTIONS: usize = 24;

fn tun() -> Vec<Tun> {
    let queues = Tun::open_queues(&TunOptions::new("tun0"), 2).unwrap();
    run("ip addr add 10.9.0.1/24 dev tun0");
    run("ip addr add fd00::1/64 dev tun0 nodad");
    queues
}

fn fan_out() -> Vec<PacketSocket> {
    veth_pair();
    PacketSocket::open_queues("ours0", 2).unwrap()
}

fn pair_fan_out() -> Vec<PacketSocket> {
    veth_pair();
    PacketSocket::open_pair_queues("ours0", "kernel0", 2).unwrap()
}

fn af_xdp() -> Vec<XdpSocket> {
    run(
        "ip link add kernel0 numtxqueues 2 numrxqueues 2 type veth peer name ours0 numtxqueues 2 numrxqueues 2",
    );
    run("ip link set ours0 addrgenmode none arp off");
    run("ip link set kernel0 up");
    run("ip link set ours0 up");
    run("ip addr add 10.9.0.1/24 dev kernel0");
    run("ip addr add fd00::1/64 dev kernel0 nodad");
    XdpSocket::open_queues(&XdpOptions::new("ours0"), 0..2).unwrap()
}

/// The stacks that have connections which somebody uses.
fn shards_in_use(stack: &Stack) -> HashSet<usize> {
    let open = stack.connections().into_iter();
    open.filter(|entry| entry.state == State::Established)
        .map(|entry| entry.shard)
        .collect()
}

/// Many connections at once in both roles, in both versions of IP; `len` bytes there and back on each.
async fn many_echoes(stack: &Stack, len: u64) {
    for (kernel, ours) in KERNEL.into_iter().zip(OURS) {
        let listener = TcpListener::bind(stack, ours).await.unwrap();
        let theirs = tokio::net::TcpListener::bind(kernel).await.unwrap();
        let mut tasks = Vec::new();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, server) =
                tokio::join!(tokio::net::TcpStream::connect(ours), listener.accept());
            held.push((client.unwrap(), server.unwrap().0));
        }
        assert_eq!(shards_in_use(stack), HashSet::from([0, 1]), "accepted");
        for (client, server) in held {
            tasks.push(tokio::spawn(echo_server(server)));
            tasks.push(tokio::spawn(echo_client(client, len)));
        }
        for task in tasks.drain(..) {
            task.await.unwrap();
        }
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            let (client, server) = tokio::join!(TcpStream::connect(stack, kernel), theirs.accept());
            held.push((client.unwrap(), server.unwrap().0));
        }
        assert_eq!(shards_in_use(stack), HashSet::from([0, 1]), "connected");
        for (client, server) in held {
            tasks.push(tokio::spawn(echo_server(server)));
            tasks.push(tokio::spawn(echo_client(client, len)));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
    assert_eq!(stack.handed_over().lost, 0);
    assert_eq!(stack.shards(), 2);
    stack.caught_up().await;
    stack.idle().await;
}

#[test]
fn two_queues_of_tun_learn_where_connections_belong() {
    in_namespace_with_tun(
        "queues::two_queues_of_tun_learn_where_connections_belong",
        || {
            with_queues(tun, StackConfig::default(), |stack| async move {
                many_echoes(&stack, MIB / 4).await;
                let handed = stack.handed_over().frames;
                let counters = stack.counters();
                // The first segments of some connections, not their data.
                assert!(handed < counters.frames_in / 10, "{handed} of {counters:?}");
            });
        },
    );
}

#[test]
fn two_packet_sockets_get_what_is_theirs_from_the_start() {
    in_namespace(
        "queues::two_packet_sockets_get_what_is_theirs_from_the_start",
        || {
            for open in [fan_out, pair_fan_out] {
                with_queues(open, StackConfig::default(), |stack| async move {
                    many_echoes(&stack, MIB / 4).await;
                    // Neighbours' answers are for both.
                    let handed = stack.handed_over().frames;
                    assert!(handed < 20, "{handed}");
                });
                run("ip link del ours0");
            }
        },
    );
}

#[test]
fn two_af_xdp_queues() {
    in_namespace_with_xdp("queues::two_af_xdp_queues", || {
        // The interface spreads as it likes: half of all frames come in on the wrong queue.
        with_queues(af_xdp, StackConfig::default(), |stack| async move {
            many_echoes(&stack, MIB / 8).await;
            assert!(stack.handed_over().frames > 0);
        });
    });
}

#[test]
fn every_port_of_the_range_is_used_once_by_one_of_the_stacks() {
    in_namespace(
        "queues::every_port_of_the_range_is_used_once_by_one_of_the_stacks",
        || {
            let config = StackConfig::default().ephemeral_ports(40_000..=40_019);
            with_queues(fan_out, config, |stack| async move {
                let listener = tokio::net::TcpListener::bind(KERNEL[0]).await.unwrap();
                let mut held = Vec::new();
                let mut ports = HashSet::new();
                for _ in 0..20 {
                    let (client, server) =
                        tokio::join!(TcpStream::connect(&stack, KERNEL[0]), listener.accept());
                    let client = client.unwrap();
                    ports.insert(client.local_addr().unwrap().port());
                    held.push((client, server.unwrap()));
                }
                assert_eq!(ports, (40_000..=40_019).collect());
                let error = TcpStream::connect(&stack, KERNEL[0]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
                // A port that is named decides which stack has the connection.
                let local: SocketAddr = "10.9.0.2:40003".parse().unwrap();
                let options =
                    || transom::ConnectOptions::new(KERNEL[0].parse().unwrap()).local(local);
                let error = TcpStream::connect_with(&stack, options())
                    .await
                    .unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AddrInUse);
                held.retain(|(client, _)| {
                    client.local_addr().unwrap() != local || {
                        client.set_zero_linger().unwrap();
                        false
                    }
                });
                let (client, server) = tokio::join!(
                    TcpStream::connect_with(&stack, options()),
                    listener.accept()
                );
                assert_eq!(client.unwrap().local_addr().unwrap(), local);
                assert_eq!(server.unwrap().1, local);
            });
        },
    );
}

#[test]
fn time_wait_is_where_the_next_syn_comes() {
    in_namespace("queues::time_wait_is_where_the_next_syn_comes", || {
        with_queues(fan_out, StackConfig::default(), time_waits);
    });
}

/// Waits for something that takes no time, and says what it was, and how things stand, when it does not come.
async fn within<T>(what: &str, stack: &Stack, it: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(20), it).await {
        Ok(done) => done,
        Err(_) => panic!("{what} does not come; {:?}", stack.connections()),
    }
}

async fn time_waits(stack: Stack) {
    let listener = TcpListener::bind(&stack, OURS[0]).await.unwrap();
    let mut shards = HashSet::new();
    for port in 10_007..10_027 {
        let mut last = None;
        for turn in 0..3_u8 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket
                .bind(SocketAddr::from(([10, 9, 0, 1], port)))
                .unwrap();
            let connect = socket.connect(OURS[0].parse().unwrap());
            let both = async { tokio::join!(connect, listener.accept()) };
            let (client, server) = within("connect and accept", &stack, both).await;
            let (mut client, (mut server, peer)) = (client.unwrap(), server.unwrap());
            assert_eq!(peer.port(), port);
            // We close first, so that TIME-WAIT is ours.
            server.write_all(&[turn]).await.unwrap();
            drop(server);
            let mut received = Vec::new();
            let read = client.read_to_end(&mut received);
            within("the end of the stream", &stack, read).await.unwrap();
            assert_eq!(received, [turn]);
            drop(client);
            within("TIME-WAIT", &stack, stack.idle()).await;
            let of_port = |entry: &transom::ConnectionEntry| entry.peer.port() == port;
            let waiting: Vec<_> = stack.connections().into_iter().filter(of_port).collect();
            let [entry] = waiting.as_slice() else {
                panic!("{waiting:?}")
            };
            assert_eq!(entry.state, State::TimeWait);
            assert_eq!(*last.get_or_insert(entry.shard), entry.shard);
            shards.insert(entry.shard);
        }
    }
    assert_eq!(shards, HashSet::from([0, 1]));
}

#[test]
fn what_icmp_says_of_a_connection_reaches_its_stack() {
    in_namespace(
        "queues::what_icmp_says_of_a_connection_reaches_its_stack",
        || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0").unwrap();
            with_queues(fan_out, StackConfig::default(), |stack| async move {
                run("ip route add unreachable 10.99.0.0/16");
                let attempts: Vec<_> = (0..12)
                    .map(|_| {
                        let stack = stack.clone();
                        tokio::spawn(
                            async move { TcpStream::connect(&stack, "10.99.0.1:80").await },
                        )
                    })
                    .collect();
                for attempt in attempts {
                    let error = attempt.await.unwrap().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::HostUnreachable, "{error}");
                }
                // And what no connection asked for is refused once.
                let error = tokio::net::TcpStream::connect("10.9.0.2:7999").await;
                assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionRefused);
                assert_eq!(stack.counters().resets_out, 1);
            });
        },
    );
}

#[test]
fn attempts_and_ports_are_those_of_all_stacks() {
    in_namespace("queues::attempts_and_ports_are_those_of_all_stacks", || {
        with_queues(fan_out, StackConfig::default(), |stack| async move {
            let first = TcpListener::bind(&stack, "10.9.0.2:0").await.unwrap();
            let address = first.local_addr().unwrap();
            let error = TcpListener::bind(&stack, address).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            drop(first);
            drop(TcpListener::bind(&stack, address).await.unwrap());

            let mut incoming = stack.incoming().unwrap();
            for port in 9000..9024 {
                let address = SocketAddr::from(([10, 9, 0, 2], port));
                let client = tokio::spawn(tokio::net::TcpStream::connect(address));
                let attempt = incoming.next().await.unwrap();
                assert_eq!(attempt.local_addr(), address);
                if port % 2 == 0 {
                    let (server, client) = tokio::join!(attempt.accept(), client);
                    drop((server.unwrap(), client.unwrap().unwrap()));
                } else {
                    attempt.refuse();
                    let error = client.await.unwrap().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                }
            }
        });
    });
}
