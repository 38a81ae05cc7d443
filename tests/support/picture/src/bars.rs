//! Bars in groups.

use std::fmt::Write;

use crate::{PLOT, card, text};

pub struct Bar {
    pub name: &'static str,
    pub value: u32,
}

const LEFT: u32 = 210;
const WIDTH: u32 = 360;
const STEP: u32 = 26;

/// A title, and groups of bars one below the other, with the value at the end of each bar.
pub fn bars(title: &str, groups: &[(String, Vec<Bar>)]) -> String {
    let all = groups.iter().flat_map(|(_, bars)| bars);
    let most = all.map(|bar| bar.value).max().unwrap_or(1).max(1);
    let mut body = String::new();
    text(&mut body, (16, 28), "title", title);
    let mut y = 58;
    for (name, bars) in groups {
        text(&mut body, (16, y), "group", name);
        y += 8;
        for bar in bars {
            text(&mut body, (16, y + 17), "name", bar.name);
            let width = (bar.value * WIDTH / most).max(2);
            let _ = writeln!(
                body,
                "  <rect x=\"{LEFT}\" y=\"{}\" width=\"{width}\" height=\"18\" rx=\"2\"/>",
                y + 4
            );
            let value = bar.value.to_string();
            text(&mut body, (LEFT + width + 8, y + 18), "value", &value);
            y += STEP;
        }
        y += 34;
    }
    card(title, (LEFT + WIDTH + 60, y - 20), PLOT, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_has_the_whole_width_and_none_has_no_width() {
        let bar = |name, value| Bar { name, value };
        let groups = [("group".to_owned(), vec![bar("a", 0), bar("b & c", 20)])];
        let svg = bars("title", &groups);
        assert!(svg.contains("width=\"2\""), "{svg}");
        assert!(svg.contains("width=\"360\""), "{svg}");
        assert!(svg.contains("b &amp; c"), "{svg}");
    }
}
