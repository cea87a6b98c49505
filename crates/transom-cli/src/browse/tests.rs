//! Keys go in, screens come out.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{
    KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::style::Color;
use transom_draw::text::Options;
use transom_flow::filter::Filter;

use super::app::{App, Effect, Page};
use super::read::{News, Wanted};
use crate::cmd::explain::gather::{self, Chosen, Over, Sink, Watched};
use crate::cmd::explain::model::{Explained, Keep};
use crate::cmd::explain::source::Sources;
use crate::failure::Failure;

/// A capture as it grows: raw IPv4, from 192.0.2.1 to 192.0.2.2:80.
struct Script {
    pcap: Vec<u8>,
    micros: u32,
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;
const RST: u8 = 4;
const SERVER: u16 = 80;

impl Script {
    fn new() -> Self {
        let head: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101];
        Self {
            pcap: head.iter().flat_map(|word| word.to_le_bytes()).collect(),
            micros: 0,
        }
    }

    /// A segment between this port of the client and the server, 10 ms after the one before.
    fn segment(&mut self, client: u16, to_server: bool, flags: u8, at: (u32, u32), data: &[u8]) {
        self.micros += 10_000;
        let len = u32::try_from(40 + data.len()).unwrap();
        let record = [1_700_000_000, self.micros, len, len];
        self.pcap
            .extend(record.iter().flat_map(|word| word.to_le_bytes()));
        let [mut from, mut to] = [([192, 0, 2, 1], client), ([192, 0, 2, 2], SERVER)];
        if !to_server {
            std::mem::swap(&mut from, &mut to);
        }
        let mut ip = vec![0x45, 0];
        ip.extend(u16::try_from(len).unwrap().to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip.extend(from.0);
        ip.extend(to.0);
        ip.extend(from.1.to_be_bytes());
        ip.extend(to.1.to_be_bytes());
        ip.extend(at.0.to_be_bytes());
        ip.extend(at.1.to_be_bytes());
        ip.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        ip.extend(data);
        self.pcap.extend(ip);
    }

    fn open(&mut self, client: u16) {
        self.segment(client, true, SYN, (100, 0), b"");
        self.segment(client, false, SYN | ACK, (500, 101), b"");
        self.segment(client, true, ACK, (101, 501), b"");
    }

    /// A request that is answered with much data, and an ordinary close.
    fn transfer(&mut self, client: u16) {
        self.open(client);
        let request = "GET /\u{1b}[2J/状態 HTTP/1.1\r\n\r\n".as_bytes();
        self.segment(client, true, ACK, (101, 501), request);
        let asked = 101 + u32::try_from(request.len()).unwrap();
        let mut sent = 501;
        for _ in 0..400 {
            self.segment(client, false, ACK, (sent, asked), &[b'x'; 1000]);
            sent += 1000;
            self.segment(client, true, ACK, (asked, sent), b"");
        }
        self.segment(client, true, FIN | ACK, (asked, sent), b"");
        self.segment(client, false, FIN | ACK, (sent, asked + 1), b"");
        self.segment(client, true, ACK, (asked + 1, sent + 1), b"");
    }

    fn refused(&mut self, client: u16) {
        self.segment(client, true, SYN, (100, 0), b"");
        self.segment(client, false, RST | ACK, (0, 101), b"");
    }

    fn reset(&mut self, client: u16) {
        self.open(client);
        self.segment(client, true, ACK, (101, 501), b"hello\n");
        self.segment(client, false, RST | ACK, (501, 107), b"");
    }

    /// Writes it to a file of its own.
    fn file(&self) -> File {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let n = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("transom-browse-{}-{n}.pcap", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, &self.pcap).unwrap();
        File(path)
    }
}

/// A file for as long as it is needed.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Reader(Keep, Option<usize>);

impl Sink for Reader {
    fn keep(&self) -> Keep {
        self.0
    }
    fn series(&self) -> usize {
        0
    }
    fn steps(&self) -> Option<usize> {
        self.1
    }
    fn take(&mut self, _: &Over) -> Result<(), Failure> {
        Ok(())
    }
    fn progress(&mut self, _: u64, _: (u64, Option<u64>)) -> Watched {
        Watched::GoOn
    }
}

/// Somebody at a terminal of this size.
struct Seat {
    app: App,
    terminal: Terminal<TestBackend>,
    file: File,
    whole: usize,
}

impl Seat {
    /// Before a capture in which so many connections are kept whole.
    fn new(size: (u16, u16), whole: usize) -> Self {
        let mut script = Script::new();
        script.transfer(40_000);
        script.refused(40_001);
        script.reset(40_002);
        Self::before(&script, size, whole, Options::new(80))
    }

