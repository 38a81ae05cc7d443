//! The display while it runs: on a terminal a table that is updated in place below the
//! announcements, elsewhere one line for each change.
//!
//! Limits: a terminal too low for the table gets lines; a table drawn before a terminal was made
//! narrower may leave remains. A reader that goes away (`| head`) is not an error.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use crate::cast::Role;

/// The last known state of one number.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its role.
    pub role: Role,
    /// `status.reason`; empty before the operator saw it.
    pub reason: String,
    /// Every reason it has had, in order.
    pub had: Vec<String>,
    /// `status.id`; empty if there is none.
    pub id: String,
    /// `status.errorCode`; empty if there is none.
    pub error_code: String,
    /// Seconds from the start to the last change.
    pub at: f64,
}

impl Row {
    /// The row before its scene.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            reason: String::new(),
            had: Vec::new(),
            id: String::new(),
            error_code: String::new(),
            at: 0.0,
        }
    }

    /// `Id`, or the cloud's answer in its place.
    fn detail(&self) -> &str {
        match (self.id.as_str(), self.reason.as_str()) {
            ("", "Verified" | "") => "",
            ("", _) => &self.error_code,
            (id, _) => id,
        }
    }
}

/// Standard output.
pub struct Screen {
    started: Instant,
    in_place: bool,
    colour: bool,
    drawn: usize,
}

impl Screen {
    /// A table if standard output is a terminal that can have one.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self {
            started: Instant::now(),
            in_place: terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            drawn: 0,
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// A line that stays, above the table.
    pub fn say(&mut self, text: &str, rows: &[Row]) {
        let stamped = format!("{:>5.1} s  {text}", self.seconds());
        let line = self.painted(&stamped, BOLD);
        self.show(&line, rows);
    }

    /// A change of the last row state from `before`.
    pub fn changed(&mut self, row: &Row, before: &str, rows: &[Row]) {
        if self.in_place {
            self.show("", rows);
        }
        // A terminal may just have turned out to be too low for the table.
        if !self.in_place {
            self.show(&line_of(row, before), rows);
        }
    }

    /// Removes the table; plain text follows.
    pub fn finish(&mut self) {
        let out = self.erased();
        write(&out);
        self.in_place = false;
    }

    /// Text as it is.
    pub fn print(&mut self, text: &str) {
        let out = format!("{}{text}\n", self.erased());
        write(&out);
    }

    fn show(&mut self, line: &str, rows: &[Row]) {
        let mut out = self.erased();
        if !line.is_empty() {
            out.push_str(line);
            out.push('\n');
        }
        if self.in_place && rows.iter().any(|row| !row.had.is_empty()) {
            let (height, width) = size();
            // One line for the header, one for the cursor, one for the last announcement.
            if rows.len() + 3 > height {
                self.in_place = false;
            } else {
                self.draw(&mut out, rows, width);
            }
        }
        write(&out);
    }

    fn draw(&mut self, out: &mut String, rows: &[Row], width: usize) {
        let header = columns(
            "NAMESPACE",
            "NAME",
            "STORY",
            "STATE",
            "ID OR ERROR",
            "SINCE",
        );
        let mut lines = vec![self.painted(&clipped(&header, width), DIM)];
        lines.extend(rows.iter().map(|row| {
            let since = match row.reason.as_str() {
                "" => String::new(),
                _ => format!("{:.1} s", row.at),
            };
            let Role {
                namespace, name, ..
            } = &row.role;
            let state = match row.reason.as_str() {
                "" => "-",
                reason => reason,
            };
            let story = row.role.part.words();
            let line = columns(namespace, name, story, state, row.detail(), &since);
            self.painted(&clipped(&line, width), colour_of(&row.reason))
        }));
        self.drawn = lines.len();
        for line in lines {
            out.push_str(&line);
            out.push('\n');
        }
    }

    /// The escape sequence that removes the current table.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }

    fn painted(&self, text: &str, colour: &str) -> String {
        match (self.colour, colour) {
            (false, _) | (true, "") => text.to_owned(),
            (true, colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
        }
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";

fn colour_of(reason: &str) -> &'static str {
    match reason {
        "" => DIM,
        "Verified" => "32",
        "CodeRejected" => "31",
        "OutcomeUnknown" | "Throttled" => "33",
        _ => "",
    }
}

/// A change as a line of its own.
fn line_of(row: &Row, before: &str) -> String {
    let name = row.role.full_name();
    let detail = match row.detail() {
        "" => String::new(),
        detail => format!("  {detail}"),
    };
    let from = match before {
        "" => "new",
        before => before,
    };
    format!(
        "{:>5.1} s    {name:<18} {from} -> {}{detail}",
        row.at, row.reason
    )
}

fn columns(
    namespace: &str,
    name: &str,
    story: &str,
    state: &str,
    detail: &str,
    at: &str,
) -> String {
    format!("  {namespace:<10} {name:<9} {story:<22} {state:<15} {detail:<19} {at}")
}

/// A line that wraps would be two, and the table could not be taken away.
fn clipped(line: &str, width: usize) -> String {
    line.chars().take(width.saturating_sub(1)).collect()
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            (usize::from(size.ws_row), usize::from(size.ws_col))
        }
        Ok(_) | Err(_) => (24, 80),
    }
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::cast;

    #[test]
    fn the_table_is_taken_away_by_as_many_lines_as_were_drawn() {
        let mut screen = Screen {
            in_place: true,
            colour: false,
            ..Screen::new()
        };
        let rows: Vec<Row> = cast().into_iter().map(Row::new).collect();
        let mut out = String::new();
        screen.draw(&mut out, &rows, 40);
        assert_eq!(out.lines().count(), rows.len() + 1);
        assert!(out.lines().all(|line| line.chars().count() < 40));
        assert_eq!(screen.erased(), format!("\x1b[{}A\x1b[J", rows.len() + 1));
        assert_eq!(screen.erased(), "");
    }
}
