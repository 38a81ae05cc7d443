//! The real thing: one namespace, one simulated account and one operator for a script.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harness::cams_simulator::{
    Answer, Fault, FaultRule, Held, READ_STATUS, Refusal, Release, Stage, VERIFIED,
};
use harness::{Migration, Operator, World};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use proptest_state_machine::StateMachineTest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::OPERATOR;
use crate::model::{CallFault, Model, NUMBERS, Op, RIGHT, ReadFault};
use crate::rules::{self, digits, id, phone};

/// A lost outcome becomes final twice this after it was signed, and later than the latest
/// late execution (`CallFault::ExecuteLate`).
const VALIDITY: &[&str] = &["--signature-validity", "8s"];
/// Longest time to come to rest.
const REST: Duration = Duration::from_secs(50);
/// So long a fault may wait for the submission that it is meant for.
const LINGER: Duration = Duration::from_secs(3);
/// Between two reminders to look again: Secrets are polled ever more slowly.
const NUDGE: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(50);

/// A script that runs. Its operator ends with it, however it ends.
pub struct Script {
    world: Arc<World>,
    operator: Option<Operator>,
    /// The process that a `KillAt` may kill; none before it is reaped.
    victim: Arc<Mutex<Victim>>,
    killers: Vec<JoinHandle<()>>,
    tokens: u32,
    runtime: Runtime,
}

#[derive(Default)]
struct Victim {
    pid: Option<Pid>,
    killed: bool,
}

fn locked(victim: &Mutex<Victim>) -> MutexGuard<'_, Victim> {
    victim.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(n: usize) -> String {
    format!("n{n}")
}

fn secret_name(n: usize) -> String {
    format!("{}-code", name(n))
}

impl Drop for Script {
    fn drop(&mut self) {
        self.killers.iter().for_each(JoinHandle::abort);
        locked(&self.victim).pid = None;
        if let Some(mut operator) = self.operator.take() {
            // Reaped here: a script that failed is followed by shorter ones.
            let _ = self.runtime.block_on(operator.kill());
        }
    }
}

impl StateMachineTest for Script {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let world = runtime.block_on(World::new(OPERATOR, "script")).unwrap();
        for n in 0..NUMBERS {
            world.number(&phone(n), &digits(n, RIGHT), &id(n));
        }
        let mut script = Self {
            world: Arc::new(world),
            operator: None,
            victim: Arc::default(),
            killers: Vec::new(),
            tokens: 0,
            runtime,
        };
        script.start();
        for n in (0..NUMBERS).filter(|n| model.numbers[*n].exists) {
            let suspend = model.numbers[n].suspended;
            let adopt = true;
            script.perform(model, &Op::Create { n, suspend, adopt });
        }
        script
    }

    fn apply(mut script: Self, model: &Model, op: Op) -> Self {
        script.perform(model, &op);
        script
    }

    fn check_invariants(script: &Self, model: &Model) {
        let ledger = script.world.sim.ledger();
        rules::always(model, &ledger).unwrap_or_else(|why| panic!("{why}"));
        script.assert_alive();
    }

    fn teardown(mut script: Self, mut model: Model) {
        // Whatever the script left behind must heal.
        let calm = Op::Calm;
        model = <Model as proptest_state_machine::ReferenceStateMachine>::apply(model, &calm);
        script.perform(&model, &calm);
        Self::check_invariants(&script, &model);
        let finished = script.block_on(|world| async move { world.finish().await });
        finished.unwrap_or_else(|why| panic!("{why}"));
    }
}

impl Script {
    /// The operator's process.
    pub fn pid(&self) -> Option<u32> {
        self.operator.as_ref().and_then(Operator::pid)
    }

    fn block_on<F: Future>(&self, work: impl FnOnce(Arc<World>) -> F) -> F::Output {
        self.runtime.block_on(work(Arc::clone(&self.world)))
    }

