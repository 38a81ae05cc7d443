//! Faults of TCP between the operator and CAMS, against the real binary.
//!
//! A proxy is between the two.

use harness::cases::*;
use harness::{crowd_code, crowd_phone};
use tcp_proxy::{TcpProxy, Toxics};

mod outage;
mod replies;
mod requests;

/// Beyond the deadline of a call, and before the first read that follows it.
const TOO_LATE: Duration = Duration::from_secs(12);
/// The variable with the number of a run: the seed of every jitter.
const SEED: &str = "PHONEMIG_TEST_SEED";

fn seed() -> u64 {
    let seed = std::env::var(SEED).map_or(1, |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    seed
}

/// An operator whose only way to its account is through a proxy.
struct Net {
    world: World,
    proxy: TcpProxy,
    _operator: Operator,
}

impl Net {
    async fn new(name: &str, flags: &[&str]) -> Self {
        let world = World::new(crate::OPERATOR, name).await.unwrap();
        let proxy = TcpProxy::start(world.sim.address(), seed()).unwrap();
        let url = proxy.url();
        let flags = [flags, &["--cams-endpoint", &url]].concat();
        let operator = world.start(&flags).await;
        Self {
            world,
            proxy,
            _operator: operator,
        }
    }

    /// A resource whose first connection is the pre-read's, and the second its submission's.
    async fn submit(&self, name: &str, n: u32) {
        let (phone, code) = (crowd_phone(n), crowd_code(n));
        self.world.migrate(name, &phone, &code).await;
    }

    /// The same, and its submission's connection has these toxics. One at a time.
    async fn submit_through(&self, toxics: Toxics, name: &str, n: u32) {
        self.proxy.next(Toxics::default());
        self.proxy.next(toxics);
        self.submit(name, n).await;
    }

    async fn until(&self, name: &str, wanted: &str) -> Value {
        reason(&self.world, name, wanted).await
    }

    /// Executed, but the operator got no reply: provisional, then found by a read.
    async fn is_found_by_a_read(&self, name: &str, n: u32) {
        let lost = self.until(name, "OutcomeUnknown").await;
        assert_eq!(condition(&lost, "Reconciling"), "True", "{lost}");
        assert_eq!(condition(&lost, "Finished"), "False", "{lost}");
        let status = self.until(name, "Verified").await;
        self.is_verified(&status, n, "Adopted");
    }

    /// Verified by its own call, at the first attempt.
    async fn is_accepted(&self, name: &str, n: u32) {
        let status = self.until(name, "Verified").await;
        self.is_verified(&status, n, "Accepted");
    }

    fn is_verified(&self, status: &Value, n: u32, outcome: &str) {
        let phone = crowd_phone(n);
        assert_verified(status, &phone);
        assert_eq!(status["attempt"]["outcome"], outcome, "{status}");
        assert_eq!(status["attempt"]["number"], 1, "{status}");
        assert_eq!(self.world.counts(&phone), (1, 1), "{status}");
    }

    /// Not executed, which the operator cannot know: an end that needs a person.
    async fn ends_unknown(&self, name: &str, n: u32) {
        let status = finished(&self.world, name).await;
        assert_final_unknown(&status);
        assert_eq!(self.world.executed(&crowd_phone(n)), 0, "{status}");
    }

    fn calls(&self, n: u32) -> Vec<Entry> {
        self.world.calls(&crowd_phone(n))
    }

    async fn finish(&self) {
        self.world.finish().await.unwrap();
    }
}
