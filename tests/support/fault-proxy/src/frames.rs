//! One watch: its frames, one JSON object per line, from the API server to the client.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use crate::error::Cut;
use crate::exchange::{Shared, Treatment};
use crate::log::Request;
use crate::request::{Target, Verb};
use crate::rule::{Action, Core};
use crate::then::FrameThen;
use crate::when::Seen;

/// The watch has ended: no more frames are passed on.
struct Ended;

/// Carries the frames of one watch.
pub(crate) struct Pump {
    shared: Arc<Shared>,
    request: Request,
    to: Sender<Result<Bytes, Cut>>,
    treatment: Treatment,
}

impl Pump {
    pub(crate) fn new(
        shared: Arc<Shared>,
        request: Request,
        to: Sender<Result<Bytes, Cut>>,
        treatment: Treatment,
    ) -> Self {
        Self {
            shared,
            request,
            to,
            treatment,
        }
    }

    /// Until either side ends.
    pub(crate) async fn run(mut self, from: Incoming) {
        let client = self.to.clone();
        tokio::select! {
            () = client.closed() => {}
            ended = self.pass(from) => match ended {
                Ok(()) | Err(Ended) => {}
            },
        }
    }

    async fn pass(&mut self, mut from: Incoming) -> Result<(), Ended> {
        let mut rest: Vec<u8> = Vec::new();
        while let Some(piece) = from.frame().await {
            let Ok(piece) = piece else {
                return self.cut().await;
            };
            rest.extend_from_slice(&piece.into_data().unwrap_or_default());
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                self.frame(line.into()).await?;
            }
        }
        self.send(rest.into()).await
    }

    /// One frame, with the effects of the rules.
    async fn frame(&mut self, line: Bytes) -> Result<(), Ended> {
        let mut frame: Value = serde_json::from_slice(&line).unwrap_or_default();
        let object = frame.get_mut("object").map(Value::take);
        let object = Arc::new(object.unwrap_or_default());
        let event = frame["type"].as_str().unwrap_or_default();
        let of = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let target = Target {
            verb: Verb::Watch,
            resource: self.request.target.resource.clone(),
            namespace: of("namespace").to_owned(),
            name: of("name").to_owned(),
        };
        let met = self.shared.rules.meet(&Seen {
            target: &target,
            event: Some(event),
            body: &object,
        });
        let hit = |core: &Core| core.hit(&self.request, Some((event, &target.name, &object)));
        let mut out = vec![line.clone()];
        for core in met {
            let then = match &core.action {
                Action::Frame(then) => then,
                Action::RecordFrame(recording) => {
                    recording.keep_frame(line.clone());
                    continue;
                }
                Action::Request(_) | Action::RecordReply(_) => continue,
            };
            match then {
                FrameThen::Hold => {
                    core.hold(hit).await;
                    continue;
                }
                FrameThen::Drop => out.clear(),
                FrameThen::Duplicate => out.push(line.clone()),
                FrameThen::Replay(recording) => out.extend(recording.frames()),
            }
            hit(&core);
        }
        for frame in out {
            let frame = self.treatment.changed(frame);
            self.send(frame).await?;
        }
        Ok(())
    }

    async fn send(&mut self, mut piece: Bytes) -> Result<(), Ended> {
        let whole = piece.len();
        if let Some(left) = &mut self.treatment.cut_after {
            piece.truncate(*left);
            *left -= piece.len();
        }
        let cut = piece.len() < whole;
        self.to.send(Ok(piece)).await.map_err(|_| Ended)?;
        if cut { self.cut().await } else { Ok(()) }
    }

    async fn cut(&self) -> Result<(), Ended> {
        // Whether the cut is sent or the client is gone, the watch ends here.
        let _ = self.to.send(Err(Cut)).await;
        Err(Ended)
    }
}
