#![allow(clippy::unwrap_used)]

use super::*;
use crate::cams::endpoint::DEFAULT_ENDPOINT;

fn addresses(ips: &[&str]) -> Vec<SocketAddr> {
    ips.iter()
        .map(|ip| SocketAddr::new(ip.parse().unwrap(), 0))
        .collect()
}

#[test]
fn only_public_addresses_of_the_real_service_are_handed_out() {
    let real = Endpoint::parse(DEFAULT_ENDPOINT, false).unwrap();
    let mixed = addresses(&[
        "10.0.0.1",
        "47.74.0.1",
        "::ffff:127.0.0.1",
        "100.100.100.200",
    ]);
    let admitted = admit(&real, mixed).unwrap();
    assert_eq!(admitted, addresses(&["47.74.0.1"]));
    assert!(admit(&real, addresses(&["127.0.0.1", "169.254.169.254"])).is_err());
    assert!(admit(&real, Vec::new()).is_err());
}

#[test]
fn a_loopback_endpoint_stays_on_this_machine() {
    let test = Endpoint::parse("http://localhost:1", true).unwrap();
    assert!(admit(&test, addresses(&["47.74.0.1"])).is_err());
    assert!(admit(&test, addresses(&["::1"])).is_ok());
}
