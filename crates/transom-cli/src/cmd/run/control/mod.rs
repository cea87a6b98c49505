//! What a running `transom run` tells of its connections to whoever may ask (`transom ss`).
//!
//! An abstract Unix socket named after the process: it leaves nothing behind, and it is seen by
//! those who share the network namespace that `transom run` itself is in. Only the same user and root
//! get an answer (SO_PEERCRED). The answer is a few lines of JSON, described in docs/SS.md:
//!
//! ```text
//! {"transom":"run","version":1,"pid":4711,"uid":1000,"command":"curl -s …","device":"tun"}
//! {"program":{…},"stack":{…},"process":{…}}      one line a connection
//! {"end":true,"left_out":0}
//! ```
//!
//! Nothing here is on the way of a packet. The program's sockets are asked from the kernel inside by
//! the looker's thread, our own ends' states are kept beside by the collector's ([`Ours`]). One asker
//! is served after the other, an answer serves everybody who asks within a tenth of a second, and it
//! has a bounded number of lines.

mod ours;

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use transom_tcp::State;

pub(crate) use self::ours::Ours;
use super::observe::{Look, Observer};
use crate::kernel::control;

/// Connections told of; more are counted.
const MAX_LINES: usize = 4096;
/// How old an answer may be for the next who asks.
const FRESH: Duration = Duration::from_millis(100);
/// How long the looker may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a reader may take for everything.
const READING: Duration = Duration::from_secs(2);

/// The socket to ask at.
pub(crate) struct Control {
    listener: UnixListener,
    head: String,
}

impl Control {
    /// Listens. `command` and `device` are told to whoever asks.
    pub(crate) fn open(command: &str, device: &str) -> io::Result<Self> {
        let pid = std::process::id();
        let address = UnixAddress::from_abstract_name(control::name_of(pid))?;
        let listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        let head = json!({
            "transom": "run",
            "version": control::VERSION,
            "pid": pid,
            "uid": nix::unistd::geteuid().as_raw(),
            "command": command,
            "device": device,
        });
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            head: head.to_string(),
        })
    }

    /// Answers until the run is over.
    pub(crate) async fn serve(self, observer: Observer, ours: Ours) {
        let mut last: Option<(Instant, String)> = None;
        loop {
            let Ok((asker, _)) = self.listener.accept().await else {
                // Out of descriptors, most likely; some will be closed.
                tokio::time::sleep(FRESH).await;
                continue;
            };
            if !may_ask(&asker) {
                continue;
            }
            let fresh = last.take().filter(|(made, _)| made.elapsed() < FRESH);
            let (made, text) = match fresh {
                Some(answer) => answer,
                None => match timeout(PATIENCE, observer.look_at_all()).await {
                    Ok(Some(looks)) => (Instant::now(), self.answer(looks, &ours)),
                    _ => continue,
                },
            };
            // Who does not read gets no more.
            let _ = timeout(READING, tell(asker, &text)).await;
            last = Some((made, text));
        }
    }

    fn answer(&self, looks: Vec<Look>, ours: &Ours) -> String {
        let mut text = format!("{}\n", self.head);
        let mut known = ours.all();
        let mut lines: usize = 0;
        let mut left_out: usize = 0;
        let mut add = |line: &Value| {
            if lines == MAX_LINES {
                left_out += 1;
            } else {
                lines += 1;
                text.push_str(&format!("{line}\n"));
            }
        };
        for look in looks {
            let stack = known.remove(&(look.socket.local, look.socket.peer));
            add(&line(&look, stack));
        }
        // Ends that the program's kernel has forgotten.
        for ((program, peer), (state, since)) in known {
            add(&json!({ "stack": stack_end(peer, program, state, since) }));
        }
        text.push_str(&format!(
            "{}\n",
            json!({ "end": true, "left_out": left_out })
        ));
        text
    }
}

/// The same user, and root.
fn may_ask(asker: &UnixStream) -> bool {
    let user = nix::unistd::geteuid().as_raw();
    asker
        .peer_cred()
        .is_ok_and(|credentials| credentials.uid() == 0 || credentials.uid() == user)
}

async fn tell(mut asker: UnixStream, text: &str) -> io::Result<()> {
    asker.write_all(text.as_bytes()).await?;
    asker.shutdown().await
}

fn line(look: &Look, stack: Option<(State, Instant)>) -> Value {
    let socket = &look.socket;
    let mut program = json!({
        "state": socket.state.to_string(),
        "local": socket.local.to_string(),
        "peer": socket.peer.to_string(),
        "recv_queue": socket.recv_queue,
        "send_queue": socket.send_queue,
        "inode": socket.inode,
    });
    if let Some(info) = &socket.info {
        program["bytes_acked"] = info.bytes_acked.into();
        program["bytes_received"] = info.bytes_received.into();
        program["rtt_us"] = u64::try_from(info.rtt.as_micros()).unwrap_or(0).into();
        program["retransmitted_segments"] = info.retransmitted_segs.into();
    }
    let mut line = json!({ "program": program });
    if let Some((state, since)) = stack {
        line["stack"] = stack_end(socket.peer, socket.local, state, since);
    }
    if let Some(process) = &look.process {
        line["process"] = json!({ "name": &*process.name, "pid": process.pid });
    }
    line
}

fn stack_end(
    local: std::net::SocketAddr,
    peer: std::net::SocketAddr,
    state: State,
    since: Instant,
) -> Value {
    json!({
        "state": state.to_string(),
        "local": local.to_string(),
        "peer": peer.to_string(),
        "state_ms": u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
