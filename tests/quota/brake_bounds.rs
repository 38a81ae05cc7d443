//! The two bounds of the brake, for random mixes of good numbers, wrong codes, bad custSpaceIds and
//! phases in which the whole account is refused, under any Code: (a) one cause spends few codes;
//! (b) one pair's cause stops no other pair.

use std::collections::HashMap;
use std::time::Duration;

use phone_migration_operator::quota::{Pair, QueueEntry, Report};
use proptest::prelude::*;

use super::agents::{Refused, Times, World};
use super::{ms, queue_entry, s};

const START: Duration = s(1_000);

/// The server's first Codes; a wrong code, a bad space and a phase may share one.
const CODES: [&str; 4] = ["isv.WrongCode", "InvalidParameter", "Meta.136025", "Other"];

/// Round trips of a local and of a far server.
const ROUND_TRIPS: [u64; 2] = [5, 1_000];

fn times(round_trip: u64) -> Times {
    Times {
        way: ms(round_trip) / 2,
        processing: Duration::ZERO,
        cluster: ms(15),
    }
}

/// The resources of one namespace and custSpaceId.
#[derive(Clone, Debug)]
struct Tenant {
    namespace: u8,
    /// The Code with which its space is refused, if it is bad.
    bad_space: Option<usize>,
    /// When each resource arrives, in seconds, and the Code of its code, if it is wrong.
    resources: Vec<(u64, Option<usize>)>,
}

/// The account is refused from second `from`, for so many seconds, with this Code.
#[derive(Clone, Debug)]
struct Phase {
    from: u64,
    lasts: u64,
    code: usize,
}

impl Phase {
    fn covers(&self, at: Duration) -> bool {
        (START + s(self.from)..START + s(self.from + self.lasts)).contains(&at)
    }
}

fn a_code() -> impl Strategy<Value = usize> {
    0..CODES.len()
}

fn a_tenant(most: usize, wrong: f64) -> impl Strategy<Value = Tenant> {
    let resource = (0u64..40, prop::option::weighted(wrong, a_code()));
    (
        0u8..4,
        prop::option::weighted(0.2, a_code()),
        prop::collection::vec(resource, 1..most),
    )
        .prop_map(|(namespace, bad_space, resources)| Tenant {
            namespace,
            bad_space,
            resources,
        })
}

fn a_phase() -> impl Strategy<Value = Phase> {
    (0u64..60, 1u64..120, a_code()).prop_map(|(from, lasts, code)| Phase { from, lasts, code })
}

fn name_of(tenant: usize, resource: usize) -> String {
    format!("{tenant:02}-{resource:03}")
}

fn ticket_of(tenant: &Tenant, n: usize, resource: usize) -> QueueEntry {
    QueueEntry {
        cust_space_id: format!("space-{n}"),
        ..queue_entry(&format!("ns-{}", tenant.namespace), &name_of(n, resource))
    }
}

fn world(round_trip: u64, tenants: &[Tenant], phases: &[Phase]) -> World {
    let fine = |_: Duration, _: phone_migration_operator::quota::Action, _: &str| Report::Answered;
    let mut world = World::new(10, START, times(round_trip), fine);
    let mut refusals = HashMap::new();
    for (n, tenant) in tenants.iter().enumerate() {
        for (resource, (arrives, wrong)) in tenant.resources.iter().enumerate() {
            let queue_entry = ticket_of(tenant, n, resource);
            refusals.insert(queue_entry.uid.clone(), tenant.bad_space.or(*wrong));
            world.add_at(queue_entry, START + s(*arrives));
        }
    }
    let phases = phases.to_vec();
    world.refuse = Box::new(move |now, queue_entry| {
        let phase = phases.iter().find(|phase| phase.covers(now));
        let code = phase.map(|phase| phase.code).or(refusals[&queue_entry.uid]);
        code.map(|code| CODES[code].to_owned())
    });
    world
}

