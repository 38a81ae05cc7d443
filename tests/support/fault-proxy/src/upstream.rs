//! The API server behind the proxy, and the proxy's identity towards clients.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::error::{Cut, Error};

/// The target of requests, and the proxy's own identity.
#[derive(Clone)]
pub struct Upstream {
    /// `https://127.0.0.1:PORT` of the API server.
    pub url: String,
    /// The CA that signed its certificate.
    pub ca_pem: String,
    /// A certificate for 127.0.0.1 that the proxy's clients trust.
    pub cert_pem: String,
    pub key_pem: String,
}

/// Headers that are for one connection only, or that the proxy sets itself. Without
/// `accept-encoding` no reply comes compressed.
const NOT_PASSED: [HeaderName; 8] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::ACCEPT_ENCODING,
    header::TE,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// A request as it is forwarded.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Client of the API server. Connections are kept; a request is never sent twice.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
}

impl Server {
    pub(crate) fn new(upstream: &Upstream) -> Result<Self, Error> {
        let ca = CertificateDer::from_pem_slice(upstream.ca_pem.as_bytes())
            .map_err(Error::setup("CA certificate"))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca).map_err(Error::setup("CA certificate"))?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::setup("TLS"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                // Only a request of which no byte was written goes to another connection.
                .retry_canceled_requests(true)
                .build(connector),
            url: upstream.url.trim_end_matches('/').to_owned(),
        })
    }

    /// Forwards.
    pub(crate) async fn send(&self, call: Call) -> Result<Response<Incoming>, Cut> {
        let uri: Uri = format!("{}{}", self.url, call.uri)
            .parse()
            .map_err(|_| Cut)?;
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = passed(&call.headers);
        self.client.request(request).await.map_err(|_| Cut)
    }
}

/// The headers that are passed on, in either direction.
pub(crate) fn passed(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in NOT_PASSED {
        headers.remove(name);
    }
    headers
}

/// TLS towards clients.
pub(crate) fn acceptor(upstream: &Upstream) -> Result<TlsAcceptor, Error> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(upstream.cert_pem.as_bytes()).collect();
    let chain = chain.map_err(Error::setup("certificate"))?;
    let key =
        PrivateKeyDer::from_pem_slice(upstream.key_pem.as_bytes()).map_err(Error::setup("key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::setup("TLS"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Error::setup("certificate"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
