//! Faults on the way back: executed every time, and the operator has to find out.

use tcp_proxy::{Ending, Flow, Toxics};

use super::*;

#[tokio::test]
async fn a_reply_that_is_lost_is_found_by_a_read() {
    let flow = Flow::default;
    let ways = [
        ("net-mute", flow().limit(0, Ending::Blackhole)),
        ("net-rst", flow().limit(0, Ending::Reset)),
        // The client could still write; the server has sent its last byte, and no other reply.
        ("net-fin", flow().limit(0, Ending::HalfClose)),
        ("net-slow", flow().latency(TOO_LATE)),
        ("net-drip", flow().bandwidth(1)),
    ];
    for_each_row(ways, async |(name, down)| {
        let net = Net::new(name, NEVER_FINAL).await;
        net.submit_through(Toxics::down(down), "m", 1).await;
        net.is_found_by_a_read("m", 1).await;
        net.finish().await;
    })
    .await;
}

/// K6: in its head, in its body, and one byte before its end.
#[tokio::test]
async fn c01_k6_a_reply_cut_anywhere_is_found_by_a_read() {
    let net = Net::new("net-cut", NEVER_FINAL).await;
    net.world.next_call(Fault::gate(Stage::Executed));
    net.submit("whole", 1).await;
    let held = net.world.held().await;
    let look = net.proxy.counts().down.read;
    net.world.go_on(held);
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
