//! Who lives in the program's network, and who of them owns a socket.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

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
    pub(crate) name: String,
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

fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Finds the owners of sockets by their inodes, and remembers whom it has found.
pub(crate) struct Owners {
    inside: Inside,
    known: HashMap<u32, Process>,
    /// Whose sockets were asked for before: most likely theirs are next.
    regulars: Vec<Process>,
}

/// Sockets remembered; a program with more is looked up anew each time.
const MAX_KNOWN: usize = 65_536;
/// Processes asked before everybody is.
const MAX_REGULARS: usize = 4;

impl Owners {
    /// Nobody is known yet.
    pub(crate) fn new(inside: Inside) -> Self {
        Self {
            inside,
            known: HashMap::new(),
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
        if let Some(process) = self.known.get(&inode) {
            return Some(process.clone());
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        for process in std::mem::take(&mut self.regulars) {
            // The number may have gone to somebody else meanwhile.
            if name_of(process.pid).as_ref() == Some(&process.name) {
                self.learn(&process);
                self.regulars.push(process);
            }
        }
        if !self.known.contains_key(&inode) {
            for process in self.inside.inhabitants() {
                self.learn(&process);
            }
        }
        let owner = self.known.get(&inode).cloned()?;
        if !self.regulars.contains(&owner) && self.regulars.len() < MAX_REGULARS {
            self.regulars.push(owner.clone());
        }
        Some(owner)
    }

    /// Notes all sockets of a process.
    fn learn(&mut self, process: &Process) {
        for inode in sockets_of(process.pid) {
            self.known.entry(inode).or_insert_with(|| process.clone());
        }
    }
}

/// Inodes of the sockets that a process has open.
fn sockets_of(pid: u32) -> impl Iterator<Item = u32> {
    let directory = PathBuf::from(format!("/proc/{pid}/fd"));
    numbers_in(&directory)
        .filter_map(move |fd| fs::read_link(directory.join(fd.to_string())).ok())
        .filter_map(|target| {
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
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
}
