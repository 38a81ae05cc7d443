//! Lines over time, in one or more panels.

use std::fmt::Write;

use crate::{PLOT, card, text};

/// The unit of the values of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Number,
    PerSecond,
    Percent,
    Seconds,
}

/// Values over time.
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Seconds and value, by time. A value that is not a number makes a gap.
    pub points: Vec<(f64, f64)>,
}

/// One pair of axes.
pub struct Panel {
    pub title: String,
    pub unit: Unit,
    /// At most as many as there are colours.
    pub lines: Vec<Line>,
    /// A horizontal line that is not to be crossed, and its name.
    pub limit: Option<(f64, String)>,
}

/// Colours that people with a colour blindness can tell apart, after Okabe and Ito.
const COLOURS: [&str; 8] = [
    "#0969da", "#d55e00", "#009e73", "#b8860b", "#cc79a7", "#56b4e9", "#000", "#999",
];
/// Width of the whole picture.
const WIDTH: u32 = 800;
const HEIGHT: u32 = 130;
/// Room left of the axes for the values.
const LEFT: u32 = 52;
const MARGIN: u32 = 16;
const LEGEND: u32 = 18;

/// Where the axes of a panel are, and what they show.
struct Axes {
    x: f64,
    y: f64,
    width: f64,
    end: f64,
    most: f64,
}

impl Axes {
    fn at(&self, (seconds, value): (f64, f64)) -> (f64, f64) {
        let share = seconds / self.end.max(f64::MIN_POSITIVE);
        let height = f64::from(HEIGHT);
        (
            self.x + share * self.width,
            self.y + height - (value / self.most) * height,
        )
    }
}

/// A title, lines of notes, and the panels in rows of so many. All have the same time.
pub fn plot(title: &str, notes: &[&str], columns: u32, panels: &[Panel]) -> String {
    let mut body = String::new();
    text(&mut body, (16, 28), "title", title);
    let mut y = 48;
    for note in notes {
        text(&mut body, (16, y), "note", note);
        y += 18;
    }
    let lines = panels.iter().flat_map(|panel| &panel.lines);
    let times = lines.flat_map(|line| &line.points).map(|point| point.0);
    let end = times.fold(0.0, f64::max);
    let of_each = (WIDTH - MARGIN) / columns.max(1);
    for row in panels.chunks(columns.max(1) as usize) {
        let most = row.iter().map(|panel| panel.lines.len()).max();
        for (x, panel) in (MARGIN..).step_by(of_each as usize).zip(row) {
            draw(&mut body, panel, (x, y), of_each - MARGIN, end);
        }
        y += HEIGHT + 62 + LEGEND * u32::try_from(most.unwrap_or(0)).unwrap_or(0);
    }
    let css = format!(
        "{PLOT} .note, .tick {{ fill: #57606a }} .tick, .name {{ font-size: 11px }} \
         .end {{ text-anchor: end }} .middle {{ text-anchor: middle }} path {{ fill: none }} \
         .grid {{ stroke: #d8dee4 }} .limit {{ stroke: #cf222e; stroke-dasharray: 5 4 }} \
         .line {{ stroke-width: 1.5; stroke-linejoin: round }}"
    );
    card(title, (WIDTH, y), &css, &body)
}

fn draw(out: &mut String, panel: &Panel, (x, y): (u32, u32), width: u32, end: f64) {
    text(out, (x, y + 18), "group", &panel.title);
    let all = panel.lines.iter().flat_map(|line| &line.points);
    let values = all.map(|point| point.1).filter(|value| value.is_finite());
    // With room above it, to show that nothing is there.
    let limit = panel.limit.iter().map(|limit| limit.0 * 1.1);
    let (step, most) = scale(values.chain(limit).fold(0.0, f64::max));
    let axes = Axes {
        x: f64::from(x + LEFT),
        y: f64::from(y + 30),
        width: f64::from(width - LEFT),
        end,
        most,
    };
    grid(out, &axes, step, panel.unit);
    for (line, colour) in panel.lines.iter().zip(COLOURS) {
        let path = path(&axes, &line.points);
        let _ = writeln!(
            out,
            "  <path class=\"line\" stroke=\"{colour}\" d=\"{path}\"/>"
        );
    }
    if let Some((value, name)) = &panel.limit {
        let (right, at) = axes.at((axes.end, *value));
        horizontal(out, "limit", &axes, at);
        label(out, "tick end", (right, at - 4.0), name);
    }
    let below = y + 30 + HEIGHT + 34;
    for ((line, colour), y) in panel
        .lines
        .iter()
        .zip(COLOURS)
        .zip((below..).step_by(LEGEND as usize))
    {
        let x = x + LEFT;
        let _ = writeln!(
            out,
            "  <rect x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" style=\"fill:{colour}\"/>",
            y - 9
        );
        text(out, (x + 16, y), "name", &line.name);
    }
}

