//! A line that is typed without echo.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use zeroize::{Zeroize, Zeroizing};

use super::keys::{self, Key};
use crate::exit::Failure;
use crate::text::cut;

/// The result of a prompt.
pub enum Typed {
    /// A line, perhaps an empty one.
    Line(Zeroizing<String>),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// Longest line that is taken.
const LONGEST: usize = 64;
/// Shown in place of a typed character.
const DOT: &str = "·";

/// A person at the terminal, whose keys are not echoed. Dropping it gives the terminal back.
pub struct Typist {
    keys: mpsc::UnboundedReceiver<Key>,
    done: Arc<AtomicBool>,
    prompt: String,
    typed: Zeroizing<String>,
}

impl Typist {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When there is none.
    pub fn begin() -> Result<Self, Failure> {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::input(
                "standard input is no terminal: pipe codes into kubectl phmig codes -f -",
            ));
        }
        let failed = |error: std::io::Error| {
            Failure::input(format!("cannot read from the terminal: {error}"))
        };
        keys::take().map_err(failed)?;
        let (sender, keys) = mpsc::unbounded_channel();
        let done = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&done);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let Ok(pressed) = keys::read() else { return };
                if pressed.into_iter().any(|key| sender.send(key).is_err()) {
                    return;
                }
            }
        });
        Ok(Self {
            keys,
            done,
            prompt: String::new(),
            typed: Zeroizing::new(String::with_capacity(LONGEST)),
        })
    }

    /// Shows a prompt, on standard error: what it is about, and the question.
    pub fn ask(&mut self, about: &str, question: &str) {
        let columns = keys::size().map_or(80, |(columns, _)| columns);
        self.prompt = fitted(about, question, columns);
        self.typed.zeroize();
        self.redraw();
    }

    /// The next key. Cancelling it loses none.
    pub async fn key(&mut self) -> Option<Key> {
        self.keys.recv().await
    }

    /// A key was pressed; `None` as the key: the terminal is gone.
    pub fn press(&mut self, key: Option<Key>) -> Option<Typed> {
        match key {
            None | Some(Key::End) if self.typed.is_empty() || key.is_none() => {
                self.end_line("");
                return Some(Typed::End);
            }
            None | Some(Key::End) => return None,
            Some(Key::Enter) => {
                self.end_line("");
                let next = Zeroizing::new(String::with_capacity(LONGEST));
                return Some(Typed::Line(std::mem::replace(&mut self.typed, next)));
            }
            Some(Key::Interrupt) => {
                self.end_line("");
                return Some(Typed::Interrupted);
            }
            Some(Key::Clear) => self.typed.zeroize(),
            Some(Key::Back) => {
                self.typed.pop();
            }
            // The string never grows, since growing would leave a copy behind.
            Some(Key::Text(c)) if self.typed.len() + c.len_utf8() <= LONGEST => self.typed.push(c),
            Some(Key::Text(_)) => return None,
        }
        self.redraw();
        None
    }

    /// A line above the prompt.
    pub fn above(&self, line: &str) {
        self.write(&format!("\r\u{1b}[K{line}\r\n"));
        self.redraw();
    }

    /// Ends the prompt's line with a word.
    pub fn end_line(&self, word: &str) {
        self.write(&format!("{word}\r\n"));
    }

    fn redraw(&self) {
        let dots = DOT.repeat(self.typed.chars().count().min(LONGEST / 4));
        self.write(&format!("\r\u{1b}[K{}{dots}", self.prompt));
    }

    fn write(&self, text: &str) {
        let mut out = std::io::stderr();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// A prompt that leaves room for the dots: a line beyond the last column could not be drawn over
/// itself. A long name is cut, and never the question.
fn fitted(about: &str, question: &str, columns: usize) -> String {
    let room = columns.saturating_sub(LONGEST / 4).max(20);
    let left = room.saturating_sub(question.chars().count());
    cut(&format!("{}{question}", cut(about, left)), room)
}

impl Drop for Typist {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        keys::give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_does_not_push_the_question_out() {
        let question = "  code (Enter skips): ";
        let about = "[1/7] flagship-store-hangzhou-west-lake-01 tenant-a 861384440****";
        let shown = fitted(about, question, 80);
        assert!(shown.ends_with(&format!("…{question}")), "{shown}");
        assert_eq!(shown.chars().count(), 64);
        assert_eq!(fitted(about, question, 200), format!("{about}{question}"));
        assert!(fitted(about, question, 10).chars().count() <= 20);
    }
}
