//! Making a folder once, however many processes want it at the same time.
//!
//! The folder is made under another name and renamed when it is whole, so no process sees half of
//! it; a file lock makes the others wait. The kernel releases the lock when its holder dies.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

use crate::Error;

/// Makes sure that `target` is there and `is_whole`. If it is not, `make` is called with an empty
/// folder to fill, by one process at a time; when it fails, nothing is left behind and the next
/// caller tries again. Blocks, and reports that on standard error.
pub fn make_once<E: From<Error>>(
    target: &Path,
    is_whole: impl Fn(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    make_once_or_wait(target, is_whole, say_waiting, make)
}

/// The same; `waiting` is called with the lock that another process holds.
pub(crate) fn make_once_or_wait<E: From<Error>>(
    target: &Path,
    is_whole: impl Fn(&Path) -> bool,
    waiting: impl FnOnce(&Path),
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    if is_whole(target) {
        return Ok(());
    }
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        let source = std::io::ErrorKind::InvalidInput.into();
        return Err(Error::Io {
            what: "make",
            path: target.to_owned(),
            source,
        }
        .into());
    };
    fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
    let name = name.to_string_lossy();
    let _lock = lock(&parent.join(format!("{name}.lock")), waiting)?;
    if is_whole(target) {
        return Ok(());
    }
    let prefix = format!(".{name}.");
    remove_leftovers(parent, &prefix)?;
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(parent)
        .map_err(Error::io("make a folder in", parent))?;
    make(temporary.path())?;
    sync(temporary.path())?;
    if target.exists() {
        fs::remove_dir_all(target).map_err(Error::io("remove the incomplete", target))?;
    }
    // Not `keep` first: an error of `rename` must leave nothing behind. Once
    // renamed, there is nothing at the old name for the guard to remove.
    fs::rename(temporary.path(), target).map_err(Error::io("put in place", target))?;
    Ok(())
}

fn lock(path: &Path, waiting: impl FnOnce(&Path)) -> Result<File, Error> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(Error::io("open the lock file", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            waiting(path);
            file.lock().map_err(Error::io("lock", path))?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

/// Removes the leftovers of a killed process: safe, since this process holds the lock.
fn remove_leftovers(parent: &Path, prefix: &str) -> Result<(), Error> {
    for entry in fs::read_dir(parent).map_err(Error::io("list", parent))? {
        let entry = entry.map_err(Error::io("list", parent))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_dir_all(entry.path()).map_err(Error::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// To disk before the rename: after a power cut the name must not exist with empty files under it.
fn sync(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let path = entry.map_err(Error::io("list", dir))?.path();
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(Error::io("write to disk", &path))?;
    }
    File::open(dir)
        .and_then(|file| file.sync_all())
        .map_err(Error::io("write to disk", dir))
}

pub(crate) fn say_waiting(lock: &Path) {
    say(&format!(
        "Waiting for another process that builds the same programs (lock {})",
        lock.display()
    ));
}

/// A line for the waiting user. Not `eprintln!`: the test harness would keep it back until the test
/// has failed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    fn is_whole(dir: &Path) -> bool {
        dir.join("first").exists() && dir.join("second").exists()
    }

    fn once(target: &Path, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
        make_once(target, is_whole, make)
    }

    fn failure() -> Error {
        Error::NoCacheDir {
            otherwise: String::new(),
        }
    }

    #[test]
    fn side_by_side_one_makes_it_and_nobody_sees_a_half() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("v1.2.3");
        let made = AtomicUsize::new(0);
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    once(&target, |to| {
                        fs::write(to.join("first"), "").unwrap();
                        // Lets other threads run now.
                        thread::yield_now();
                        assert!(!target.exists(), "visible before it is whole");
                        fs::write(to.join("second"), "").unwrap();
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    })
                    .unwrap();
                    assert!(is_whole(&target));
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_leaves_nothing_and_the_next_caller_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("v1.2.3");
        let failed = once(&target, |to| {
            fs::write(to.join("first"), "").unwrap();
            Err(failure())
        });
        assert!(failed.is_err());
        let left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["v1.2.3.lock"]);
        once(&target, |to| {
            fs::write(to.join("first"), "").unwrap();
            fs::write(to.join("second"), "").unwrap();
            Ok(())
        })
        .unwrap();
        assert!(is_whole(&target));
    }

    #[test]
    fn an_incomplete_folder_and_the_leftovers_of_a_killed_build_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("v1.2.3");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("first"), "old").unwrap();
        fs::create_dir_all(dir.path().join(".v1.2.3.killed")).unwrap();
        once(&target, |to| {
            fs::write(to.join("first"), "new").unwrap();
            fs::write(to.join("second"), "new").unwrap();
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read_to_string(target.join("first")).unwrap(), "new");
        assert!(!dir.path().join(".v1.2.3.killed").exists());
    }
}
