//! Our sockets with the real kernel at the other end, each test in a network namespace of its own.
//!
//! They need root or user namespaces, `unshare` and `ip`; the TUN tests also `/dev/net/tun`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on any surprise"
)]

// One copy: the tests of the devices need the same namespaces.
#[path = "../../../transom-device/tests/kernel/namespace.rs"]
mod namespace;
mod queues;
#[path = "../wire/mod.rs"]
mod wire;
#[path = "../../../transom-device/tests/kernel/with_xdp.rs"]
mod with_xdp;

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use namespace::{in_namespace, in_namespace_with_tun, run};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, sendto, socket,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use transom::device::{Device, PacketSocket, Tun, TunOptions, XdpOptions, XdpSocket};
use transom::stack_engine::tcp;
use transom::{CloseReason, FastOpenListen, Stack, StackConfig, State, TcpListener, TcpStream};
use wire::{bounded, check_stream, write_stream};
use with_xdp::in_namespace_with_xdp;

const MIB: u64 = 1 << 20;
/// The kernel is number 1 of each network, we are number 2.
const KERNEL: [&str; 2] = ["10.9.0.1:7000", "[fd00::1]:7000"];
const OURS: [&str; 2] = ["10.9.0.2:7000", "[fd00::2]:7000"];

fn tun(vnet: bool) -> impl Device {
    let device = Tun::open(&TunOptions::new("tun0").vnet(vnet)).unwrap();
    run("ip addr add 10.9.0.1/24 dev tun0");
    run("ip addr add fd00::1/64 dev tun0 nodad");
    device
}

/// A veth pair: `kernel0` with the kernel's addresses, and `ours0`.
fn veth_pair() {
    run("ip link add kernel0 type veth peer name ours0");
    // The kernel must stay silent on our end.
    run("ip link set ours0 addrgenmode none arp off");
    run("ip link set kernel0 up");
    run("ip link set ours0 up");
    run("ip addr add 10.9.0.1/24 dev kernel0");
    run("ip addr add fd00::1/64 dev kernel0 nodad");
}

fn veth() -> impl Device {
    veth_pair();
    PacketSocket::open("ours0").unwrap()
}

fn af_xdp(options: impl FnOnce(XdpOptions) -> XdpOptions) -> impl Device {
    veth_pair();
    XdpSocket::open(&options(XdpOptions::new("ours0"))).unwrap()
}

/// Runs the test against a stack behind the device that `open` makes.
fn with_stack<D: Device + 'static, F: Future<Output = ()> + Send + 'static>(
    open: impl FnOnce() -> D,
    config: StackConfig,
    test: impl FnOnce(Stack) -> F + Send + 'static,
) {
    with_queues(|| vec![open()], config, test);
}

/// As [`with_stack`], with several queues.
fn with_queues<D: Device + 'static, F: Future<Output = ()> + Send + 'static>(
    open: impl FnOnce() -> Vec<D>,
    config: StackConfig,
    test: impl FnOnce(Stack) -> F + Send + 'static,
) {
    let devices = open();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stack = Stack::builder()
            .config(config.mac([2, 0, 0, 0, 0, 2]))
            .address("10.9.0.2/24")
            .address("fd00::2/64")
            .gateway("10.9.0.1")
            .devices(devices)
            .spawn()
            .unwrap();
        tokio::spawn(bounded(test(stack))).await.unwrap();
    });
}

/// Sends a stream and checks that it comes back, both at once, then the end.
async fn echo_client(stream: impl AsyncRead + AsyncWrite, len: u64) {
    let (mut read, mut write) = tokio::io::split(stream);
    let (sent, received) = tokio::join!(
        async {
            write_stream(&mut write, 1, len).await?;
            write.shutdown().await
        },
        check_stream(&mut read, 1)
    );
    sent.unwrap();
    assert_eq!(received.unwrap(), len);
}

async fn echo_server(stream: impl AsyncRead + AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::io::copy(&mut read, &mut write).await.unwrap();
    write.shutdown().await.unwrap();
}

/// Both directions, both roles, both IP versions.
async fn echoes(stack: Stack, len: u64) {
    for (kernel, ours) in KERNEL.into_iter().zip(OURS) {
        let listener = TcpListener::bind(&stack, ours).await.unwrap();
        let (client, server) =
            tokio::join!(tokio::net::TcpStream::connect(ours), listener.accept());
        let server = tokio::spawn(echo_server(server.unwrap().0));
        echo_client(client.unwrap(), len).await;
        server.await.unwrap();

        let listener = tokio::net::TcpListener::bind(kernel).await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(&stack, kernel), listener.accept());
        let server = tokio::spawn(echo_server(server.unwrap().0));
        let client = client.unwrap();
        assert!(client.info().unwrap().timestamps);
        echo_client(client, len).await;
        server.await.unwrap();
    }
}

