//! Which processes hold which sockets: /proc read once.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use nix::dir::Dir;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::Mode;

/// One process' descriptor of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) descriptor: u32,
    /// Index of the process' name.
    name: u32,
}

/// Everybody who holds a socket, by its inode.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    names: Vec<String>,
    /// Sorted by inode; the holders of one as `ss` lists them: the latest process first.
    found: Vec<(u32, Holder)>,
    /// Processes that we may not look at.
    pub(crate) hidden: usize,
}

impl Holders {
    /// Looks at every process.
    pub(crate) fn read() -> Self {
        let mut holders = Self::default();
        let mut pids: Vec<u32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        pids.sort_unstable_by(|a, b| b.cmp(a));
        for pid in pids {
            if holders.look_at(pid).is_none() {
                holders.hidden += 1;
            }
        }
        // Stable: processes and descriptors stay in the order in which they were found.
        holders.found.sort_by_key(|(inode, _)| *inode);
        holders
    }

    /// None if we may not look.
    fn look_at(&mut self, pid: u32) -> Option<()> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = format!("/proc/{pid}/fd");
        let mut directory = Dir::open(path.as_str(), flags, Mode::empty()).ok()?;
        let mut names: Vec<(u32, std::ffi::CString)> = Vec::new();
        for entry in directory.iter().flatten() {
            let name = entry.file_name();
            if let Some(number) = name.to_str().ok().and_then(|name| name.parse().ok()) {
                names.push((number, name.to_owned()));
            }
        }
        names.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        let mut named = None;
        for (descriptor, file) in names {
            let Ok(target) = readlinkat(directory.as_fd(), file.as_c_str()) else {
                continue;
            };
            let Some(inode) = socket_inode(&target) else {
                continue;
            };
            let name = *named.get_or_insert_with(|| self.name(pid));
            self.found.push((
                inode,
                Holder {
                    pid,
                    descriptor,
                    name,
                },
            ));
        }
        Some(())
    }

    fn name(&mut self, pid: u32) -> u32 {
        let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        // A process chooses its name, and terminals obey control characters.
        let name = name
            .trim_end_matches('\n')
            .replace(|c: char| c.is_control(), "?");
        self.names.push(name);
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    /// Who holds the socket with this inode.
    pub(crate) fn of(&self, inode: u32) -> impl Iterator<Item = (&str, Holder)> {
        let from = self.found.partition_point(|&(other, _)| other < inode);
        self.found
            .get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(move |&&(other, _)| other == inode && inode != 0)
            .map(|&(_, holder)| (self.name_of(holder), holder))
    }

    fn name_of(&self, holder: Holder) -> &str {
        usize::try_from(holder.name)
            .ok()
            .and_then(|index| self.names.get(index))
            .map_or("?", String::as_str)
    }

    /// As `ss` writes it; nothing for nobody.
    pub(crate) fn push(&self, inode: u32, to: &mut String) {
        let mut before = " users:(";
        for (name, holder) in self.of(inode) {
            let Holder {
                pid, descriptor, ..
            } = holder;
            let _ = write!(to, "{before}(\"{name}\",pid={pid},fd={descriptor})");
            before = ",";
        }
        if before == "," {
            to.push(')');
        }
    }
}

/// `socket:[12345]`
fn socket_inode(target: &OsStr) -> Option<u32> {
    let digits = target
        .as_bytes()
        .strip_prefix(b"socket:[")?
        .strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd, OwnedFd};

    #[test]
    fn every_descriptor_of_a_socket_is_found_the_latest_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let copy: OwnedFd = listener.as_fd().try_clone_to_owned().unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str()).unwrap();
        let holders = Holders::read();
        let mine: Vec<_> = holders
            .of(inode)
            .map(|(_, holder)| (holder.pid, holder.descriptor.cast_signed()))
            .collect();
        let pid = std::process::id();
        assert_eq!(mine, [(pid, copy.as_raw_fd()), (pid, listener.as_raw_fd())]);
        let mut text = String::new();
        holders.push(inode, &mut text);
        assert!(
            text.starts_with(" users:((\"") && text.ends_with("))"),
            "{text}"
        );
        text.clear();
        holders.push(0, &mut text);
        assert_eq!(text, "");
    }
}
