//! Pictures as a reader of XML finds them: well-formed, and no text over another.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use super::font::{Weight, width};
use super::ladder::shape::Area;
use super::{Options, Scale, Theme, diagram};
use crate::{html, mermaid};
use proptest::prelude::*;
use roxmltree::{Document, Node};
use std::time::Duration;
use transom_flow::wire::tcp::{Flags, Header, Options as TcpOptions};
use transom_flow::wire::{Medium, Seq};
use transom_flow::{Connection, End, Fate, Frame, Limits, Process, Tracker, Truth, TruthEvent};

#[path = "../../../transom-flow/tests/scene/mod.rs"]
mod scene;

use scene::{Scene, addr, packet, play};

const BROWSER: &str = "
    0     process client curl 4242
    0     > S
    9     < SA
    9.1   > A
    9.3   > PA 'GET /http.txt HTTP/1.1'
    18    < A
    20    < PA 'HTTP/1.1 200 OK'
    220   > A
    5020  < FA
    5020.1 > A
    9100  > FA
    9109  < A
";

const LOSSY: &str = "
    0     > S
    10    < SA
    20    > A
    30    > PA len=1448 arrives=40
    30    > PA len=1448 lost
    30    > PA len=1448 arrives=42
    30    > PA len=1448 arrives=41
    40    < A arrives=50
    41    < A sack=2897-4345 ack=1449 arrives=51
    42    < A sack=2897-5793 ack=1449 arrives=52
    51    > A len=1448 seq=1449 arrives=61
    61    < A ack=5793 arrives=71
    61.5  icmp client host-unreachable
    62    note something happened elsewhere, and it takes more than one line to tell what it was, so that this note is drawn in two
    80    > FA arrives=90
    80    < FA arrives=90
    90    > A arrives=100
    90    < A arrives=100
";

/// A thousand segments, of which most are folded.
fn bulk() -> Scene {
    let mut script = String::from("0 > S\n10 < SA\n10.1 > A\n11 > PA 'GET /big HTTP/1.1'\n");
    for at in 0..1000 {
        let time = 30.0 + f64::from(at) * 0.4;
        script.push_str(&format!("{time:.3} < A len=1448\n"));
        if at % 2 == 1 {
            script.push_str(&format!("{:.3} > A\n", time + 0.1));
        }
    }
    script.push_str("500 < FA\n500.1 > A\n501 > FA\n510 < A\n");
    let mut limits = Limits::default();
    limits.series = 500;
    let mut scene = Scene::new(limits);
    scene.play(&script);
    scene.tracker.finish();
    scene
}

/// A piece of text on the page.
struct Piece {
    text: String,
    area: Area,
}

/// Font size and weight that the style sheet gives.
fn face(classes: &str, inherited: (f64, Weight)) -> (f64, Weight) {
    let mut face = inherited;
    for class in classes.split(' ') {
        match class {
            "sm" => face.0 = 10.5,
            "xs" => face.0 = 10.0,
            "h1" => face = (15.0, Weight::Bold),
            "h2" => face = (13.0, Weight::Bold),
            "b" => face.1 = Weight::Bold,
            _ => {}
        }
    }
    face
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name)
        .map_or(0.0, |value| value.parse().unwrap())
}

/// Where a group is moved, and by how much it is turned.
fn moved(node: Node<'_, '_>) -> ((f64, f64), f64) {
    let mut at = (0.0, 0.0);
    let mut angle = 0.0;
    for group in node.ancestors() {
        let Some(transform) = group.attribute("transform") else {
            continue;
        };
        let numbers: Vec<f64> = transform
            .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        assert!(transform.starts_with("translate("), "{transform}");
        at = (at.0 + numbers[0], at.1 + numbers[1]);
        if let Some(degrees) = numbers.get(2) {
            angle += degrees.to_radians();
        }
    }
    (at, angle)
}

