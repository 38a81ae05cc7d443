//! A panic in the work on a resource stops only that piece of work; a panic in a core task ends the
//! process. And the process listens on one port.

use std::collections::BTreeSet;

use super::*;

const CODE: &str = "46680001";

fn panics(world: &World) -> usize {
    let logs = world.logs().concat();
    logs.matches("\"Panicked; the message is withheld").count()
}

#[tokio::test]
async fn t23_a_panic_stops_one_resource_and_not_the_others() {
    if child::ran() {
        return;
    }
    let world = World::new(OPERATOR, "panics").await.unwrap();
    let test = "leaks::panics::t23_a_panic_stops_one_resource_and_not_the_others";
    // By file, so that the environment holds no key.
    let folder = world.temporary_credentials().unwrap();
    let folder = folder.to_string_lossy().into_owned();
    let flags = [SOON_FINAL, &["--credentials-dir", &folder]].concat();
    let mut operator = child::start(&world, test, &flags).await;
    let [visit, before, after, _] = child::AT.map(|(_, name)| name);
    // Without a Secret: the reconcile itself writes.
    world.make(&Migration::new(visit, phone(0))).await;
    world.migrate(before, &phone(1), CODE).await;
    world.migrate(after, &phone(2), CODE).await;
    until("three panics", || panics(&world) >= 3).await;
    for n in 10..15 {
        world.migrate(&format!("calm-{n}"), &phone(n), CODE).await;
    }
    for n in 10..15 {
        reason(&world, &format!("calm-{n}"), "Verified").await;
    }
    // Each panicked at one line; its open claim is observed, and never sent again.
    let status = reason(&world, after, "Verified").await;
    assert_eq!(status["attempt"]["outcome"], "Adopted", "{status}");
    let status = finished(&world, before).await;
    assert_eq!(harness::reason(&status), "OutcomeUnknown", "{status}");
    let sent = world.sim.ledger();
    let of_it = |e: &Entry| e.code.is_some() && e.phone == Some(phone(1));
    assert!(!sent.iter().any(of_it));
    reason(&world, visit, "SecretNotFound").await;
    // Each write about the first one panics, and is made nevertheless; nothing loops.
    for token in ["a", "b", "c"] {
        world.retry(visit, token).await;
        world.looked(visit).await;
    }
    let seen = panics(&world);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let more = panics(&world) - seen;
    assert!(more <= 2, "{seen} panics, {more} in 5 s");
    for path in ["/livez", "/readyz"] {
        let reply = operator.http(path).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{path}: {reply}");
    }
    let metrics = operator.http("/metrics").await.unwrap();
    let none = "controller_runtime_reconcile_panics_total{controller=\"phonemigration\"} 0";
    assert!(!metrics.contains(none), "{metrics}");
    // The panic's message is nowhere.
    world.finish().await.unwrap();
    let search = world.canaries().search().unwrap();
    let shown = artefacts::of_process(&mut operator).await;
    search.none_in(&shown).unwrap();
}

#[tokio::test]
async fn t23_a_panic_of_a_core_task_ends_the_process() {
    if child::ran() {
        return;
    }
    let world = World::new(OPERATOR, "core-panics").await.unwrap();
    let test = "leaks::panics::t23_a_panic_of_a_core_task_ends_the_process";
    // In the namespace whose Lease the shipped rights cover.
    let lease = ["--lease-namespace", "phone-migration-operator"];
    let elects = [&["--leader-elect", "true"], &lease[..]].concat();
    let mut operator = child::spawn(&world, test, &elects);
    let code = operator.ended(Duration::from_secs(60)).await.unwrap();
    assert_eq!(code, Some(1));
    let log = operator.log();
    assert_says(&log, &["A core task ended by itself (it panicked)"]);
    world.finish().await.unwrap();
}

/// Sockets in a table of the kernel whose state is one of these, by inode, with their ports.
fn sockets(pid: u32, table: &str, states: &[&str]) -> Vec<(String, u16)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if states.contains(&words[3]) {
            let port = words[1].rsplit(':').next().unwrap();
            found.push((words[9].to_owned(), u16::from_str_radix(port, 16).unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn t25_the_process_listens_on_one_port_only() {
    if child::ran() {
        return;
    }
    let world = World::new(OPERATOR, "ports").await.unwrap();
    let test = "leaks::panics::t25_the_process_listens_on_one_port_only";
    let mut operator = child::start(&world, test, SOON_FINAL).await;
    // Every part of the operator has run by now.
    world.migrate("m", &phone(20), CODE).await;
    reason(&world, "m", "Verified").await;
    let pid = operator.pid().unwrap();
    let mut own = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        let inode = target
            .strip_prefix("socket:[")
            .and_then(|t| t.strip_suffix(']'));
        own.extend(inode.map(str::to_owned));
    }
    assert!(own.len() > 1, "{own:?}");
    let mut ports = Vec::new();
    // Listening; bound, for UDP.
    for (table, states) in [
        ("tcp", ["0A"]),
        ("tcp6", ["0A"]),
        ("udp", ["07"]),
        ("udp6", ["07"]),
    ] {
        let found = sockets(pid, table, &states);
        ports.extend(found.into_iter().filter(|(inode, _)| own.contains(inode)));
    }
    assert_eq!(ports.len(), 1, "{ports:?}");
    let address = operator.address().unwrap();
    assert!(
        address.ends_with(&format!(":{}", ports[0].1)),
        "{address}: {ports:?}"
    );
    // And its port serves only probes and metrics.
    for path in [
        "/debug/pprof/",
        "/debug",
        "/config",
        "/configz",
        "/",
        "/metrics/..",
    ] {
        let reply = operator.http(path).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 404"), "{path}: {reply}");
    }
    world.finish().await.unwrap();
}
