//! The two operators: started, hit by signals, watched.

use std::sync::Arc;
use std::time::Duration;

use harness::{Error, Operator, Result, World};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::events::{Events, Spell};
use crate::plan::Who;

const LEASE: &str = "phone-migration-operator";
/// The whole drain of a SIGTERM, and the release of the Lease.
const DRAINED: Duration = Duration::from_secs(60);
const WATCH_EVERY: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);

/// Both replicas.
pub struct Replicas {
    world: Arc<World>,
    events: Arc<Events>,
    extra: Vec<String>,
    pair: [Replica; 2],
}

/// One replica over all its processes.
struct Replica {
    state: Mutex<State>,
    /// One fault at a time.
    fault: Mutex<()>,
}

struct State {
    name: char,
    pod: u32,
    operator: Option<Operator>,
    starts: u32,
    most_kib: u64,
}

impl State {
    fn identity(&self) -> String {
        format!("replica-{}-{}", self.name, self.pod)
    }
}

/// Figures of both replicas at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub starts: u32,
    /// Largest resident memory of any process, KiB.
    pub most_kib: u64,
}

impl Replicas {
    /// Starts both and waits until they are ready. `extra`: flags in addition to those of the
    /// harness.
    pub async fn start(
        world: Arc<World>,
        events: Arc<Events>,
        extra: Vec<String>,
    ) -> Result<Arc<Self>> {
        let replica = |name| Replica {
            fault: Mutex::new(()),
            state: Mutex::new(State {
                name,
                pod: 1,
                operator: None,
                starts: 0,
                most_kib: 0,
            }),
        };
        let replicas = Arc::new(Self {
            world,
            events,
            extra,
            pair: [replica('a'), replica('b')],
        });
        for replica in &replicas.pair {
            let state = &mut *replica.state.lock().await;
            replicas.spawn(state)?;
            if let Some(operator) = &mut state.operator {
                operator.ready().await?;
            }
        }
        Ok(replicas)
    }

    fn spawn(&self, state: &mut State) -> Result<()> {
        let identity = state.identity();
        let mut flags = vec![
            "--watch-namespaces",
            "",
            "--leader-elect",
            "true",
            "--lease-namespace",
            LEASE,
            "--lease-identity",
            &identity,
        ];
        flags.extend(self.extra.iter().map(String::as_str));
        let mut launch = self.world.launch(&flags)?;
        for (name, value) in &mut launch.env {
            if name == "RUST_LOG" {
                *value = "info".to_owned();
            }
        }
        let operator = Operator::spawn(&launch)?;
        let pid = operator.pid();
        let log = launch.log.display().to_string();
        self.events.note(
            "operatorStarted",
            json!({"identity": identity, "pid": pid, "log": log}),
        );
        state.operator = Some(operator);
        state.starts += 1;
        Ok(())
    }

    async fn index(&self, who: Who) -> usize {
        let leases: Api<Lease> = Api::namespaced(self.world.plane.admin.clone(), LEASE);
        // Without an answer either replica will do.
        let lease = match timeout(ANSWER, leases.get(LEASE)).await {
            Ok(Ok(lease)) => lease,
            Ok(Err(_)) | Err(_) => return 0,
        };
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        let holder = holder.unwrap_or_default();
        let leader = usize::from(holder.starts_with("replica-b"));
        match who {
            Who::Leader => leader,
            Who::Standby => 1 - leader,
        }
    }

    async fn pick(&self, who: Who) -> Result<&Replica> {
        let index = self.index(who).await;
        let picked = self.pair.get(index);
        picked.ok_or_else(|| Error::new("replicas", "there are two"))
    }

    /// SIGKILL, then `killed`, and another process after `down`.
    pub async fn kill(
        &self,
        who: Who,
        down: Duration,
        new_pod: bool,
        killed: impl FnOnce(),
    ) -> Result<()> {
        let replica = self.pick(who).await?;
        let _one = replica.fault.lock().await;
        let span = self.events.begin(Spell::Killed);
        {
            let state = &mut *replica.state.lock().await;
            if let Some(mut operator) = state.operator.take() {
                operator.kill().await?;
            }
            self.events
                .note("killed", json!({"identity": state.identity()}));
        }
        killed();
        self.start_again(replica, down, new_pod).await?;
        self.events.end(span);
        Ok(())
    }

    /// SIGTERM, its clean end, and another process after `down`.
    pub async fn terminate(&self, who: Who, down: Duration, new_pod: bool) -> Result<()> {
        let replica = self.pick(who).await?;
        let _one = replica.fault.lock().await;
        let span = self.events.begin(Spell::Terminated);
        self.stop(replica).await?;
        self.start_again(replica, down, new_pod).await?;
        self.events.end(span);
        Ok(())
    }

    async fn stop(&self, replica: &Replica) -> Result<()> {
        let (identity, operator) = {
            let state = &mut *replica.state.lock().await;
            (state.identity(), state.operator.take())
        };
        let Some(mut operator) = operator else {
            return Ok(());
        };
        operator.terminate().await?;
        let code = operator.ended(DRAINED).await;
        let ended = match &code {
            Ok(code) => format!("{code:?}"),
            Err(_) => "not within 60 s".to_owned(),
        };
        self.events
            .note("terminated", json!({"identity": identity, "exit": ended}));
        // A signal that comes before its handler is installed ends the process at once.
        let too_early = matches!(code, Ok(None)) && !operator.log().contains("Started");
        if !matches!(code, Ok(Some(0))) && !too_early {
            let what = format!("{identity} ended after SIGTERM with {ended} instead of 0");
            self.events.problem(what);
            let _ = operator.kill().await;
        }
        Ok(())
    }

    async fn start_again(&self, replica: &Replica, down: Duration, new_pod: bool) -> Result<()> {
        sleep(down).await;
        let state = &mut *replica.state.lock().await;
        state.pod += u32::from(new_pod);
        self.spawn(state)
    }

    /// SIGSTOP for a while.
    pub async fn freeze(&self, who: Who, how_long: Duration) -> Result<()> {
        let replica = self.pick(who).await?;
        let _one = replica.fault.lock().await;
        let span = self.events.begin(Spell::Frozen);
        signal(replica, "STOP").await?;
        sleep(how_long).await;
        signal(replica, "CONT").await?;
        self.events.end(span);
        Ok(())
    }

    /// Watches for processes that end by themselves, and starts them again; records memory.
    pub async fn watch(&self) {
        loop {
            for replica in &self.pair {
                let state = &mut *replica.state.lock().await;
                let Some(operator) = &mut state.operator else {
                    continue;
                };
                state.most_kib = state
                    .most_kib
                    .max(operator.resident_kib().unwrap_or_default());
                let Some(status) = operator.has_ended() else {
                    continue;
                };
                let log = operator.log();
                let tail = log.lines().last().unwrap_or_default();
                let what = format!("{} ended by itself ({status}): {tail}", state.identity());
                self.events.problem(what);
                if let Err(error) = self.spawn(state) {
                    self.events.problem(error.to_string());
                }
            }
            sleep(WATCH_EVERY).await;
        }
    }

    /// Ends both cleanly.
    pub async fn stop_all(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for replica in &self.pair {
            self.stop(replica).await?;
            let state = replica.state.lock().await;
            usage.starts += state.starts;
            usage.most_kib = usage.most_kib.max(state.most_kib);
        }
        Ok(usage)
    }
}

async fn signal(replica: &Replica, name: &str) -> Result<()> {
    let state = replica.state.lock().await;
    match &state.operator {
        Some(operator) => operator.signal(name).await,
        None => Ok(()),
    }
}
