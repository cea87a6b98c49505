//! Programs of the classic packet filter, which the kernel runs on what a socket is to receive (`linux/filter.h`).

use std::io;
use std::os::fd::AsFd;

use super::set_option;

pub(crate) const BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
pub(crate) const HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
pub(crate) const WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
pub(crate) const EQUALS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
pub(crate) const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// One instruction, with how many to skip where a comparison holds (`jt`) and where it does not (`jf`).
pub(crate) const fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// Lets a socket receive only what the program returns something for.
pub(super) fn attach(fd: &impl AsFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    set_program(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Sets a socket option whose value is a program.
pub(super) fn set_program(
    fd: &impl AsFd,
    level: i32,
    name: i32,
    program: &mut [libc::sock_filter],
) -> io::Result<()> {
    // The kernel reads the program through this pointer during the call only.
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    set_option(fd, level, name, &filter)
}
