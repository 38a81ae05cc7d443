//! A pseudo-terminal with the plugin in it.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};

use pty_process::{OwnedWritePty, Size};
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use super::*;

/// The plugin in a terminal.
pub struct Terminal {
    child: Child,
    keys: OwnedWritePty,
    seen: Arc<Mutex<Vec<u8>>>,
    looked_at: usize,
}

impl Terminal {
    /// Starts it in a terminal of this size.
    pub fn start(desk: &Desk, args: &str, rows: u16, columns: u16) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let child = pty_process::Command::new(PLUGIN)
            .args(desk.arguments(args))
            .env_clear()
            .envs(desk.environment())
            .kill_on_drop(true)
            .spawn(pts)
            .unwrap();
        let (mut screen, keys) = pty.into_split();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            // It fails when the last process has closed the terminal.
            while let Ok(n @ 1..) = screen.read(&mut bytes).await {
                kept.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        Self {
            child,
            keys,
            seen,
            looked_at: 0,
        }
    }

    /// Everything that was written to the terminal, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits for a text that comes after the last one that was waited for.
    pub async fn until(&mut self, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if let Some(at) = text[self.looked_at..].find(wanted) {
                self.looked_at += at + wanted.len();
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no {wanted:?} in {:?}",
                &text[self.looked_at..]
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Types.
    pub async fn keys(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).await.unwrap();
    }

    /// The exit code.
    pub async fn ended(&mut self) -> i32 {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        status
            .expect("it did not end")
            .unwrap()
            .code()
            .unwrap_or(-1)
    }

    /// The screen as a person sees it, line by line.
    pub fn screen(&self, rows: u16, columns: u16) -> Vec<String> {
        let (rows, columns): (NonZeroU16, NonZeroU16) =
            (rows.try_into().unwrap(), columns.try_into().unwrap());
        let mut parser = vt100::Parser::new(rows, columns, 0);
        parser.process(&self.seen.lock().unwrap());
        parser.screen().rows(0, columns.get()).collect()
    }
}