    fn before(
        script: &Script,
        (width, height): (u16, u16),
        whole: usize,
        options: Options,
    ) -> Self {
        let app = App::new(options, "a\u{1b}[31m.pcap", true, Vec::new(), String::new());
        let mut seat = Self {
            app,
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            file: script.file(),
            whole,
        };
        seat.read(Wanted::Many(Chosen::default()));
        seat
    }

    /// Reads what is wanted, and tells it.
    fn read(&mut self, wanted: Wanted) {
        let mut keep = Keep {
            listed: 100,
            whole: self.whole,
        };
        let (chosen, steps) = match wanted {
            Wanted::Many(chosen) => (chosen, None),
            Wanted::One { number, .. } => {
                keep.whole = 1;
                let streams = vec![number];
                (
                    Chosen {
                        filter: None,
                        streams,
                    },
                    Some(1000),
                )
            }
        };
        let sources = Sources::open(std::slice::from_ref(&self.file.0)).unwrap();
        let mut explained: Explained =
            gather::gather(sources, &chosen, &mut Reader(keep, steps)).unwrap();
        // The folder differs from machine to machine.
        explained.capture.sources = vec!["a.pcap".into()];
        self.app.news(News::Done(Ok(Box::new(explained)))).unwrap();
    }

    fn event(&mut self, key: KeyEvent) -> Effect {
        self.draw();
        let effect = self.app.key(key);
        match effect {
            Effect::Read(wanted) => {
                self.read(wanted);
                Effect::Nothing
            }
            other => other,
        }
    }

    /// Presses keys: one a character.
    fn press(&mut self, keys: &str) {
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{1b}' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            self.event(code.into());
        }
    }

    fn draw(&mut self) {
        self.terminal.draw(|frame| self.app.draw(frame)).unwrap();
    }

    /// What is on the screen, without blanks at the ends of lines.
    fn screen(&mut self) -> String {
        self.draw();
        let screen = self.terminal.backend().to_string();
        let lines = screen.lines().map(|line| {
            let line = line.trim_start_matches('"');
            line.trim_end_matches('"').trim_end().to_owned()
        });
        lines.collect::<Vec<String>>().join("\n")
    }

    fn chosen(&self) -> u64 {
        self.app.listing.chosen().unwrap().number
    }
}

#[test]
fn the_list_has_the_worst_first_and_says_why() {
    let mut seat = Seat::new((100, 20), 10);
    insta::assert_snapshot!(seat.screen());
}

#[test]
fn the_list_fits_a_narrow_terminal() {
    let mut seat = Seat::new((40, 12), 10);
    insta::assert_snapshot!(seat.screen());
}

#[test]
fn enter_shows_the_diagram_and_tab_the_details() {
    let mut seat = Seat::new((80, 24), 10);
    seat.press("\n");
    insta::assert_snapshot!("diagram", seat.screen());
    seat.press("\t");
    insta::assert_snapshot!("details", seat.screen());
    seat.press("hh");
    assert_eq!(seat.app.page, Page::List);
}

#[test]
fn diagram_and_details_fit_a_narrow_terminal() {
    let mut seat = Seat::new((40, 30), 10);
    seat.press("\n");
    insta::assert_snapshot!("narrow_diagram", seat.screen());
    seat.press("l");
    insta::assert_snapshot!("narrow_details", seat.screen());
}

