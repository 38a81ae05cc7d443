//! One request: the steps before forwarding, instead of it, and after it.

use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::error::Cut;
use crate::frames::Pump;
use crate::log::{Log, Request};
use crate::reply::{Reply, Whole, streamed};
use crate::request::{Target, Verb};
use crate::rule::{Action, Core, Rules};
use crate::then::{Answer, Change, Lost, Then};
use crate::upstream::{Call, Server};
use crate::when::Seen;

/// The state that all connections share.
pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) rules: Arc<Rules>,
    pub(crate) log: Log,
}

/// Reads a request, and handles it in its own task: a client that gives up does not take back its
/// request.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<Reply, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    tokio::spawn(logged(shared, head, body))
        .await
        .map_err(|_| Cut)?
}

async fn logged(shared: Arc<Shared>, head: Parts, body: Bytes) -> Result<Reply, Cut> {
    let request = shared.log.begin(entry(&head, &body));
    let uri = head.uri.path_and_query();
    let call = Call {
        uri: uri.map(ToString::to_string).unwrap_or_default(),
        method: head.method,
        headers: head.headers,
        body,
    };
    let outcome = pass(&shared, &request, call).await;
    let status = outcome.as_ref().ok().map(|reply| reply.status().as_u16());
    shared.log.ended(request.seq, status);
    outcome
}

fn entry(head: &Parts, body: &Bytes) -> Request {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let json: Option<Value> = serde_json::from_slice(body).ok();
    Request {
        seq: 0,
        at: Instant::now(),
        target: Target::of(head.method.as_str(), path, query, json.as_ref()),
        method: head.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: Arc::new(json.unwrap_or_default()),
        upstream: None,
        status: None,
        ended: None,
    }
}

async fn pass(shared: &Arc<Shared>, request: &Request, call: Call) -> Result<Reply, Cut> {
    let met = shared.rules.meet(&Seen {
        target: &request.target,
        event: None,
        body: &request.body,
    });
    before(&met, request).await;
    if let Some(done) = instead(&met, request) {
        return done;
    }
    let response = shared.server.send(call).await?;
    let (head, body) = response.into_parts();
    shared.log.answered(request.seq, head.status.as_u16());
    if request.target.verb == Verb::Watch && head.status.is_success() {
        let treatment = after(&met, request).await?;
        if let Some(answer) = &treatment.answer {
            return Ok(Whole::of_answer(answer).into_reply());
        }
        let (sender, pieces) = mpsc::channel(16);
        let pump = Pump::new(Arc::clone(shared), request.clone(), sender, treatment);
        tokio::spawn(pump.run(body));
        return Ok(streamed(head.status, &head.headers, pieces));
    }
    let mut whole = Whole {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.map_err(|_| Cut)?.to_bytes(),
    };
    keep(&met, request, &whole);
    let treatment = after(&met, request).await?;
    if let Some(answer) = &treatment.answer {
        whole = Whole::of_answer(answer);
    }
    whole.body = treatment.changed(whole.body);
    Ok(match treatment.cut_after {
        Some(bytes) => whole.into_cut_reply(bytes),
        None => whole.into_reply(),
    })
}

async fn before(met: &[Arc<Core>], request: &Request) {
    for (core, then) in thens(met) {
        match then {
            Then::Hold => core.hold(|core| core.hit(request, None)).await,
            Then::Before(hook) => {
                hook(request);
                core.hit(request, None);
            }
            Then::Answer(_)
            | Then::Close
            | Then::Replay(_)
            | Then::ErrorEvent { .. }
            | Then::After(_)
            | Then::HoldReply
            | Then::SwallowReply(_)
            | Then::CorruptBody(_)
            | Then::CutBody { .. } => {}
        }
    }
}

/// The reply in place of forwarding, if a rule demands one.
fn instead(met: &[Arc<Core>], request: &Request) -> Option<Result<Reply, Cut>> {
    for (core, then) in thens(met) {
        let done = match then {
            Then::Answer(answer) => Ok(Whole::of_answer(answer)),
            Then::Close => Err(Cut),
            Then::ErrorEvent { code } => Ok(Whole::error_event(*code)),
            Then::Replay(recording) => match recording.reply(&request.path) {
                Some(kept) => Ok(Whole::of_kept(kept)),
                None => continue,
            },
            Then::Hold
            | Then::Before(_)
            | Then::After(_)
            | Then::HoldReply
            | Then::SwallowReply(_)
            | Then::CorruptBody(_)
            | Then::CutBody { .. } => continue,
        };
        core.hit(request, None);
        return Some(done.map(Whole::into_reply));
    }
    None
}

/// The changes to the body of a reply.
#[derive(Default)]
pub(crate) struct Treatment {
    answer: Option<Answer>,
    changes: Vec<Change>,
    pub(crate) cut_after: Option<usize>,
}

impl Treatment {
    pub(crate) fn changed(&self, body: Bytes) -> Bytes {
        self.changes
            .iter()
            .fold(body, |body, change| change(body.into()).into())
    }
}

async fn after(met: &[Arc<Core>], request: &Request) -> Result<Treatment, Cut> {
    let mut treatment = Treatment::default();
    for (core, then) in thens(met) {
        match then {
            Then::HoldReply => {
                core.hold(|core| core.hit(request, None)).await;
                continue;
            }
            Then::After(hook) => hook(request),
            Then::CorruptBody(change) => treatment.changes.push(Arc::clone(change)),
            Then::CutBody { after_bytes } => treatment.cut_after = Some(*after_bytes),
            Then::SwallowReply(Lost::Answer(answer)) => treatment.answer = Some(answer.clone()),
            Then::SwallowReply(Lost::Close) => {
                core.hit(request, None);
                return Err(Cut);
            }
            Then::Hold
            | Then::Before(_)
            | Then::Answer(_)
            | Then::Close
            | Then::Replay(_)
            | Then::ErrorEvent { .. } => continue,
        }
        core.hit(request, None);
    }
    Ok(treatment)
}

fn keep(met: &[Arc<Core>], request: &Request, whole: &Whole) {
    for core in met {
        match &core.action {
            Action::RecordReply(recording) => recording.keep_reply(whole.kept(&request.path)),
            Action::Request(_) | Action::Frame(_) | Action::RecordFrame(_) => {}
        }
    }
}

fn thens(met: &[Arc<Core>]) -> impl Iterator<Item = (&Arc<Core>, &Then)> {
    met.iter().filter_map(|core| match &core.action {
        Action::Request(then) => Some((core, then)),
        Action::Frame(_) | Action::RecordReply(_) | Action::RecordFrame(_) => None,
    })
}
