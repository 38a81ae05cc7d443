//! The plot of how many calls came in the second before each moment. PURE.

use harness::cams_simulator::{Entry, READ_STATUS, VERIFIED};
use picture::{Line, Panel, Unit, plot};

const SECOND: u64 = 1_000_000;

/// A panel for each action: every call that reached the simulator, throttled ones too.
pub fn picture(ledger: &[Entry], quota: u32, conditions: &str) -> String {
    // Jitter makes a call late before it counts.
    let time = |e: &Entry| e.counted_us.unwrap_or(e.arrived_us);
    let begin = ledger.iter().map(time).min().unwrap_or(0);
    let panels = [VERIFIED, READ_STATUS].map(|action| {
        let of = ledger.iter().filter(|e| e.action == action);
        let times: Vec<u64> = of.map(|e| time(e) - begin).collect();
        Panel {
            title: action.to_owned(),
            unit: Unit::Number,
            lines: vec![Line {
                name: format!("{} calls", times.len()),
                points: rolling(&times),
            }],
            limit: Some((f64::from(quota), format!("quota: {quota}"))),
        }
    });
    let notes = [
        conditions,
        "Counted by the CAMS simulator, when it holds the calls against the quota.",
    ];
    plot("Calls in the second before each moment", &notes, 1, &panels)
}

/// The steps of the count of times in `[t - 1 s, t]`, by `t` in seconds.
fn rolling(times: &[u64]) -> Vec<(f64, f64)> {
    // At one moment those that come go first: the window has both ends.
    let come = times.iter().map(|&time| (time, 0, 1.0));
    let leave = times.iter().map(|&time| (time + SECOND, 1, -1.0));
    let mut changes: Vec<(u64, u8, f64)> = come.chain(leave).collect();
    changes.sort_by_key(|&(at, order, _)| (at, order));
    let mut count = 0.0;
    let mut points = Vec::new();
    for (at, _, by) in changes {
        #[allow(clippy::cast_precision_loss)]
        let seconds = at as f64 / SECOND as f64;
        points.push((seconds, count));
        count += by;
        points.push((seconds, count));
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_for_one_second_with_both_ends() {
        let points = rolling(&[SECOND, 0, SECOND / 2]);
        let most_at = |at: f64| {
            let there = points.iter().filter(|point| (point.0 - at).abs() < 1e-9);
            there.map(|point| point.1).fold(0.0, f64::max)
        };
        for (at, count) in [(0.0, 1.0), (0.5, 2.0), (1.0, 3.0), (1.5, 2.0), (2.0, 1.0)] {
            assert!((most_at(at) - count).abs() < 1e-9, "{at}: {}", most_at(at));
        }
        assert_eq!(points.last(), Some(&(2.0, 0.0)));
    }
}