#[test]
fn ascii_is_ascii_everywhere() {
    let mut script = Script::new();
    script.transfer(40_000);
    script.reset(40_001);
    let options = Options::new(80).ascii(true);
    let mut seat = Seat::before(&script, (90, 40), 10, options);
    for keys in ["", "j\n", "swt", "\t", "G", "?", "G", "o", "\u{1b}f"] {
        seat.press(keys);
        let screen = seat.screen();
        assert!(screen.is_ascii(), "{keys:?}: {screen}");
    }
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_it_is() {
    let mut seat = Seat::new((120, 40), 10);
    seat.press("G\n");
    let diagram = seat.screen();
    assert!(diagram.contains("\\u{1b}[2J"), "{diagram}");
    seat.press("\t");
    let details = seat.screen();
    assert!(details.contains("\\u{1b}[2J"), "{details}");
    for screen in [diagram, details] {
        assert!(!screen.contains('\u{1b}'), "{screen}");
        assert!(screen.contains("a\\u{1b}[31m.pcap"), "{screen}");
    }
}

#[test]
fn keys_move_as_in_less_and_vim() {
    let mut script = Script::new();
    for client in 0..30 {
        script.refused(40_000 + client);
    }
    let mut seat = Seat::before(&script, (80, 13), 0, Options::new(80));
    assert_eq!(seat.chosen(), 0);
    // Eleven lines of the screen hold the head and ten connections.
    for (keys, chosen) in [
        ("j", 1),
        ("jjk", 2),
        ("G", 29),
        ("j", 29),
        ("g", 0),
        ("k", 0),
        ("d", 5),
        ("u", 0),
        (" ", 8),
        ("b", 0),
    ] {
        seat.press(keys);
        assert_eq!(seat.chosen(), chosen, "{keys}");
    }
    for (code, chosen) in [
        (KeyCode::Down, 1),
        (KeyCode::PageDown, 9),
        (KeyCode::PageUp, 1),
        (KeyCode::End, 29),
        (KeyCode::Up, 28),
        (KeyCode::Home, 0),
    ] {
        seat.event(code.into());
        assert_eq!(seat.chosen(), chosen, "{code}");
    }
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    for (c, chosen) in [('d', 5), ('f', 13), ('b', 5), ('u', 0), ('n', 1)] {
        seat.event(control(c));
        assert_eq!(seat.chosen(), chosen, "Ctrl-{c}");
    }
    assert!(matches!(seat.event(control('z')), Effect::Suspend));
    assert!(matches!(seat.event(control('l')), Effect::Redraw));
    assert!(matches!(seat.event(control('c')), Effect::Leave));
    assert!(matches!(
        seat.event(KeyCode::Char('q').into()),
        Effect::Leave
    ));
}

#[test]
fn the_mouse_scrolls_and_points() {
    let mut seat = Seat::new((80, 24), 10);
    let mouse = |kind, row| MouseEvent {
        kind,
        column: 3,
        row,
        modifiers: KeyModifiers::NONE,
    };
    seat.draw();
    let worst = seat.chosen();
    seat.app.mouse(mouse(MouseEventKind::ScrollDown, 5));
    assert_eq!(seat.chosen(), 0, "the fine one is last");
    let click = MouseEventKind::Down(MouseButton::Left);
    // The bar, the head, the first connection.
    for row in [0, 1, 9, 23] {
        seat.app.mouse(mouse(click, row));
        assert_eq!(seat.chosen(), 0, "nothing is in row {row}");
    }
    seat.app.mouse(mouse(click, 2));
    assert_eq!((seat.chosen(), seat.app.page), (worst, Page::List));
    seat.app.mouse(mouse(click, 2));
    assert_eq!(seat.app.page, Page::Diagram);
}

#[test]
fn the_order_changes_and_turns() {
    let mut seat = Seat::new((80, 24), 10);
    let order = |seat: &mut Seat| -> Vec<u64> {
        seat.press("g");
        let first = seat.chosen();
        seat.press("j");
        let second = seat.chosen();
        seat.press("j");
        vec![first, second, seat.chosen()]
    };
    let worst = order(&mut seat);
    assert_eq!(worst.last(), Some(&0));
    seat.press("s");
    assert_eq!(order(&mut seat), [0, 1, 2]);
    seat.press("r");
    assert_eq!(order(&mut seat), [2, 1, 0]);
    seat.press("s");
    assert_eq!(order(&mut seat), [0, 2, 1], "longest first");
    seat.press("ssss");
    assert_eq!(order(&mut seat), worst);
}

#[test]
fn searching_goes_on_and_back_and_says_when_there_is_no_more() {
    let mut seat = Seat::new((80, 24), 10);
    seat.press("s/REFUSED\n");
    assert_eq!(seat.chosen(), 0, "a capital letter is meant");
    assert!(seat.screen().contains("no further «REFUSED» below"));
    seat.press("/refused\n");
    assert_eq!(seat.chosen(), 1);
    seat.press("n");
    assert_eq!(seat.chosen(), 1);
    seat.press("/40002\n");
    assert_eq!(seat.chosen(), 2, "also what the line has no room for");
    // In a diagram, what is found is marked.
    seat.press("\n/rst\n");
    let screen = seat.screen();
    let row = screen
        .lines()
        .position(|line| line.contains("RST"))
        .unwrap();
    let line: Vec<_> = screen.lines().nth(row).unwrap().chars().collect();
    let column = line.windows(3).position(|w| w == ['R', 'S', 'T']).unwrap();
    let buffer = seat.terminal.backend().buffer();
    let cell = buffer
        .cell((u16::try_from(column).unwrap(), u16::try_from(row).unwrap()))
        .unwrap();
    assert!(
        cell.modifier.contains(ratatui::style::Modifier::REVERSED),
        "{screen}"
    );
}

#[test]
fn a_filter_is_checked_while_it_is_typed() {
    let mut seat = Seat::new((80, 24), 10);
    seat.press("ftcp.prot == 80");
    insta::assert_snapshot!(seat.screen());
    // It cannot be entered.
    seat.press("\n");
    assert!(seat.app.prompt.is_some());
    seat.press("\u{1b}");
    assert!(seat.app.prompt.is_none());
    seat.press("ftcp.port == 40001\n");
    assert_eq!(seat.app.listing.len(), 1);
    assert_eq!(seat.chosen(), 1);
    assert!(seat.screen().contains("[tcp.port == 40001]"));
    // None fits; and all again.
    seat.press("f and retrans > 5\n");
    assert_eq!(seat.app.listing.len(), 0);
    assert!(seat.screen().contains("None of 3 TCP connections"));
    seat.event(KeyCode::Char('f').into());
    seat.event(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL));
    seat.press("\n");
    assert_eq!(seat.app.listing.len(), 3);
}