    fn perform(&mut self, model: &Model, op: &Op) {
        match op {
            Op::Create { .. }
            | Op::Delete { .. }
            | Op::PutCode { .. }
            | Op::Rotate { .. }
            | Op::DropSecret { .. }
            | Op::LabelSecret { .. }
            | Op::Label { .. }
            | Op::Suspend { .. }
            | Op::RetryToken { .. }
            | Op::RequestedAt { .. } => {
                self.tokens += 1;
                let token = self.tokens.to_string();
                self.block_on(|world| async move {
                    people(&world, op, &token).await;
                    // Whoever brings a code says so.
                    match op {
                        Op::PutCode { n, .. } | Op::Rotate { n, .. }
                            if model.numbers[*n].exists =>
                        {
                            world.request(&name(*n), &token).await.unwrap();
                        }
                        _ => {}
                    }
                });
            }
            Op::Call { n, fault } => {
                let rule = FaultRule::new(call_fault(*fault))
                    .action(VERIFIED)
                    .phone(phone(*n))
                    .once();
                self.world.sim.add_fault(rule).unwrap();
            }
            Op::Reads { fault } => {
                let rule = FaultRule::new(read_fault(*fault))
                    .action(READ_STATUS)
                    .times(2);
                self.world.sim.add_fault(rule).unwrap();
            }
            Op::ReadLag { ms } => self.world.sim.set_read_lag(*ms),
            Op::Throttle { ms } => {
                let refusal = Refusal::new(
                    400,
                    "Throttling.User",
                    "Request was denied due to user flow control.",
                );
                self.world
                    .sim
                    .add_fault(Fault::Throttle { ms: *ms, refusal })
                    .unwrap();
            }
            Op::Clock { minutes } => self.world.sim.set_clock_offset(minutes * 60_000),
            Op::KillAt { n, stage, then } => self.kill_at(*n, *stage, *then),
            Op::Kill => self.end(None),
            Op::Terminate => self.end(Some(model)),
            Op::Start => self.start(),
            Op::Pause => self.signal(Signal::STOP),
            Op::Resume => self.signal(Signal::CONT),
            Op::Wait { ms } => self
                .runtime
                .block_on(async { sleep(Duration::from_millis(*ms)).await }),
            Op::Calm => self.calm(model),
        }
    }

    fn start(&mut self) {
        let runs = {
            let victim = locked(&self.victim);
            !victim.killed && !is_dead(victim.pid)
        };
        if runs {
            return;
        }
        self.reap();
        let operator = self.block_on(|world| async move { world.operator(VALIDITY).await });
        let operator = operator.unwrap_or_else(|why| panic!("{why}"));
        let pid = operator
            .pid()
            .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        *locked(&self.victim) = Victim { pid, killed: false };
        self.operator = Some(operator);
    }

    /// SIGKILL, if it still runs.
    fn reap(&mut self) {
        locked(&self.victim).pid = None;
        if let Some(mut operator) = self.operator.take() {
            self.runtime.block_on(operator.kill()).unwrap();
        }
    }

    /// SIGKILL; with a model SIGTERM, which ends in order unless something killed it meanwhile.
    fn end(&mut self, in_order: Option<&Model>) {
        if let (Some(model), Some(operator)) = (in_order, self.operator.as_mut()) {
            let exit = self.runtime.block_on(operator.stop());
            let exit = exit.unwrap_or_else(|why| panic!("{why}"));
            assert!(
                exit == Some(0) || model.doomed,
                "SIGTERM ended with {exit:?}"
            );
        }
        self.reap();
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = locked(&self.victim).pid {
            // It may have been killed by now, which is a pause too.
            let _ = kill_process(pid, signal);
        }
    }

    /// Nobody but the script ends the operator.
    fn assert_alive(&self) {
        let victim = locked(&self.victim);
        if victim.pid.is_some() && !victim.killed && is_dead(victim.pid) {
            let log = self
                .operator
                .as_ref()
                .map(Operator::log)
                .unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            panic!(
                "the operator ended by itself:\n{}",
                lines[lines.len().saturating_sub(10)..].join("\n")
            );
        }
    }

    /// True while a fault waits for the submission of a code that is there.
    fn is_about_to_strike(&self, model: &Model) -> bool {
        let ledger = self.world.sim.ledger();
        let unsent = |n: usize| {
            let number = &model.numbers[n];
            let code = number.code.filter(|_| number.exists && !number.suspended);
            code.is_some_and(|code| !rules::was_submitted(&ledger, n, code))
        };
        let rules = self.world.sim.faults();
        (0..NUMBERS).any(|n| {
            let about = |phone_of: &Option<String>| phone_of.as_ref() == Some(&phone(n));
            unsent(n)
                && rules
                    .iter()
                    .any(|state| state.hits == 0 && about(&state.rule.phone))
        })
    }

    fn kill_at(&mut self, n: usize, stage: Stage, then: Release) {
        let rule = FaultRule::new(Fault::gate(stage))
            .action(VERIFIED)
            .phone(phone(n))
            .once();
        self.world.sim.add_fault(rule).unwrap();
        let (world, victim) = (Arc::clone(&self.world), Arc::clone(&self.victim));
        self.killers.push(self.runtime.spawn(async move {
            let ours = |held: &Held| held.at == stage && held.phone == Some(phone(n));
            let Some(held) = world
                .sim
                .wait_held_where(Duration::from_secs(600), ours)
                .await
            else {
                return;
            };
            let pid = {
                let mut victim = locked(&victim);
                victim.killed = true;
                if let Some(pid) = victim.pid {
                    let _ = kill_process(pid, Signal::KILL);
                }
                victim.pid
            };
            // Its sockets are closed before the request goes on.
            let deadline = Instant::now() + Duration::from_secs(5);
            while pid.is_some() && !is_dead(pid) && Instant::now() < deadline {
                sleep(Duration::from_millis(5)).await;
            }
            world.sim.release(held.id, then);
        }));
    }

