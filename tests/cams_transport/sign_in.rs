//! The sign-in on real sockets: what STS and the metadata service get, and which replies become a
//! key.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use phone_migration_operator::cams::credentials::SessionKey;
use phone_migration_operator::cams::sts::{
    AssumeRole, Fault, Identity, Login, MetadataClient, OidcRole, SignIn, Sources, StsClient,
};
use phone_migration_operator::cams::{
    ClientError, ClientOptions, CredentialSource, Credentials, Destination, Endpoint,
};
use phone_migration_operator::secret::Secret;
use rustls::pki_types::CertificateDer;

use crate::server::{Script, Server, date, http};

const ROLE: &str = "acs:ram::1:role/phmig";
const OTHER: &str = "acs:ram::2:role/cams";
const OIDC_TOKEN: &str = "eyJhbGciOi.eyJjYW5hcnki.c2ln-_canary";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

/// Secrets of the requests, and signs of a URL.
const CANARIES: [&str; 6] = [
    OIDC_TOKEN,
    "STS.canaryid",
    "canarysecretofsts",
    "CAIScanary",
    "127.0.0.1",
    "Signature=",
];

pub fn sts(url: &str) -> StsClient {
    let endpoint = Endpoint::parse(Destination::Sts, url, true).unwrap();
    StsClient::new(endpoint, ClientOptions::default()).unwrap()
}

pub fn first_key() -> Credentials {
    Credentials {
        access_key_id: "STS.canaryid".to_owned(),
        access_key_secret: Secret::new("canarysecretofsts".to_owned()),
        security_token: Some(Secret::new("CAIScanary/to+ken==".to_owned())),
    }
}

pub fn metadata(url: &str) -> MetadataClient {
    let endpoint = Endpoint::parse(Destination::Metadata, url, true).unwrap();
    MetadataClient::new(endpoint).unwrap()
}

fn login(url: &str, token_file: &Path, then: Option<&str>) -> Login {
    let sign_in = SignIn {
        identity: Identity::Oidc(OidcRole {
            role_arn: ROLE.to_owned(),
            provider_arn: "acs:ram::1:oidc-provider/ack".to_owned(),
            token_file: token_file.to_owned(),
        }),
        assume_role: then.map(|role_arn| AssumeRole {
            role_arn: role_arn.to_owned(),
            external_id: None,
        }),
        session_name: "me".to_owned(),
    };
    let sources = Sources {
        key: || CredentialSource::environment(|_| None),
        metadata: || Err::<MetadataClient, &str>("not of this identity"),
    };
    Login::new(&sign_in, sources, sts(url)).unwrap_or_else(|why| panic!("{why}"))
}

/// One exchange of the usual token at this server.
async fn exchange(server: &Server, then: Option<&str>) -> Result<SessionKey, Fault> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), OIDC_TOKEN).unwrap();
    let round = login(&server.url(), file.path(), then).exchange().await;
    round.key.map(|(key, _)| key)
}

