//! A command that never outlives its parent, with all the processes that it starts.
//!
//! It runs below a small shell that waits for the end of a pipe that the parent holds. However the
//! parent ends (Ctrl-C, panic, SIGKILL, a `static` that is never dropped) the kernel closes the
//! pipe, and the shell's watcher kills the process group: the child, the compilers that a build has
//! started, the shell and itself. `PR_SET_PDEATHSIG` would be wrong here: it fires when the
//! spawning *thread* ends, and test runtimes end their threads while others still use the child.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// `$1` is the log, the rest the command. It prints the child's pid and ends with the child's
/// status.
///
/// The watcher is started before anything is printed: if the parent is gone by then, the shell dies
/// of SIGPIPE and the watcher still does its work.
const SUPERVISOR: &str = r#"
exec 3<&0 </dev/null
log=$1
shift
"$@" 3<&- >>"$log" 2>&1 &
child=$!
{ read -r _; kill -9 0; } <&3 3<&- >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$child"
exec >/dev/null 2>&1
wait "$child"
status=$?
kill -9 "$watcher"
exit "$status"
"#;

/// The command that runs `program` under the supervisor, with its output appended to `log`; the
/// caller adds arguments and the rest. The child lives as long as the shell's standard input is
/// held open. It has its own process group: Ctrl-C in a terminal reaches the parent only, which
/// then ends it.
pub fn supervised(log: &Path, program: &OsStr) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SUPERVISOR, "supervisor"])
        .arg(log)
        .arg(program)
        .stdin(Stdio::piped())
        .process_group(0);
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::time::{Duration, Instant};

    use super::*;

    /// Waits for `holds`; on a busy machine a kill takes its time.
    fn until(what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_alive(pid: &str) -> bool {
        let found = Command::new("ps").args(["-o", "stat=", "-p", pid]).output();
        let text = String::from_utf8(found.unwrap().stdout).unwrap();
        // No process may have collected it yet.
        !text.trim().is_empty() && !text.trim().starts_with('Z')
    }

    #[test]
    fn what_the_command_has_started_ends_with_us() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut shell = supervised(&log, OsStr::new("/bin/sh"))
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = String::new();
        let mut printed = BufReader::new(shell.stdout.take().unwrap());
        printed.read_line(&mut child).unwrap();
        let grandchild = || fs::read_to_string(&log).unwrap_or_default();
        until("the command prints", || grandchild().ends_with('\n'));
        let pids = [child.trim().to_owned(), grandchild().trim().to_owned()];
        assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
        // The kernel does the same when the parent ends.
        drop(shell.stdin.take());
        shell.wait().unwrap();
        for pid in pids {
            until("it ends", || !is_alive(&pid));
        }
    }
}
