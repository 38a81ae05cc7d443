//! The terminal: output, colours, and a line that is typed without echo.

use std::io::{IsTerminal, Write};

use tokio::sync::watch;

mod keys;
mod typist;

pub use typist::{Typed, Typist};

/// How a text is shown on a terminal with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Green.
    Good,
    /// Red.
    Bad,
    /// Yellow.
    Warning,
    /// Bold.
    Strong,
    /// Dimmed.
    Faint,
}

/// Where texts go.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Standard output is a terminal.
    pub is_terminal: bool,
    colours: bool,
}

impl Console {
    /// Of this process.
    pub fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        #[cfg(windows)]
        let dumb = dumb || !crossterm::ansi_support::supports_ansi();
        Self {
            is_terminal: is_terminal && !dumb,
            colours: is_terminal && !dumb && !set("NO_COLOR"),
        }
    }

    /// Columns and rows of the terminal.
    pub fn size(&self) -> (usize, usize) {
        keys::size().unwrap_or((80, 24))
    }

    /// Prints a line on standard output. If the reader has gone away, the work goes on.
    pub fn out(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    /// Prints a line on standard error, for everything but the result.
    pub fn note(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// A text in colour, where there are colours.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => 32,
            Tone::Bad => 31,
            Tone::Warning => 33,
            Tone::Strong => 1,
            Tone::Faint => 2,
        };
        format!("\u{1b}[{style}m{text}\u{1b}[0m")
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

/// Lines that are drawn over themselves.
#[derive(Default)]
pub struct Frame {
    drawn: usize,
}

impl Frame {
    /// Draws the lines in place of the last ones. They must be cut to the terminal.
    pub fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}F", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        text.push_str("\u{1b}[J");
        self.drawn = lines.len();
        let mut out = std::io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Ctrl-C, SIGTERM or a closed terminal: the work must end where nothing is half done.
#[derive(Clone)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on. A second request ends the process at once.
    pub fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            requested().await;
            let _ = sender.send(true);
            requested().await;
            keys::give_back();
            std::process::exit(i32::from(crate::exit::Exit::Interrupted.code()));
        });
        Self(receiver)
    }

    /// Whether it was requested.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|set| *set).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn requested() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(not(unix))]
async fn requested() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
