//! What was sent in a world, as a file for `transom explain`.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use transom_flow::pcapng::{Interface, Packet, Writer};
use transom_flow::wire::Medium;
use transom_sim::{Trace, TraceEntry};

/// Writes the packets that `keep` wants as pcapng, each at the time at which it was sent, the lost ones too. A packet that
/// passes routers stands in the trace once for each link: keep what hosts sent.
pub(crate) fn write(
    trace: &Trace,
    file: &str,
    keep: impl Fn(&TraceEntry) -> bool,
) -> Result<(), Box<dyn Error>> {
    let out = BufWriter::new(File::create(file)?);
    let mut writer = Writer::new(out, "transom-sim")?;
    let interface = writer.interface(&Interface {
        name: "",
        description: "",
        medium: Medium::Ip,
        snaplen: 0,
        comment: "",
    })?;
    for entry in trace.entries().iter().filter(|entry| keep(entry)) {
        writer.packet(&Packet::new(interface, entry.sent, &entry.packet))?;
    }
    writer.finish()?;
    Ok(())
}
