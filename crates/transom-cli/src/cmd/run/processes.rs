//! Who lives in the program's network, and who of them owns a socket.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::AtFlags;
use nix::libc::dev_t;
use nix::sys::stat::{SFlag, fstat, fstatat};
use nix::unistd::Pid;

use super::spread::Table;

/// The program's network namespace, named so that other processes can be compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    namespace: PathBuf,
    /// Our own watcher, which lives there too and is nobody's business.
    keeper: Pid,
}

/// A process as it is shown: its number and its short name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: u32,
    /// As in /proc/PID/comm.
    pub(crate) name: Arc<str>,
}

impl Inside {
    /// The namespace in which `member` lives now.
    pub(crate) fn of(member: Pid, keeper: Pid) -> std::io::Result<Self> {
        Ok(Self {
            namespace: fs::read_link(format!("/proc/{member}/ns/net"))?,
            keeper,
        })
    }

    /// Everybody who lives there now. A process that cannot be looked at is not counted.
    pub(crate) fn inhabitants(&self) -> Vec<Process> {
        numbers_in(Path::new("/proc"))
            .filter(|&pid| u32::try_from(self.keeper.as_raw()) != Ok(pid))
            .filter(|pid| {
                fs::read_link(format!("/proc/{pid}/ns/net"))
                    .is_ok_and(|theirs| theirs == self.namespace)
            })
            .filter_map(|pid| {
                Some(Process {
                    pid,
                    name: name_of(pid)?,
                })
            })
            .collect()
    }
}

/// The numeric names in a directory.
fn numbers_in(directory: &Path) -> impl Iterator<Item = u32> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn name_of(pid: u32) -> Option<Arc<str>> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().into())
}

/// Finds the owners of sockets by their inodes, and remembers whom it has found.
pub(crate) struct Owners {
    inside: Inside,
    known: Known,
    /// Whose sockets were asked for before: most likely theirs are next.
    regulars: Vec<Regular>,
}

/// Processes by the inodes of their sockets.
type Known = Table<u32, Process>;

/// Sockets remembered; a program with more is looked up anew each time.
const MAX_KNOWN: usize = 65_536;
/// Processes asked before everybody is.
const MAX_REGULARS: usize = 4;

impl Owners {
    /// Nobody is known yet.
    pub(crate) fn new(inside: Inside) -> Self {
        Self {
            inside,
            known: Known::default(),
            regulars: Vec::new(),
        }
    }

    /// The process that holds the socket with this inode. Several may; the one that was found
    /// first stays.
    pub(crate) fn owner(&mut self, inode: u32) -> Option<Process> {
        if inode == 0 {
            // Nobody holds it any more: the kernel finishes the connection by itself.
            return None;
        }
        if let Some(process) = self.remembered(inode) {
            return Some(process);
        }
        self.forget_if_full();
        self.regulars.retain(Regular::is_itself);
        for regular in &self.regulars {
            learn(&mut self.known, &regular.process);
        }
        if !self.known.contains_key(&inode) {
            for process in self.inside.inhabitants() {
                learn(&mut self.known, &process);
            }
        }
        let owner = self.known.get(&inode).cloned()?;
        if self.regulars.len() < MAX_REGULARS
            && !self.regulars.iter().any(|regular| regular.process == owner)
        {
            self.regulars.extend(Regular::new(&owner));
        }
        Some(owner)
    }

    /// Expects later sockets where this process had its last.
    pub(crate) fn meet(&mut self, regular: Regular) {
        self.regulars.retain(Regular::is_itself);
        let mut known = self.regulars.iter_mut();
        if let Some(known) = known.find(|one| one.process == regular.process) {
            for number in regular.recent {
                known.use_first(number);
            }
        } else if self.regulars.len() < MAX_REGULARS {
            self.regulars.push(regular);
        }
    }

    /// The process, if it was found before.
    pub(crate) fn remembered(&self, inode: u32) -> Option<Process> {
        self.known.get(&inode).cloned()
    }

    /// As [`owner`](Self::owner), but gives up where it would have to go through all descriptors of
    /// a process.
    pub(crate) fn guess(&mut self, inode: u32) -> Option<Process> {
        if let Some(process) = self.remembered(inode) {
            return Some(process);
        }
        let mut regulars = self.regulars.iter_mut();
        let process = regulars.find_map(|regular| regular.guess(inode))?;
        self.forget_if_full();
        self.known.insert(inode, process.clone());
        Some(process)
    }

    fn forget_if_full(&mut self) {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
    }
}

/// Notes all sockets of a process.
fn learn(known: &mut Known, process: &Process) {
    for (_, inode) in sockets_of(process.pid) {
        known.entry(inode).or_insert_with(|| process.clone());
    }
}

/// A process whose sockets were asked for, and where it had them.
pub(crate) struct Regular {
    process: Process,
    /// Its name; bound to the process, whoever gets its number afterwards.
    comm: File,
    /// Its directory of descriptors; bound to the process as well, and no path has to be gone along for each look.
    descriptors: File,
    /// Where sockets are.
    device: dev_t,
    /// Numbers of descriptors that were sockets, the latest first.
    recent: VecDeque<u32>,
    /// The latest socket had the next number after all of these: the program opens, and does not close.
    grows: bool,
}

/// Descriptors tried before all are: as many as a program is likely to use in turn.
const MAX_RECENT: usize = 16;

