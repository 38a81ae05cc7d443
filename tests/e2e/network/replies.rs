//! Faults on the way back: executed every time, and the operator has to find out.

use std::time::Duration;

use harness::cams_simulator::{Fault, Release, Stage};
use tcp_proxy::{Ending, Flow, Toxics};

use super::{NEVER_FINAL, Net, PATIENCE, TOO_LATE};

async fn lost_by(name: &str, down: Flow) {
    let net = Net::new(name, NEVER_FINAL).await;
    net.submit_through(Toxics::down(down), "m", 1).await;
    net.is_found_by_a_read("m", 1).await;
    net.finish().await;
}

#[tokio::test]
async fn a_reply_that_vanishes_is_found_by_a_read() {
    lost_by("net-mute", Flow::default().limit(0, Ending::Blackhole)).await;
}

#[tokio::test]
async fn a_reset_in_place_of_the_reply_is_found_by_a_read() {
    lost_by("net-rst", Flow::default().limit(0, Ending::Reset)).await;
}

/// The client could still write; the server has sent its last byte, and no other reply.
#[tokio::test]
async fn a_half_closed_connection_without_a_reply_is_found_by_a_read() {
    lost_by("net-fin", Flow::default().limit(0, Ending::HalfClose)).await;
}

#[tokio::test]
async fn a_reply_after_the_deadline_is_found_by_a_read() {
    lost_by("net-slow", Flow::default().latency(TOO_LATE)).await;
}

#[tokio::test]
async fn a_reply_of_one_byte_a_second_is_found_by_a_read() {
    lost_by("net-drip", Flow::default().bandwidth(1)).await;
}

/// K6: in its head, in its body, and one byte before its end.
#[tokio::test]
async fn c01_k6_a_reply_cut_anywhere_is_found_by_a_read() {
    let net = Net::new("net-cut", NEVER_FINAL).await;
    net.world.next_call(Fault::gate(Stage::Executed));
    net.submit("whole", 1).await;
    let held = net.world.sim.wait_held(PATIENCE).await.unwrap();
    let look = net.proxy.counts().down.read;
    assert!(net.world.sim.release(held.id, Release::Continue));
    net.is_accepted("whole", 1).await;
    // All names and numbers are equally long, and so are the replies.
    let whole = net.proxy.counts().down.read - look;
    assert_eq!(net.proxy.counts().accepted, 2);
    let cuts = [
        (20, Ending::Close),
        (whole / 2, Ending::Reset),
        (whole - 1, Ending::Close),
        (whole - 1, Ending::HalfClose),
    ];
    for (n, (bytes, then)) in (2u32..).zip(cuts) {
        let name = format!("m-{n}");
        let cut = Flow::default().limit(bytes, then);
        net.submit_through(Toxics::down(cut), &name, n).await;
        net.is_found_by_a_read(&name, n).await;
        // An answer in between: three unknown in a row would trip the circuit breaker.
        net.submit(&format!("w-{n}"), n + 10).await;
        net.is_accepted(&format!("w-{n}"), n + 10).await;
    }
    net.finish().await;
}

#[tokio::test]
async fn a_slow_path_below_the_deadline_loses_nothing() {
    let net = Net::new("net-far", NEVER_FINAL).await;
    let ms = Duration::from_millis;
    let far = Flow::default().latency(ms(400)).jitter(ms(400));
    let far = far.bandwidth(2_000).slow_close(Duration::from_secs(20));
    net.proxy.set(Toxics::both(far));
    for n in 1..=3 {
        net.submit(&format!("m-{n}"), n).await;
    }
    for n in 1..=3 {
        net.is_accepted(&format!("m-{n}"), n).await;
    }
    net.finish().await;
}
