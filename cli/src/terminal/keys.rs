//! Keys as they are pressed, without echo: by termios on Unix, by the console's events on Windows.

pub use system::{give_back, read, size, take};

/// A key that a prompt knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Text(char),
    /// Enter.
    Enter,
    /// Backspace.
    Back,
    /// Ctrl-U.
    Clear,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    End,
}

/// The keys in what a terminal sent. Escape sequences (arrows and the like) are skipped.
#[cfg(any(unix, test))]
fn keys_of(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let text = String::from_utf8_lossy(bytes);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        keys.push(match c {
            '\r' | '\n' => Key::Enter,
            '\u{3}' => Key::Interrupt,
            '\u{4}' => Key::End,
            '\u{15}' => Key::Clear,
            '\u{7f}' | '\u{8}' => Key::Back,
            '\u{1b}' => {
                // ESC [ … up to a letter or a tilde.
                let sequence = chars.clone().next() == Some('[');
                while sequence
                    && chars
                        .next()
                        .is_some_and(|c| !c.is_ascii_alphabetic() && c != '~')
                {}
                continue;
            }
            c if c.is_control() => continue,
            c => Key::Text(c),
        });
    }
    keys
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use rustix::termios::{
        OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
    };
    use zeroize::Zeroizing;

    use super::{Key, keys_of};

    /// As the terminal was before it was taken.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// Takes the terminal on standard input: no echo, and every key at once.
    ///
    /// # Errors
    /// When it is not a terminal.
    pub fn take() -> io::Result<()> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        // A read returns after a tenth of a second, with or without a key.
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 1;
        let mut kept = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(before);
        // Danger: keys typed ahead were echoed. They are dropped, so that the user does not hand
        // them in unseen.
        Ok(tcsetattr(&stdin, OptionalActions::Flush, &raw)?)
    }

    /// Gives the terminal back as it was.
    pub fn give_back() {
        let mut kept = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = kept.take() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        }
    }

    /// The keys of the next tenth of a second.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn read() -> io::Result<Vec<Key>> {
        let mut bytes = Zeroizing::new([0; 256]);
        // Bypasses the buffer of standard input, which would keep a copy.
        match rustix::io::read(io::stdin(), &mut bytes[..]) {
            Ok(count) => Ok(keys_of(&bytes[..count])),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Columns and rows.
    pub fn size() -> Option<(usize, usize)> {
        let of_stderr = || tcgetwinsize(io::stderr());
        let size = tcgetwinsize(io::stdout()).or_else(|_| of_stderr()).ok()?;
        let known = size.ws_col > 0 && size.ws_row > 0;
        known.then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::time::Duration;

    use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
    use crossterm::terminal;

    use super::Key;

    const LOOK: Duration = Duration::from_millis(100);

    /// Takes the console: no echo, and every key at once.
    ///
    /// # Errors
    /// When there is none.
    pub fn take() -> io::Result<()> {
        terminal::enable_raw_mode()
    }

    /// Gives the console back as it was.
    pub fn give_back() {
        let _ = terminal::disable_raw_mode();
    }

    /// The keys of the next tenth of a second.
    ///
    /// # Errors
    /// When the console is gone.
    pub fn read() -> io::Result<Vec<Key>> {
        if !event::poll(LOOK)? {
            return Ok(Vec::new());
        }
        let Event::Key(key) = event::read()? else {
            return Ok(Vec::new());
        };
        if key.kind == KeyEventKind::Release {
            return Ok(Vec::new());
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let known = match key.code {
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Backspace => Some(Key::Back),
            KeyCode::Char('c') if control => Some(Key::Interrupt),
            KeyCode::Char('d') if control => Some(Key::End),
            KeyCode::Char('u') if control => Some(Key::Clear),
            KeyCode::Char(c) if !control => Some(Key::Text(c)),
            _ => None,
        };
        Ok(known.into_iter().collect())
    }

    /// Columns and rows.
    pub fn size() -> Option<(usize, usize)> {
        let (columns, rows) = terminal::size().ok()?;
        Some((usize::from(columns), usize::from(rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys_and_escape_sequences_are_none() {
        let keys = keys_of(b"4\x7f\x1b[A\x1b[3~7\x15\x03\x04\r");
        let expected = [
            Key::Text('4'),
            Key::Back,
            Key::Text('7'),
            Key::Clear,
            Key::Interrupt,
            Key::End,
            Key::Enter,
        ];
        assert_eq!(keys, expected);
    }
}
