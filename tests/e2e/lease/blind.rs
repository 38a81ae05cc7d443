//! A standby that has not seen the leader's last writes takes over.

use harness::FrameThen;

use super::*;

const PHONE: &str = "8613800002101";
const WRONG: &str = "99881234";
const RIGHT: &str = "40711234";

/// Its watch shows nothing since before the claim, and its list of ledgers does not come: the live
/// reads before a claim find the refused code.
#[test]
fn a_standby_whose_watch_is_blind_takes_over_and_sends_nothing_again() {
    run(async {
        let world = world("lease-blind").await;
        let proxy = world.proxy().await.unwrap();
        world.number(PHONE, RIGHT, "id-blind");
        world.make(&Migration::new("m", PHONE)).await;
        let mut a = elector(&world, "a").await;
        until_leads(&mut a, AT_ONCE).await;
        reason(&world, "m", "SecretNotFound").await;
        let blind = proxy.frame_rule(When::watch("phonemigrations"), FrameThen::Drop);
        let unlisted = proxy.rule(When::list("codeledgers"), Then::Hold);
        let standby = world.operator_via(&proxy, &flags(&world, "b")).await;
        let mut b = standby.unwrap();
        assert!(!leads(&mut b).await);
        world.replace_code("m", WRONG).await;
        let before = reason(&world, "m", "CodeRejected").await;
        assert_eq!(world.calls(PHONE).len(), 1);
        let live = proxy.rule(When::get("codeledgers"), Then::after(|_| {}));
        assert_eq!(a.stop().await.unwrap(), Some(0));
        until_leads(&mut b, AT_ONCE).await;
        live.hit().await.unwrap();
        // It sees again; the next reconcile overrides any plan from its old view.
        drop((blind, unlisted));
        world.request("m", "look").await.unwrap();
        let looked = |status: &Value| status["lastHandledReconcileAt"] == "look";
        let status = world.until("m", AT_ONCE, looked).await.unwrap();
        assert_eq!(harness::reason(&status), "CodeRejected", "{status}");
        assert_eq!(status["attempt"], before["attempt"], "{status}");
        assert_eq!(world.calls(PHONE).len(), 1);
        world.replace_code("m", RIGHT).await;
        reason(&world, "m", "Verified").await;
        assert_eq!(world.calls(PHONE).len(), 2);
        finish(&world).await;
    });
}
