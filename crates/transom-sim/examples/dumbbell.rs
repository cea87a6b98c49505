//! Flows across a bottleneck, in virtual time.
//!
//! `cargo run --release -p transom-sim --example dumbbell -- --rate 100mbit --rtt 40ms --loss 1% --queue 1bdp
//! --flows cubic,bbr --svg DIR` prints what each flow carried, what was sent again and how long packets waited, and
//! draws windows, flights, round trips, data and the queue over time.

#![expect(clippy::print_stdout, reason = "it is what an example is for")]

mod capture;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transom_draw::svg::{self, Curve, Unit};
use transom_drill::bed::{Dumbbell, Flow, FlowReport, Report, Sample};
use transom_sim::{Bandwidth, Impairment, TraceEntry};
use transom_stack::tcp::EcnUse;
use transom_stack::tcp::congestion::Algorithm;

const HELP: &str = "\
dumbbell [OPTIONS]        flows between our own stacks across a bottleneck, in virtual time

  --rate RATE             of the bottleneck (10mbit)
  --rtt TIME              of the empty path (40ms)
  --loss P --queue SIZE   1%, gilbert:1%:30% …; 1bdp, 64k, 100p, 50ms
  --link SPEC             more words for the bottleneck: aqm=codel,ecn=on,reorder=1%:5ms …
  --back SPEC             the way back; default nothing but its delay
  --trace FILE            a recorded bandwidth in place of the rate: one time in ms a line, each carries 1500 bytes
  --flows A,B,…           the congestion control of each flow (cubic); A@5s starts at 5 s; A:1m sends a MiB and ends;
                          A-unpaced sends its window in bursts
  --ecn                   the senders ask for marks
  --accecn                the senders ask for marks and have them counted
  --time TIME             how long (30s)     --seed N (1)     --every TIME between samples (rtt / 2)
  --capture FILE          what the ends sent, lost packets included, for `transom explain`
  --csv FILE              the samples           --svg DIR    windows, round trips, data and queue over time
";

struct Arguments {
    bed: Dumbbell,
    time: Duration,
    capture: Option<String>,
    csv: Option<PathBuf>,
    svg: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    let arguments = read(&words)?;
    let began = Instant::now();
    let (report, world) = arguments.bed.run_world(arguments.time);
    let took = began.elapsed();
    print(&report);
    println!(
        "{:.1} s simulated in {:.2} s",
        report.ended.as_secs_f64(),
        took.as_secs_f64()
    );
    if let Some(path) = arguments.capture {
        let is_end = |entry: &TraceEntry| world.host(entry.from).host().is_some();
        capture::write(world.trace(), &path, is_end)?;
    }
    if let Some(path) = arguments.csv {
        std::fs::write(path, csv(&report))?;
    }
    if let Some(directory) = arguments.svg {
        std::fs::create_dir_all(&directory)?;
        for (name, picture) in pictures(&report) {
            std::fs::write(directory.join(name), picture)?;
        }
    }
    Ok(())
}

