//! Log lines go to stderr through a queue and a thread of their own. Whatever reads stderr may stop
//! reading: then a write blocks, and would stop each task that logs.
//!
//! Limit: a line that finds the queue full is dropped, counted, and told in the log once there is
//! room again. A process that is killed loses the lines that it has not written yet. The ledger and
//! status hold each outcome; the log is not the record.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait at most.
const CAPACITY: usize = 4_096;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Of the whole process, as the log is.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines were dropped since the process started.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

enum Message {
    Line(Vec<u8>),
    /// The process ends: the thread drops this sender after the last line.
    End(SyncSender<()>),
}

/// Puts each line into the queue, or drops it. Each write must be a whole line.
#[derive(Clone)]
pub struct LogWriter(SyncSender<Message>);

/// While it lives, the log works; its end waits a moment for the last lines.
pub struct LogGuard(SyncSender<Message>);

/// The writer of a subscriber, and the guard that the process holds until its end.
///
/// # Errors
/// When the thread cannot be started.
pub fn log_writer(out: impl Write + Send + 'static) -> io::Result<(LogWriter, LogGuard)> {
    let (sender, receiver) = sync_channel(CAPACITY);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&receiver, out))?;
    Ok((LogWriter(sender.clone()), LogGuard(sender)))
}

fn write_lines(lines: &Receiver<Message>, mut out: impl Write) {
    let mut told = dropped_lines();
    while let Ok(message) = lines.recv() {
        match message {
            // If stderr is closed, nothing can be reported.
            Message::Line(line) => {
                let _ = out.write_all(&line);
            }
            Message::End(_done) => return,
        }
        let dropped = dropped_lines();
        if dropped > told {
            tracing::warn!(
                lines = dropped - told,
                "Dropped log lines, because the reader of stderr was too slow"
            );
            told = dropped;
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Drop for LogGuard {
    /// Waits for the last lines, but not for a reader that does not read: an exit that hangs would
    /// be a SIGKILL in the end.
    fn drop(&mut self) {
        let (done, ended) = sync_channel(0);
        if self.0.try_send(Message::End(done)).is_ok() {
            // An error is the sign: either the thread has ended, or it still waits for the reader.
            let _ = ended.recv_timeout(LAST_LINES);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{BufRead, BufReader, pipe};

    use super::*;

    /// A kernel's pipe holds 64 KiB at first.
    const LINE: [u8; 1_024] = [b'x'; 1_024];

    #[test]
    fn lines_come_out_whole_and_in_order_before_the_guard_ends() {
        let (reader, out) = pipe().unwrap();
        let (mut writer, guard) = log_writer(out).unwrap();
        for n in 0..200 {
            writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        drop(guard);
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        let wanted: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        assert_eq!(lines.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_reader_that_does_not_read_blocks_neither_a_line_nor_the_end() {
        let (reader, out) = pipe().unwrap();
        let (mut writer, guard) = log_writer(out).unwrap();
        let before = dropped_lines();
        for _ in 0..CAPACITY + 200 {
            writer.write_all(&LINE).unwrap();
        }
        assert!(dropped_lines() > before, "the queue has no bound");
        drop(guard);
        drop(reader);
    }
}
