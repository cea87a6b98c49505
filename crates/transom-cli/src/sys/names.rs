//! Names of addresses, asked from the system's resolver.

use std::ffi::CStr;
use std::net::{IpAddr, SocketAddr};

use socket2::SockAddr;

/// NI_MAXHOST
const LONGEST: usize = 1025;

/// The name of an address, if it has one; may wait for a name server.
pub(crate) fn host_name(address: IpAddr) -> Option<String> {
    let address = SockAddr::from(SocketAddr::new(address, 0));
    let mut name: [libc::c_char; LONGEST] = [0; LONGEST];
    // SAFETY: the address and its length come from the same SockAddr, the buffer and its length
    // from the same array; both live during the call.
    let result = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            name.as_mut_ptr(),
            libc::socklen_t::try_from(LONGEST).ok()?,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: getnameinfo ended the name with a zero inside the array.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    name.to_str().ok().map(str::to_owned)
}