fn read(words: &[String]) -> Result<Arguments, Box<dyn Error>> {
    let mut settings: Vec<(&str, &str)> = Vec::new();
    let mut ecn = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--ecn" => ecn = Some(EcnUse::Request),
            "--accecn" => ecn = Some(EcnUse::Accurate),
            name => {
                let value = words
                    .next()
                    .ok_or_else(|| format!("{name} lacks a value; see --help"))?;
                settings.push((name, value));
            }
        }
    }
    let known = [
        "--rate",
        "--rtt",
        "--loss",
        "--queue",
        "--link",
        "--back",
        "--trace",
        "--flows",
        "--time",
        "--seed",
        "--every",
        "--csv",
        "--svg",
        "--capture",
    ];
    if let Some((name, _)) = settings.iter().find(|(name, _)| !known.contains(name)) {
        return Err(format!("{name} is not an option; see --help").into());
    }
    let value = |name: &str| {
        settings
            .iter()
            .rev()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| *v)
    };
    let rtt = time(value("--rtt").unwrap_or("40ms"))?;
    let mut spec = vec![format!("queue={}", value("--queue").unwrap_or("1bdp"))];
    if value("--trace").is_none() {
        spec.push(format!("rate={}", value("--rate").unwrap_or("10mbit")));
    }
    spec.extend(value("--loss").map(|loss| format!("loss={loss}")));
    spec.extend(value("--link").map(str::to_owned));
    let mut link: Impairment = spec.join(",").parse()?;
    link.delay += rtt / 2;
    if let Some(path) = value("--trace") {
        link = link.bandwidth(Arc::new(Bandwidth::parse(&std::fs::read_to_string(path)?)?));
    }
    let mut back: Impairment = value("--back").unwrap_or("none").parse()?;
    back.delay += rtt / 2;
    let every = match value("--every") {
        Some(text) => time(text)?,
        None => rtt / 2,
    };
    let mut bed = Dumbbell::new(link)
        .back(back)
        .seed(value("--seed").unwrap_or("1").parse()?)
        .sample(every);
    let capture = value("--capture").map(str::to_owned);
    if capture.is_some() {
        bed = bed.frames(1 << 20);
    }
    for name in value("--flows").unwrap_or("cubic").split(',') {
        let mut flow = flow(name)?;
        if let Some(ecn) = ecn {
            flow = flow.with_sender(|config| config.ecn(ecn));
            flow = flow.with_receiver(|config| config.ecn(ecn));
        }
        bed = bed.flow(flow);
    }
    Ok(Arguments {
        bed,
        time: time(value("--time").unwrap_or("30s"))?,
        capture,
        csv: value("--csv").map(PathBuf::from),
        svg: value("--svg").map(PathBuf::from),
    })
}

/// `40ms`, as it is written in an impairment.
fn time(text: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(format!("delay={text}").parse::<Impairment>()?.delay)
}

/// `cubic`, `cubic@5s`, `cubic:1m`, `cubic-unpaced:1m@5s`.
fn flow(text: &str) -> Result<Flow, Box<dyn Error>> {
    let (text, starts) = text.split_once('@').unwrap_or((text, "0ms"));
    let (name, size) = match text.split_once(':') {
        Some((name, size)) => (name, Some(size)),
        None => (text, None),
    };
    let (name, paced) = match name.strip_suffix("-unpaced") {
        Some(name) => (name, false),
        None => (name, true),
    };
    let Some(algorithm) = Algorithm::from_name(name) else {
        let names: Vec<&str> = Algorithm::ALL
            .iter()
            .map(|algorithm| algorithm.name())
            .collect();
        return Err(format!("{name:?} is none of {}", names.join(", ")).into());
    };
    let mut flow = Flow::new(algorithm)
        .starts(time(starts)?)
        .with_sender(move |config| config.pacing(paced));
    if let Some(size) = size {
        match format!("queue={size}").parse::<Impairment>()?.queue {
            Some(transom_sim::Queue::Bytes(bytes)) => flow = flow.bytes(bytes),
            _ => return Err(format!("{size:?} is not a size, as 1m").into()),
        }
    }
    Ok(flow)
}

fn print(report: &Report) {
    println!("flow             goodput    sent again   timeouts   round trip   finished");
    for (number, flow) in report.flows.iter().enumerate() {
        let finished = flow
            .finished
            .map_or_else(|| "-".to_owned(), |at| format!("{:.3} s", at.as_secs_f64()));
        println!(
            "{:2} {:10} {:7.2} Mbit/s {:9.3} % {:10} {:9.1} ms   {finished}{}",
            number + 1,
            flow.congestion,
            flow.goodput() * 8e-6,
            flow.retransmitted_share() * 100.0,
            flow.counters.timeouts,
            flow.mean_srtt().as_secs_f64() * 1e3,
            flow.failed
                .as_ref()
                .map_or_else(String::new, |failed| format!("   {failed}")),
        );
    }
    let (waits, counters) = (report.bottleneck.waits, report.bottleneck.counters);
    println!(
        "together {:.2} Mbit/s, fairness {:.3} (Jain); queueing delay {:.1} ms on average, {:.1} ms at most",
        report.goodput() * 8e-6,
        report.fairness_from(Duration::ZERO),
        waits.mean().as_secs_f64() * 1e3,
        waits.longest.as_secs_f64() * 1e3,
    );
    println!(
        "bottleneck: {} packets, {} lost, {} dropped by the full queue, {} by CoDel, {} policed, {} marked",
        counters.pushed,
        counters.lost,
        counters.queue_full,
        counters.aqm,
        counters.policed,
        counters.marked
    );
}

