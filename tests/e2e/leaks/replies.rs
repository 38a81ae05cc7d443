//! Replies of CAMS that say too much, or that are not the API's.

use harness::cams_simulator::Answer;

use super::canary::{Canary, next_read, sends};
use super::*;

/// Resources without a fault are numbered from here.
pub const CALM: usize = 100;

const JSON: &str = "application/json;charset=utf-8";

/// An answer in the API's shape, of resource `n`.
fn api(canary: &Canary, n: usize, status: u16, code: String) -> Answer {
    Answer::Api {
        refusal: Refusal::new(status, code, canary.echo(n)),
    }
}

fn raw(status: u16, content_type: &str, body: String) -> Answer {
    Answer::Raw {
        status,
        content_type: content_type.into(),
        body,
    }
}

/// The text that a careless service repeats of resource `n`, as a string in JSON.
fn quoted(canary: &Canary, n: usize) -> String {
    Value::from(canary.echo(n)).to_string()
}

/// The fault of the only call of resource `n`, and the resource's end.
fn unlucky(canary: &Canary) -> Vec<(Fault, &'static str)> {
    let executed = |answer| Fault::answer(Stage::Executed, answer);
    let instead = |answer| Fault::answer(Stage::Counted, answer);
    let refused = |n, status, code: String| instead(api(canary, n, status, code));
    let body = |status, content_type, body| instead(raw(status, content_type, body));
    let echo = |n| quoted(canary, n);
    let named = |word: &str, what: String| format!("{word}.{what}");
    let message = Fault::Message {
        text: canary.echo(0),
    };
    let hidden = api(canary, 1, 200, named("InvalidVerifyCode", canary.code(1)));
    let redirect = Answer::Redirect {
        url: format!("http://127.0.0.1:9/?{}", canary.code(9)),
    };
    let other_phone = Fault::OtherPhone {
        phone: canary.phone(12),
    };
    let deep = format!("{}{}", "[".repeat(20_000), echo(7));
    let half = format!("{{\"Code\":{}", echo(8));
    vec![
        (message, "Verified"),
        (executed(hidden), "Verified"),
        (
            refused(2, 200, "VerifyCode.Mismatch".into()),
            "CodeRejected",
        ),
        (
            refused(3, 400, named("InvalidParameter", canary.phone(3))),
            "RequestRejected",
        ),
        (refused(4, 500, "InternalError".into()), "OutcomeUnknown"),
        (body(200, "text/html", canary.echo(5)), "OutcomeUnknown"),
        (body(502, JSON, echo(6)), "OutcomeUnknown"),
        (body(200, JSON, deep), "OutcomeUnknown"),
        (body(200, JSON, half), "OutcomeUnknown"),
        (instead(redirect), "OutcomeUnknown"),
        (executed(Answer::Huge { bytes: 50 << 20 }), "Verified"),
        (other_phone, "Verified"),
        (Fault::reset(Stage::Received), "OutcomeUnknown"),
        (Fault::half_reply(), "Verified"),
        (Fault::nonce_used(Stage::Counted), "OutcomeUnknown"),
        (Fault::blackhole(Stage::Counted), "OutcomeUnknown"),
    ]
}

/// Lets a resource meet each of them.
pub async fn replies(world: &World, canary: &Canary) {
    let table = unlucky(canary);
    // The last takes longest.
    for (n, (unlucky, wanted)) in table.iter().enumerate().rev() {
        world.next_call_of(&canary.phone(n), unlucky.clone());
        // The pre-read and the read before a refusal is shown repeat too much as well.
        if wanted.ends_with("Rejected") {
            let read = Fault::answer(Stage::Received, raw(200, JSON, quoted(canary, n)));
            for _ in 0..2 {
                next_read(world, &canary.phone(n), read.clone());
            }
        }
        let name = format!("reply-{n}");
        sends(world, canary, &name, n).await;
        // Three in a row would trip the circuit breaker.
        if *unlucky != Fault::blackhole(Stage::Counted) {
            let told = |status: &Value| status["attempt"]["outcome"].is_string();
            world.until_status(&name, told).await;
        }
        let calm = format!("calm-{n}");
        sends(world, canary, &calm, CALM + n).await;
        reason(world, &calm, "Verified").await;
    }
    for (n, (_, wanted)) in table.iter().enumerate() {
        let ended = |status: &Value| {
            harness::reason(status) == *wanted && condition(status, "Finished") == "True"
        };
        let name = format!("reply-{n}");
        world.until_status(&name, ended).await;
    }
}
