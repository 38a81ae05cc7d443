//! Types that hold a secret cannot be printed, serialised or, if they are for one use, copied.

use std::fmt::{Debug, Display};
use std::marker::PhantomData;

use phone_migration_operator::cams::credentials::{
    CredentialStore, EnvironmentValues, Session, SessionKey,
};
use phone_migration_operator::cams::sign::Unsigned;
use phone_migration_operator::cams::sts::Login;
use phone_migration_operator::cams::sts::reply::Issued;
use phone_migration_operator::cams::sts::request::StsRequest;
use phone_migration_operator::cams::wire::{ApiBody, Reply};
use phone_migration_operator::cams::{
    Cams, CamsConfig, CredentialSource, Credentials, KeySource, SignedRequest,
};
use phone_migration_operator::domain::code::{Code, CodeReading, FingerprintKey, SecretValues};
use phone_migration_operator::operator::state::context::Context;
use phone_migration_operator::secret::Secret;
use serde::Serialize;

/// Asks whether a type has a trait: its own associated constant hides that of `Lacks` exactly where
/// the bound holds.
struct Has<T: ?Sized>(PhantomData<T>);

trait Lacks {
    const DEBUG: bool = false;
    const DISPLAY: bool = false;
    const SERIALIZE: bool = false;
    const CLONE: bool = false;
}

impl<T: ?Sized> Lacks for Has<T> {}

macro_rules! shown_by {
    ($constant:ident, $bound:path) => {
        #[allow(dead_code)]
        impl<T: ?Sized + $bound> Has<T> {
            const $constant: bool = true;
        }
    };
}
shown_by!(DEBUG, Debug);
shown_by!(DISPLAY, Display);
shown_by!(SERIALIZE, Serialize);

#[allow(dead_code)]
impl<T: Clone> Has<T> {
    const CLONE: bool = true;
}

macro_rules! ways {
    ($($type:ty),+ $(,)?) => {
        [$((
            stringify!($type),
            [Has::<$type>::DEBUG, Has::<$type>::DISPLAY, Has::<$type>::SERIALIZE],
        )),+]
    };
}

#[test]
fn t01_nothing_that_holds_a_secret_can_be_printed_or_serialised() {
    let hidden = ways![
        Secret,
        Code,
        CodeReading,
        SecretValues,
        FingerprintKey,
        Credentials,
        EnvironmentValues,
        CredentialSource,
        CredentialStore,
        KeySource,
        Session,
        SessionKey,
        StsRequest,
        Issued,
        Login,
        SignedRequest,
        Unsigned<'static>,
        Reply,
        ApiBody,
        Cams,
        CamsConfig,
        Context,
    ];
    for (name, ways) in hidden {
        assert_eq!(ways, [false; 3], "{name}: Debug, Display, Serialize");
    }
}

#[test]
fn t01_what_is_sent_once_cannot_be_copied() {
    let [request, text] = [Has::<SignedRequest>::CLONE, Has::<String>::CLONE];
    assert_eq!((request, text), (false, true));
}

/// The question itself gets the right answer.
#[test]
fn t01_the_check_tells_who_can() {
    let [(_, text), (_, unit)] = ways![String, ()];
    assert_eq!(text, [true, true, true]);
    assert_eq!(unit, [true, false, true]);
}
