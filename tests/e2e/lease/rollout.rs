//! A rollout as Kubernetes makes one: two replicas, a surge of one, readiness, then SIGTERM. The
//! kubelet is not there; its part is played by this case.

use super::*;

const RESOURCES: u32 = 60;

#[test]
fn a_rollout_in_the_middle_of_a_batch_sends_each_code_once() {
    run(async {
        let world = world("lease-roll").await;
        let mut first = elector(&world, "old-1").await;
        until_leads(&mut first, AT_ONCE).await;
        let mut second = elector(&world, "old-2").await;
        world.fill(&world.namespace, 0..RESOURCES).await.unwrap();
        let soon = Duration::from_secs(30);
        world.until_accepted(10, soon).await.unwrap();

        // Whichever of the others leads next: it is ended later, or it is new.
        let mut third = elector(&world, "new-1").await;
        assert_eq!(first.stop().await.unwrap(), Some(0));
        world.until_accepted(25, soon).await.unwrap();
        let mut fourth = elector(&world, "new-2").await;
        assert_eq!(second.stop().await.unwrap(), Some(0));

        let within = Duration::from_secs(60);
        world.until_all_verified(RESOURCES, within).await.unwrap();
        assert!(leads(&mut third).await != leads(&mut fourth).await);
        finish(&world).await;
    });
}
