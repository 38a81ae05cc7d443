//! The endpoint, against the URL parser of the HTTP client: if the two disagreed about a host, the
//! client would call another host than the checked one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use phone_migration_operator::cams::endpoint::{Destination, Endpoint, may_serve};
use proptest::prelude::*;
use reqwest::Url;

use super::{any_text, cases};

/// URLs that are almost right.
fn a_url() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "https://",
        "http://",
        "HTTPS://",
        "https:/",
        "https:",
        "ftp://",
        "https:// ",
        "https:\\\\",
    ]);
    let user = prop::sample::select(vec!["", "", "", "", "a@", "a:b@", "cams.x.aliyuncs.com@"]);
    let host = prop_oneof![
        6 => "cams\\.[a-z0-9-]{1,12}\\.aliyuncs\\.com",
        2 => prop::sample::select(vec![
            "localhost", "LOCALHOST", "127.0.0.1", "127.1", "0x7f000001", "2130706433", "[::1]",
            "[::ffff:127.0.0.1]", "127.0.0.1.", "169.254.169.254", "100.100.100.200", "0.0.0.0",
        ]).prop_map(str::to_owned),
        1 => "[a-zA-Z0-9.%_ⓐß-]{1,30}\\.aliyuncs\\.com",
        1 => any_text(),
    ];
    let tail = prop_oneof![
        3 => Just(String::new()),
        2 => prop::sample::select(vec![":443", ":80", ":0", ":65536", ":", ":8443", ":+443", ":٤٤٣", ".", "/", "//", "/x", "?x", "#x", "\\", "/..", "\t", "\n"])
            .prop_map(str::to_owned),
        1 => any_text(),
    ];
    (scheme, user, host, tail)
        .prop_map(|(scheme, user, host, tail)| format!("{scheme}{user}{host}{tail}"))
}

fn agree(text: &str, insecure: bool) {
    let Ok(endpoint) = Endpoint::parse(Destination::Cams, text, insecure) else {
        return;
    };
    let url = Url::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let default = if endpoint.is_tls() { 443 } else { 80 };
    let authority = match url.port_or_known_default() {
        Some(port) if port != default => format!("{}:{port}", url.host_str().unwrap()),
        Some(_) | None => url.host_str().unwrap().to_owned(),
    };
    assert_eq!(endpoint.authority(), authority, "{text:?}");
    assert_eq!(endpoint.is_tls(), url.scheme() == "https", "{text:?}");
    assert_eq!((url.username(), url.password()), ("", None), "{text:?}");
    assert_eq!(
        (url.path(), url.query(), url.fragment()),
        ("/", None, None),
        "{text:?}"
    );
    // The shown URL is the one that is called.
    assert_eq!(
        Endpoint::parse(Destination::Cams, &endpoint.to_string(), insecure),
        Ok(endpoint.clone()),
        "{text:?}"
    );
    let host = url.host_str().unwrap();
    if endpoint.is_loopback() {
        assert!(insecure, "{text:?}");
    } else {
        assert!(endpoint.is_tls() && url.port().is_none(), "{text:?}");
        assert!(
            host.starts_with("cams.") && host.ends_with(".aliyuncs.com"),
            "{text:?}"
        );
        assert_eq!(host.split('.').count(), 4, "{text:?}");
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn the_client_would_call_the_host_that_was_checked(url in a_url(), insecure in any::<bool>()) {
        agree(&url, insecure);
    }

    #[test]
    fn any_text_is_an_endpoint_or_refused(text in any_text(), insecure in any::<bool>()) {
        agree(&text, insecure);
        agree(&format!("https://{text}"), insecure);
    }

    #[test]
    fn no_address_of_this_machine_or_its_link_serves(bits in any::<u32>(), wide in any::<u128>(), prefix in any::<u16>()) {
        let v4 = Ipv4Addr::from(bits);
        let near = is_near(v4);
        prop_assert!(!(near && may_serve(IpAddr::V4(v4))), "{v4}");
        // The same address in the forms in which IPv6 embeds it.
        for wrapped in [
            v4.to_ipv6_mapped(),
            Ipv6Addr::from((0x0064_ff9b_u128 << 96) | u128::from(bits)),
            Ipv6Addr::from((0x2002_u128 << 112) | (u128::from(bits) << 80) | 1),
        ] {
            prop_assert_eq!(may_serve(IpAddr::V6(wrapped)), may_serve(IpAddr::V4(v4)), "{}", wrapped);
        }
        let v6 = Ipv6Addr::from((u128::from(prefix) << 112) | (wide >> 16));
        let near = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast()
            || v6.is_unicast_link_local();
        prop_assert!(!(near && may_serve(IpAddr::V6(v6))), "{v6}");
    }
}

fn is_near(v4: Ipv4Addr) -> bool {
    v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_unspecified()
}

/// Every block of 65,536 addresses.
#[test]
fn no_near_block_of_ipv4_serves() {
    let mut serving = 0;
    for block in 0..=u16::MAX {
        let [a, b] = block.to_be_bytes();
        let v4 = Ipv4Addr::new(a, b, 113, 1);
        let serves = may_serve(IpAddr::V4(v4));
        assert!(!(is_near(v4) && serves), "{v4}");
        serving += u32::from(serves);
    }
    // Most of the internet is allowed.
    assert!(serving > u32::from(u16::MAX) * 8 / 10, "{serving}");
}