/// One line for each flow and moment; the queue stands beside it.
fn csv(report: &Report) -> String {
    let mut text =
        "time_s,flow,cwnd,ssthresh,in_flight,srtt_ms,sent,retransmitted,received,state,queue_bytes\n".to_owned();
    for (number, flow) in report.flows.iter().enumerate() {
        for sample in &flow.samples {
            let at = report
                .bottleneck
                .moments
                .binary_search_by_key(&sample.time, |moment| moment.time);
            let queue = at
                .ok()
                .and_then(|at| report.bottleneck.moments.get(at))
                .map_or(0, |moment| moment.backlog.bytes);
            text += &format!(
                "{:.6},{},{},{},{},{:.3},{},{},{},{:?},{queue}\n",
                sample.time.as_secs_f64(),
                number + 1,
                sample.cwnd,
                sample.ssthresh,
                sample.in_flight,
                sample.srtt.as_secs_f64() * 1e3,
                sample.sent,
                sample.retransmitted,
                sample.received,
                sample.state,
            );
        }
    }
    text
}

/// Windows of each flow; round trips, data and the queue of all.
fn pictures(report: &Report) -> Vec<(String, String)> {
    let options = svg::Options::default();
    let curve = |name: String, flow: &FlowReport, value: &dyn Fn(&Sample) -> f64| Curve {
        name,
        points: flow
            .samples
            .iter()
            .map(|sample| (sample.time.as_secs_f64(), value(sample)))
            .collect(),
    };
    let all = |value: &dyn Fn(&Sample) -> f64| -> Vec<Curve> {
        let flows = report.flows.iter().enumerate();
        flows
            .map(|(number, flow)| curve(format!("{} {}", number + 1, flow.congestion), flow, value))
            .collect()
    };
    let queue = Curve {
        name: "waiting".to_owned(),
        points: report
            .bottleneck
            .moments
            .iter()
            .map(|moment| (moment.time.as_secs_f64(), moment.backlog.bytes as f64))
            .collect(),
    };
    let mut drawn = vec![
        (
            "round-trip.svg".to_owned(),
            svg::curves(
                "Smoothed round trips",
                Unit::Seconds,
                &all(&|sample| sample.srtt.as_secs_f64()),
                &options,
            ),
        ),
        (
            "received.svg".to_owned(),
            svg::curves(
                "Data received",
                Unit::Bytes,
                &all(&|sample| sample.received as f64),
                &options,
            ),
        ),
        (
            "queue.svg".to_owned(),
            svg::curves("Queue of the bottleneck", Unit::Bytes, &[queue], &options),
        ),
    ];
    for (number, flow) in report.flows.iter().enumerate() {
        let title = format!(
            "Flow {} ({}): window and flight",
            number + 1,
            flow.congestion
        );
        let curves = [
            curve("congestion window".to_owned(), flow, &|sample| {
                sample.cwnd as f64
            }),
            curve("in flight".to_owned(), flow, &|sample| {
                sample.in_flight as f64
            }),
        ];
        drawn.push((
            format!("window-{}.svg", number + 1),
            svg::curves(&title, Unit::Bytes, &curves, &options),
        ));
    }
    drawn
        .into_iter()
        .filter_map(|(name, picture)| Some((name, picture?)))
        .collect()
}