    /// All faults end, those that were about to strike after they did; then every resource
    /// comes to what the rules say.
    fn calm(&mut self, model: &Model) {
        let deadline = Instant::now() + LINGER;
        while !is_dead(locked(&self.victim).pid)
            && self.is_about_to_strike(model)
            && Instant::now() < deadline
        {
            self.runtime.block_on(async { sleep(POLL).await });
        }
        let sim = &self.world.sim;
        sim.clear_faults();
        sim.set_clock_offset(0);
        sim.set_read_lag(0);
        // A killer that is at it has killed when this is over; the others have nobody to wait for.
        for killer in std::mem::take(&mut self.killers) {
            killer.abort();
            let _ = self.runtime.block_on(killer);
        }
        self.signal(Signal::CONT);
        self.start();
        self.tokens += 1;
        let token = self.tokens;
        let rest = self.block_on(|world| async move { come_to_rest(&world, model, token).await });
        rest.unwrap_or_else(|why| panic!("not at rest after {REST:?}: {why}"));
    }
}

/// True for a process that has ended, reaped or not.
fn is_dead(pid: Option<Pid>) -> bool {
    let Some(pid) = pid else { return true };
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z ") || stat.contains(") X "))
}

async fn come_to_rest(world: &World, model: &Model, token: u32) -> Result<(), String> {
    let deadline = Instant::now() + REST;
    let mut nudged: Option<Instant> = None;
    let mut nudges = 0;
    loop {
        world.sim.release_all(Release::Continue);
        if nudged.is_none_or(|at| at.elapsed() > NUDGE) {
            nudges += 1;
            nudged = Some(Instant::now());
            for n in (0..NUMBERS).filter(|n| model.numbers[*n].exists) {
                world
                    .request(&name(n), &format!("{token}.{nudges}"))
                    .await
                    .map_err(|e| e.to_string())?;
            }
        }
        let unrest = first_unrest(world, model).await;
        match unrest {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() > deadline => return Err(why),
            Err(_) => sleep(POLL).await,
        }
    }
}

async fn first_unrest(world: &World, model: &Model) -> Result<(), String> {
    for n in (0..NUMBERS).filter(|n| model.numbers[*n].exists) {
        let object = world.get(&name(n)).await.map_err(|e| e.to_string())?;
        // After the status, so that what it says cannot be missing here.
        let ledger = world.sim.ledger();
        rules::always(model, &ledger).unwrap_or_else(|why| panic!("{why}"));
        rules::at_rest(model, n, &ledger, &object.data["status"])?;
    }
    Ok(())
}

async fn people(world: &World, op: &Op, token: &str) {
    let label = json!({"metadata": {"labels": {"n": token}}});
    let code = |n: usize, code: u8| json!({"code": digits(n, code)});
    match op {
        Op::Create { n, suspend, adopt } => {
            let spec = json!({"suspend": suspend, "adoptIfVerified": adopt});
            let migration = Migration::new(name(*n), phone(*n)).spec(spec);
            world.create(&migration).await.unwrap();
        }
        Op::Delete { n } => world.delete(&name(*n)).await.unwrap(),
        Op::PutCode { n, code: c } => world.secret(&secret_name(*n), code(*n, *c)).await.unwrap(),
        Op::Rotate { n, code: c } => {
            let patch = json!({"stringData": code(*n, *c)});
            world.patch_secret(&secret_name(*n), patch).await.unwrap();
        }
        Op::DropSecret { n } => {
            let secrets: Api<Secret> = Api::namespaced(world.plane.admin.clone(), &world.namespace);
            secrets
                .delete(&secret_name(*n), &DeleteParams::default())
                .await
                .unwrap();
        }
        Op::LabelSecret { n } => world.patch_secret(&secret_name(*n), label).await.unwrap(),
        Op::Label { n } => drop(world.patch(&name(*n), label).await.unwrap()),
        Op::Suspend { n, on } => {
            drop(
                world
                    .patch(&name(*n), json!({"spec": {"suspend": on}}))
                    .await
                    .unwrap(),
            );
        }
        Op::RetryToken { n } => {
            drop(
                world
                    .patch(&name(*n), json!({"spec": {"retryToken": token}}))
                    .await
                    .unwrap(),
            );
        }
        Op::RequestedAt { n } => world.request(&name(*n), token).await.unwrap(),
        _ => unreachable!("not of people: {op:?}"),
    }
}

fn call_fault(fault: CallFault) -> Fault {
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

fn read_fault(fault: ReadFault) -> Fault {
    match fault {
        ReadFault::Error => Fault::internal_error(Stage::Received),
        ReadFault::Close => Fault::close(Stage::Executed),
        ReadFault::Html => Fault::answer(Stage::Executed, Answer::Html { status: 200 }),
    }
}
