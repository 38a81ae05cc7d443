//! CAMS is unavailable: no code is spent on that, and all resources go on when it is back.

use harness::crowd_phone;
use tcp_proxy::{Flow, Toxics};

use super::*;

impl Net {
    /// Waits until the resource shows that it waits for the end of a hold of the transport.
    async fn waits_for_the_transport(&self, name: &str) {
        let status = says(&self.world, name, "Queued", "cannot be reached").await;
        assert_eq!(condition(&status, "Reconciling"), "True", "{status}");
    }
}

/// The pre-read fails too.
#[tokio::test]
async fn refused_connections_hold_the_account_and_cost_nobody_a_code() {
    let net = Net::new("net-down", NEVER_FINAL).await;
    net.submit("before", 1).await;
    net.is_accepted("before", 1).await;
    net.proxy.down().await;
    let names: Vec<(u32, String)> = (2..=7).map(|n| (n, format!("m-{n}"))).collect();
    for (n, name) in &names {
        net.submit(name, *n).await;
    }
    for (_, name) in &names {
        net.waits_for_the_transport(name).await;
    }
    // The pre-read and the call of the first one.
    assert_eq!(net.proxy.counts().accepted, 2, "a connection while down");
    net.proxy.up().await.unwrap();
    for (n, name) in &names {
        net.is_accepted(name, *n).await;
    }
    net.finish().await;
}

/// Four calls are executed while the replies are on their way: all connections die at once.
#[tokio::test]
async fn connections_cut_under_running_calls_are_found_by_reads() {
    let net = Net::new("net-reboot", NEVER_FINAL).await;
    let held = Flow::default().latency(Duration::from_secs(8));
    for n in 1..=4 {
        net.submit_through(Toxics::down(held), &format!("m-{n}"), n)
            .await;
        // One after the other, so that no pre-read takes the toxics of a call.
        let executed = || net.world.executed(&crowd_phone(n)) > 0;
        until("it is executed", executed).await;
    }
    net.proxy.down().await;
    net.proxy.cut();
    for n in 1..=4 {
        net.until(&format!("m-{n}"), "OutcomeUnknown").await;
    }
    // Three without an answer in a row: the circuit breaker sends no further call.
    net.submit("next", 5).await;
    net.waits_for_the_transport("next").await;
    assert!(net.calls(5).is_empty());
    net.proxy.up().await.unwrap();
    for n in 1..=4 {
        let status = net.until(&format!("m-{n}"), "Verified").await;
        net.is_verified(&status, n, "Adopted");
    }
    net.is_accepted("next", 5).await;
    net.finish().await;
}
