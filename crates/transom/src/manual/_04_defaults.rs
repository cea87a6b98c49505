//! # Defaults
//!
//! Where the RFCs leave freedom the stack behaves as Linux does, because the programs of this world were
//! tested against it. The values themselves stand where they are set: [`Config`](crate::Config) for
//! connections, [`StackConfig`](crate::StackConfig) for hosts, each with its reason. These belong to this crate:
//!
//! | what | value | why |
//! |---|---|---|
//! | dropping an undecided [`Incoming`](crate::Incoming) | refuses | a handler that fails should not leave a client waiting for two minutes |
//! | dropping a stream with data unread | reset | the peer must not believe that its data was read |
//! | dropping a stream otherwise | delivers in the background | `drop` cannot wait, and the data was accepted |
//! | `any_address` | off | to answer for addresses of others is a decision |
//! | echo | the stack answers | RFC 1122 §3.2.2.6 wants a host to |
//! | relay: data on the way | 512 KiB a direction | covers a turn of both tasks at tens of gigabits a second |
//! | relay: kernel reads | 16 KiB, growing to 256 KiB while they are filled | idle connections are many, busy ones few |
//! | relay: wait before a reset is passed on | 100 ms at most | a local program takes its data in much less; a stuck one should not hide the reset |
//! | driver: frames a turn | 64 | with 64 KiB each about a millisecond of work, so that those they are for get at them soon |
//! | busy polling of the device | off | it costs a processor; [`Builder::busy_poll`](crate::Builder::busy_poll) buys latency with it |
//! | timers | tokio's, and the kernel's for what is less than 20 ms away | tokio's are a millisecond coarse, too coarse for pacing and reordering windows on short paths |
//! | frames sent by one call of a socket | 256 | a huge write must not keep its caller for long; the driver sends the rest |
//!
//! # Secrets
//!
//! Sequence numbers (RFC 6528), ports (RFC 6056), timestamp offsets and hash keys are derived from one
//! secret of 32 bytes, taken from the operating system unless [`Builder::secret`](crate::Builder::secret) gives one.
//! Give one to make a test repeatable. Never give the same one twice to stacks that strangers can reach.
//!
//! # Locks
//!
//! With the feature `lock-tracking` every hold of the stack's lock beyond a millisecond is reported through
//! `tracing`, with what it was for. It is off by default because it reads the clock twice a call.