/// How many probes the back-off allows within this time: after 5 s, 15 s, 35 s, …
fn probes_within(time: Duration) -> usize {
    let mut back_off = s(5);
    let mut at = s(5);
    let mut probes = 0;
    while at <= time {
        probes += 1;
        back_off = (back_off * 2).min(s(300));
        at += back_off;
    }
    probes
}

/// Codes that a cause spent: three, those in flight when the third answer was read, and the rest,
/// by the time of each send after that.
struct Spent {
    under_way: usize,
    later: Vec<Duration>,
    /// From the third answer to the last code.
    lasted: Duration,
}

fn spent(mut refused: Vec<&Refused>) -> Option<Spent> {
    refused.sort_by_key(|refused| refused.answered);
    let third = refused.get(2)?.answered;
    let rest = refused.get(3..).unwrap_or_default();
    let later: Vec<Duration> = rest
        .iter()
        .map(|r| r.sent)
        .filter(|at| *at > third)
        .collect();
    let later: Vec<Duration> = later.into_iter().map(|at| at - third).collect();
    Some(Spent {
        under_way: rest.len() - later.len(),
        lasted: later.iter().max().copied().unwrap_or_default(),
        later,
    })
}

/// Ten a second, each in flight for a round trip.
fn most_under_way(round_trip: u64) -> usize {
    match round_trip {
        5 => 0,
        _ => 13,
    }
}

/// (a) for a phase. A pair that was already braked may go on by its own back-off in addition to the
/// brake's.
fn assert_phase_spends_little(world: &World, phase: &Phase, round_trip: u64, was_braked: bool) {
    let of_phase: Vec<&Refused> = world
        .refused
        .iter()
        .filter(|refused| phase.covers(refused.arrived))
        .collect();
    let begun = START + s(phase.from);
    let early = of_phase
        .iter()
        .filter(|r| r.arrived < begun + s(15))
        .count();
    assert!(
        early <= 5 + most_under_way(round_trip),
        "{early} codes in the first 15 s of {phase:?}"
    );
    let Some(spent) = spent(of_phase) else { return };
    assert!(spent.under_way <= most_under_way(round_trip), "{phase:?}");
    let schedules = if was_braked { 2 } else { 1 };
    let allowed = schedules * (probes_within(spent.lasted) + 1);
    assert!(
        spent.later.len() <= allowed,
        "{phase:?}: {:?} after the third answer, {allowed} allowed",
        spent.later
    );
}

