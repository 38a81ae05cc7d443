//! Carries out the faults of the plan in parallel. Two faults run one after the other if together
//! they would break something that neither restores.

use std::sync::Arc;
use std::time::Duration;

use harness::cams_simulator::{
    self as sim, AccountSettings, FaultRule, KeyState, READ_STATUS, Refusal, Release, Stage,
    VERIFIED,
};
use harness::{ACCESS_KEY_ID, ControlPlane, Error, Result, World};
use serde_json::json;
use tokio::sync::{Mutex, RwLock};
use tokio::time::sleep;

use crate::events::{Events, Spell};
use crate::plan::{Away, CallFault, CloudFault, Fault, Loss, Part, ProcessFault, Who, Wrong};
use crate::replicas::Replicas;

/// How long a kill waits for a call that it could hit.
const CALL_WITHIN: Duration = Duration::from_secs(20);
const FOREIGN_PHONE: &str = "4915112345678";

/// Everything that can be hit.
pub struct Faults {
    world: Arc<World>,
    events: Arc<Events>,
    replicas: Arc<Replicas>,
    /// No resource is recreated while status reads lag: the old resource's status would be gone,
    /// and with it a verification that no read shows yet.
    calm: Arc<RwLock<()>>,
    cluster: Mutex<()>,
    settings: Mutex<()>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Faults {
    pub fn new(
        world: Arc<World>,
        events: Arc<Events>,
        replicas: Arc<Replicas>,
        calm: Arc<RwLock<()>>,
    ) -> Self {
        Self {
            world,
            events,
            replicas,
            calm,
            cluster: Mutex::default(),
            settings: Mutex::default(),
        }
    }

    /// Does it, waits for its end, and undoes it.
    pub async fn carry_out(&self, fault: Fault) {
        self.events.note("faultBegins", fault);
        if let Err(error) = self.hit(&fault).await {
            let what = format!("fault {} could not be carried out: {error}", fault.kind());
            self.events.problem(what);
        }
        self.events.note("faultEnds", fault);
    }

    async fn hit(&self, fault: &Fault) -> Result<()> {
        match *fault {
            Fault::Process(fault) => self.hit_process(fault).await,
            Fault::Cluster {
                part,
                away,
                ms: long,
            } => self.hit_cluster(part, away, ms(long)).await,
            Fault::Calls {
                what,
                percent,
                ms: long,
            } => {
                let rule = share(what, percent, self.events.now_us());
                self.rule(rule, ms(long)).await
            }
            Fault::Cloud { what, ms: long } => self.hit_cloud(what, ms(long)).await,
        }
    }

    async fn hit_process(&self, fault: ProcessFault) -> Result<()> {
        let replicas = &self.replicas;
        match fault {
            ProcessFault::Kill { who, down, new_pod } => {
                replicas.kill(who, ms(down), new_pod, || {}).await
            }
            ProcessFault::Terminate { who, down, new_pod } => {
                replicas.terminate(who, ms(down), new_pod).await
            }
            ProcessFault::KillInCall { at, goes_on, down } => {
                self.kill_in_call(at, goes_on, down).await
            }
            ProcessFault::Freeze { who, ms: long } => replicas.freeze(who, ms(long)).await,
        }
    }

    async fn rule(&self, rule: FaultRule, long: Duration) -> Result<()> {
        let id = self.world.sim.add_fault(rule).map_err(Error::at("rule"))?;
        sleep(long).await;
        self.world.sim.remove_fault(id);
        Ok(())
    }

    async fn hit_cluster(&self, part: Part, away: Away, long: Duration) -> Result<()> {
        let _one = self.cluster.lock().await;
        let span = self.events.begin(Spell::ClusterAway);
        let done = send_away(&self.world.plane.control, part, away, long).await;
        self.events.end(span);
        done.map_err(Error::at("control plane"))
    }

    async fn hit_cloud(&self, what: CloudFault, long: Duration) -> Result<()> {
        let _one = self.settings.lock().await;
        let cloud = &self.world.sim;
        match what {
            CloudFault::Throttle { retry_after } => {
                self.rule(throttle(long, retry_after), long).await?;
            }
            CloudFault::ReadLag { lag } => {
                let _nobody = self.calm.write().await;
                cloud.set_read_lag(lag);
                sleep(long).await;
                cloud.set_read_lag(0);
                sleep(ms(lag)).await;
            }
            CloudFault::Clock { offset } => {
                cloud.set_clock_offset(offset);
                sleep(long).await;
                cloud.set_clock_offset(0);
            }
            CloudFault::Processing { each } => {
                cloud.set_processing(each);
                sleep(long).await;
                cloud.set_processing(0);
            }
            CloudFault::Jitter { most } => {
                let span = self.events.begin(Spell::Uneven);
                cloud.set_jitter(most, self.events.now_us());
                sleep(long).await;
                cloud.set_jitter(0, 0);
                self.events.end(span);
            }
            CloudFault::Credentials => {
                cloud.set_key_state(ACCESS_KEY_ID, KeyState::Disabled);
                sleep(long).await;
                cloud.set_key_state(ACCESS_KEY_ID, KeyState::Active);
            }
            CloudFault::Account => {
                self.deny(true)?;
                sleep(long).await;
                self.deny(false)?;
            }
        }
        Ok(())
    }

    fn deny(&self, denied: bool) -> Result<()> {
        let change = |settings: &mut sim::Settings| {
            let account = settings.accounts.entry(ACCESS_KEY_ID.to_owned());
            let account = account.or_default();
            account.denied.clear();
            if denied {
                let refusal = AccountSettings::ram_denial();
                account.denied.insert(VERIFIED.to_owned(), refusal);
            }
        };
        let changed = self.world.sim.change_settings(change);
        changed.map_err(Error::at("account"))
    }

    async fn kill_in_call(&self, at: Stage, goes_on: bool, down: u64) -> Result<()> {
        let cloud = &self.world.sim;
        let gate = FaultRule::new(sim::Fault::gate(at)).action(VERIFIED).once();
        let id = cloud.add_fault(gate).map_err(Error::at("gate"))?;
        let held = cloud
            .wait_held_where(CALL_WITHIN, |held| held.at == at && held.action == VERIFIED)
            .await;
        cloud.remove_fault(id);
        let Some(held) = held else {
            self.events.note("noCallToKillIn", json!({}));
            return Ok(());
        };
        let then = if goes_on {
            Release::Continue
        } else {
            Release::Close
        };
        let release = || {
            cloud.release(held.id, then);
        };
        self.replicas
            .kill(Who::Leader, ms(down), false, release)
            .await
    }

    /// Undoes whatever is left.
    pub fn calm_down(&self) {
        let cloud = &self.world.sim;
        cloud.clear_faults();
        cloud.release_all(Release::Continue);
    }
}

async fn send_away(
    control: &ControlPlane,
    part: Part,
    away: Away,
    long: Duration,
) -> std::result::Result<(), harness::control_plane::Error> {
    match (part, away) {
        (Part::Apiserver, Away::Restart) => {
            control.stop_apiserver();
            sleep(long).await;
            control.start_apiserver().await?;
        }
        (Part::Apiserver, Away::Pause) => {
            control.pause_apiserver()?;
            sleep(long).await;
            control.resume_apiserver()?;
        }
        (Part::Etcd, Away::Restart) => {
            control.stop_etcd();
            sleep(long).await;
            control.start_etcd().await?;
        }
        (Part::Etcd, Away::Pause) => {
            control.pause_etcd()?;
            sleep(long).await;
            control.resume_etcd()?;
        }
    }
    control.wait_ready().await
}

#[allow(clippy::cast_precision_loss)]
fn share(what: CallFault, percent: u64, seed: u64) -> FaultRule {
    let (fault, action) = match what {
        CallFault::LoseReply(how) => (lost_reply(how), VERIFIED),
        CallFault::LoseRequest(how) => (lost_request(how), VERIFIED),
        CallFault::Answer { with, executed } => (answer(with, executed), VERIFIED),
        CallFault::LoseRead => (sim::Fault::close(Stage::Executed), READ_STATUS),
        CallFault::OmitId => (sim::Fault::OmitId, VERIFIED),
    };
    let rule = FaultRule::new(fault).action(action);
    rule.probability(percent as f64 / 100.0, seed)
}

fn throttle(long: Duration, retry_after: Option<u64>) -> FaultRule {
    let text = "Request was denied due to user flow control.";
    let mut refusal = Refusal::new(400, "Throttling.User", text);
    refusal.retry_after_ms = retry_after;
    let ms = u64::try_from(long.as_millis()).unwrap_or(u64::MAX);
    FaultRule::new(sim::Fault::Throttle { ms, refusal }).action(VERIFIED)
}

fn lost_reply(how: Loss) -> sim::Fault {
    match how {
        Loss::Close => sim::Fault::close(Stage::Executed),
        Loss::Reset => sim::Fault::reset(Stage::Executed),
        Loss::Blackhole => sim::Fault::blackhole(Stage::Executed),
        Loss::Half => sim::Fault::half_reply(),
    }
}

fn lost_request(how: Loss) -> sim::Fault {
    match how {
        Loss::Close | Loss::Half => sim::Fault::close(Stage::Counted),
        Loss::Reset => sim::Fault::reset(Stage::Received),
        Loss::Blackhole => sim::Fault::blackhole(Stage::Received),
    }
}

fn answer(with: Wrong, executed: bool) -> sim::Fault {
    let at = if executed {
        Stage::Executed
    } else {
        Stage::Counted
    };
    let page = |status| sim::Fault::answer(at, sim::Answer::Html { status });
    match with {
        Wrong::InternalError => sim::Fault::internal_error(at),
        Wrong::ServiceUnavailable => sim::Fault::service_unavailable(at),
        Wrong::Html => page(200),
        Wrong::BadGateway => page(502),
        Wrong::Truncated => sim::Fault::answer(at, sim::Answer::TruncatedJson),
        Wrong::Empty => sim::Fault::answer(at, sim::Answer::Empty { status: 200 }),
        Wrong::NonceUsed => sim::Fault::nonce_used(at),
        Wrong::OtherPhone => sim::Fault::OtherPhone {
            phone: FOREIGN_PHONE.to_owned(),
        },
    }
}