#[test]
fn echoes_over_tun_with_offload() {
    in_namespace_with_tun("echoes_over_tun_with_offload", || {
        with_stack(
            || tun(true),
            StackConfig::default(),
            |stack| echoes(stack, 256 * MIB),
        );
    });
}

#[test]
fn echoes_over_plain_tun() {
    in_namespace_with_tun("echoes_over_plain_tun", || {
        with_stack(
            || tun(false),
            StackConfig::default(),
            |stack| echoes(stack, 32 * MIB),
        );
    });
}

#[test]
fn echoes_over_veth() {
    in_namespace("echoes_over_veth", || {
        with_stack(veth, StackConfig::default(), |stack| {
            echoes(stack, 64 * MIB)
        });
    });
}

#[test]
fn echoes_over_af_xdp() {
    in_namespace_with_xdp("echoes_over_af_xdp", || {
        with_stack(
            || af_xdp(|options| options),
            StackConfig::default(),
            |stack| echoes(stack, 16 * MIB),
        );
    });
}

#[test]
fn echoes_over_af_xdp_that_overflows() {
    in_namespace_with_xdp("echoes_over_af_xdp_that_overflows", || {
        // Far less than the kernel's window: much is lost, and sent again.
        with_stack(
            || af_xdp(|options| options.receive_frames(64).send_frames(64)),
            StackConfig::default(),
            |stack| echoes(stack, 4 * MIB),
        );
        assert!(retransmitted() > 0, "nothing was lost");
    });
}

/// Segments that the kernel has sent again.
fn retransmitted() -> u64 {
    let text = std::fs::read_to_string("/proc/self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "RetransSegs");
    values.split(' ').nth(at.unwrap()).unwrap().parse().unwrap()
}

#[test]
fn an_interface_that_goes_away_ends_all_waiting() {
    in_namespace_with_xdp("an_interface_that_goes_away_ends_all_waiting", || {
        let open = || af_xdp(|options| options);
        with_stack(open, StackConfig::default(), |stack| async move {
            let listener = TcpListener::bind(&stack, OURS[0]).await.unwrap();
            let (client, server) =
                tokio::join!(tokio::net::TcpStream::connect(OURS[0]), listener.accept());
            let (_client, (mut server, _)) = (client.unwrap(), server.unwrap());
            let waiting = tokio::spawn(async move { server.read(&mut [0; 8]).await });
            stack.caught_up().await;
            run("ip link del ours0");
            let error = waiting.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkDown, "{error}");
            assert!(stack.check().is_err());
        });
    });
}

#[test]
fn closing_looks_to_the_kernel_as_it_should() {
    in_namespace("closing_looks_to_the_kernel_as_it_should", || {
        // What is written waits until somebody reads it, megabytes of it.
        let tcp = transom::Config::default().send_buffer(4 << 20);
        with_stack(veth, StackConfig::default().tcp(tcp), closing);
    });
}

async fn accepted(
    stack: &Stack,
    listener: &tokio::net::TcpListener,
) -> (TcpStream, tokio::net::TcpStream) {
    let address = listener.local_addr().unwrap();
    let (ours, kernel) = tokio::join!(TcpStream::connect(stack, address), listener.accept());
    (ours.unwrap(), kernel.unwrap().0)
}