/// (a) for a bad space.
fn assert_bad_space_spends_little(world: &World, pair: &Pair, round_trip: u64) {
    let of_pair = world
        .refused
        .iter()
        .filter(|r| r.queue_entry.pair() == *pair);
    let Some(spent) = spent(of_pair.collect()) else {
        return;
    };
    assert!(spent.under_way <= most_under_way(round_trip), "{pair:?}");
    let allowed = probes_within(spent.lasted) + 1;
    assert!(
        spent.later.len() <= allowed,
        "{pair:?}: {:?} after the third answer, {allowed} allowed",
        spent.later
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// (a) A phase under any Code, among tenants of every kind.
    #[test]
    fn a_phase_spends_little(
        round_trip in prop::sample::select(ROUND_TRIPS.to_vec()),
        tenants in prop::collection::vec(a_tenant(25, 0.1), 1..6),
        phase in a_phase(),
    ) {
        let mut world = world(round_trip, &tenants, std::slice::from_ref(&phase));
        world.run(START + s(phase.from));
        let was_braked = world.account.stats(world.now).braked_pairs > 0;
        world.run(START + s(3_600));
        assert_phase_spends_little(&world, &phase, round_trip, was_braked);
    }

    /// (a) Several phases after each other.
    #[test]
    fn each_of_several_phases_spends_little(
        round_trip in prop::sample::select(ROUND_TRIPS.to_vec()),
        tenants in prop::collection::vec(a_tenant(25, 0.05), 1..6),
        lengths in prop::collection::vec((1u64..60, 1u64..60, a_code()), 2..5),
    ) {
        let mut phases = Vec::new();
        let mut from = 0;
        for (gap, lasts, code) in lengths {
            from += gap;
            phases.push(Phase { from, lasts, code });
            from += lasts;
        }
        let mut world = world(round_trip, &tenants, &phases);
        world.run(START + s(3_600));
        for phase in &phases {
            assert_phase_spends_little(&world, phase, round_trip, true);
        }
    }

    /// (a) A bad space, with any acceptances and refusals of others.
    #[test]
    fn a_bad_space_spends_little(
        round_trip in prop::sample::select(ROUND_TRIPS.to_vec()),
        tenants in prop::collection::vec(a_tenant(25, 0.1), 1..6),
    ) {
        let mut world = world(round_trip, &tenants, &[]);
        world.run(START + s(3_600));
        for (n, tenant) in tenants.iter().enumerate() {
            if tenant.bad_space.is_some() {
                let pair = ticket_of(tenant, n, 0).pair();
                assert_bad_space_spends_little(&world, &pair, round_trip);
            }
        }
    }

    /// (b) As long as the refusals are of one pair, the others wait for one probe at most.
    #[test]
    fn one_pairs_refusals_stop_nobody_else(
        round_trip in prop::sample::select(ROUND_TRIPS.to_vec()),
        bad in 3usize..40,
        bad_namespace in 0u8..4,
        code in a_code(),
        good in prop::collection::vec((0u8..4, prop::collection::vec(0u64..60, 1..6)), 1..5),
    ) {
        let resources = (0..bad).map(|n| (u64::try_from(n).unwrap() / 3, None)).collect();
        let mut tenants = vec![Tenant {
            namespace: bad_namespace,
            bad_space: Some(code),
            resources,
        }];
        for (namespace, arrivals) in good {
            let resources = arrivals.into_iter().map(|at| (at, None)).collect();
            tenants.push(Tenant { namespace, bad_space: None, resources });
        }
        let mut world = world(round_trip, &tenants, &[]);
        world.run(START + s(300));
        // One call of the probe, then its own read, preparation and call, among the others'.
        let calls = 3 * ms(round_trip) + s(1);
        let all: usize = tenants.iter().skip(1).map(|t| t.resources.len()).sum();
        let turns = ms(100) * u32::try_from(all + 13).unwrap();
        for (n, tenant) in tenants.iter().enumerate().skip(1) {
            for (resource, (arrives, _)) in tenant.resources.iter().enumerate() {
                let arrived = (START + s(*arrives)).max(START + s(1));
                let done = world.done.get(&name_of(n, resource));
                let waited = done.copied().unwrap_or(Duration::MAX) - arrived;
                prop_assert!(
                    waited <= s(5) + calls + turns,
                    "{} waited {waited:?}", name_of(n, resource)
                );
            }
        }
    }
}

/// Thirty right codes of one tenant, as in the bench's figure, and of ten tenants.
#[test]
fn twelve_seconds_of_an_unknown_refusal_spend_at_most_five_codes_of_thirty() {
    for tenants in [1, 10] {
        let phase = Phase {
            from: 0,
            lasts: 12,
            code: 3,
        };
        let tenant = |n: u8| Tenant {
            namespace: n % 4,
            bad_space: None,
            resources: vec![(0, None); 30 / usize::from(tenants)],
        };
        let all: Vec<Tenant> = (0..tenants).map(tenant).collect();
        let mut world = world(5, &all, std::slice::from_ref(&phase));
        world.run(START + s(60));
        assert_eq!(world.finished(), 30);
        assert!(world.refused.len() <= 5, "{}", world.refused.len());
        let last = world.done.values().max().copied().unwrap();
        assert!(last <= START + s(12 + 20), "{last:?}");
    }
}
