//! The recording of a terminal: lines that stay, above a table whose rows change.
//!
//! Only CSS moves the picture. A reader who asks for less motion, or a program that shows no
//! animation, gets the last state.

use std::fmt::Write;

use crate::{card, escaped};

/// The colour of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "b",
            Self::Dim => "d",
            Self::Green => "g",
            Self::Red => "r",
            Self::Yellow => "y",
        }
    }
}

/// Text from a moment on.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    at: f64,
    text: String,
    tone: Tone,
}

/// What a terminal showed, with times in seconds.
#[derive(Default)]
pub struct Recording {
    above: Vec<Shown>,
    table: Vec<Vec<Shown>>,
    below: Vec<Shown>,
}

/// Characters in a line.
const COLUMNS: usize = 102;
const LINE: usize = 17;
/// Above, below and beside the lines.
const MARGIN: usize = 14;
/// How much faster it is shown.
pub const SPEED: f64 = 2.0;
/// How long the last state stays, in seconds.
const HOLD: f64 = 8.0;
const CSS: &str = "text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', \
                   monospace; fill: #d1d5da; white-space: pre } .back { fill: #0d1117 } \
                   .b { font-weight: 600; fill: #fff } .d { fill: #8b949e } .g { fill: #56d364 } \
                   .r { fill: #ff7b72 } .y { fill: #e3b341 } .t { opacity: 0 }";

impl Recording {
    /// A line that stays. What is too long goes on in lines that begin at column `hang`.
    pub fn line(&mut self, at: f64, text: &str, hang: usize, tone: Tone) {
        for text in wrapped(text, hang) {
            self.above.push(Shown { at, text, tone });
        }
    }

    /// The same, below the table.
    pub fn line_below(&mut self, at: f64, text: &str, tone: Tone) {
        for text in wrapped(text, 0) {
            self.below.push(Shown { at, text, tone });
        }
    }

    /// The row of the table with this number, from now on.
    pub fn row(&mut self, at: f64, number: usize, text: &str, tone: Tone) {
        if self.table.len() <= number {
            self.table.resize_with(number + 1, Vec::new);
        }
        if let Some(row) = self.table.get_mut(number) {
            let shown = |last: &Shown| last.text == text && last.tone == tone;
            if !row.last().is_some_and(shown) {
                let text = text.to_owned();
                row.push(Shown { at, text, tone });
            }
        }
    }

    /// The picture, of a play that ended after so many seconds.
    pub fn svg(&self, title: &str, seconds: f64) -> String {
        let mut film = Film::new(seconds);
        let mut body = String::new();
        for (n, shown) in self.above.iter().enumerate() {
            film.text(&mut body, n, shown, None);
        }
        let first = self.above.len();
        let class = film.moved(&self.above);
        let _ = writeln!(body, "<g class=\"{class}\">");
        for (n, row) in self.table.iter().enumerate() {
            for (version, shown) in row.iter().enumerate() {
                let until = row.get(version + 1).map(|next| next.at);
                film.text(&mut body, first + n, shown, until);
            }
        }
        body.push_str("</g>\n");
        let first = first + self.table.len() + 1;
        for (n, shown) in self.below.iter().enumerate() {
            film.text(&mut body, first + n, shown, None);
        }
        let lines = first + self.below.len();
        // The width of a character is 0.6 of its height, in all of these fonts.
        let width = COLUMNS * 78 / 10 + 2 * MARGIN;
        let size = [width, lines * LINE + 2 * MARGIN].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let css = format!(
            "{CSS}\n{}@media (prefers-reduced-motion: reduce) {{ * {{ animation: none !important }} }}",
            film.css
        );
        let body = format!("<g xml:space=\"preserve\">\n{body}</g>\n");
        card(title, size.into(), &css, &body)
    }
}

/// The animation: what was drawn so far, as rules of CSS.
struct Film {
    css: String,
    rules: usize,
    length: f64,
}

impl Film {
    fn new(seconds: f64) -> Self {
        Self {
            css: String::new(),
            rules: 0,
            length: seconds / SPEED + HOLD,
        }
    }

    fn percent(&self, at: f64) -> f64 {
        at / SPEED / self.length * 100.0
    }

    /// Text that is seen from its time on, and until another takes its place.
    fn text(&mut self, out: &mut String, line: usize, shown: &Shown, until: Option<f64>) {
        let mut class = shown.tone.class().to_owned();
        if until.is_some() {
            class.push_str(" t");
        }
        let from = self.percent(shown.at);
        let mut stops = format!("0%{{opacity:0}}{from:.2}%{{opacity:1}}");
        if let Some(until) = until {
            let _ = write!(stops, "{:.2}%{{opacity:0}}", self.percent(until));
        }
        class.push(' ');
        class.push_str(&self.rule(&stops));
        let y = MARGIN + LINE * line + 13;
        let _ = writeln!(
            out,
            "<text class=\"{}\" x=\"{MARGIN}\" y=\"{y}\">{}</text>",
            class.trim(),
            escaped(&shown.text)
        );
    }

    /// The class of what moves down by a line with each of these.
    fn moved(&mut self, above: &[Shown]) -> String {
        let mut stops = String::new();
        for (n, shown) in above.iter().enumerate() {
            let up = (above.len() - n - 1) * LINE;
            let at = self.percent(shown.at);
            let _ = write!(stops, "{at:.2}%{{transform:translateY(-{up}px)}}");
        }
        self.rule(&stops)
    }

    fn rule(&mut self, stops: &str) -> String {
        let name = format!("f{}", self.rules);
        self.rules += 1;
        let _ = writeln!(
            self.css,
            "@keyframes {name}{{{stops}}} .{name}{{animation:{name} {:.1}s step-end infinite}}",
            self.length
        );
        name
    }
}

/// Lines of at most `COLUMNS`, broken between words.
fn wrapped(text: &str, hang: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for text in text.split('\n') {
        let mut line = String::new();
        for word in text.split_inclusive(' ') {
            if line.chars().count() + word.trim_end().chars().count() > COLUMNS {
                lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            }
            line.push_str(word);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_its_own_beginning() {
        let text = format!("  1.0 s  {}", "word ".repeat(30));
        let lines = wrapped(&text, 9);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(
            lines.iter().all(|line| line.find('w') == Some(9)),
            "{lines:?}"
        );
    }

    #[test]
    fn the_last_state_is_seen_without_an_animation() {
        let mut recording = Recording::default();
        recording.line(0.0, "begins", 0, Tone::Bold);
        recording.row(1.0, 0, "Queued", Tone::Plain);
        recording.row(2.0, 0, "Queued", Tone::Plain);
        recording.row(3.0, 0, "Verified", Tone::Green);
        recording.line_below(4.0, "good", Tone::Plain);
        let svg = recording.svg("title", 4.0);
        let of = |word: &str| {
            let tag = svg.lines().find(|line| line.contains(&format!(">{word}<")));
            tag.unwrap_or_default().to_owned()
        };
        assert!(of("Queued").contains("class=\"t "), "{svg}");
        assert!(of("Verified").contains("class=\"g f"), "{svg}");
        assert_eq!(svg.matches(">Queued<").count(), 1);
        assert!(svg.contains("prefers-reduced-motion"));
        assert!(!svg.contains("<script"));
    }
}