#[test]
fn one_that_was_not_kept_is_read_again() {
    let mut seat = Seat::new((80, 30), 0);
    let effect = seat.app.open(Page::Details);
    let Effect::Read(wanted) = effect else {
        unreachable!("nothing is kept: {effect:?}")
    };
    assert_eq!(seat.app.page, Page::List, "until it was read");
    assert!(seat.screen().contains("reading #"));
    seat.read(wanted);
    assert_eq!(seat.app.page, Page::Details);
    // Given up, nothing happens.
    seat.press("q");
    seat.press("j");
    let effect = seat.app.open(Page::Diagram);
    assert!(matches!(effect, Effect::Read(_)));
    assert!(matches!(
        seat.event(KeyCode::Char('q').into()),
        Effect::Cancel
    ));
    assert_eq!(seat.app.page, Page::List);
}

#[test]
fn unfolding_shows_every_segment() {
    let mut seat = Seat::new((80, 24), 10);
    seat.press("G\n");
    let folded = lines(&mut seat);
    assert!(folded < 40, "{folded}");
    seat.press("z");
    let unfolded = lines(&mut seat);
    assert!(unfolded > 806, "{unfolded}: more than was kept of it");
    seat.press("z");
    assert_eq!(lines(&mut seat), folded);
    // The other ways to draw it.
    assert!(!seat.screen().contains("seq 1"), "no sequence numbers");
    seat.press("s");
    assert!(seat.screen().contains("seq 1"), "{}", seat.screen());
}

