//! Operations as requests to the API server and as rules of the simulator.

use harness::cams_simulator::Answer;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};

use super::op::{CallFault, Op, ReadFault};
use super::rules::{digits, phone};
use super::*;

/// The resource of a number.
pub fn name(n: usize) -> String {
    format!("n{n}")
}

fn secret_name(n: usize) -> String {
    format!("{}-code", name(n))
}

/// The operations of users.
pub async fn people(world: &World, op: &Op, token: &str) {
    let label = json!({"metadata": {"labels": {"n": token}}});
    let code = |n: usize, code: u8| json!({"code": digits(n, code)});
    match op {
        Op::Create { n, suspend } => {
            let spec = json!({"suspend": suspend});
            let migration = Migration::new(name(*n), phone(*n)).spec(spec);
            world.make(&migration).await;
        }
        Op::Delete { n } => world.delete(&name(*n)).await.unwrap(),
        Op::PutCode { n, code: c } => world.secret(&secret_name(*n), code(*n, *c)).await.unwrap(),
        Op::Rotate { n, code: c } => {
            let patch = json!({"stringData": code(*n, *c)});
            world.patch_secret(&secret_name(*n), patch).await.unwrap();
        }
        Op::DropSecret { n } => {
            let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
            let params = DeleteParams::default();
            secrets.delete(&secret_name(*n), &params).await.unwrap();
        }
        Op::LabelSecret { n } => world.patch_secret(&secret_name(*n), label).await.unwrap(),
        Op::Label { n } => drop(world.patch(&name(*n), label).await.unwrap()),
        Op::Suspend { n, on } => world.edit(&name(*n), json!({"suspend": on})).await,
        Op::RetryToken { n } => world.retry(&name(*n), token).await,
        Op::RequestedAt { n } => world.request(&name(*n), token).await.unwrap(),
        _ => unreachable!("not of people: {op:?}"),
    }
}

/// As a rule of the simulator.
pub fn call_fault(fault: CallFault) -> Fault {
    use Stage::{Counted, Executed, Received};
    let html = Answer::Html { status: 502 };
    match fault {
        CallFault::ExecuteThenClose => Fault::close(Executed),
        CallFault::ExecuteThenReset => Fault::reset(Executed),
        CallFault::ExecuteThenHtml => Fault::answer(Executed, Answer::Html { status: 200 }),
        CallFault::ExecuteThenError => Fault::internal_error(Executed),
        CallFault::HalfReply => Fault::half_reply(),
        CallFault::OmitId => Fault::OmitId,
        CallFault::OtherNumber => Fault::OtherPhone {
            phone: "8613999999999".into(),
        },
        CallFault::ExecuteLate => Fault::delay(Counted, 11_000),
        CallFault::ResetBefore => Fault::reset(Received),
        CallFault::CloseBefore => Fault::close(Counted),
        CallFault::HtmlBefore => Fault::answer(Counted, html),
        CallFault::ErrorBefore => Fault::internal_error(Counted),
        CallFault::EmptyObjectBefore => Fault::answer(Counted, Answer::EmptyObject),
        CallFault::NonceUsed => Fault::nonce_used(Counted),
    }
}

/// As a rule of the simulator.
pub fn read_fault(fault: ReadFault) -> Fault {
    match fault {
        ReadFault::Error => Fault::internal_error(Stage::Received),
        ReadFault::Close => Fault::close(Stage::Executed),
        ReadFault::Html => Fault::answer(Stage::Executed, Answer::Html { status: 200 }),
    }
}
