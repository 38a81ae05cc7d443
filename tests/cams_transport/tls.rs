//! TLS is checked before a byte of the request leaves.

use std::sync::Arc;
use std::time::Instant;

use phone_migration_operator::cams::{
    ClientOptions, DEFAULT_ENDPOINT, Destination, Endpoint, NotSentCause, SignatureVersion, Verdict,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, GeneralSubtree, IsCa, KeyPair,
    NameConstraints, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{OK, Script, Server, http};
use crate::{cams_with, submit};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(change: impl FnOnce(&mut CertificateParams)) -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The texts that the server shows.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn issued(issuer: &Issuer, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Shown {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    Shown {
        chain: vec![certificate.der().clone()],
        key,
    }
}

async fn server(shown: Shown, versions: &[&'static rustls::SupportedProtocolVersion]) -> Server {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(shown.chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let scripts = vec![Script::Reply(http(200, &[], OK))];
    Server::start_with(scripts, Some(TlsAcceptor::from(Arc::new(config)))).await
}

fn trusting(server: &Server, root: Option<&Issuer>) -> phone_migration_operator::cams::Cams {
    let options = ClientOptions {
        extra_roots: root.map(|root| root.der().clone()).into_iter().collect(),
    };
    let url = format!("https://localhost:{}", server.address.port());
    cams_with(&url, SignatureVersion::V1, options)
}

#[tokio::test]
async fn a_good_certificate_is_accepted_with_tls_1_2_and_1_3() {
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    for version in versions {
        let root = authority(|_| {});
        let server = server(issued(&root, &["localhost"], |_| {}), &[version]).await;
        let call = submit(&trusting(&server, Some(&root))).await;
        assert!(matches!(call.answer.verdict, Verdict::Accepted(_)));
        let request = server.ended(1).await.remove(0).text();
        assert!(request.starts_with("POST /?"), "{request}");
    }
}

async fn refused(shown: Shown, root: Option<&Issuer>, because: &str) {
    let server = server(shown, rustls::ALL_VERSIONS).await;
    let call = submit(&trusting(&server, root)).await;
    assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Tls));
    let message = call.answer.message.unwrap();
    assert!(message.contains(because), "{message}");
    assert_eq!((call.admitted, call.timing.opened), (None, None));
    server.got_no_byte().await;
}

#[tokio::test]
async fn bad_certificates_are_refused_before_a_request_byte() {
    let root = authority(|_| {});
    let expired = issued(&root, &["localhost"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    refused(expired, Some(&root), "has expired").await;

    let future = issued(&root, &["localhost"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
    });
    refused(future, Some(&root), "is not valid yet").await;

    let other_name = issued(&root, &["cams.ap-southeast-1.aliyuncs.com"], |_| {});
    refused(other_name, Some(&root), "is for another name").await;

    let stranger = authority(|params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "stranger");
    });
    let unknown = issued(&stranger, &["localhost"], |_| {});
    refused(unknown, Some(&root), "is not from a trusted authority").await;

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let chain = vec![params.self_signed(&key).unwrap().der().clone()];
    refused(Shown { chain, key }, None, "certificate").await;

    let bounded = authority(|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("aliyuncs.com".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let beyond = issued(&bounded, &["localhost"], |_| {});
    refused(beyond, Some(&bounded), "certificate").await;
}

#[tokio::test]
async fn plain_http_behind_an_https_endpoint_is_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        // Answers the ClientHello in plain text.
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, &http(400, &[], "{}")).await;
    });
    let url = format!("https://localhost:{port}");
    let options = ClientOptions::default();
    let call = submit(&cams_with(&url, SignatureVersion::V1, options)).await;
    assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Tls));
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_not_sent_within_three_seconds() {
    // Accepts and never speaks TLS.
    let server = Server::start(vec![Script::Silent]).await;
    let before = Instant::now();
    let call = submit(&trusting(&server, None)).await;
    assert_eq!(call.answer.verdict, Verdict::NotSent(NotSentCause::Connect));
    let took = before.elapsed();
    assert!((3..6).contains(&took.as_secs()), "{took:?}");
    let hello = server.ended(1).await.remove(0).bytes;
    // A TLS record of type handshake, and no byte of the request.
    assert_eq!(hello.first(), Some(&22));
    assert!(!hello.windows(4).any(|window| window == b"POST"));
}

#[test]
fn extra_roots_are_not_for_the_real_service() {
    let root = authority(|_| {});
    let endpoint = Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, true).unwrap();
    let options = ClientOptions {
        extra_roots: vec![root.der().clone()],
    };
    let client = phone_migration_operator::cams::client::Client::new(endpoint, options);
    assert!(client.is_err());
}
