//! The points of an attempt at which the operator is killed, and what holds it there.

use std::time::Duration;

use harness::cams_simulator::{Fault, FaultRule, Held, Release, Stage, VERIFIED};
use harness::fault_proxy::Request;
use harness::{FaultProxy, Operator, Rule, Seed, Then, When, World, claim_of, outcome_of};

use crate::relay::Relay;
use crate::{PATIENCE, SOON_FINAL, until};

/// The one resource of a case.
pub const NAME: &str = "killed";

/// Where it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the claim: it never reaches the API server.
    K0,
    /// The claim is stored, its reply not received.
    K1,
    /// The claim is acknowledged, nothing sent.
    K2,
    /// Half of the request is sent.
    K3,
    /// The request is received, and dropped by the server.
    K4,
    /// The request is received, and executed later.
    K4Executed,
    /// Executed, no reply.
    K5,
    /// Executed, half of the reply is out.
    K6,
    /// The reply is received; the write of the outcome never reaches the API server.
    K7,
    /// The outcome is stored, its reply not received.
    K8,
    /// The outcome is acknowledged; its Event never reaches the API server.
    K9,
}

impl Point {
    /// Where the simulator holds the call, and what becomes of it then.
    fn gate(self) -> Option<(Stage, Release)> {
        match self {
            Point::K4 => Some((Stage::Received, Release::Close)),
            Point::K4Executed => Some((Stage::Received, Release::Continue)),
            Point::K5 => Some((Stage::Executed, Release::Continue)),
            Point::K6 => Some((Stage::HalfReplied, Release::Continue)),
            Point::K0 | Point::K1 | Point::K2 | Point::K3 => None,
            Point::K7 | Point::K8 | Point::K9 => None,
        }
    }

    /// What the proxy holds, if it is the one that does.
    fn rules(self, proxy: &FaultProxy) -> Vec<Rule> {
        let never_comes = |when: When| {
            let (held, lost) = (when.clone().once(), when.once());
            vec![proxy.rule(held, Then::Hold), proxy.rule(lost, Then::Close)]
        };
        let unanswered = |when: When| vec![proxy.rule(when.once(), Then::HoldReply)];
        match self {
            Point::K0 => never_comes(claim_of(NAME)),
            Point::K1 | Point::K2 => unanswered(claim_of(NAME)),
            Point::K3 | Point::K4 | Point::K4Executed | Point::K5 | Point::K6 => Vec::new(),
            Point::K7 => never_comes(outcome_of(NAME)),
            Point::K8 => unanswered(outcome_of(NAME)),
            Point::K9 => never_comes(event_of_the_end()),
        }
    }
}

fn event_of_the_end() -> When {
    When::create("events").body("of the end", |event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        event["regarding"]["name"] == NAME
            && ["MigrationVerified", "VerificationRejected"].contains(&reason)
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
    /// Its claim that was stored.
    fn claim(&self) -> Option<Request> {
        let mut requests = self.proxy.requests().into_iter();
        requests.find(|request| {
            let attempt = &request.body["status"]["attempt"];
            let open = attempt["id"].is_string() && attempt["outcome"].is_null();
            open && request.upstream == Some(200)
        })
    }

    /// The attempt id of that claim.
    fn claimed(&self) -> Option<String> {
        let id = self.claim()?.body["status"]["attempt"]["id"].clone();
        id.as_str().map(str::to_owned)
    }

    /// The claim's reply comes to a process that does not run any more.
    async fn acknowledge(&mut self) {
        self.operator.process().unwrap().stop().unwrap();
        self.rules.clear();
        let told = || self.claim().is_some_and(|claim| claim.status == Some(200));
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
    /// Starts `replicas` operators; whichever comes to the point is held there.
    pub async fn start(world: &World, point: Point, replicas: usize, phone: &str) -> Self {
        let relay = match point {
            Point::K3 => Some(Relay::start(world).await),
            _ => None,
        };
        if let Some((stage, _)) = point.gate() {
            let rule = FaultRule::new(Fault::gate(stage));
            let rule = rule.action(VERIFIED).phone(phone).once();
            world.sim.add_fault(rule).unwrap();
        }
        let mut flags = SOON_FINAL.to_vec();
        if let Some(relay) = &relay {
            flags.extend(["--cams-endpoint", &relay.url]);
        }
        let mut scene = Vec::new();
        for _ in 0..replicas {
            let proxy = world.proxy().await.unwrap();
            let operator = world.operator_via(&proxy, &flags).await.unwrap();
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
            Point::K0 => replica.rules[0].hits() > 0,
            _ => {
                let met = replica.rules.first().is_none_or(|rule| rule.hits() > 0);
                met && replica.claimed().is_some()
            }
        };
        let victim = || self.replicas.iter().position(there);
        until("an operator is at the point", || victim().is_some()).await;
        (victim().unwrap(), held)
    }

    /// Kills whoever comes to the point there; what was held goes its way. Returns the attempt
    /// id of the one that was killed, if its claim was stored.
    pub async fn kill(&mut self, world: &World, seed: &Seed) -> Option<String> {
        let pause = Duration::from_millis(seed.rng().u64(0..=150));
        seed.plan(format!("{:?}, killed {pause:?} after it", self.point));
        let (victim, held) = self.reached(world).await;
        tokio::time::sleep(pause).await;
        let mut killed = self.replicas.swap_remove(victim);
        if self.point == Point::K2 {
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
