#![allow(clippy::unwrap_used)]

use std::future::ready;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::cams::endpoint::{DEFAULT_ENDPOINT, Destination};

fn addresses(ips: &[&str]) -> Vec<SocketAddr> {
    ips.iter()
        .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0))
        .collect()
}

#[test]
fn only_addresses_that_may_serve_are_handed_out() {
    let real = Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, false).unwrap();
    let mixed = addresses(&[
        "169.254.1.1",
        "47.74.0.1",
        "10.0.0.1",
        "::ffff:127.0.0.1",
        "100.100.100.200",
    ]);
    let admitted = admit(&real, mixed).unwrap();
    assert_eq!(admitted, addresses(&["47.74.0.1", "10.0.0.1"]));
    assert!(admit(&real, addresses(&["127.0.0.1", "169.254.169.254"])).is_err());
    assert!(admit(&real, Vec::new()).is_err());
}

#[test]
fn a_loopback_endpoint_stays_on_this_machine() {
    let test = Endpoint::parse(Destination::Cams, "http://localhost:1", true).unwrap();
    assert!(admit(&test, addresses(&["47.74.0.1"])).is_err());
    assert!(admit(&test, addresses(&["::1"])).is_ok());
}

/// A name with a good address at the check and a bad one at the use: the resolver checks every
/// lookup and returns exactly the addresses that it checked.
#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_each_time() {
    let answers = [
        "47.74.0.1",
        "100.100.100.200",
        "47.74.0.2",
        "169.254.169.254",
    ];
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(ready(Ok(addresses(&[answers[n]]))))
    });
    let resolver = GuardedResolver {
        endpoint: Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, false).unwrap(),
        lookup,
        lookup_running: Arc::default(),
    };
    for good in ["47.74.0.1", "47.74.0.2"] {
        let name = || "cams.ap-southeast-1.aliyuncs.com".parse().unwrap();
        let found: Vec<SocketAddr> = resolver.resolve(name()).await.unwrap().collect();
        assert_eq!(found, addresses(&[good]));
        assert!(resolver.resolve(name()).await.is_err());
    }
    assert_eq!(asked.load(Ordering::Relaxed), answers.len());
}
