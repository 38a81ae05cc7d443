//! The judges: Alibaba Cloud's own clients sign in at the simulator, as the operator does. If the
//! simulator were wrong, they would fail.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};

use go_build::{Programs, required_version};
use harness::cams_simulator::{ASSUME_ROLE, Role, WITH_OIDC};
use harness::{PROVIDER, ROLE};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::chain::OTHER;
use super::*;

/// The program, whose `main.go` says what it reads and prints.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let module = harness::repository().join("tests/support/cams-simulator/tests/sts");
    let of = "github.com/aliyun/credentials-go";
    let dir = required_version(&module, of).and_then(|version| {
        let programs = Programs {
            module: &module,
            cache: "sts",
            version: &version,
            packages: &["."],
            programs: &["sts"],
            sources: &["go.mod", "go.sum", "main.go"],
            linker_flags: "-s -w",
            tags: "",
            takes: "about 15 s on two cores",
            otherwise: "",
        };
        programs.ensure()
    });
    dir.unwrap_or_else(|why| panic!("{why}")).join("sts")
});

struct Judge(Child);

impl Judge {
    fn start(roots: &Path) -> Self {
        let child = Command::new(&*PROGRAM)
            .env_clear()
            .env("SSL_CERT_FILE", roots)
            .env("HOME", roots.parent().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// One order, one answer; then the program ends.
    async fn call(roots: &Path, order: Value) -> Value {
        let mut judge = Self::start(roots);
        let called = tokio::task::spawn_blocking(move || {
            writeln!(judge.0.stdin.take().unwrap(), "{order}").unwrap();
            let mut line = String::new();
            let mut results = BufReader::new(judge.0.stdout.take().unwrap());
            results.read_line(&mut line).unwrap();
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("the judge died of {order}"))
        });
        called.await.unwrap()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// TLS in front of the simulator. Returns its address, and the file of the certificate.
async fn https(world: &World) -> (String, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let roots = world.dir().join("roots.pem");
    std::fs::write(&roots, made.cert.pem()).unwrap();
    let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let behind = world.sim.address();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(behind).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (host, roots)
}

/// Every sign-in, by every client that supports it: the client returns the key that STS issued.
#[tokio::test]
async fn the_clouds_own_clients_sign_in_at_the_simulator() {
    let world = World::new(OPERATOR, "judges").await.unwrap();
    world.rrsa(world.role()).await.unwrap();
    let mut other = Role::new(OTHER)
        .trusting_key(ACCESS_KEY_ID)
        .trusting_key(ROLE);
    world.sim.add_role(other.clone());
    world.sim.set_instance_role(Some(ROLE));
    let (host, roots) = https(&world).await;
    let order = |by: &str, more: Value| {
        let mut order = json!({
            "by": by, "host": host, "url": world.sim.url(), "metadata": world.sim.metadata_url(),
            "role": ROLE, "provider": PROVIDER, "tokenFile": world.token_file(),
        });
        for (name, value) in more.as_object().unwrap() {
            order[name] = value.clone();
        }
        order
    };
    let by_key = json!({"role": OTHER, "key": ACCESS_KEY_ID, "secret": ACCESS_KEY_SECRET});
    for (by, more) in [
        ("credentials oidc", json!({})),
        ("ack oidc", json!({})),
        ("credentials role", by_key.clone()),
        ("ack role", by_key.clone()),
        ("ack ecs", json!({})),
    ] {
        let before = given(&world).len();
        let key = Judge::call(&roots, order(by, more)).await;
        assert_eq!(key["error"], Value::Null, "{by}: {key}");
        let keys = given(&world);
        assert_eq!(keys.len(), before + 1, "{by}");
        let of_it = keys.iter().find(|given| key["id"] == given.id.as_str());
        let of_it = of_it.unwrap();
        assert_eq!(key["secret"], of_it.secret.as_str(), "{by}");
        assert_eq!(key["token"], json!(of_it.token), "{by}");
    }

    // A temporary key assumes the next role; its token is signed too.
    let first = Judge::call(&roots, order("ack oidc", json!({}))).await;
    for by in ["credentials role", "ack role"] {
        let chained = json!({
            "role": OTHER, "key": first["id"], "secret": first["secret"], "token": first["token"],
        });
        let key = Judge::call(&roots, order(by, chained)).await;
        assert_eq!(key["error"], Value::Null, "{by}: {key}");
    }

    // A session policy, and an external ID.
    other.external_id = Some("acme-7f3c".to_owned());
    world.sim.add_role(other);
    let mut with_id = by_key.clone();
    with_id["policy"] = json!(
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"cams:ChatappMigrationVerified","Resource":"*"}]}"#
    );
    let refused = Judge::call(&roots, order("credentials role", with_id.clone())).await;
    assert_says(refused["error"].as_str().unwrap(), &["NoPermission"]);
    with_id["externalId"] = json!("acme-7f3c");
    let key = Judge::call(&roots, order("credentials role", with_id)).await;
    let cut = given(&world)
        .into_iter()
        .find(|given| key["id"] == given.id.as_str());
    let allowed = cut.unwrap().allowed.unwrap();
    assert_eq!(allowed, ["cams:ChatappMigrationVerified"]);

    // The clients report the simulator's errors.
    world.project_token("kubernetes").await.unwrap();
    for by in ["credentials oidc", "ack oidc"] {
        let refused = Judge::call(&roots, order(by, json!({}))).await;
        let error = refused["error"].as_str().unwrap();
        assert_says(error, &["AuthenticationFail.OIDCToken.AudienceNotMatch"]);
    }
    for entry in asked(&world, ASSUME_ROLE) {
        assert_eq!(entry.signature_ok, Some(true));
    }
    assert!(!asked(&world, WITH_OIDC).is_empty());
    world.finish().await.unwrap();
}
