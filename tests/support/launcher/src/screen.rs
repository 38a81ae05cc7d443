//! The display during the builds, on standard error: on a terminal three lines that are updated in
//! place, elsewhere a line now and then.
//!
//! Limit: lines are made for 80 columns; a narrower terminal keeps remains of them.

use std::io::{IsTerminal, Write};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::estimate::{Build, remaining, words};

const HEADING: &str = "Building what the demo needs: minutes the first time, nothing after.";
/// How often a line is printed if the display cannot be updated in place.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// Standard error.
pub struct Screen {
    in_place: bool,
    /// The lines now on the terminal.
    drawn: Vec<String>,
    begun: bool,
    line_at: Option<Instant>,
}

impl Screen {
    /// In place if it is a terminal.
    pub fn new() -> Self {
        let able = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self {
            in_place: able && std::io::stderr().is_terminal(),
            drawn: Vec::new(),
            begun: false,
            line_at: None,
        }
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The progress, `worked` after the builds began.
    pub fn show(&mut self, builds: &[Build], worked: Duration) {
        if !self.begun {
            self.begun = true;
            write(&format!("{HEADING}\n"));
        }
        let processors = available_parallelism().map_or(1, usize::from);
        let left = words(remaining(builds, processors, worked));
        if self.in_place {
            let mut lines: Vec<String> = builds.iter().map(Build::line).collect();
            lines.push(format!("Still {left}, then a minute of demo"));
            if lines != self.drawn {
                let out = self.erased();
                write(&format!("{out}  {}\n", lines.join("\n  ")));
                self.drawn = lines;
            }
        } else if self.line_at.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            self.line_at = Some(Instant::now());
            let far: Vec<String> = builds.iter().map(Build::short_line).collect();
            write(&format!("  {}; still {left}\n", far.join("; ")));
        }
    }

    /// Removes the lines that are updated in place.
    pub fn finish(&mut self) {
        let out = self.erased();
        write(&out);
    }

    /// The escape sequence that removes these lines.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn).len() {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

fn write(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
