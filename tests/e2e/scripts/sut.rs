//! The real system: one namespace, one simulated account and one operator for a script.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use harness::cams_simulator::Held;
use proptest_state_machine::StateMachineTest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::deeds::{call_fault, name, people, read_fault};
use super::model::{Model, NUMBERS, RIGHT};
use super::op::Op;
use super::rest::{REST, come_to_rest};
use super::rules::{self, digits, id, phone};
use super::*;

/// A lost outcome becomes final twice this after it was signed, and later than the latest
/// late execution (`CallFault::ExecuteLate`).
const VALIDITY: &[&str] = &["--signature-validity", "8s"];
/// How long a fault may wait for its submission.
const LINGER: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(50);

/// A running script. Its operator ends with it, however it ends.
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

impl Drop for Script {
    fn drop(&mut self) {
        self.killers.iter().for_each(JoinHandle::abort);
        locked(&self.victim).pid = None;
        if let Some(mut operator) = self.operator.take() {
            // Reaped here: shorter scripts follow a failed one.
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
            script.perform(model, &Op::Create { n, suspend });
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
        // Everything that the script left behind must heal.
        let calm = Op::Calm;
        model = <Model as proptest_state_machine::ReferenceStateMachine>::apply(model, &calm);
        script.perform(&model, &calm);
        Self::check_invariants(&script, &model);
        let finished = script.block_on(|world| async move { world.finish().await });
        finished.unwrap_or_else(|why| panic!("{why}"));
    }
}

impl Script {
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
                    // If the step brought a code, the script also asks for a reconcile.
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
                self.world.next_call_of(&phone(*n), call_fault(*fault));
            }
            Op::Reads { fault } => {
                let rule = FaultRule::new(read_fault(*fault)).action(READ_STATUS);
                self.world.fault(rule.times(2));
            }
            Op::ReadLag { ms } => self.world.sim.set_read_lag(*ms),
            Op::Throttle { ms } => {
                let refusal = Refusal::new(400, "Throttling.User", "busy");
                self.world.fault(Fault::Throttle { ms: *ms, refusal });
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

    /// Only the script may end the operator.
    fn assert_alive(&self) {
        let victim = locked(&self.victim);
        if victim.pid.is_some() && !victim.killed && is_dead(victim.pid) {
            let log = self.operator.as_ref().map(Operator::log);
            panic!(
                "the operator ended by itself:
{}",
                log.unwrap_or_default()
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
        let waits = |n: usize| {
            let mut of_it = rules
                .iter()
                .filter(|state| state.rule.phone == Some(phone(n)));
            of_it.any(|state| state.hits == 0)
        };
        (0..NUMBERS).any(|n| unsent(n) && waits(n))
    }

    fn kill_at(&mut self, n: usize, stage: Stage, then: Release) {
        self.world.next_call_of(&phone(n), Fault::gate(stage));
        let (world, victim) = (Arc::clone(&self.world), Arc::clone(&self.victim));
        self.killers.push(self.runtime.spawn(async move {
            let ours = |held: &Held| held.at == stage && held.phone == Some(phone(n));
            let held = world.sim.wait_held_where(Duration::from_secs(600), ours);
            let Some(held) = held.await else { return };
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

    /// All faults end, those that were about to strike after they did; then every resource reaches
    /// the state that the rules demand.
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
        // A killer in action has killed when this is over; the others have no submission to wait
        // for.
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
