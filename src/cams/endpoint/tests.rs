#![allow(clippy::unwrap_used)]

use super::*;

type Expected = Result<&'static str, EndpointError>;

const REAL: &str = "cams.ap-southeast-1.aliyuncs.com";

#[test]
fn urls_accepted_and_refused() {
    use EndpointError as E;
    let long = format!("https://cams.{}.aliyuncs.com", "a".repeat(64));
    // (URL, without the flag, with it)
    let table: &[(&str, Expected, Expected)] = &[
        (DEFAULT_ENDPOINT, Ok(REAL), Ok(REAL)),
        (
            "https://cams.ap-southeast-1.aliyuncs.com/",
            Ok(REAL),
            Ok(REAL),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:443",
            Ok(REAL),
            Ok(REAL),
        ),
        (
            "HTTPS://CAMS.AP-SouthEast-1.AliyunCS.com",
            Ok(REAL),
            Ok(REAL),
        ),
        (
            "https://cams.cn-hangzhou.aliyuncs.com",
            Ok("cams.cn-hangzhou.aliyuncs.com"),
            Ok("cams.cn-hangzhou.aliyuncs.com"),
        ),
        // Form.
        ("", Err(E::Form), Err(E::Form)),
        (REAL, Err(E::Form), Err(E::Form)),
        (
            "https:/cams.ap-southeast-1.aliyuncs.com",
            Err(E::Form),
            Err(E::Form),
        ),
        (
            "ftp://cams.ap-southeast-1.aliyuncs.com",
            Err(E::Form),
            Err(E::Form),
        ),
        ("file:///etc/passwd", Err(E::Form), Err(E::Form)),
        (
            " https://cams.ap-southeast-1.aliyuncs.com",
            Err(E::Form),
            Err(E::Form),
        ),
        ("https://", Err(E::Host), Err(E::Host)),
        // User information.
        (
            "https://user@cams.ap-southeast-1.aliyuncs.com",
            Err(E::UserInfo),
            Err(E::UserInfo),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com@evil.example",
            Err(E::UserInfo),
            Err(E::UserInfo),
        ),
        ("https://u:p@127.0.0.1", Err(E::UserInfo), Err(E::UserInfo)),
        // Path, query, fragment.
        (
            "https://cams.ap-southeast-1.aliyuncs.com/x",
            Err(E::Path),
            Err(E::Path),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com//",
            Err(E::Path),
            Err(E::Path),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com?a=b",
            Err(E::Path),
            Err(E::Path),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com/?a=b",
            Err(E::Path),
            Err(E::Path),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com#f",
            Err(E::Path),
            Err(E::Path),
        ),
        (
            "https://evil.example\\.aliyuncs.com",
            Err(E::Path),
            Err(E::Path),
        ),
        (
            "https://evil.example/cams.ap-southeast-1.aliyuncs.com",
            Err(E::Path),
            Err(E::Path),
        ),
        // Hosts.
        ("https://evil.example", Err(E::Host), Err(E::Host)),
        ("https://cams.aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams..aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams.a.b.aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams.-a.aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams.a-.aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams.a_b.aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams.a%62.aliyuncs.com", Err(E::Host), Err(E::Host)),
        (
            "https://cams.\u{430}p.aliyuncs.com",
            Err(E::Host),
            Err(E::Host),
        ),
        ("https://cams.a b.aliyuncs.com", Err(E::Host), Err(E::Host)),
        ("https://cams.a\n.aliyuncs.com", Err(E::Host), Err(E::Host)),
        (
            "https://cams.ap-southeast-1.aliyuncs.com.",
            Err(E::Host),
            Err(E::Host),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com.evil.example",
            Err(E::Host),
            Err(E::Host),
        ),
        (
            "https://evilcams.ap-southeast-1.aliyuncs.com",
            Err(E::Host),
            Err(E::Host),
        ),
        (
            "https://dysmsapi.ap-southeast-1.aliyuncs.com",
            Err(E::Host),
            Err(E::Host),
        ),
        (&long, Err(E::Host), Err(E::Host)),
        ("https://100.100.100.200", Err(E::Host), Err(E::Host)),
        ("http://169.254.169.254", Err(E::Host), Err(E::Host)),
        ("http://10.0.0.1", Err(E::Host), Err(E::Host)),
        ("http://0.0.0.0", Err(E::Host), Err(E::Host)),
        ("http://[::]", Err(E::Host), Err(E::Host)),
        // Loopback in disguise: not in one of the accepted spellings, so not loopback.
        ("http://127.1", Err(E::Host), Err(E::Host)),
        ("http://2130706433", Err(E::Host), Err(E::Host)),
        ("http://0x7f000001", Err(E::Host), Err(E::Host)),
        ("http://0177.0.0.1", Err(E::Host), Err(E::Host)),
        ("http://[::ffff:127.0.0.1]", Err(E::Host), Err(E::Host)),
        ("http://localhost.evil.example", Err(E::Host), Err(E::Host)),
        // Ports.
        (
            "https://cams.ap-southeast-1.aliyuncs.com:8443",
            Err(E::Port),
            Err(E::Port),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:80",
            Err(E::Port),
            Err(E::Port),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:",
            Err(E::Port),
            Err(E::Port),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:0443",
            Ok(REAL),
            Ok(REAL),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:+443",
            Err(E::Port),
            Err(E::Port),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:99999",
            Err(E::Port),
            Err(E::Port),
        ),
        (
            "https://cams.ap-southeast-1.aliyuncs.com:443:443",
            Err(E::Port),
            Err(E::Port),
        ),
        ("http://127.0.0.1:0", Err(E::Port), Err(E::Port)),
        // Plain http.
        (
            "http://cams.ap-southeast-1.aliyuncs.com",
            Err(E::Plaintext),
            Err(E::Plaintext),
        ),
        (
            "http://cams.ap-southeast-1.aliyuncs.com:443",
            Err(E::Plaintext),
            Err(E::Plaintext),
        ),
        // Loopback.
        (
            "http://127.0.0.1:8080",
            Err(E::LoopbackNotAllowed),
            Ok("127.0.0.1:8080"),
        ),
        (
            "http://127.0.0.1",
            Err(E::LoopbackNotAllowed),
            Ok("127.0.0.1"),
        ),
        (
            "http://127.0.0.1:80/",
            Err(E::LoopbackNotAllowed),
            Ok("127.0.0.1"),
        ),
        (
            "http://127.255.0.3:1",
            Err(E::LoopbackNotAllowed),
            Ok("127.255.0.3:1"),
        ),
        (
            "http://[::1]:8080",
            Err(E::LoopbackNotAllowed),
            Ok("[::1]:8080"),
        ),
        ("http://[::1]", Err(E::LoopbackNotAllowed), Ok("[::1]")),
        (
            "http://localhost:65535",
            Err(E::LoopbackNotAllowed),
            Ok("localhost:65535"),
        ),
        (
            "https://localhost:8443",
            Err(E::LoopbackNotAllowed),
            Ok("localhost:8443"),
        ),
    ];
    for (url, strict, relaxed) in table {
        for (allow, expected) in [(false, strict), (true, relaxed)] {
            let parsed = Endpoint::parse(Destination::Cams, url, allow);
            let authority = parsed.as_ref().map(Endpoint::authority).map_err(|e| *e);
            assert_eq!(
                authority.as_deref().map_err(|e| *e),
                *expected,
                "{url} with the flag {allow}"
            );
            if let Ok(endpoint) = parsed {
                // The parser of the HTTP client sees the same host and nothing else.
                let url = reqwest::Url::parse(&endpoint.to_string()).unwrap();
                let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
                assert_eq!(
                    format!("{}{port}", url.host_str().unwrap()),
                    endpoint.authority()
                );
                assert_eq!(url.path(), "/");
                assert!(endpoint.is_tls() || endpoint.is_loopback());
            }
        }
    }
    assert!(table.len() >= 30);
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
