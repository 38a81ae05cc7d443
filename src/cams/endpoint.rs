//! Allowed endpoints: a host list for each destination, and the addresses that a name may resolve
//! to. PURE.
//!
//! An endpoint comes from the operator's configuration, never from a resource. This module parses
//! it by hand against a grammar much narrower than a URL, so that no two parsers can disagree about
//! its host.
//!
//! | Destination | Host | Scheme |
//! |---|---|---|
//! | CAMS | `cams.<region>.aliyuncs.com` | https |
//! | STS | `sts.aliyuncs.com`, `sts.<region>.aliyuncs.com`, `sts-vpc.<region>.aliyuncs.com` | https |
//! | metadata of an ECS instance | the literal `100.100.100.200` | plain http only |
//! | tests | this machine | only with `--allow-insecure-endpoint` |
//!
//! Over https the certificate proves the peer, so an address may be private (the endpoints of a VPC
//! are). The client still never connects to an address of this machine, of its link or of a cloud's
//! metadata service: none of them can be the service, so the name was tampered with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// CAMS endpoint used when none is configured.
pub const DEFAULT_ENDPOINT: &str = "https://cams.ap-southeast-1.aliyuncs.com";

/// Address of the metadata service on Alibaba Cloud's instances.
const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// A service that the operator calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The service that codes are submitted to.
    Cams,
    /// The Security Token Service, which gives temporary keys.
    Sts,
    /// The metadata service of the instance that the process runs on.
    Metadata,
}

impl Destination {
    /// Name of the service, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cams => "CAMS",
            Self::Sts => "STS",
            Self::Metadata => "metadata",
        }
    }

    fn has_host(self, host: &str) -> bool {
        let Some(name) = host.strip_suffix(".aliyuncs.com") else {
            return false;
        };
        match self {
            Self::Cams => name.strip_prefix("cams.").is_some_and(is_region),
            Self::Metadata => false,
            Self::Sts => match name.strip_prefix("sts-vpc.") {
                Some(region) => is_region(region),
                None => name == "sts" || name.strip_prefix("sts.").is_some_and(is_region),
            },
        }
    }
}

/// A checked endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    destination: Destination,
    tls: bool,
    host: String,
    /// `None` if it is the default port of the scheme.
    port: Option<u16>,
    loopback: bool,
}

/// Why an endpoint is refused. Never repeats the given text, which could hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not `https://host`.
    #[error("the endpoint is not of the form https://HOST")]
    Form,
    /// A user name or password.
    #[error("the endpoint must not contain a user name or password")]
    UserInfo,
    /// A path, query or fragment.
    #[error("the endpoint must not contain a path, query or fragment")]
    Path,
    /// A host that is not on the list of CAMS.
    #[error("the endpoint's host must be cams.<region>.aliyuncs.com")]
    Host,
    /// A host that is not on the list of STS.
    #[error(
        "the endpoint's host must be sts.<region>.aliyuncs.com or sts-vpc.<region>.aliyuncs.com"
    )]
    StsHost,
    /// A host for the metadata service, whose address is fixed.
    #[error("the metadata service is at 100.100.100.200; only a test names another endpoint")]
    MetadataHost,
    /// A port other than 443.
    #[error("the endpoint's port must be 443 or left out")]
    Port,
    /// Plain http to the real service.
    #[error("the endpoint must use https: what is sent there is secret")]
    Plaintext,
    /// Loopback without the flag for it.
    #[error(
        "a loopback endpoint is for tests: it needs --allow-insecure-endpoint, and nothing will \
         reach Alibaba Cloud"
    )]
    LoopbackNotAllowed,
}

impl Endpoint {
    /// Accepts `https://HOST` with a host of the destination. With `allow_insecure` it also accepts
    /// an http or https URL of this machine (`127.0.0.0/8`, `[::1]`, `localhost`) with any port.
    ///
    /// # Errors
    /// Names the broken rule, never the text.
    pub fn parse(
        destination: Destination,
        url: &str,
        allow_insecure: bool,
    ) -> Result<Self, EndpointError> {
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
                destination,
                tls,
                host: host.to_owned(),
                port: port.filter(|port| *port != if tls { 443 } else { 80 }),
                loopback: true,
            });
        }
        if !destination.has_host(host) {
            return Err(match destination {
                Destination::Cams => EndpointError::Host,
                Destination::Sts => EndpointError::StsHost,
                Destination::Metadata => EndpointError::MetadataHost,
            });
        }
        if !tls {
            return Err(EndpointError::Plaintext);
        }
        if port.is_some_and(|port| port != 443) {
            return Err(EndpointError::Port);
        }
        Ok(Self {
            destination,
            tls,
            host: host.to_owned(),
            port: None,
            loopback: false,
        })
    }

    /// The endpoint of the metadata service.
    pub fn metadata() -> Self {
        Self {
            destination: Destination::Metadata,
            tls: false,
            host: METADATA.to_string(),
            port: None,
            loopback: false,
        }
    }

    /// The service's name, for messages.
    pub fn service(&self) -> &'static str {
        self.destination.name()
    }

    /// Host as in the `Host` header and the V3 signature: with a port only if it is not the default
    /// port of the scheme.
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

    /// True if a client may connect to this address for this endpoint: for a real service any
    /// address that can be the service, for a loopback endpoint this machine.
    pub fn may_connect(&self, ip: IpAddr) -> bool {
        match self.destination {
            Destination::Cams | Destination::Sts if !self.loopback => may_serve(ip),
            Destination::Metadata if !self.loopback => ip == IpAddr::V4(METADATA),
            Destination::Cams | Destination::Sts | Destination::Metadata => ip.is_loopback(),
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
    // The colons inside `[::1]` do not separate a port.
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

fn is_region(region: &str) -> bool {
    (1..=63).contains(&region.len())
        && !region.starts_with('-')
        && !region.ends_with('-')
        && region
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// True if a cloud service may have this address: any public or private unicast address except
/// those of this machine, its link or a metadata service (169.254.169.254, 100.100.100.200), in any
/// form in which IPv6 wraps an IPv4 address.
pub fn may_serve(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => may_serve_v4(ip),
        IpAddr::V6(ip) => may_serve_v6(ip),
    }
}

fn may_serve_v4(ip: Ipv4Addr) -> bool {
    match ip.octets() {
        // This network, this machine, this link.
        [0 | 127, ..] | [169, 254, ..] => false,
        // Alibaba Cloud's metadata service. Other internal services have addresses near it.
        octets if octets == METADATA.octets() => false,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => false,
        _ => true,
    }
}

fn may_serve_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        may_serve_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // IPv4-mapped, and NAT64's well-known prefix (the only way out of an IPv6-only cluster).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        // 6to4 wraps an IPv4 address.
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo wraps one too, but no service uses it.
        [0x2001, 0, ..] => false,
        // The metadata service of another cloud.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => false,
        // Global unicast, and unique local addresses.
        [0x2000..=0x3fff, ..] | [0xfc00..=0xfdff, ..] => true,
        // Everything else is this machine, its link, multicast or unassigned.
        _ => false,
    }
}

#[cfg(test)]
mod tests;
