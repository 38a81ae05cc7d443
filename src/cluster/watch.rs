//! Settings of lists and watches: small pages, and deadlines.

use kube::runtime::watcher::Config;

/// Resources on one page of a list. A whole page is in memory, up to three times while kube reads
/// it. One resource can exceed 256 KiB: 50 of these take 40 MiB.
const PAGE: u32 = 50;
/// Seconds after which the API server ends a watch, so that kube starts another one. If a watch
/// stays silent for 5 s longer, kube's watcher gives it up as dead: its changes arrive a minute
/// late.
const WATCH_LASTS: u32 = 55;

/// The configuration of every watch that lasts as long as the process.
pub fn config() -> Config {
    Config::default().page_size(PAGE).timeout(WATCH_LASTS)
}
