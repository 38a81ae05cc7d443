//! The pictures of the pages, as SVG without scripts. PURE.
//!
//! Plots are on a white card and recordings on a dark one, so both can be read on a light and on a
//! dark page.

mod bars;
mod plot;
mod terminal;

use std::fmt::Write;

pub use bars::{Bar, bars};
pub use plot::{Line, Panel, Unit, plot};
pub use terminal::{Recording, SPEED, Tone};

/// A whole picture: `css` and `body` on a card of this size.
fn card(title: &str, (width, height): (u32, u32), css: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{css}</style>\n  \
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

/// Fonts and colours of plots.
const PLOT: &str = "text { font: 13px sans-serif; fill: #24292f } .title, .group { font-weight: 600 } \
                    rect { fill: #0969da } .back { fill: #fff }";

fn text(out: &mut String, (x, y): (u32, u32), class: &str, words: &str) {
    let words = escaped(words);
    let _ = writeln!(
        out,
        "  <text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
    );
}

fn escaped(words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    words.replace('>', "&gt;").replace('"', "&quot;")
}