/// All text of a picture, with the place that it takes.
fn pieces(svg: &str) -> Vec<Piece> {
    let document = Document::parse(svg).unwrap();
    let mut pieces = Vec::new();
    for node in document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
    {
        let classes = node.attribute("class").unwrap_or("");
        let own = face(classes, (12.0, Weight::Normal));
        let (mut taken, mut tallest) = (0.0, own.0);
        for child in node.children() {
            let face = face(child.attribute("class").unwrap_or(""), own);
            let text = child.text().unwrap_or("");
            taken += number(child, "dx") + width(text, face.0, face.1);
            tallest = face.0.max(tallest);
        }
        let (x, y) = (number(node, "x"), number(node, "y"));
        let left = match classes {
            _ if classes.split(' ').any(|class| class == "e") => x - taken,
            _ if classes.split(' ').any(|class| class == "m") => x - taken / 2.0,
            _ => x,
        };
        let (origin, angle) = moved(node);
        // From the height of capitals to below the line.
        let area = Area::turned(
            origin,
            angle,
            (left, left + taken),
            (y - tallest * 0.74, y + tallest * 0.1),
        );
        let text: String = node
            .descendants()
            .filter_map(|node| node.text().filter(|_| node.is_text()))
            .collect();
        pieces.push(Piece { text, area });
    }
    pieces
}

#[track_caller]
fn assert_no_overlap(svg: &str) {
    let pieces = pieces(svg);
    assert!(pieces.len() > 3, "{svg}");
    for (at, one) in pieces.iter().enumerate() {
        for other in &pieces[at + 1..] {
            assert!(
                !one.area.overlaps(&other.area),
                "«{}» and «{}» overlap",
                one.text,
                other.text
            );
        }
    }
}

fn all_options() -> Vec<Options> {
    let mut all = Vec::new();
    for width in [640, 960, 1600] {
        for unfold in [false, true] {
            for scale in [Scale::Compressed, Scale::Linear] {
                all.push(Options::default().width(width).unfold(unfold).scale(scale));
            }
        }
    }
    all
}

#[test]
fn no_text_lies_over_another() {
    for scene in [play(BROWSER), play(LOSSY), bulk()] {
        for options in all_options() {
            assert_no_overlap(&diagram(scene.connection(), &options));
        }
    }
}

fn count(svg: &str, needle: &str) -> usize {
    svg.matches(needle).count()
}

#[test]
fn a_lost_segment_ends_in_a_cross_and_what_is_sent_again_is_tied_to_it() {
    let svg = diagram(play(LOSSY).connection(), &Options::default());
    let lost = Document::parse(&svg).unwrap();
    let crosses = lost
        .descendants()
        .filter(|node| node.attribute("class") == Some("thick lb"))
        .count();
    assert_eq!(crosses, 1, "{svg}");
    // The arc and its head.
    assert_eq!(count(&svg, "class=\"thin la\""), 1, "{svg}");
    assert!(svg.contains("SACK 2,897–4,344"), "{svg}");
    assert!(svg.contains("host unreachable"), "{svg}");
}

/// Start and end of the lines of segments, left and right, in the order of the capture.
fn lines(svg: &str) -> Vec<[f64; 4]> {
    let document = Document::parse(svg).unwrap();
    document
        .descendants()
        .filter(|node| node.attribute("class") == Some("seg"))
        .map(|group| {
            let path = group
                .children()
                .find(|node| node.has_tag_name("path"))
                .unwrap();
            let numbers: Vec<f64> = path
                .attribute("d")
                .unwrap()
                .split(['M', 'L', ' '])
                .filter(|part| !part.is_empty())
                .map(|part| part.parse().unwrap())
                .collect();
            [numbers[0], numbers[1], numbers[2], numbers[3]]
        })
        .collect()
}

#[test]
fn segments_that_crossed_on_the_way_cross_in_the_picture() {
    let svg = diagram(play(LOSSY).connection(), &Options::default());
    let lines = lines(&svg);
    let [.., first, second, _, _] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    // One goes right, the other left; each starts above the place where the other arrives.
    assert!(
        first[0] < first[2] && second[0] > second[2],
        "{first:?} {second:?}"
    );
    assert!(
        first[1] < second[3] && second[1] < first[3],
        "{first:?} {second:?}"
    );
    // The third data segment was overtaken by the fourth.
    let (third, fourth) = (lines[5], lines[6]);
    assert!(
        third[1] < fourth[1] && third[3] > fourth[3],
        "{third:?} {fourth:?}"
    );
}

#[test]
fn ways_are_estimated_where_one_point_was_captured() {
    // Captured beside the client: the server's FIN was on its way when the client sent its own.
    let script = "
        0   > S
        20  < SA
        20.1 > A
        50  > FA
        55  < FA ack=1
        55.1 > A
        70  < A
    ";
    let svg = diagram(play(script).connection(), &Options::default());
    let lines = lines(&svg);
    let (ours, theirs) = (lines[3], lines[4]);
    assert!(
        ours[1] < theirs[3] && theirs[1] < ours[3],
        "{ours:?} {theirs:?}"
    );
    assert!(svg.contains("CLOSING"), "{svg}");
}

