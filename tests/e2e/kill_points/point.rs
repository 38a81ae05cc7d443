//! The points of an attempt at which the operator is killed, and the fault that holds it there.

use harness::Seed;
use harness::cams_simulator::Held;
use harness::fault_proxy::Request;

use super::relay::Relay;
use super::*;

/// The one resource of a case.
pub const NAME: &str = "killed";

/// The point of the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the claim: it never reaches the API server.
    BeforeClaim,
    /// The claim is stored, its reply not received.
    ClaimUnanswered,
    /// The claim is acknowledged; no byte is sent.
    Claimed,
    /// Half of the request is sent.
    HalfSent,
    /// The request is received, and dropped by the server.
    Received,
    /// The request is received, and executed later.
    ReceivedExecuted,
    /// Executed, no reply.
    Executed,
    /// Executed, half of the reply is out.
    HalfReplied,
    /// The reply is received; the write of the outcome never reaches the API server.
    BeforeOutcome,
    /// The outcome is stored in the ledger, its reply not received.
    OutcomeUnanswered,
    /// The outcome is in the ledger; the write that shows it in status never reaches the API
    /// server.
    BeforeStatus,
    /// Status shows the outcome, the reply to its write not received.
    StatusUnanswered,
    /// Status shows the outcome; its Event never reaches the API server.
    BeforeEvent,
    /// The Event is stored, its reply not received.
    EventUnanswered,
}

impl Point {
    /// Where the simulator holds the call, and how it releases it.
    fn gate(self) -> Option<(Stage, Release)> {
        match self {
            Point::Received => Some((Stage::Received, Release::Close)),
            Point::ReceivedExecuted => Some((Stage::Received, Release::Continue)),
            Point::Executed => Some((Stage::Executed, Release::Continue)),
            Point::HalfReplied => Some((Stage::HalfReplied, Release::Continue)),
            Point::BeforeClaim | Point::ClaimUnanswered | Point::Claimed | Point::HalfSent => None,
            Point::BeforeOutcome | Point::OutcomeUnanswered => None,
            Point::BeforeStatus | Point::StatusUnanswered => None,
            Point::BeforeEvent | Point::EventUnanswered => None,
        }
    }

    /// The rules of the proxy, if the proxy holds the operator at this point.
    fn rules(self, proxy: &FaultProxy) -> Vec<Rule> {
        let never_comes = |when: When| {
            let (held, lost) = (when.clone().once(), when.once());
            vec![proxy.rule(held, Then::Hold), proxy.rule(lost, Then::Close)]
        };
        let unanswered = |when: When| vec![proxy.rule(when.once(), Then::HoldReply)];
        match self {
            Point::BeforeClaim => never_comes(claim_of(NAME)),
            Point::ClaimUnanswered | Point::Claimed => unanswered(claim_of(NAME)),
            Point::HalfSent
            | Point::Received
            | Point::ReceivedExecuted
            | Point::Executed
            | Point::HalfReplied => Vec::new(),
            Point::BeforeOutcome => never_comes(outcome_of(NAME)),
            Point::OutcomeUnanswered => unanswered(outcome_of(NAME)),
            Point::BeforeStatus => never_comes(shown_of(NAME)),
            Point::StatusUnanswered => unanswered(shown_of(NAME)),
            Point::BeforeEvent => never_comes(event_of_the_end()),
            Point::EventUnanswered => unanswered(event_of_the_end()),
        }
    }
}

fn event_of_the_end() -> When {
    When::create("events").body("of the end", |event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        event["regarding"]["name"] == NAME && ["Verified", "CodeRejected"].contains(&reason)
    })
}

/// One operator behind its own proxy.
pub struct Replica {
    proxy: FaultProxy,
    /// The process.
    pub operator: Operator,
    rules: Vec<Rule>,
}

impl Replica {
    /// Its stored claim.
    fn claim(&self) -> Option<Request> {
        let mut requests = self.proxy.requests().into_iter();
        requests.find(|request| {
            let newest = &request.body["entries"][0];
            let open = newest["attemptId"].is_string() && newest["outcome"].is_null();
            open && matches!(request.upstream, Some(200 | 201))
        })
    }

    /// The attempt id of that claim.
    fn claimed(&self) -> Option<String> {
        let id = self.claim()?.body["entries"][0]["attemptId"].clone();
        id.as_str().map(str::to_owned)
    }

    /// Delivers the claim's reply to a process that is stopped.
    async fn acknowledge(&mut self) {
        self.operator.process().unwrap().stop().unwrap();
        self.rules.clear();
        let told = |claim: Request| matches!(claim.status, Some(200 | 201));
        let told = || self.claim().is_some_and(told);
        until("the claim is acknowledged", told).await;
    }
}

/// Operators that are on their way to a point.
pub struct Scene {
    point: Point,
    pub replicas: Vec<Replica>,
    relay: Option<Relay>,
}

impl Scene {
    /// Starts `replicas` operators; the first one at the point is held there.
    pub async fn start(world: &World, point: Point, replicas: usize, phone: &str) -> Self {
        let relay = match point {
            Point::HalfSent => Some(Relay::start(world).await),
            _ => None,
        };
        if let Some((stage, _)) = point.gate() {
            world.next_call_of(phone, Fault::gate(stage));
        }
        let mut flags = SOON_FINAL.to_vec();
        if let Some(relay) = &relay {
            flags.extend(["--cams-endpoint", &relay.url]);
        }
        let mut scene = Vec::new();
        for _ in 0..replicas {
            let (proxy, operator) = world.proxied(&flags).await;
            let rules = point.rules(&proxy);
            scene.push(Replica {
                proxy,
                operator,
                rules,
            });
        }
        Self {
            point,
            replicas: scene,
            relay,
        }
    }

    /// Waits until one of them is at the point: its index, and the call that the simulator
    /// holds.
    async fn reached(&self, world: &World) -> (usize, Option<Held>) {
        let mut held = None;
        if let Some(relay) = &self.relay {
            relay.halved().await;
        } else if self.point.gate().is_some() {
            held = world.sim.wait_held(PATIENCE).await;
            assert!(held.is_some(), "no call came");
        }
        let there = |replica: &Replica| match self.point {
            Point::BeforeClaim => replica.rules[0].hits() > 0,
            _ => {
                let met = replica.rules.first().is_none_or(|rule| rule.hits() > 0);
                met && replica.claimed().is_some()
            }
        };
        let victim = || self.replicas.iter().position(there);
        until("an operator is at the point", || victim().is_some()).await;
        (victim().unwrap(), held)
    }

    /// Kills the operator that is held at the point; the held request then goes on. Returns the
    /// attempt id of the killed operator, if its claim was stored.
    pub async fn kill(&mut self, world: &World, seed: &Seed) -> Option<String> {
        let pause = Duration::from_millis(seed.rng().u64(0..=150));
        seed.plan(format!("{:?}, killed {pause:?} after it", self.point));
        let (victim, held) = self.reached(world).await;
        tokio::time::sleep(pause).await;
        let mut killed = self.replicas.swap_remove(victim);
        if self.point == Point::Claimed {
            killed.acknowledge().await;
        }
        world.note(format!("replica {victim} is killed at {:?}", self.point));
        killed.operator.kill().await.unwrap();
        let claimed = killed.claimed();
        drop(killed);
        if let (Some(held), Some((_, then))) = (held, self.point.gate()) {
            assert!(world.sim.release(held.id, then));
        }
        for replica in &mut self.replicas {
            replica.rules.clear();
        }
        claimed
    }
}