/// How many lines the diagram has.
fn lines(seat: &mut Seat) -> usize {
    seat.press("G");
    seat.draw();
    let place = seat.app.diagram.place();
    seat.press("g");
    let lines = place.split(['/', ' ']).nth(1);
    lines.map_or(24, |lines| lines.parse().unwrap())
}

#[test]
fn colours_are_those_of_the_drawings_or_none() {
    for has_color in [true, false] {
        let mut script = Script::new();
        script.reset(40_000);
        script.reset(40_001);
        let options = Options::new(80).color(has_color);
        let mut seat = Seat::before(&script, (80, 24), 10, options);
        for keys in ["", "\n", "\t"] {
            seat.press(keys);
            seat.draw();
            let cells = seat.terminal.backend().buffer().content.iter();
            let mut colors = cells.map(|cell| cell.fg);
            assert_eq!(
                colors.any(|color| color == Color::Magenta),
                has_color,
                "{keys:?}"
            );
        }
    }
}

#[test]
fn every_size_is_drawn() {
    let mut seat = Seat::new((80, 24), 10);
    for keys in ["", "\n", "\t", "?", "o", "\u{1b}f(tcp", "\u{1b}/ab"] {
        seat.press(keys);
        for (width, height) in [
            (0, 0),
            (1, 1),
            (5, 2),
            (20, 3),
            (40, 10),
            (300, 80),
            (80, 24),
        ] {
            seat.terminal.backend_mut().resize(width, height);
            seat.draw();
        }
    }
}

#[test]
fn while_reading_it_tells_how_far_it_is() {
    let mut app = App::new(Options::new(80), "a.pcap", true, Vec::new(), String::new());
    app.news(News::Progress(1000, (1 << 20, Some(4 << 20))))
        .unwrap();
    let mut terminal = Terminal::new(TestBackend::new(80, 5)).unwrap();
    terminal.draw(|frame| app.draw(frame)).unwrap();
    let screen = terminal.backend().to_string();
    assert!(
        screen.contains("reading: 25 % of 4.0 MiB, 1,000 frames; q leaves"),
        "{screen}"
    );
    assert!(matches!(
        app.key(KeyCode::Char('j').into()),
        Effect::Nothing
    ));
    assert!(matches!(app.key(KeyCode::Char('q').into()), Effect::Leave));
    // What cannot be read at all ends it.
    let failure = Failure::new("a.pcap: not a capture");
    assert!(app.news(News::Done(Err(failure))).is_err());
}

#[test]
fn standard_input_is_not_read_twice() {
    let mut seat = Seat::new((80, 24), 0);
    let mut app = App::new(
        Options::new(80),
        "standard input",
        false,
        Vec::new(),
        String::new(),
    );
    std::mem::swap(&mut seat.app, &mut app);
    seat.read(Wanted::Many(Chosen {
        filter: Some(Filter::parse("tcp.port == 80").unwrap()),
        streams: Vec::new(),
    }));
    seat.press("\n");
    assert_eq!(seat.app.page, Page::List);
    assert!(seat.screen().contains("only once"), "{}", seat.screen());
    seat.press("f tcp\n");
    assert!(seat.screen().contains("only once"), "{}", seat.screen());
}

#[test]
fn help_tells_the_keys_and_leads_back() {
    let mut seat = Seat::new((80, 50), 10);
    seat.press("\n?");
    insta::assert_snapshot!(seat.screen());
    seat.press("o");
    assert!(seat.screen().contains("806 TCP") || seat.screen().contains("TCP."));
    seat.press("q");
    assert_eq!(seat.app.page, Page::Diagram);
}
