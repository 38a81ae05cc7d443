//! What is taken for granted of the cloud, and what happens where it is wrong. None of this can
//! be protected against by us; `Guarantees` in the README says so.

use crate::check::{falls, holds, holds_but, stalls};
use crate::properties::{S1, S4B};
use crate::scope::{CLOUD, Cloud, Fault, NonceOrder, Scope};

const REPEATED: [Fault; 1] = [Fault::Repeated];

/// A nonce is remembered for at least as long as its signature is accepted.
#[test]
fn a_nonce_outlives_its_signature() {
    let short = Cloud {
        retention: 0,
        ..CLOUD
    };
    holds("retention as long as validity", Scope::new(1, 1, &REPEATED));
    falls(
        "retention shorter than validity",
        Scope::new(1, 1, &REPEATED).cloud(short),
        S1,
    );
    // One send, once on its way, needs no nonce.
    let kinds = [Fault::Crash, Fault::LostReply];
    holds(
        "shorter, nothing repeated",
        Scope::new(1, 2, &kinds).cloud(short),
    );
}

/// Where the service's clock is behind ours, it accepts a signature for longer: the nonce must
/// be remembered for that much longer.
#[test]
fn a_nonce_outlives_its_signature_by_the_skew_too() {
    let behind = Cloud { behind: 2, ..CLOUD };
    falls(
        "retention without the skew",
        Scope::new(1, 1, &REPEATED).cloud(behind),
        S1,
    );
}

/// If something repeats a request, its nonce is noted before a copy of it is throttled or turned
/// away: "not executed" then holds for every copy.
#[test]
fn a_nonce_is_noted_before_a_request_is_turned_away() {
    let late = Cloud {
        order: NonceOrder::AfterThrottle,
        ..CLOUD
    };
    let kinds = [Fault::Repeated, Fault::Throttle];
    falls(
        "throttled copy of a repeated request",
        Scope::new(1, 2, &kinds).cloud(late),
        S1,
    );
    let once = [Fault::Throttle, Fault::Crash];
    holds(
        "throttled, nothing repeated",
        Scope::new(1, 2, &once).cloud(late),
    );
}

/// A status read shows a verification at the latest when the signature has surely expired. Else
/// a final unknown may have succeeded, and a later look finds it: hourly, or when asked for.
#[test]
fn a_read_shows_a_verification_in_time() {
    let slow = Cloud { lag: 5, ..CLOUD };
    let scope = Scope::new(1, 1, &[Fault::Crash]).cloud(slow);
    falls("a read that lags", scope.clone(), S4B);
    stalls("a read that lags, nobody asks", scope.clone(), &[S4B]);
    holds_but("a read that lags, and is asked for", scope.asking(), &[S4B]);
}

/// A status and the memory of its process are not lost together: only a success is then found,
/// a code that was refused is sent once more.
#[test]
fn status_and_memory_are_not_lost_together() {
    let lost = Scope::new(1, 1, &[Fault::Crash]).wipes(1).adopting();
    falls("status and memory lost", lost, S1);
}
