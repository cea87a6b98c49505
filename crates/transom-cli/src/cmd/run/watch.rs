//! From the program's start to its end.

use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::sandbox::Keeper;
use super::signals::{self, Signals};
use super::witness::Witness;
use crate::failure::{Failure, Outcome};
use crate::sys::{self, ChildState};

/// The program was never started: waits until its process and the keeper have gone.
pub(crate) fn abandon(program: Pid, keeper: Keeper) {
    // Its process leaves by itself once nobody can start it any more.
    let _ = waitpid(program, None);
    keeper.dismiss();
}

/// Lets signals through, stops and goes on with the program, and returns how it ended.
pub(crate) async fn until_end(
    program: Pid,
    signals: &Signals,
    witness: Option<&Witness>,
) -> Result<Outcome, Failure> {
    loop {
        let mut news = look(program)?;
        while let Some(state) = news {
            news = match state {
                ChildState::Exited(code) => return Ok(Outcome::Exited(code)),
                ChildState::Signaled(signal) => return Ok(Outcome::Signaled(signal)),
                ChildState::Stopped(signal) => {
                    // The shell watches us, not the program: be stopped as it is, and when the
                    // shell lets us go on, so does the program.
                    sys::stop_by(signal);
                    signals::stopped(witness);
                    let next = look(program)?;
                    // A shell continues the whole job at once, and the program may have been
                    // stopped anew since: only the stop that we know of is ours to end.
                    if next.is_none() {
                        signals::go_on(program);
                    }
                    next
                }
                ChildState::Continued => look(program)?,
            };
        }
        loop {
            let arrived = signals
                .next()
                .await
                .map_err(|error| Failure::doing("watch for signals", error))?;
            if arrived.number == libc::SIGCHLD {
                break;
            }
            signals::pass_on(arrived, program, witness);
        }
    }
}

/// What has newly become of the program.
fn look(program: Pid) -> Result<Option<ChildState>, Failure> {
    sys::wait_for(program).map_err(|error| Failure::doing("wait for the program", error))
}