impl Regular {
    fn new(process: &Process) -> Option<Self> {
        let directory = PathBuf::from(format!("/proc/{}", process.pid));
        Some(Self {
            process: process.clone(),
            comm: File::open(directory.join("comm")).ok()?,
            descriptors: File::open(directory.join("fd")).ok()?,
            device: sockets_device().ok()?,
            recent: VecDeque::new(),
            grows: false,
        })
    }

    /// The owner of a socket and where it has it, for [`Owners::meet`].
    pub(crate) fn with(owner: &Process, inode: u32) -> Option<Self> {
        let mut regular = Self::new(owner)?;
        regular.learn(inode);
        Some(regular)
    }

    /// Whether it lives and runs the same program.
    fn is_itself(&self) -> bool {
        let mut name = [0; 64];
        // Of a process that has gone there is nothing to read; an empty name has at least its line's end.
        let Ok(length @ 1..) = self.comm.read_at(&mut name, 0) else {
            return false;
        };
        name.get(..length).unwrap_or_default().trim_ascii_end() == self.process.name.as_bytes()
    }

    /// The process, if one of the likely descriptors is this socket.
    fn guess(&mut self, inode: u32) -> Option<Process> {
        // What was closed last is used first, and that is most likely what was opened longest ago.
        let next = self.recent.iter().max().map(|&most| most + 1);
        let first = next.filter(|_| self.grows);
        let last = next.filter(|_| !self.grows);
        let used = self.recent.iter().rev().copied();
        let mut likely = first.into_iter().chain(used).chain(last);
        let found = likely.find(|&number| is_socket(&self.descriptors, self.device, number, inode));
        let number = found.filter(|_| self.is_itself())?;
        self.grows = Some(number) == next;
        self.use_first(number);
        Some(self.process.clone())
    }

    /// Notes where this socket is.
    fn learn(&mut self, inode: u32) {
        let place = sockets_of(self.process.pid).find(|&(_, other)| other == inode);
        if let Some((number, _)) = place {
            self.use_first(number);
        }
    }

    fn use_first(&mut self, number: u32) {
        self.recent.retain(|&other| other != number);
        self.recent.push_front(number);
        self.recent.truncate(MAX_RECENT);
    }
}

/// The sockets that a process has open: their descriptors' numbers and their inodes.
fn sockets_of(pid: u32) -> impl Iterator<Item = (u32, u32)> {
    let directory = PathBuf::from(format!("/proc/{pid}/fd"));
    numbers_in(&directory).filter_map(move |number| Some((number, socket_at(&directory, number)?)))
}

/// The inode of the socket that a descriptor is, in a directory of descriptors.
fn socket_at(directory: &Path, number: u32) -> Option<u32> {
    let target = fs::read_link(directory.join(number.to_string())).ok()?;
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Whether a descriptor is the socket with this inode, in an open directory of descriptors.
fn is_socket(directory: &File, device: dev_t, number: u32, inode: u32) -> bool {
    let mut name = [0; 10];
    let mut rest = &mut name[..];
    if write!(rest, "{number}").is_err() {
        return false;
    }
    let left = rest.len();
    let name = name.get(..name.len() - left).unwrap_or_default();
    let Ok(status) = fstatat(directory, name, AtFlags::empty()) else {
        return false;
    };
    // A socket that has a name in a file system is on another device.
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
        && status.st_dev == device
        && status.st_ino == u64::from(inode)
}

/// The device of which the kernel says that its sockets are on it.
fn sockets_device() -> std::io::Result<dev_t> {
    let socket = UnixDatagram::unbound()?;
    Ok(fstat(&socket)?.st_dev)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_owner_of_a_socket_is_found_by_its_inode() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = link
            .to_str()
            .unwrap()
            .trim_matches(|c: char| !c.is_ascii_digit());
        let inside = Inside::of(nix::unistd::getpid(), Pid::from_raw(0)).unwrap();
        let mut owners = Owners::new(inside);
        let owner = owners.owner(inode.parse().unwrap()).unwrap();
        assert_eq!(owner.pid, std::process::id());
        assert_eq!(owners.owner(0), None);
    }

    #[test]
    fn the_next_socket_of_the_same_process_is_guessed() {
        let inode_of = |listener: &TcpListener| {
            let link = format!("/proc/self/fd/{}", listener.as_raw_fd());
            let link = fs::read_link(link).unwrap();
            let text = link.to_str().unwrap();
            text.trim_matches(|c: char| !c.is_ascii_digit())
                .parse::<u32>()
                .unwrap()
        };
        let inside = Inside::of(nix::unistd::getpid(), Pid::from_raw(0)).unwrap();
        let mut owners = Owners::new(inside);
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(owners.guess(inode_of(&first)), None, "nobody is known yet");
        let owner = owners.owner(inode_of(&first));
        let regular = Regular::with(owner.as_ref().unwrap(), inode_of(&first)).unwrap();
        let inside = Inside::of(nix::unistd::getpid(), Pid::from_raw(0)).unwrap();
        let mut owners = Owners::new(inside);
        owners.meet(regular);
        assert_eq!(owners.guess(inode_of(&first)), owner, "where it was");
        owners.known.clear();
        assert_eq!(owners.guess(0), None, "not anywhere else");
    }

    #[test]
    fn a_process_without_a_name_is_not_itself_any_more_when_it_has_gone() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let name = name_of(child.id()).unwrap();
        let regular = |name: &str| {
            let name = name.into();
            let pid = child.id();
            Regular::new(&Process { pid, name }).unwrap()
        };
        let (named, nameless) = (regular(&name), regular(""));
        assert!(named.is_itself());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!named.is_itself());
        assert!(!nameless.is_itself());
    }
}
