//! The display while it runs: on a terminal a table that is updated in place below the
//! announcements, elsewhere one line for each change.
//!
//! Limits: a terminal too low for the table gets lines; a table drawn before a terminal was made
//! narrower may leave remains. A reader that goes away (`| head`) is not an error.

use std::io::{IsTerminal, Write};
use std::time::Instant;

use picture::{Recording, Tone};

use crate::cast::Role;

/// The last known state of one number.
#[derive(Clone, Debug)]
pub struct Row {
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
    recording: Recording,
    /// Whether the recording has the table.
    begun: bool,
}

impl Screen {
    /// A table if standard output is a terminal that can have one.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal()
            && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let mut recording = Recording::default();
        let first = format!("$ cargo demo    (here {} times as fast)", picture::SPEED);
        recording.line(0.0, &first, 0, Tone::Dim);
        Self {
            started: Instant::now(),
            in_place: terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            drawn: 0,
            recording,
            begun: false,
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// A line that stays, above the table.
    pub fn say(&mut self, text: &str, rows: &[Row]) {
        let at = self.seconds();
        let stamped = format!("{at:>5.1} s  {text}");
        let hang = STAMP + text.chars().take_while(|c| *c == ' ').count();
        self.recording.line(at, &stamped, hang, Tone::Bold);
        let line = self.painted(&stamped, Tone::Bold);
        self.show(&line, rows);
    }

    /// A change of the last row state from `before`.
    pub fn changed(&mut self, row: &Row, before: &str, rows: &[Row]) {
        self.record(rows);
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

    /// Text as it is, recorded: above the table, or below it once there is one.
    pub fn tell(&mut self, text: &str) {
        let at = self.seconds();
        match self.begun {
            false => self.recording.line(at, text, 0, Tone::Plain),
            true => self.recording.line_below(at, text, Tone::Plain),
        }
        self.print(text);
    }

    /// The picture of what was shown so far.
    pub fn recording(&self) -> String {
        self.recording.svg(TITLE, self.seconds())
    }

    fn record(&mut self, rows: &[Row]) {
        let at = self.seconds();
        self.begun = true;
        self.recording.row(at, 0, &header(), Tone::Dim);
        for (n, row) in (1..).zip(rows) {
            self.recording
                .row(at, n, &table_line(row), tone_of(&row.reason));
        }
    }

    /// Text as it is, not recorded.
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
        let mut lines = vec![self.painted(&clipped(&header(), width), Tone::Dim)];
        lines.extend(rows.iter().map(|row| {
            let line = clipped(&table_line(row), width);
            self.painted(&line, tone_of(&row.reason))
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

    fn painted(&self, text: &str, tone: Tone) -> String {
        let colour = match tone {
            Tone::Bold => "1",
            Tone::Dim => "2",
            Tone::Red => "31",
            Tone::Green => "32",
            Tone::Yellow => "33",
            Tone::Plain => return text.to_owned(),
        };
        match self.colour {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

const TITLE: &str = "cargo demo: seventeen numbers on their way";
/// Characters of the time in front of an announcement.
const STAMP: usize = 9;

fn tone_of(reason: &str) -> Tone {
    match reason {
        "" => Tone::Dim,
        "Verified" => Tone::Green,
        "CodeRejected" => Tone::Red,
        "OutcomeUnknown" | "Throttled" => Tone::Yellow,
        _ => Tone::Plain,
    }
}

fn header() -> String {
    columns(
        "NAMESPACE",
        "NAME",
        "STORY",
        "STATE",
        "ID OR ERROR",
        "SINCE",
    )
}

/// A number's row of the table.
fn table_line(row: &Row) -> String {
    let (state, since) = match row.reason.as_str() {
        "" => ("-", String::new()),
        reason => (reason, format!("{:.1} s", row.at)),
    };
    let Role {
        namespace, name, ..
    } = &row.role;
    let story = row.role.part.words();
    columns(namespace, name, story, state, row.detail(), &since)
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

    fn row(reason: &str) -> Row {
        Row {
            reason: reason.to_owned(),
            had: vec![reason.to_owned()],
            at: 12.34,
            ..Row::new(cast().remove(0))
        }
    }

    #[test]
    fn the_recording_has_the_announcements_the_last_table_and_what_is_told() {
        let mut screen = Screen {
            in_place: true,
            ..Screen::new()
        };
        screen.say("Scene 1", &[]);
        screen.changed(&row("Verified"), "", &[row("Verified")]);
        screen.tell("Verdict: good.");
        screen.print("/tmp/of-this-machine");
        let picture = screen.recording();
        for word in ["Scene 1", "STORY", "store-01", "Verdict: good."] {
            assert!(picture.contains(word), "{word}: {picture}");
        }
        assert!(!picture.contains("of-this-machine"), "{picture}");
    }

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
