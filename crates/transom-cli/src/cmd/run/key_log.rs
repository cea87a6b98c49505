//! `--tls-keys`: what the program's TLS library writes for those who are to read the capture.
//!
//! SSLKEYLOGFILE is the variable that OpenSSL's users (curl among them), NSS, GnuTLS and others know.
//! It names a file of this run alone, so that no other program's secrets get into the capture. Where
//! the variable was set already, that file gets the same in the end.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::calendar::now;
use crate::failure::Failure;

/// Where a TLS library writes secrets.
pub(crate) const VARIABLE: &str = "SSLKEYLOGFILE";

/// Secrets taken, bytes: some 20,000 connections.
const MOST: u64 = 16 << 20;

/// The file; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct KeyLog {
    path: PathBuf,
    /// What the variable named before.
    users: Option<PathBuf>,
}

impl KeyLog {
    /// Makes it, in memory where the user has a folder there; readable for this user only.
    pub(crate) fn create() -> Result<Self, Failure> {
        let users = env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let name = format!("transom-keys-{}-{}", std::process::id(), now().as_nanos());
        let make = |folder: PathBuf| {
            let path = folder.join(&name);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(&path).map(|_| path)
        };
        let memory = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let path = memory
            .and_then(|folder| make(folder).ok())
            .map_or_else(|| make(env::temp_dir()), Ok)
            .map_err(|error| Failure::doing("make a file for TLS secrets", error))?;
        Ok(Self {
            path,
            users: users.map(PathBuf::from),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Everything in it, when the program has ended.
    pub(crate) fn take(self, notices: &mut Vec<String>) -> Vec<u8> {
        let mut secrets = Vec::new();
        let read =
            File::open(&self.path).and_then(|file| file.take(MOST + 1).read_to_end(&mut secrets));
        if let Err(error) = read {
            notices.push(format!("the TLS secrets cannot be read: {error}"));
        }
        if let Some(users) = self.users.as_ref().filter(|_| !secrets.is_empty())
            && let Err(error) = self.append_to(users)
        {
            notices.push(format!(
                "the TLS secrets are not in {}: {error}",
                users.display()
            ));
        }
        if secrets.len() as u64 > MOST {
            secrets.truncate(MOST as usize);
            notices.push("there are more TLS secrets than the capture takes (16 MiB)".to_owned());
        }
        secrets
    }

    fn append_to(&self, users: &Path) -> io::Result<()> {
        let mut to = OpenOptions::new().append(true).create(true).open(users)?;
        io::copy(&mut File::open(&self.path)?, &mut to)?;
        to.flush()
    }
}

impl Drop for KeyLog {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