/// The fault of an exchange, after a search of its texts.
async fn fault(server: &Server, then: Option<&str>) -> Fault {
    let Err(fault) = exchange(server, then).await else {
        panic!("this is no key");
    };
    let shown = format!("{fault} {fault:?} {}", fault.code());
    for canary in CANARIES {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
    fault
}

/// A key that lives so long by the clock of STS, which shows `now`.
fn key_of(now: Timestamp, life: SignedDuration) -> Script {
    let body = format!(
        r#"{{"RequestId":"R-1","Credentials":{{"AccessKeyId":"STS.canaryid","AccessKeySecret":"canarysecretofsts","SecurityToken":"CAIScanary/to+ken==","Expiration":"{}"}}}}"#,
        now + life
    );
    Script::Reply(http(200, &[("Date", &date(now))], &body))
}

fn key() -> Script {
    // Whole seconds, as in `Date`.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    key_of(now, SignedDuration::from_hours(1))
}

/// The bodies of the requests, in order.
async fn forms(server: &Server, count: usize) -> Vec<String> {
    let all = server.ended(count).await;
    assert_eq!(all.len(), count);
    let form = |text: String| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    all.iter().map(|c| form(c.text())).collect()
}

#[tokio::test]
async fn only_the_last_exchange_of_a_chain_sends_the_policy() {
    let server = Server::start(vec![key()]).await;
    assert!(exchange(&server, Some(OTHER)).await.is_ok());
    let chain = forms(&server, 2).await;
    assert!(chain[0].contains("OIDCToken=") && !chain[0].contains("Policy"));
    assert!(chain[1].contains("role%2Fcams") && chain[1].contains("&Policy="));

    let server = Server::start(vec![key()]).await;
    assert!(exchange(&server, None).await.is_ok());
    let alone = forms(&server, 1).await;
    assert!(alone[0].contains("OIDCToken=") && alone[0].contains("&Policy="));
}

#[tokio::test]
async fn each_exchange_reads_the_token_anew() {
    let server = Server::start(vec![key()]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let login = login(&server.url(), file.path(), None);
    for token in ["first.to.ken", "second.to.ken"] {
        fs::write(file.path(), token).unwrap();
        assert!(login.exchange().await.key.is_ok());
    }
    let sent = forms(&server, 2).await;
    assert!(sent[0].contains("OIDCToken=first.to.ken&"), "{sent:?}");
    assert!(sent[1].contains("OIDCToken=second.to.ken&"), "{sent:?}");
    // Without a token the operator sends nothing.
    fs::remove_file(file.path()).unwrap();
    let round = login.exchange().await;
    assert!(round.made.is_empty() && matches!(round.key, Err(Fault::Token(_))));
    assert_eq!(server.connections().len(), 2);
}

#[tokio::test]
async fn an_echo_of_an_exchange_is_scrubbed() {
    let refusal = |code: &str, message: &str| {
        let body = format!(r#"{{"RequestId":"R-1","Code":"{code}","Message":"{message}"}}"#);
        Script::Reply(http(400, &[], &body))
    };
    let shown = |fault: &Fault| match fault {
        Fault::Refused { code, message, .. } => (code.clone(), message.clone().unwrap()),
        other => panic!("{other:?}"),
    };
    // A token has no sign that a `Code` may not have.
    let echo = refusal(OIDC_TOKEN, &format!("<{OIDC_TOKEN}>"));
    let server = Server::start(vec![echo]).await;
    let refused = shown(&fault(&server, None).await);
    assert_eq!(refused, ("***".to_owned(), "<***>".to_owned()));

    let echo = refusal(
        "X.STS.canaryid",
        "<STS.canaryid> <canarysecretofsts> <CAIScanary/to+ken==> <CAIScanary%2Fto%2Bken%3D%3D>",
    );
    let server = Server::start(vec![key(), echo]).await;
    let refused = shown(&fault(&server, Some(OTHER)).await);
    let hidden = "<***> <***> <***> <***>".to_owned();
    assert_eq!(refused, ("X.***".to_owned(), hidden));

    // The whole request, of which a message shows the beginning.
    let server = Server::start(vec![Script::Echo]).await;
    fault(&server, None).await;
}

#[tokio::test]
async fn a_lost_exchange_is_no_key_and_shows_no_url() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"Credentials\":{".to_vec();
    let large = http(200, &[], &"x".repeat(70_000));
    for lost in [
        Script::Close,
        Script::ReplyAndClose(half),
        Script::ReplyAndClose(large),
    ] {
        // The second exchange has a signature and a token in its URL.
        let server = Server::start(vec![key(), lost]).await;
        let fault = fault(&server, Some(OTHER)).await;
        assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
        assert_eq!(server.ended(2).await.len(), 2, "it is not repeated");
    }
}

#[tokio::test]
async fn a_reply_that_sts_does_not_give_is_no_key() {
    let Script::Reply(whole) = key() else {
        panic!("a reply");
    };
    let whole = String::from_utf8(whole).unwrap();
    let body = whole.split_once("\r\n\r\n").unwrap().1;
    let cut = |at: usize| body.get(..at).unwrap();
    let without_end = body.replace("\"Expiration\":", "\"Expires\":");
    let bad_end = body.replace("\"Expiration\":\"", "\"Expiration\":\"soon ");
    for (status, body) in [
        (200, ""),
        (200, "<html>"),
        (200, "{}"),
        (200, cut(body.len() / 2)),
        (200, cut(body.len() - 1)),
        (200, &without_end),
        (200, &bad_end),
        (201, body),
        (500, body),
    ] {
        let server = Server::start(vec![Script::Reply(http(status, &[], body))]).await;
        assert_eq!(
            fault(&server, None).await,
            Fault::NotTheApi(status),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_clock_of_sts_measures_the_life_of_a_key() {
    let long_ago: Timestamp = "2015-04-09T11:00:00Z".parse().unwrap();
    let server = Server::start(vec![key_of(long_ago, SignedDuration::from_hours(1))]).await;
    let key = exchange(&server, None).await.ok().unwrap();
    assert_eq!(key.life.end - key.life.begin, Duration::from_secs(3600));
    // Counted from before the request: the way of the reply makes no key live longer.
    assert!(key.life.begin <= server.connections()[0].first_byte.unwrap());

    for life in [0, -1] {
        let ended = key_of(long_ago, SignedDuration::from_secs(life));
        let server = Server::start(vec![ended]).await;
        assert_eq!(fault(&server, None).await, Fault::Ended);
    }
}

#[tokio::test]
async fn a_silent_service_is_given_up() {
    let server = Server::start(vec![Script::Silent]).await;
    let before = Instant::now();
    let (fault, metadata) = (fault(&server, None), metadata(&server.url()));
    let both = async {
        tokio::join!(fault, async {
            let key = metadata.key(None).await;
            assert!((2..5).contains(&before.elapsed().as_secs()));
            key
        })
    };
    let given_up = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (fault, key) = given_up.expect("both have a deadline");
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
    assert!(matches!(key, Err(Fault::NoMetadata(_))));
    let took = before.elapsed();
    assert!((10..15).contains(&took.as_secs()), "{took:?}");
}

/// With 307 and 308 a client repeats the request and its secrets elsewhere.
#[tokio::test]
async fn a_sign_in_is_not_redirected() {
    let second = Server::start(vec![key()]).await;
    for status in [302, 307, 308] {
        let location = second.url();
        let redirect = Script::Reply(http(status, &[("Location", &location)], ""));
        let first = Server::start(vec![redirect]).await;
        assert_eq!(fault(&first, None).await, Fault::NotTheApi(status));
        let key = metadata(&first.url()).key(None).await;
        assert_eq!(key.err(), Some(Fault::NotTheMetadata(status)));
    }
    assert!(second.connections().is_empty());
}

#[test]
fn extra_roots_are_not_for_the_real_sts() {
    let real = "https://sts.aliyuncs.com";
    let endpoint = Endpoint::parse(Destination::Sts, real, true).unwrap();
    let options = ClientOptions {
        extra_roots: vec![CertificateDer::from(vec![0])],
    };
    let client = StsClient::new(endpoint, options);
    assert!(matches!(client, Err(ClientError::ExtraRoots)));
}

fn text(body: &str) -> Script {
    Script::Reply(http(200, &[], body))
}

/// A service without hardened mode, or one that hides it: no request without a token follows.
#[tokio::test]
async fn without_a_token_the_metadata_service_is_not_asked_for_a_key() {
    for refusal in [
        Script::Reply(http(403, &[], "")),
        Script::Reply(http(404, &[], "")),
        Script::Reply(http(405, &[], "")),
        Script::Close,
        text(""),
        text("two words"),
    ] {
        let server = Server::start(vec![refusal, text("phmig"), text("{}")]).await;
        assert!(metadata(&server.url()).key(None).await.is_err());
        let asked = server.ended(1).await;
        assert_eq!(asked.len(), 1);
        assert!(asked[0].text().starts_with("PUT /latest/api/token "));
    }
}

#[tokio::test]
async fn the_clock_of_the_metadata_service_measures_the_life_of_its_key() {
    let now: Timestamp = "2015-04-09T11:00:00Z".parse().unwrap();
    let body = r#"{"Code":"Success","AccessKeyId":"STS.a","AccessKeySecret":"b","SecurityToken":"c","Expiration":"2015-04-09T17:00:00Z"}"#;
    let key = Script::Reply(http(200, &[("Date", &date(now))], body));
    let server = Server::start(vec![text("to.ken"), key]).await;
    let issued = metadata(&server.url())
        .key(Some("phmig"))
        .await
        .ok()
        .unwrap();
    let life = issued.expires.duration_since(issued.now);
    assert_eq!(life, SignedDuration::from_hours(6));
}

/// Its own requests, each with the token; the role's name cannot lead to another path.
#[tokio::test]
async fn the_metadata_service_cannot_choose_the_path() {
    let not_done = r#"{"Code":"Failed","AccessKeyId":"STS.a","AccessKeySecret":"b","SecurityToken":"c","Expiration":"2100-01-01T00:00:00Z"}"#;
    let server = Server::start(vec![text("to.ken"), text("phmig\n"), text(not_done)]).await;
    let key = metadata(&server.url()).key(None).await;
    assert_eq!(key.err(), Some(Fault::NotTheMetadata(200)));
    let asked = server.ended(3).await;
    let start = format!("GET {ROLES}phmig HTTP/1.1\r\n");
    assert!(asked[2].text().starts_with(&start));
    for request in &asked[1..] {
        let request = request.text().to_ascii_lowercase();
        assert!(request.contains("\r\nx-aliyun-ecs-metadata-token: to.ken\r\n"));
    }

    for name in ["../../user-data", "a/b", "a?b", "a\nb", "", "<html>"] {
        let server = Server::start(vec![text("to.ken"), text(name), text("{}")]).await;
        let key = metadata(&server.url()).key(None).await;
        assert_eq!(key.err(), Some(Fault::NoInstanceRole), "{name}");
        assert_eq!(server.ended(2).await.len(), 2, "{name}");
    }
}
