//! Where the API may be called: the host allow-list, and which addresses a name may mean. PURE.
//!
//! The endpoint comes from the operator's configuration, never from a resource. It is parsed
//! by hand against a grammar much narrower than a URL, so that no two parsers can disagree
//! about its host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Endpoint used when none is configured.
pub const DEFAULT_ENDPOINT: &str = "https://cams.ap-southeast-1.aliyuncs.com";

/// A checked endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    /// Only when it differs from the scheme's own.
    port: Option<u16>,
    loopback: bool,
}

/// Why an endpoint is refused. The text given is not repeated: it could hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `https://host`.
    #[error("the CAMS endpoint is not of the form https://cams.<region>.aliyuncs.com")]
    Form,
    /// A user name or password.
    #[error("the CAMS endpoint must not contain a user name or password")]
    UserInfo,
    /// A path, query or fragment.
    #[error("the CAMS endpoint must not contain a path, query or fragment")]
    Path,
    /// A host that is not on the list.
    #[error("the CAMS endpoint's host must be cams.<region>.aliyuncs.com")]
    Host,
    /// A port other than 443.
    #[error("the CAMS endpoint's port must be 443 or left out")]
    Port,
    /// Plain http to the real service.
    #[error("the CAMS endpoint must use https: the request carries the code and the key id")]
    Plaintext,
    /// Loopback without the flag for it.
    #[error(
        "a loopback CAMS endpoint is for tests: it needs --allow-insecure-endpoint, and no code \
         will reach Alibaba Cloud"
    )]
    LoopbackNotAllowed,
}

impl Endpoint {
    /// Checks `https://cams.<region>.aliyuncs.com`, or with `allow_insecure` also an http or
    /// https URL of this machine (`127.0.0.0/8`, `[::1]`, `localhost`) with any port.
    ///
    /// # Errors
    /// Names the rule that is broken, never the text.
    pub fn parse(url: &str, allow_insecure: bool) -> Result<Self, EndpointError> {
        let (scheme, rest) = url.split_once("://").ok_or(EndpointError::Form)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(EndpointError::Form),
        };
        if rest.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        if authority.contains(['/', '?', '#', '\\']) {
            return Err(EndpointError::Path);
        }
        let (host, port) = split_port(&authority)?;
        if is_loopback_host(host) {
            if !allow_insecure {
                return Err(EndpointError::LoopbackNotAllowed);
            }
            return Ok(Self {
                tls,
                host: host.to_owned(),
                port: port.filter(|port| *port != if tls { 443 } else { 80 }),
                loopback: true,
            });
        }
        if !is_cams_host(host) {
            return Err(EndpointError::Host);
        }
        if !tls {
            return Err(EndpointError::Plaintext);
        }
        if port.is_some_and(|port| port != 443) {
            return Err(EndpointError::Port);
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: None,
            loopback: false,
        })
    }

    /// Host as the `Host` header and the V3 signature name it: with a port only when it is not
    /// the scheme's own.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// True for this machine's own addresses: tests, never the real service.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// True for https.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether a connection to this address may be made for this endpoint: public addresses
    /// for the real service, this machine for a loopback endpoint.
    pub fn may_connect(&self, ip: IpAddr) -> bool {
        if self.loopback {
            ip.is_loopback()
        } else {
            is_public(ip)
        }
    }
}

/// The URL without path.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), EndpointError> {
    // The colons inside `[::1]` are not a port's.
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority.get(host_end..).and_then(|tail| tail.find(':')) else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(host_end + colon);
    let digits = port.strip_prefix(':').unwrap_or_default();
    if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EndpointError::Port);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(EndpointError::Port),
        Ok(port) => Ok((host, Some(port))),
    }
}

fn is_loopback_host(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_cams_host(host: &str) -> bool {
    let region = host
        .strip_prefix("cams.")
        .and_then(|rest| rest.strip_suffix(".aliyuncs.com"));
    region.is_some_and(|region| {
        (1..=63).contains(&region.len())
            && !region.starts_with('-')
            && !region.ends_with('-')
            && region
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

/// Whether an address belongs to the public internet. Everything that could be this machine,
/// its network, or a cloud's metadata service (169.254.169.254, 100.100.100.200) is not, in
/// any of the forms in which IPv6 wraps an IPv4 address.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let reserved = match (a, b, c) {
        (0 | 10 | 127, _, _) => true,
        // Carrier-grade NAT; Alibaba Cloud's metadata and internal services live here.
        (100, 64..=127, _) => true,
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        (192, 168, _) | (192, 0, 0) => true,
        // Documentation, 6to4 relays, benchmarks.
        (192, 0, 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224..=255, _, _) => true,
        _ => false,
    };
    !reserved
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // IPv4-mapped, and NAT64's well-known prefix (the only way out of an IPv6-only cluster).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        // 6to4 wraps an address of IPv4.
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, benchmarks, ORCHID; documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        // Global unicast; everything else is local, multicast or unassigned.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
