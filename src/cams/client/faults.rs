//! Converts errors of the HTTP stack into errors of the operator.
//!
//! The texts of the stack are never used: a URL with the code and the signature may be at any
//! level. Only types and kinds of errors count.

use std::error::Error;
use std::io;

use super::resolver::NoAddress;
use crate::cams::classify::NotSentCause;

/// Why no connection to the service came about.
pub(in crate::cams) fn connect_fault(
    service: &str,
    error: &(dyn Error + 'static),
) -> (NotSentCause, String) {
    if let Some(NoAddress(text)) = find::<NoAddress>(error) {
        return (NotSentCause::Dns, format!("the {service} endpoint: {text}"));
    }
    if let Some(error) = find::<rustls::Error>(error) {
        let text = format!(
            "TLS with the {service} endpoint failed before anything was sent: {}",
            tls_text(error)
        );
        return (NotSentCause::Tls, text);
    }
    let kind = find::<io::Error>(error).map_or(io::ErrorKind::Other, io::Error::kind);
    let text = format!("no connection to the {service} endpoint: {kind}");
    (NotSentCause::Connect, text)
}

/// How an exchange ended after the gate opened.
pub(in crate::cams) fn exchange_fault(error: &(dyn Error + 'static)) -> String {
    match find::<io::Error>(error) {
        Some(io) => format!(
            "the connection ended before a complete reply: {}",
            io.kind()
        ),
        None => "the connection ended before a complete reply".to_owned(),
    }
}

fn tls_text(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "its certificate is not valid yet; check this machine's clock"
            }
            Certificate::UnknownIssuer => "its certificate is not from a trusted authority",
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            Certificate::Revoked => "its certificate is revoked",
            // A foreign, open enum: the other variants need no text of their own.
            _ => "its certificate is not acceptable",
        },
        rustls::Error::AlertReceived(_) => "it refused the handshake",
        rustls::Error::PeerIncompatible(_) => "it offers no TLS version or cipher that we accept",
        _ => "the handshake broke",
    }
}

/// The first error of type `E` in the chain. An `io::Error` made from another error does not return
/// it as its source, so this function opens it.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
