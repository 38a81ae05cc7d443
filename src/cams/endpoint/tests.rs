#![allow(clippy::unwrap_used)]

use super::*;

const REAL: &str = "cams.ap-southeast-1.aliyuncs.com";

fn authority(url: &str, allow_loopback: bool) -> Result<String, EndpointError> {
    Endpoint::parse(Destination::Cams, url, allow_loopback).map(|endpoint| endpoint.authority())
}

#[test]
fn the_urls_of_the_service_are_accepted() {
    let accepted = [
        (DEFAULT_ENDPOINT, REAL),
        ("https://cams.ap-southeast-1.aliyuncs.com/", REAL),
        ("https://cams.ap-southeast-1.aliyuncs.com:443", REAL),
        ("HTTPS://CAMS.AP-SouthEast-1.AliyunCS.com", REAL),
        (
            "https://cams.cn-hangzhou.aliyuncs.com",
            "cams.cn-hangzhou.aliyuncs.com",
        ),
        ("https://cams.ap-southeast-1.aliyuncs.com:0443", REAL),
    ];
    for (url, expected) in accepted {
        for allow in [false, true] {
            assert_eq!(authority(url, allow).as_deref(), Ok(expected), "{url}");
        }
    }
}

#[test]
fn a_loopback_url_is_accepted_with_the_flag_only() {
    let loopback = [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("http://127.255.0.3:1", "127.255.0.3:1"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]"),
        ("http://localhost:65535", "localhost:65535"),
        ("https://localhost:8443", "localhost:8443"),
    ];
    for (url, expected) in loopback {
        let refused = Err(EndpointError::LoopbackNotAllowed);
        assert_eq!(authority(url, false), refused, "{url}");
        assert_eq!(authority(url, true).as_deref(), Ok(expected), "{url}");
    }
}

/// By what is wrong with them.
const REFUSED: [(EndpointError, &[&str]); 6] = [
    (
        EndpointError::Form,
        &[
            "",
            REAL,
            "https:/cams.ap-southeast-1.aliyuncs.com",
            "ftp://cams.ap-southeast-1.aliyuncs.com",
            "file:///etc/passwd",
            " https://cams.ap-southeast-1.aliyuncs.com",
        ],
    ),
    (
        EndpointError::Host,
        &[
            "https://",
            "https://evil.example",
            "https://cams.aliyuncs.com",
            "https://cams..aliyuncs.com",
            "https://cams.a.b.aliyuncs.com",
            "https://cams.-a.aliyuncs.com",
            "https://cams.a-.aliyuncs.com",
            "https://cams.a_b.aliyuncs.com",
            "https://cams.a%62.aliyuncs.com",
            "https://cams.\u{430}p.aliyuncs.com",
            "https://cams.a b.aliyuncs.com",
            "https://cams.a\n.aliyuncs.com",
            "https://cams.ap-southeast-1.aliyuncs.com.",
            "https://cams.ap-southeast-1.aliyuncs.com.evil.example",
            "https://evilcams.ap-southeast-1.aliyuncs.com",
            "https://dysmsapi.ap-southeast-1.aliyuncs.com",
            "https://100.100.100.200",
            "http://169.254.169.254",
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://[::]",
            // Loopback in disguise: not in one of the accepted spellings, so not loopback.
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0177.0.0.1",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.evil.example",
        ],
    ),
    (
        EndpointError::UserInfo,
        &[
            "https://user@cams.ap-southeast-1.aliyuncs.com",
            "https://cams.ap-southeast-1.aliyuncs.com@evil.example",
            "https://u:p@127.0.0.1",
        ],
    ),
    (
        EndpointError::Path,
        &[
            "https://cams.ap-southeast-1.aliyuncs.com/x",
            "https://cams.ap-southeast-1.aliyuncs.com//",
            "https://cams.ap-southeast-1.aliyuncs.com?a=b",
            "https://cams.ap-southeast-1.aliyuncs.com/?a=b",
            "https://cams.ap-southeast-1.aliyuncs.com#f",
            "https://evil.example\\.aliyuncs.com",
            "https://evil.example/cams.ap-southeast-1.aliyuncs.com",
        ],
    ),
    (
        EndpointError::Port,
        &[
            "https://cams.ap-southeast-1.aliyuncs.com:8443",
            "https://cams.ap-southeast-1.aliyuncs.com:80",
            "https://cams.ap-southeast-1.aliyuncs.com:",
            "https://cams.ap-southeast-1.aliyuncs.com:+443",
            "https://cams.ap-southeast-1.aliyuncs.com:99999",
            "https://cams.ap-southeast-1.aliyuncs.com:443:443",
            "http://127.0.0.1:0",
        ],
    ),
    (
        EndpointError::Plaintext,
        &[
            "http://cams.ap-southeast-1.aliyuncs.com",
            "http://cams.ap-southeast-1.aliyuncs.com:443",
        ],
    ),
];