#[test]
fn time_to_scale_is_to_scale() {
    let options = Options::default().scale(Scale::Linear);
    let svg = diagram(
        play("0 > S arrives=50\n100 < SA arrives=150\n200 > A arrives=250\n").connection(),
        &options,
    );
    let lines = lines(&svg);
    let (first, second, third) = (lines[0][1], lines[1][1], lines[2][1]);
    assert!(
        (second - first - (third - second)).abs() < 0.2,
        "{first} {second} {third}"
    );
}

#[test]
fn bulk_is_counted_and_can_be_unfolded() {
    let scene = bulk();
    let folded = diagram(scene.connection(), &Options::default());
    let whole = diagram(scene.connection(), &Options::default().unfold(true));
    assert!(folded.contains("segments"), "{folded}");
    assert_eq!(count(&folded, "class=\"fold\""), 1);
    assert!(count(&whole, "class=\"seg\"") > 2 * count(&folded, "class=\"seg\""));
    let page = html::page(&html::Page::new("bulk", "test", &[scene.connection()]));
    assert!(page.contains("class=\"unfold\""));
}

#[test]
fn graphs_are_drawn_where_points_were_kept() {
    let scene = bulk();
    let connection = scene.connection();
    let options = Options::default();
    let graphs = [
        super::sequence_graph(connection, End::Server, &options),
        super::window_graph(connection, End::Server, &options),
        super::rtt_graph(connection, &options),
        super::throughput_graph(connection, &options),
    ];
    for graph in graphs {
        assert_no_overlap(&graph.unwrap());
    }
    // The client sent one request: nothing to see over time.
    assert_eq!(
        super::sequence_graph(connection, End::Client, &options),
        None
    );
    assert_eq!(super::rtt_graph(play(BROWSER).connection(), &options), None);
}

#[test]
fn the_theme_is_what_was_asked_for() {
    let scene = play(BROWSER);
    let style = |theme: Theme| diagram(scene.connection(), &Options::default().theme(theme));
    assert!(style(Theme::Auto).contains("prefers-color-scheme:dark"));
    assert!(!style(Theme::Light).contains("prefers-color-scheme"));
    assert!(style(Theme::Dark).contains("#11161d") && !style(Theme::Light).contains("#11161d"));
}

/// The page without its script, which is no XML.
fn markup(page: &str) -> String {
    let (before, rest) = page.split_once("<script>").unwrap();
    let (script, after) = rest.split_once("</script>").unwrap();
    assert!(!script.contains("</"), "a script that ends itself");
    assert!(!after.contains("<script"), "a second script");
    format!("{before}{after}")
}