async fn closing(stack: Stack) {
    let listener = tokio::net::TcpListener::bind(KERNEL[0]).await.unwrap();

    // We reset.
    let (ours, mut kernel) = accepted(&stack, &listener).await;
    ours.abort();
    let error = kernel.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    // The kernel resets.
    let (mut ours, kernel) = accepted(&stack, &listener).await;
    kernel.set_zero_linger().unwrap();
    drop(kernel);
    let error = ours.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    // We drop with data unread.
    let (ours, mut kernel) = accepted(&stack, &listener).await;
    kernel.write_all(b"unread").await.unwrap();
    ours.readable().await.unwrap();
    drop(ours);
    let error = kernel.read(&mut [0; 8]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    // We drop with data unsent: it arrives.
    let (mut ours, mut kernel) = accepted(&stack, &listener).await;
    write_stream(&mut ours, 3, 3 * MIB).await.unwrap();
    drop(ours);
    assert_eq!(check_stream(&mut kernel, 3).await.unwrap(), 3 * MIB);

    // Half-close, each way.
    let (mut ours, mut kernel) = accepted(&stack, &listener).await;
    ours.shutdown().await.unwrap();
    assert_eq!(kernel.read(&mut [0; 8]).await.unwrap(), 0);
    write_stream(&mut kernel, 4, MIB).await.unwrap();
    kernel.shutdown().await.unwrap();
    assert_eq!(check_stream(&mut ours, 4).await.unwrap(), MIB);
    assert_eq!(ours.closed().await, CloseReason::Normal);
    assert_eq!(ours.state(), State::TimeWait);
    let (mut ours, mut kernel) = accepted(&stack, &listener).await;
    kernel.shutdown().await.unwrap();
    assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
    write_stream(&mut ours, 5, MIB).await.unwrap();
    ours.shutdown().await.unwrap();
    assert_eq!(check_stream(&mut kernel, 5).await.unwrap(), MIB);

    // Nobody listens, there or here.
    let closed: SocketAddr = "10.9.0.1:7999".parse().unwrap();
    let error = TcpStream::connect(&stack, closed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let error = tokio::net::TcpStream::connect("10.9.0.2:7999").await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn req_tfo_3_and_tfo_6_fast_open_with_the_kernel_both_ways() {
    in_namespace(
        "req_tfo_3_and_tfo_6_fast_open_with_the_kernel_both_ways",
        || {
            // Clients, servers, and every listener (1 | 2 | 0x400).
            std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "1027").unwrap();
            with_stack(veth, StackConfig::default(), fast_opens);
        },
    );
}

/// The first connection of each gets a cookie, and the second puts its request into the SYN.
async fn fast_opens(stack: Stack) {
    for (kernel, ours) in KERNEL.into_iter().zip(OURS) {
        let listener = TcpListener::bind(&stack, ours).await.unwrap();
        listener.set_fastopen(Some(FastOpenListen::new(16)));
        for in_syn in [0, 7] {
            let client = tokio::task::spawn_blocking(move || ask(ours.parse().unwrap()));
            let (mut server, _) = listener.accept().await.unwrap();
            server.read_exact(&mut [0; 7]).await.unwrap();
            assert_eq!(server.info().unwrap().syn_data_taken, in_syn, "{ours}");
            server.write_all(b"answer").await.unwrap();
            server.shutdown().await.unwrap();
            assert_eq!(client.await.unwrap(), "answer");
        }

        let listener = tokio::net::TcpListener::bind(kernel).await.unwrap();
        for in_syn in [0, 7] {
            let client = TcpStream::connect_with_data(&stack, kernel, b"request");
            let (client, server) = tokio::join!(client, listener.accept());
            let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
            assert_eq!(client.info().unwrap().syn_data_acked, in_syn, "{kernel}");
            server.read_exact(&mut [0; 7]).await.unwrap();
            server.write_all(b"answer").await.unwrap();
            drop(server);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "answer");
        }
    }
}

/// A request through a socket of the kernel, which has the SYN carry it if it may.
fn ask(server: SocketAddr) -> String {
    // Linux MSG_FASTOPEN.
    let fast_open = MsgFlags::from_bits_retain(0x2000_0000);
    let family = if server.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let address = SockaddrStorage::from(server);
    let sent = sendto(socket.as_raw_fd(), b"request", &address, fast_open).unwrap();
    assert_eq!(sent, 7);
    let mut answer = String::new();
    let mut stream = std::net::TcpStream::from(socket);
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn req_acc_2_and_acc_3_ecn_as_far_as_the_kernel_goes() {
    in_namespace("req_acc_2_and_acc_3_ecn_as_far_as_the_kernel_goes", || {
        // Kernels before 7.0 take accurate feedback for classic (3 is refused), which both ends can live with.
        let ask = |mode| std::fs::write("/proc/sys/net/ipv4/tcp_ecn", mode);
        let is_accurate = ask("3").is_ok();
        if !is_accurate {
            ask("1").unwrap();
        }
        let config = tcp::Config::default().ecn(tcp::EcnUse::Accurate);
        with_stack(
            || tun(true),
            StackConfig::default().tcp(config),
            move |stack| ecn(stack, is_accurate),
        );
    });
}

/// Both roles; then data both ways.
async fn ecn(stack: Stack, is_accurate: bool) {
    let check = |stream: &TcpStream| {
        let info = stream.info().unwrap();
        assert_eq!(info.accurate_ecn.is_some(), is_accurate);
        assert!(info.ecn);
    };
    for (kernel, ours) in KERNEL.into_iter().zip(OURS) {
        let listener = TcpListener::bind(&stack, ours).await.unwrap();
        let (client, server) =
            tokio::join!(tokio::net::TcpStream::connect(ours), listener.accept());
        let server = server.unwrap().0;
        check(&server);
        let server = tokio::spawn(echo_server(server));
        echo_client(client.unwrap(), 4 * MIB).await;
        server.await.unwrap();

        let listener = tokio::net::TcpListener::bind(kernel).await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(&stack, kernel), listener.accept());
        let server = tokio::spawn(echo_server(server.unwrap().0));
        let client = client.unwrap();
        check(&client);
        echo_client(client, 4 * MIB).await;
        server.await.unwrap();
    }
}