#[test]
fn other_urls_are_refused_with_and_without_the_flag() {
    let long = format!("https://cams.{}.aliyuncs.com", "a".repeat(64));
    let too_long = (EndpointError::Host, &[long.as_str()][..]);
    for (error, urls) in REFUSED.into_iter().chain([too_long]) {
        for url in urls {
            for allow in [false, true] {
                assert_eq!(authority(url, allow), Err(error), "{url} with {allow}");
            }
        }
    }
}

#[test]
fn errors_do_not_repeat_the_url() {
    let urls = [
        "https://user:hunter2@cams.ap-southeast-1.aliyuncs.com",
        "https://cams.ap-southeast-1.aliyuncs.com?key=hunter2",
        "https://hunter2",
        "http://cams.ap-southeast-1.aliyuncs.com:hunter2",
    ];
    for url in urls {
        let error = Endpoint::parse(Destination::Cams, url, false).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn hosts_belong_to_their_destination() {
    let of_sts = [
        "sts.aliyuncs.com",
        "sts.ap-southeast-1.aliyuncs.com",
        "sts-vpc.cn-hangzhou.aliyuncs.com",
    ];
    let of_nobody = [
        "sts-vpc.aliyuncs.com",
        "sts..aliyuncs.com",
        "sts.a.b.aliyuncs.com",
        "sts.-a.aliyuncs.com",
        "xsts.aliyuncs.com",
        "sts.aliyuncs.com.evil.example",
        "sts.evil.example",
        "ram.aliyuncs.com",
        "100.100.100.200",
    ];
    let parse = |destination, host| Endpoint::parse(destination, &format!("https://{host}"), true);
    for host in of_sts {
        let endpoint = parse(Destination::Sts, host).unwrap();
        assert_eq!(
            (endpoint.service(), endpoint.authority()),
            ("STS", host.to_owned())
        );
        assert_eq!(
            parse(Destination::Cams, host),
            Err(EndpointError::Host),
            "{host}"
        );
    }
    for host in of_nobody.into_iter().chain([REAL]) {
        assert_eq!(
            parse(Destination::Sts, host),
            Err(EndpointError::StsHost),
            "{host}"
        );
    }
    assert_eq!(
        Endpoint::parse(Destination::Sts, "http://sts.aliyuncs.com", true),
        Err(EndpointError::Plaintext)
    );
}

#[test]
fn which_addresses_may_serve() {
    let may = [
        "8.8.8.8",
        "47.74.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.199",
        "100.100.100.201",
        "223.255.255.255",
        "2400:3200::1",
        "64:ff9b::808:808",
        "64:ff9b::a00:1",
        "::ffff:8.8.8.8",
        "::ffff:10.0.0.1",
        "2002:808:808::1",
        "fc00::1",
        "fd12:3456::1",
    ];
    let may_not = [
        "0.0.0.0",
        "0.1.2.3",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:100.100.100.200",
        "::ffff:169.254.169.254",
        "64:ff9b::6464:64c8",
        "64:ff9b:1::808:808",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::1",
        "2001::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
    ];
    for ip in may {
        assert!(may_serve(ip.parse().unwrap()), "{ip}");
    }
    for ip in may_not {
        assert!(!may_serve(ip.parse().unwrap()), "{ip}");
    }
}

#[test]
fn each_endpoint_has_its_own_addresses() {
    let real = Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, true).unwrap();
    let test = Endpoint::parse(Destination::Sts, "http://localhost:1", true).unwrap();
    let (public, here) = ("8.8.8.8".parse().unwrap(), "127.0.0.1".parse().unwrap());
    assert!(real.may_connect(public) && !real.may_connect(here));
    assert!(test.may_connect(here) && !test.may_connect(public));
    let sts = Endpoint::parse(Destination::Sts, "https://sts.aliyuncs.com", true).unwrap();
    assert!(sts.may_connect(public) && !sts.may_connect(here));

    let metadata = Endpoint::metadata();
    assert_eq!(metadata.to_string(), "http://100.100.100.200");
    let its_own = "100.100.100.200".parse().unwrap();
    assert!(metadata.may_connect(its_own) && !metadata.may_connect(public));
    assert!(!metadata.may_connect(here) && !real.may_connect(its_own));
    assert!(!sts.may_connect(its_own));
    for url in [
        "http://100.100.100.200",
        "http://169.254.169.254",
        "https://sts.aliyuncs.com",
    ] {
        let named = Endpoint::parse(Destination::Metadata, url, true);
        assert_eq!(named, Err(EndpointError::MetadataHost), "{url}");
    }
}