#[test]
fn a_page_fetches_nothing_and_is_bounded() {
    let scene = bulk();
    let connections = vec![scene.connection(); 200];
    let page = html::page(
        &html::Page::new("two hundred", "bulk.pcapng", &connections)
            .budget(1 << 20)
            .left_out(7),
    );
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    assert!(page.contains("are listed without a picture") && page.contains("7 connections more"));
    let markup = markup(&page);
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let document = Document::parse_with_options(&markup, options).unwrap();
    let rows = document
        .descendants()
        .filter(|node| node.has_tag_name("tr"));
    assert!(rows.count() > 200);
    for node in document.descendants().filter(Node::is_element) {
        for attribute in node.attributes() {
            let fetches = matches!(
                attribute.name(),
                "src" | "href" | "action" | "data" | "poster" | "srcset"
            );
            assert!(
                !fetches || attribute.value().starts_with('#'),
                "{attribute:?}"
            );
            assert!(!attribute.name().starts_with("on"), "{attribute:?}");
        }
        assert!(!matches!(
            node.tag_name().name(),
            "link" | "img" | "iframe" | "object" | "embed" | "base"
        ));
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
}

/// Checks everything that is drawn of a connection.
fn check(connection: &Connection, options: &Options) -> Result<(), TestCaseError> {
    let svg = diagram(connection, options);
    let document =
        Document::parse(&svg).map_err(|error| TestCaseError::fail(format!("{error}: {svg}")))?;
    for node in document.descendants().filter(Node::is_element) {
        let known = [
            "svg", "g", "path", "rect", "circle", "text", "tspan", "title", "desc", "style",
        ];
        prop_assert!(
            known.contains(&node.tag_name().name()),
            "{:?}",
            node.tag_name()
        );
    }
    let pieces = pieces(&svg);
    for (at, one) in pieces.iter().enumerate() {
        for other in &pieces[at + 1..] {
            prop_assert!(
                !one.area.overlaps(&other.area),
                "«{}» and «{}» overlap",
                one.text,
                other.text
            );
        }
    }
    let page = html::page(&html::Page::new(
        "any",
        &connection.endpoint(End::Server).label(),
        &[connection],
    ));
    let markup = markup(&page);
    let parsing = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let parsed = Document::parse_with_options(&markup, parsing);
    prop_assert!(parsed.is_ok(), "{:?}", parsed.err());
    let mermaid = mermaid::diagram(connection, &mermaid::Options::default());
    prop_assert!(mermaid.len() <= 50_000);
    for line in mermaid.lines().skip(1) {
        let line = line.trim_start();
        let known = [
            "participant C as ",
            "participant S as ",
            "Note left of C: ",
            "Note right of S: ",
            "Note over C,S: · ",
            "C->>S: ",
            "S->>C: ",
            "C-->>S: ",
            "S-->>C: ",
            "C-xS: ",
            "S-xC: ",
        ];
        prop_assert!(known.iter().any(|known| line.starts_with(known)), "{line}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96, fork: false, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_passes_the_picture_is_well_formed_and_readable(
        segments in proptest::collection::vec(
            (any::<bool>(), 0u16..512, 0u32..4000, 0u32..4000, "[<>&\"'#;]{0,3}.{0,60}", 0u8..4, 0u64..600), 1..40,
        ),
        note in ".{0,300}",
        name in "[<>&\"'\\]]{0,3}.{0,60}",
        width in 600u32..1600,
        (linear, unfold) in any::<(bool, bool)>(),
    ) {
        let mut tracker = Tracker::default();
        tracker.label(addr(End::Server).ip(), &name);
        let mut time = Duration::ZERO;
        for (at, (is_client, bits, seq, ack, text, fate, wait)) in segments.iter().enumerate() {
            let from = if *is_client { End::Client } else { End::Server };
            time += Duration::from_micros(wait * wait);
            let header = Header {
                src_port: addr(from).port(),
                dst_port: addr(from.other()).port(),
                seq: Seq::new(*seq),
                ack: Seq::new(*ack),
                flags: Flags::from_bits(*bits),
                window: 100,
                urgent: 0,
                options: TcpOptions::EMPTY,
            };
            let data = format!("HTTP/1.1 {text}");
            let packet = packet(from, &header, data.as_bytes());
            let fate = match fate {
                0 => Fate::Lost,
                1 => Fate::Arrives(time + Duration::from_millis(wait * 3)),
                _ => Fate::Unknown,
            };
            tracker.frame(&Frame { fate, ..Frame::new(time, Medium::Ip, &packet) }).unwrap();
            if at % 16 == 0 {
                let (local, peer) = (addr(End::Client), addr(End::Server));
                let process = Process { name: name.as_str().into(), pid: u32::MAX };
                for event in [TruthEvent::Note(note.as_str().into()), TruthEvent::Process(process)] {
                    tracker.truth(Truth { time, local, peer, event });
                }
            }
        }
        tracker.finish();
        let scale = if linear { Scale::Linear } else { Scale::Compressed };
        let options = Options::default().width(width).scale(scale).unfold(unfold).title(note.as_str());
        for connection in tracker.connections() {
            check(connection, &options)?;
        }
    }
}

#[test]
fn curves_are_steps_in_one_frame() {
    let curve = |name: &str, points: &[(f64, f64)]| super::Curve {
        name: name.to_owned(),
        points: points.to_vec(),
    };
    let options = Options::default();
    let drawn = super::curves(
        "Windows",
        super::Unit::Bytes,
        &[
            curve("cwnd <1>", &[(0.0, 10_000.0), (1.0, 20_000.0)]),
            curve("in flight", &[(0.0, 0.0), (2.0, 5_000.0)]),
        ],
        &options,
    )
    .unwrap_or_default();
    let document = Document::parse(&drawn);
    assert!(document.is_ok(), "{drawn}");
    assert!(drawn.contains("cwnd &lt;1&gt;") && drawn.contains("in flight"));
    assert!(super::curves("Nothing", super::Unit::Seconds, &[], &options).is_none());
}