fn grid(out: &mut String, axes: &Axes, step: f64, unit: Unit) {
    for value in multiples(step, axes.most) {
        let (_, y) = axes.at((0.0, value));
        horizontal(out, "grid", axes, y);
        let words = in_words(value, step, unit);
        label(out, "tick end", (axes.x - 6.0, y + 4.0), &words);
    }
    let (step, _) = scale(axes.end);
    let below = axes.y + f64::from(HEIGHT) + 16.0;
    for seconds in multiples(step, axes.end) {
        let (x, _) = axes.at((seconds, 0.0));
        label(out, "tick middle", (x, below), &format!("{seconds} s"));
    }
}

fn horizontal(out: &mut String, class: &str, axes: &Axes, y: f64) {
    let (x, width) = (axes.x, axes.width);
    let _ = writeln!(
        out,
        "  <path class=\"{class}\" d=\"M{x:.1} {y:.1}h{width:.1}\"/>"
    );
}

fn label(out: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    let words = crate::escaped(words);
    let _ = writeln!(
        out,
        "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>"
    );
}

/// Lines from point to point. Where only one coordinate changes, only that one is written: most of a
/// count's steps.
fn path(axes: &Axes, points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    let mut last: Option<(String, String)> = None;
    for &point in points {
        if !point.1.is_finite() {
            last = None;
            continue;
        }
        let (x, y) = axes.at(point);
        let (x, y) = (format!("{x:.1}"), format!("{y:.1}"));
        let _ = match &last {
            None => write!(out, "M{x} {y}"),
            Some((a, b)) if *a == x && *b == y => continue,
            Some((_, b)) if *b == y => write!(out, "H{x}"),
            Some((a, _)) if *a == x => write!(out, "V{y}"),
            Some(_) => write!(out, "L{x} {y}"),
        };
        last = Some((x, y));
    }
    out
}

/// A round step that makes at most six of them up to `most`, and the end of the axis.
fn scale(most: f64) -> (f64, f64) {
    let most = if most > 0.0 { most } else { 1.0 };
    let decade = 10_f64.powf(most.log10().floor());
    let steps = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0].map(|step| step * decade);
    let fits = |step: &f64| most / step <= 6.0;
    let step = steps.into_iter().find(fits).unwrap_or(most);
    (step, (most / step - 1e-9).ceil() * step)
}

fn multiples(step: f64, most: f64) -> impl Iterator<Item = f64> {
    (0..=20)
        .map(move |n| f64::from(n) * step)
        .take_while(move |value| *value <= most * 1.000_001)
}

fn in_words(value: f64, step: f64, unit: Unit) -> String {
    let (value, step, end) = match unit {
        Unit::Number => (value, step, ""),
        Unit::PerSecond => (value, step, " /s"),
        Unit::Percent => (value * 100.0, step * 100.0, " %"),
        Unit::Seconds if step < 0.5 => (value * 1000.0, step * 1000.0, " ms"),
        Unit::Seconds => (value, step, " s"),
    };
    let digits = if step < 1.0 || step.fract() > 1e-6 {
        1
    } else {
        0
    };
    format!("{value:.digits$}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_a_round_value() {
        for (most, expected) in [
            (11.0, (2.0, 12.0)),
            (0.0, (0.2, 1.0)),
            (101.0, (20.0, 120.0)),
            (33.0, (10.0, 40.0)),
        ] {
            let (step, end) = scale(most);
            let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
            assert!(
                near(step, expected.0) && near(end, expected.1),
                "{most}: {step} {end}"
            );
        }
    }

    #[test]
    fn a_value_has_its_unit() {
        assert_eq!(in_words(10.0, 2.0, Unit::Number), "10");
        assert_eq!(in_words(0.5, 0.25, Unit::Percent), "50 %");
        assert_eq!(in_words(0.02, 0.01, Unit::Seconds), "20 ms");
        assert_eq!(in_words(2.5, 2.5, Unit::PerSecond), "2.5 /s");
    }

    #[test]
    fn what_is_no_number_is_a_gap_and_a_step_is_short() {
        let axes = Axes {
            x: 0.0,
            y: 0.0,
            width: 100.0,
            end: 10.0,
            most: 10.0,
        };
        let points = [
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 10.0),
            (2.0, f64::NAN),
            (3.0, 5.0),
        ];
        assert_eq!(path(&axes, &points), "M0.0 130.0H10.0V0.0M30.0 65.0");
    }

    #[test]
    fn a_panel_has_its_lines_their_names_and_the_limit() {
        let line = Line {
            name: "a<b".to_owned(),
            points: vec![(0.0, 1.0), (5.0, 9.0)],
        };
        let panel = Panel {
            title: "Calls".to_owned(),
            unit: Unit::Number,
            lines: vec![line],
            limit: Some((10.0, "quota".to_owned())),
        };
        let svg = plot("title", &["a note"], 1, &[panel]);
        assert!(svg.contains(">a&lt;b<") && svg.contains(">quota<"), "{svg}");
        assert!(
            svg.contains("class=\"line\"") && svg.contains(">a note<"),
            "{svg}"
        );
    }
}
