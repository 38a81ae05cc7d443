#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;
use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use jiff::Timestamp;
use tokio::net::TcpListener;
use tower::{BoxError, Layer as _, Service};

use super::*;
use crate::cams::credentials::Credentials;
use crate::cams::endpoint::{DEFAULT_ENDPOINT, Destination};
use crate::cams::sign::{SignatureVersion, Unsigned};
use crate::cams::{Action, Target};
use crate::secret::Secret;

fn request() -> SignedRequest {
    SignatureVersion::V1.signer().sign(&Unsigned {
        credentials: &Credentials {
            access_key_id: "id".to_owned(),
            access_key_secret: Secret::new("secret".to_owned()),
            security_token: None,
        },
        host: "h",
        action: Action::GetPhoneNumberVerificationStatus,
        target: Target {
            cust_space_id: "1",
            phone_number: "8613800001234",
        },
        code: None,
        nonce: "00",
        timestamp: Timestamp::UNIX_EPOCH,
    })
}

/// The real endpoint, with the test's own lookup.
fn client(lookup: Lookup) -> Client {
    let endpoint = Endpoint::parse(Destination::Cams, DEFAULT_ENDPOINT, false).unwrap();
    let mut client = Client::new(endpoint, ClientOptions::default()).unwrap();
    client.lookup = lookup;
    client
}

fn cause(exchange: Exchange<()>) -> NotSentCause {
    match exchange.sent {
        Err(SendError::NotSent(cause, _)) => cause,
        Err(SendError::Unknown(..)) | Ok(_) => panic!("something may have been sent"),
    }
}

#[tokio::test]
async fn a_name_that_means_this_machine_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let looked_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked_up);
    let lookup: Lookup = Arc::new(move |name| {
        assert_eq!(name, "cams.ap-southeast-1.aliyuncs.com");
        count.fetch_add(1, Ordering::Relaxed);
        // The client ignores the port of the answer, but a listener there would notice a
        // connection.
        Box::pin(ready(Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])))
    });
    let exchange = client(lookup).send(request(), || ready(Ok(()))).await;
    assert_eq!(cause(exchange), NotSentCause::Dns);
    // Looked up once: the client would have connected to the checked address.
    assert_eq!(looked_up.load(Ordering::Relaxed), 1);
    let nobody = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn a_name_without_an_answer_is_not_sent() {
    let failing: Lookup = Arc::new(|_| Box::pin(ready(Err(std::io::Error::other("no such name")))));
    let exchange = client(failing).send(request(), || ready(Ok(()))).await;
    assert_eq!(cause(exchange), NotSentCause::Dns);
    let hanging: Lookup = Arc::new(|_| Box::pin(pending()));
    let exchange = client(hanging).send(request(), || ready(Ok(()))).await;
    assert_eq!(cause(exchange), NotSentCause::Dns);
}

/// A connector that counts its connections.
#[derive(Clone)]
struct Connector(Arc<AtomicUsize>);

impl Service<()> for Connector {
    type Response = usize;
    type Error = BoxError;
    type Future = std::future::Ready<Result<usize, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

#[tokio::test]
async fn the_turnstile_turns_once() {
    let made = Arc::new(AtomicUsize::new(0));
    let (turnstile, handle) = Turnstile::new();
    let mut connector = turnstile.layer(Connector(Arc::clone(&made)));
    let mut copy = connector.clone();
    let first = connector.call(());
    // A retry by any layer, from any copy of the connector, gets no connection.
    assert!(copy.call(()).await.is_err());
    let caller = async {
        handle.connected.await.unwrap();
        handle.go.send(()).unwrap();
        Ok::<_, Infallible>(())
    };
    let (connection, caller) = tokio::join!(first, caller);
    assert_eq!(connection.unwrap(), 1);
    caller.unwrap();
    assert!(connector.call(()).await.is_err());
    assert_eq!(made.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_caller_who_leaves_lets_nothing_pass() {
    let (turnstile, handle) = Turnstile::new();
    let mut connector = turnstile.layer(Connector(Arc::default()));
    let waiting = connector.call(());
    drop(handle);
    assert!(waiting.await.is_err());

    let (turnstile, handle) = Turnstile::new();
    let mut connector = turnstile.layer(Connector(Arc::default()));
    drop(handle.go);
    assert!(connector.call(()).await.is_err());
}
