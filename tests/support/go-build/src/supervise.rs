//! A command that never outlives us.
//!
//! It runs below a small shell that waits for the end of a pipe we hold. However
//! we end (panic, SIGKILL, a `static` that is never dropped) the kernel closes
//! the pipe and the shell's watcher kills the child. `PR_SET_PDEATHSIG` would be
//! wrong here: it fires when the spawning *thread* ends, and test runtimes end
//! their threads while others still use the child.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// `$1` is the log, the rest the command. It prints the child's pid and ends
/// with the child's status.
///
/// The watcher is started before anything is printed: if we are gone by then,
/// the shell dies of SIGPIPE and the watcher still does its work.
const SUPERVISOR: &str = r#"
exec 3<&0 </dev/null
log=$1
shift
"$@" 3<&- >>"$log" 2>&1 &
child=$!
{ read -r _; kill -9 "$child"; } <&3 3<&- >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$child"
exec >/dev/null 2>&1
wait "$child"
status=$?
kill -9 "$watcher"
exit "$status"
"#;

/// The command that runs `program` under the supervisor, with its output
/// appended to `log`; arguments and the rest are the caller's to add. The
/// child lives as long as the shell's standard input is held open.
pub fn supervised(log: &Path, program: &OsStr) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SUPERVISOR, "supervisor"])
        .arg(log)
        .arg(program)
        .stdin(Stdio::piped());
    command
}
