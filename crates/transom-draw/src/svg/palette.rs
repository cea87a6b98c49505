//! Colours and type, as a style sheet.
//!
//! The states' colours are those of Okabe and Ito, which people with any colour vision tell apart;
//! each state is named where it is drawn, too. What went wrong has a shape of its own besides its
//! colour: a cross where a segment was lost, a thick line for a reset, a broken line and an arc for
//! what is sent again.

use super::Theme;
use std::fmt::Write as _;
use transom_flow::State;

/// The inks of one theme.
struct Inks {
    background: &'static str,
    panel: &'static str,
    ink: &'static str,
    faint: &'static str,
    rule: &'static str,
    line: &'static str,
    again: &'static str,
    bad: &'static str,
    fine: &'static str,
    receive: &'static str,
    select: &'static str,
    closed: &'static str,
    listen: &'static str,
}

const LIGHT: Inks = Inks {
    background: "#ffffff",
    panel: "#f4f6f9",
    ink: "#1c2430",
    faint: "#5a6675",
    rule: "#d5dbe3",
    line: "#3b4756",
    again: "#a35f00",
    bad: "#b0164f",
    fine: "#007a58",
    receive: "#0072b2",
    select: "#56b4e9",
    closed: "#c3cad3",
    listen: "#98a3b0",
};

const DARK: Inks = Inks {
    background: "#11161d",
    panel: "#1b222c",
    ink: "#e8edf3",
    faint: "#9aa7b6",
    rule: "#323c49",
    line: "#b8c3d0",
    again: "#f0b03c",
    bad: "#ff7eb0",
    fine: "#35c79a",
    receive: "#56b4e9",
    select: "#0072b2",
    closed: "#4a5563",
    listen: "#6f7c8c",
};

/// The class of a state's bar.
pub(crate) const fn state_class(state: State) -> &'static str {
    match state {
        State::Closed => "s-cl",
        State::Listen => "s-li",
        State::SynSent => "s-ss",
        State::SynReceived => "s-sr",
        State::Established => "s-es",
        State::FinWait1 => "s-f1",
        State::FinWait2 => "s-f2",
        State::CloseWait => "s-cw",
        State::Closing => "s-cg",
        State::LastAck => "s-la",
        State::TimeWait => "s-tw",
    }
}

/// The system's own sans-serif.
pub(crate) const FONTS: &str = "system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",\"Noto Sans\",\"DejaVu Sans\",Arial,sans-serif";

/// What is the same in both themes.
const SHAPES: &str = "\
.transom text{font-size:12px;white-space:pre}\
.transom .b{font-weight:700}.transom .i{font-style:italic}\
.transom .h1{font-size:15px;font-weight:700}.transom .h2{font-size:13px;font-weight:700}\
.transom .sm{font-size:10.5px}.transom .xs{font-size:10px}\
.transom .e{text-anchor:end}.transom .m{text-anchor:middle}\
.transom .a{fill:none;stroke-width:1.5}.transom .thick{stroke-width:3}\
.transom .dash{stroke-dasharray:7 4}.transom .dot{stroke-dasharray:2 3}\
.transom .bar{fill:none;stroke-width:9}.transom .inf{stroke-dasharray:5 2.5}\
.transom .thin{fill:none;stroke-width:1}.transom .win{fill:none;stroke-width:3}.transom .cut{fill:none}\
.transom .halo{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}\
.transom .s-ss{stroke:#f0e442}.transom .s-sr{stroke:#d9a900}.transom .s-es{stroke:#009e73}\
.transom .s-f1{stroke:#56b4e9}.transom .s-f2{stroke:#0072b2}.transom .s-cg{stroke:#8a78d6}\
.transom .s-tw{stroke:#cc79a7}.transom .s-cw{stroke:#e69f00}.transom .s-la{stroke:#d55e00}";

fn rules(inks: &Inks) -> String {
    let mut css = String::new();
    let fills = [
        ("", inks.ink),
        (".fa", inks.faint),
        (".ag", inks.again),
        (".bd", inks.bad),
        (".ok", inks.fine),
        (".rx", inks.receive),
    ];
    let _ = write!(
        css,
        ".transom .bg{{fill:{}}}.transom .pn{{fill:{};stroke:{}}}.transom .halo{{stroke:{}}}",
        inks.background, inks.panel, inks.rule, inks.background
    );
    for (class, color) in fills {
        let _ = write!(
            css,
            ".transom text{class},.transom tspan{class},.transom .f{class}{{fill:{color}}}"
        );
    }
    let strokes = [
        ("l", inks.line),
        ("la", inks.again),
        ("lb", inks.bad),
        ("lk", inks.fine),
        ("lr", inks.receive),
        ("ls", inks.select),
        ("lf", inks.faint),
        ("rl", inks.rule),
        ("lg", inks.background),
        ("s-cl", inks.closed),
        ("s-li", inks.listen),
    ];
    for (class, color) in strokes {
        let _ = write!(css, ".transom .{class}{{stroke:{color}}}");
    }
    css
}

/// The style sheet of all pictures on a page: light, dark on screens that ask for it.
pub(crate) fn sheet() -> String {
    style(Theme::Auto)
}

/// The style sheet of a picture of its own.
pub(crate) fn style(theme: Theme) -> String {
    let mut css = format!(".transom text{{font-family:{FONTS}}}{SHAPES}");
    match theme {
        Theme::Light => css.push_str(&rules(&LIGHT)),
        Theme::Dark => css.push_str(&rules(&DARK)),
        Theme::Auto => {
            css.push_str(&rules(&LIGHT));
            let _ = write!(
                css,
                "@media screen and (prefers-color-scheme:dark){{{}}}",
                rules(&DARK)
            );
        }
    }
    css
}
