//! netstack-smoltcp, pumped as its manual says.

use bench_peers::{Packets, Tun, ready_to_serve, run, serve};
use futures::StreamExt;
use netstack_smoltcp::StackBuilder;

fn main() -> std::io::Result<()> {
    run(listen)
}

async fn listen(tun: Tun, mtu: u16) -> std::io::Result<()> {
    let (stack, runner, _, listener) = StackBuilder::default()
        .enable_tcp(true)
        .mtu(mtu.into())
        .build()?;
    let (Some(runner), Some(mut listener)) = (runner, listener) else {
        return Err(std::io::Error::other("no TCP"));
    };
    tokio::spawn(runner);
    let (to_stack, from_stack) = stack.split();
    let (to_tun, from_tun) = Packets::new(tun).split();
    tokio::spawn(from_stack.forward(to_tun));
    tokio::spawn(from_tun.forward(to_stack));
    ready_to_serve();
    while let Some((stream, _, to)) = listener.next().await {
        tokio::spawn(serve(stream, to.port()));
    }
    Ok(())
}
