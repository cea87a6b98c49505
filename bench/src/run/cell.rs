//! One way to run the program, once, with everything that is measured of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{GATEWAY, HOST, Kind, Manner, SERVER, settings, usage};
use crate::net::ip;
use crate::sys;

/// What came out, by name.
pub(super) type Measured = Vec<(String, f64)>;

/// Starts of a program that does nothing.
const STARTS: usize = 7;
/// How long a relay gets to be there.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Runs a cell in a process of its own.
pub(super) fn run(manner: &Manner, what: &str) -> io::Result<Measured> {
    let kind = serde_json::to_string(&manner.kind)?;
    let output = Command::new(std::env::current_exe()?)
        .args(["run-cell", &kind, &manner.command, what])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.trim())
        .map_err(|error| io::Error::other(format!("the measurement failed (see above): {error}")))
}

/// In that process.
#[expect(clippy::print_stdout, reason = "the parent reads this line")]
pub(super) fn inside(kind: &str, command: &str, what: &str) -> io::Result<()> {
    sys::die_with_parent();
    sys::raise_descriptor_limit();
    sys::own_network()?;
    let cell = Cell {
        kind: serde_json::from_str(kind)?,
        command: command.to_owned(),
    };
    let server = cell.lay_out()?;
    let measured = cell.measure(what);
    end(server)?;
    println!("{}", serde_json::to_string(&measured?)?);
    Ok(())
}

struct Cell {
    kind: Kind,
    command: String,
}

