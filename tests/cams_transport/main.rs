//! The clients on real sockets: one send per call, no byte before the gate, no leak.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jiff::Timestamp;
use phone_migration_operator::cams::{
    Answer, Call, Cams, CamsConfig, ClientOptions, CredentialSource, Destination, Endpoint,
    GateClosed, KeySource, SignatureVersion, SignedRequest, Target,
};
use phone_migration_operator::secret::Secret;

mod bodies;
mod faults;
mod gate;
mod reply;
mod server;
mod sign_in;
mod tls;

pub const CODE: &str = "828798";
pub const NUMBER: &str = "8613800001234";
pub const KEY_ID: &str = "LTAIcanarykeyid";
pub const KEY_SECRET: &str = "canarykeysecret0123456789";
pub const TOKEN: &str = "CAIScanary/to+ken==";

pub fn cams_with(url: &str, signature: SignatureVersion, options: ClientOptions) -> Cams {
    let key = CredentialSource::environment(|name| {
        let value = match name {
            "ALIBABA_CLOUD_ACCESS_KEY_ID" => KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET" => KEY_SECRET,
            "ALIBABA_CLOUD_SECURITY_TOKEN" => TOKEN,
            other => panic!("{other} is not a credential"),
        };
        Some(value.to_owned())
    });
    cams_of(url, signature, key.into(), options)
}

pub fn cams_of(
    url: &str,
    signature: SignatureVersion,
    credentials: KeySource,
    options: ClientOptions,
) -> Cams {
    Cams::new(CamsConfig {
        endpoint: Endpoint::parse(Destination::Cams, url, true).unwrap(),
        signature,
        credentials,
        options,
    })
    .unwrap()
}

pub fn cams(url: &str) -> Cams {
    cams_with(url, SignatureVersion::V1, ClientOptions::default())
}

pub fn target() -> Target<'static> {
    Target {
        cust_space_id: "293483938849493",
        phone_number: NUMBER,
    }
}

pub fn signed(cams: &Cams) -> SignedRequest {
    let code = Secret::new(CODE.to_owned());
    let nonce = "3ee8c1b883d344afa94f4e0ad82fd6cf";
    cams.sign_verified(target(), &code, nonce, Timestamp::now())
}

pub async fn open() -> Result<(), GateClosed> {
    Ok(())
}

pub async fn submit(cams: &Cams) -> Call<Answer, ()> {
    let call = cams.submit(signed(cams), open).await;
    assert_nothing_leaks(&call.answer);
    call
}

/// No signed text, no address and no URL in any shown text.
pub fn assert_nothing_leaks(answer: &Answer) {
    let shown = format!("{answer:?}");
    let canaries = [
        CODE,
        NUMBER,
        KEY_ID,
        KEY_SECRET,
        TOKEN,
        "http:",
        "https:",
        "127.0.0.1",
    ];
    for canary in canaries {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}
