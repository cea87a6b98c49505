//! fcntl and ioctl.

use transom_stack::tcp::Connection;

use super::file::Stage;
use super::names::{
    F_GETFD, F_GETFL, F_SETFD, F_SETFL, FIONBIO, O_NONBLOCK, O_RDWR, SIOCATMARK, SIOCINQ, SIOCOUTQ,
    SIOCOUTQNSD,
};
use super::transfer::whole;
use super::{Errno, Fault, Fd, Output, Returned, Sockets};

impl Sockets {
    pub(super) fn fcntl(&mut self, fd: Fd, command: i64, argument: i64) -> Result<Returned, Fault> {
        let file = self.file_mut(fd)?;
        match command {
            F_GETFL => Ok((O_RDWR | if file.nonblocking { O_NONBLOCK } else { 0 }).into()),
            F_SETFL => {
                file.nonblocking = argument & O_NONBLOCK != 0;
                Ok(0.into())
            }
            F_GETFD | F_SETFD => Ok(0.into()),
            _ => Err(Fault::Unsupported(format!("fcntl with command {command}"))),
        }
    }

    pub(super) fn ioctl(&mut self, fd: Fd, request: i64, argument: i64) -> Result<Returned, Fault> {
        if request == FIONBIO {
            self.file_mut(fd)?.nonblocking = argument != 0;
            return Ok(0.into());
        }
        let tcp = self.tcp(fd)?;
        if matches!(tcp.stage, Stage::Listening(_)) {
            return Err(Errno::EINVAL.into());
        }
        let connection = tcp
            .connection()
            .and_then(|id| self.stack.tcp_connection(id));
        let connection = connection.as_deref();
        let number = match request {
            SIOCINQ => connection.map_or(0, Connection::recv_queue),
            SIOCOUTQ => connection.map_or(0, Connection::send_queue),
            SIOCOUTQNSD => connection.map_or(0, Connection::unsent),
            SIOCATMARK => usize::from(connection.is_some_and(|c| c.urgent_remaining() == 1)),
            _ => return Err(Errno::ENOTTY.into()),
        };
        Ok(Returned {
            value: 0,
            output: Output::Integer(whole(number)),
        })
    }
}
