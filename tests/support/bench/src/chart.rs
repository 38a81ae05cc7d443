//! Bars in groups, as SVG. PURE.

use std::fmt::Write;

/// One bar.
pub struct Bar {
    pub name: &'static str,
    pub value: u32,
}

const LEFT: u32 = 210;
const WIDTH: u32 = 360;
const STEP: u32 = 26;

/// A title, and groups of bars one below the other, with the value at the end of each bar.
pub fn chart(title: &str, groups: &[(String, Vec<Bar>)]) -> String {
    let bars = groups.iter().flat_map(|(_, bars)| bars);
    let most = bars.map(|bar| bar.value).max().unwrap_or(1).max(1);
    let mut body = String::new();
    let mut y = 58;
    for (name, bars) in groups {
        text(&mut body, 16, y, "group", name);
        y += 8;
        for bar in bars {
            text(&mut body, 16, y + 17, "name", bar.name);
            let width = (bar.value * WIDTH / most).max(2);
            let _ = writeln!(
                body,
                "  <rect x=\"{LEFT}\" y=\"{}\" width=\"{width}\" height=\"18\" rx=\"2\"/>",
                y + 4
            );
            text(
                &mut body,
                LEFT + width + 8,
                y + 18,
                "value",
                &bar.value.to_string(),
            );
            y += STEP;
        }
        y += 34;
    }
    let (width, height) = (LEFT + WIDTH + 60, y - 20);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>text {{ font: 13px sans-serif; fill: #24292f }} .title, .group {{ font-weight: 600 }} \
         rect {{ fill: #0969da }} .back {{ fill: #fff }}</style>\n  \
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n  \
         <text class=\"title\" x=\"16\" y=\"28\">{title}</text>\n{body}</svg>\n"
    )
}

fn text(out: &mut String, x: u32, y: u32, class: &str, words: &str) {
    let _ = writeln!(
        out,
        "  <text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
    );
}