impl Cell {
    /// The host's network, and the server behind it.
    fn lay_out(&self) -> io::Result<Child> {
        settings();
        ip(&["link", "set", "lo", "up"])?;
        let mut server = ourselves("run-server")?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = lines(&mut server)?;
        until(&mut lines, "ready")?;
        let process = server.id().to_string();
        ip(&[
            "link", "add", "vA", "type", "veth", "peer", "name", "vB", "netns", &process,
        ])?;
        ip(&["addr", "add", &format!("{HOST}/24"), "dev", "vA"])?;
        ip(&["link", "set", "vA", "up"])?;
        ip(&["route", "add", "default", "via", GATEWAY])?;
        tell(&mut server)?;
        until(&mut lines, "ready")?;
        // The interfaces have no carrier until the kernel has noticed both.
        let started = Instant::now();
        while std::net::TcpStream::connect((SERVER, super::server::HOLD)).is_err() {
            if started.elapsed() > PATIENCE {
                return Err(io::Error::other("the server cannot be reached"));
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(server)
    }

    fn measure(&self, what: &str) -> io::Result<Measured> {
        let mut measured = Vec::new();
        let wanted = |name: &&str| match self.kind {
            // It carries one connection at a time, and does not close.
            Kind::Null => matches!(*name, "ping" | "send" | "receive"),
            _ => *name != "start",
        };
        if what.split(',').any(|name| name == "start")
            && let Some(extra) = self.start_up()?
        {
            measured.push(("start".to_owned(), extra));
        }
        let measurements: Vec<&str> = what.split(',').filter(wanted).collect();
        if measurements.is_empty() {
            return Ok(measured);
        }
        let (mut program, relay) = self.start(&measurements)?;
        let heard = self.listen(&mut program, &mut measured);
        if heard.is_err() {
            drop(program.kill());
        }
        let ended = program.wait_with_output()?;
        if let Some(relay) = relay {
            end(relay)?;
        }
        match heard {
            Ok(()) if ended.status.success() => Ok(measured),
            Ok(()) => Err(io::Error::other(
                String::from_utf8_lossy(&ended.stderr).into_owned(),
            )),
            Err(error) => Err(io::Error::other(format!(
                "{error}: {}",
                String::from_utf8_lossy(&ended.stderr)
            ))),
        }
    }

    /// The command before a program that is run this way; None if a program cannot be started so.
    fn prefix(&self) -> Option<Command> {
        let transom = |mut command: Command| {
            command.args(["run", "--"]);
            command
        };
        match self.kind {
            Kind::Transom { as_root: true } => Some(transom(Command::new(&self.command))),
            Kind::Transom { as_root: false } => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
                command.arg(&self.command);
                Some(transom(command))
            }
            Kind::Pasta(mtu) => {
                let mut command = Command::new("pasta");
                let mtu = mtu.to_string();
                command.args(["-q", "-f", "--runas", "0", "--config-net", "-m", &mtu]);
                for forward in ["-t", "-u", "-T", "-U"] {
                    command.args([forward, "none"]);
                }
                command.arg("--");
                Some(command)
            }
            Kind::Plain | Kind::Null | Kind::Slirp(_) => None,
        }
    }

    /// Milliseconds that starting a program takes longer than plainly.
    fn start_up(&self) -> io::Result<Option<f64>> {
        if self.prefix().is_none() {
            return Ok(None);
        }
        let mut extra = Vec::new();
        for _ in 0..STARTS {
            let plainly = timed(&mut Command::new("true"))?;
            let Some(mut command) = self.prefix() else {
                return Ok(None);
            };
            extra.push(timed(command.arg("true"))? - plainly);
        }
        Ok(Some(1000.0 * crate::table::median(extra.into_iter())))
    }

    /// Starts the program, and what carries its network if that is another process that we start.
    fn start(&self, measurements: &[&str]) -> io::Result<(Child, Option<Child>)> {
        let client = std::env::current_exe()?;
        let piped = |mut command: Command| {
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        };
        let plainly = |own: bool| {
            let mut command = Command::new(&client);
            command.arg("run-client").args(measurements);
            command.args(own.then_some("--own-network"));
            piped(command)
        };
        match self.kind {
            Kind::Plain => Ok((plainly(false)?, None)),
            Kind::Transom { .. } | Kind::Pasta(_) => {
                let mut command = self.prefix().unwrap_or_else(|| Command::new(&self.command));
                command.arg(&client).arg("run-client").args(measurements);
                Ok((piped(command)?, None))
            }
            Kind::Null | Kind::Slirp(_) => {
                let mut program = plainly(true)?;
                let mut output = lines(&mut program)?;
                until(&mut output, "ready")?;
                let relay = self.attach(program.id())?;
                program.stdout = Some(output.into_inner());
                tell(&mut program)?;
                Ok((program, Some(relay)))
            }
        }
    }

    /// Starts what carries the network of a process that has none, and waits until it has one.
    fn attach(&self, process: u32) -> io::Result<Child> {
        let id = process.to_string();
        let mut command = match self.kind {
            Kind::Null => {
                let mut command = ourselves("run-null")?;
                command.arg(&id);
                command
            }
            Kind::Slirp(mtu) => {
                let mut command = Command::new("slirp4netns");
                command.args(["--configure", "--disable-host-loopback"]);
                command.args([&format!("--mtu={mtu}"), &id, "tap0"]);
                command
            }
            Kind::Plain | Kind::Transom { .. } | Kind::Pasta(_) => {
                return Err(io::Error::other("internal: nothing to attach"));
            }
        };
        let relay = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let started = Instant::now();
        let routes = format!("/proc/{process}/net/route");
        // A default route is the last thing that all of them make.
        let is_there = || {
            let table = std::fs::read_to_string(&routes).unwrap_or_default();
            table
                .lines()
                .skip(1)
                .any(|line| line.split_whitespace().nth(1) == Some("00000000"))
        };
        while !is_there() {
            if started.elapsed() > PATIENCE {
                end(relay)?;
                return Err(io::Error::other("the relay did not start"));
            }
            thread::sleep(LOOK_AGAIN);
        }
        // It may not have finished with itself.
        thread::sleep(Duration::from_millis(200));
        Ok(relay)
    }

    /// Takes what the program tells.
    fn listen(&self, program: &mut Child, measured: &mut Measured) -> io::Result<()> {
        let output = lines(program)?;
        let mut used = 0.0;
        let mut begun = Instant::now();
        for line in output.lines() {
            let line = line?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["begin", _] => (used, begun) = (usage::processor(), Instant::now()),
                ["end", name, rate] => {
                    let used = usage::processor() - used;
                    let rate: f64 = rate.parse().map_err(io::Error::other)?;
                    let gigabytes = rate * begun.elapsed().as_secs_f64();
                    measured.push(((*name).to_owned(), rate));
                    measured.push((format!("{name}-processor"), used / gigabytes));
                    tell(program)?;
                }
                ["value", name, value] => {
                    let value = value.parse().map_err(io::Error::other)?;
                    measured.push(((*name).to_owned(), value));
                }
                ["held"] => {
                    if self.kind != Kind::Plain {
                        measured.push(("hold".to_owned(), usage::memory_of_relay()));
                    }
                    tell(program)?;
                }
                _ => return Err(io::Error::other(format!("the program said: {line}"))),
            }
        }
        Ok(())
    }
}

/// Seconds that a command takes.
fn timed(command: &mut Command) -> io::Result<f64> {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = started.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(took);
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

/// This program in another role.
fn ourselves(role: &str) -> io::Result<Command> {
    let path: PathBuf = std::env::current_exe()?;
    let mut command = Command::new(path);
    command.arg(role);
    Ok(command)
}

fn lines(child: &mut Child) -> io::Result<BufReader<ChildStdout>> {
    let output = child.stdout.take();
    output
        .map(BufReader::new)
        .ok_or_else(|| io::Error::other("no output"))
}

/// Reads one line, which must be the one awaited.
fn until(lines: &mut BufReader<ChildStdout>, word: &str) -> io::Result<()> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    if line.trim() == word {
        return Ok(());
    }
    let mut rest = String::new();
    lines.read_to_string(&mut rest)?;
    Err(io::Error::other(format!("expected {word}: {line}{rest}")))
}

/// Gives a process the word to go on.
fn tell(child: &mut Child) -> io::Result<()> {
    match &mut child.stdin {
        Some(input) => writeln!(input, "go"),
        None => Err(io::Error::other("no input")),
    }
}

fn end(mut child: Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}
