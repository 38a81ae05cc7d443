//! A share of one core for a process: by a control group if one can be made, otherwise by stopping
//! and continuing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// The period of the share, as the kernel's default.
const PERIOD: Duration = Duration::from_millis(100);

/// Holds as long as this lives.
pub struct Share(Means);

enum Means {
    /// The folder of a control group.
    Group { path: PathBuf, version: u8 },
    /// Signals.
    DutyCycle {
        stop: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    },
}

impl Share {
    /// Gives the process `percent` of one core, at least 1.
    pub fn of(pid: u32, percent: u32) -> Self {
        let run = PERIOD * percent / 100;
        let group = by_group_v2(pid, run).or_else(|| by_group_v1(pid, run));
        Self(group.unwrap_or_else(|| duty_cycle(pid, run)))
    }

    /// The means, in words.
    pub fn means(&self) -> String {
        match &self.0 {
            Means::Group { version, .. } => format!("a control group (version {version})"),
            Means::DutyCycle { .. } => "stopping and continuing the process".to_owned(),
        }
    }
}

/// In a folder that already has the cpu controller; other groups are not changed.
fn by_group_v2(pid: u32, run: Duration) -> Option<Means> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let parent = Path::new("/sys/fs/cgroup").join(own);
    let handed_down = fs::read_to_string(parent.join("cgroup.subtree_control")).ok()?;
    handed_down.split_whitespace().find(|c| *c == "cpu")?;
    let limit = format!("{} {}", run.as_micros(), PERIOD.as_micros());
    group(&parent, pid, &[("cpu.max", limit)], 2)
}

fn by_group_v1(pid: u32, run: Duration) -> Option<Means> {
    let limits = [
        ("cpu.cfs_period_us", PERIOD.as_micros().to_string()),
        ("cpu.cfs_quota_us", run.as_micros().to_string()),
    ];
    group(Path::new("/sys/fs/cgroup/cpu"), pid, &limits, 1)
}

fn group(parent: &Path, pid: u32, limits: &[(&str, String)], version: u8) -> Option<Means> {
    let path = parent.join(format!("phone-migration-operator-test-{pid}"));
    fs::create_dir(&path).ok()?;
    let write = |file: &str, value: &str| fs::write(path.join(file), value).is_ok();
    let limited = limits.iter().all(|(file, value)| write(file, value));
    if limited && write("cgroup.procs", &pid.to_string()) {
        return Some(Means::Group { path, version });
    }
    let _ = fs::remove_dir(&path);
    None
}

fn duty_cycle(pid: u32, run: Duration) -> Means {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        while !told.load(Ordering::Relaxed) && signal(pid, Signal::STOP) {
            std::thread::sleep(PERIOD.saturating_sub(run));
            signal(pid, Signal::CONT);
            std::thread::sleep(run);
        }
    });
    Means::DutyCycle {
        stop,
        thread: Some(thread),
    }
}

fn signal(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}

impl Drop for Share {
    fn drop(&mut self) {
        match &mut self.0 {
            Means::Group { path, .. } => {
                // Its process goes back to its old group; then the new group can go.
                let parent = path.parent().unwrap_or(path);
                if let Ok(pids) = fs::read_to_string(path.join("cgroup.procs")) {
                    for pid in pids.lines() {
                        let _ = fs::write(parent.join("cgroup.procs"), pid);
                    }
                }
                let _ = fs::remove_dir(&*path);
            }
            Means::DutyCycle { stop, thread } => {
                stop.store(true, Ordering::Relaxed);
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
        }
    }
}
