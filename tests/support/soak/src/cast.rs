//! The resources: their names, numbers and codes, and the behaviour of their tenants. PURE.

use fastrand::Rng;

/// Codes of eight digits, so that the leak check can search for them.
const CODES: u64 = 89_999_999;
const SCATTER: u64 = 7_919;
/// No resource is given more codes than this.
pub const MOST_CODES: u64 = 40;

/// The behaviour of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The right code at once.
    Right,
    /// So many wrong codes, each replaced once it was refused.
    WrongFirst(u64),
    /// A wrong code that the tenant never corrects.
    NeverRight,
    /// Wrong codes until no more are allowed; then the right one and a new retryToken.
    Stubborn,
    /// The Secret comes later, by so many milliseconds.
    LateSecret(u64),
    /// The number is verified already.
    VerifiedBefore,
    /// First a value that is not a code.
    NoCode,
    /// Suspended at first, for so many milliseconds.
    SuspendedFirst(u64),
    /// The cloud does not know the number.
    UnknownNumber,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its number in the order of creation.
    pub n: u64,
    pub namespace: String,
    pub name: String,
    pub phone: String,
    /// The cloud's Id for it.
    pub id: String,
    pub manner: Manner,
    /// The resource whose number it shares, if it shares one.
    pub shares: Option<u64>,
    /// Its first code is that of the first resource of its number.
    pub same_code: bool,
}

/// Of so many resources the last ones share the number of the one before them.
const GROUP: u64 = 10;
/// So many of them, with the one before them.
const SHARING: u64 = 4;

/// The n-th resource of a run.
pub fn role(seed: u64, n: u64, namespaces: u64) -> Role {
    let mut rng = Rng::with_seed(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let namespace = format!("tenant-{}", rng.u64(..namespaces));
    let manner = manner(&mut rng);
    // Two pairs in each group: the first resource of each, and the one behind it.
    let place = n % GROUP;
    let shares = (place >= GROUP - SHARING).then(|| n - (place - (GROUP - SHARING)) % 2);
    let first = shares.unwrap_or(n);
    Role {
        n,
        namespace,
        name: format!("m{n}"),
        phone: format!("86138{first:08}"),
        // Not eight digits, which could be a code.
        id: format!("id-{first}"),
        manner: match manner {
            // These manners mean nothing for a number that other resources verify.
            Manner::UnknownNumber | Manner::VerifiedBefore if shares.is_some() => Manner::Right,
            manner => manner,
        },
        shares,
        same_code: rng.bool(),
    }
}

impl Role {
    /// Its k-th code.
    pub fn code(&self, k: u64) -> String {
        let of = self.shares.filter(|_| self.same_code && k == 0);
        code(of.unwrap_or(self.n), k)
    }
}

fn manner(rng: &mut Rng) -> Manner {
    match rng.u64(..1000) {
        0..700 => Manner::Right,
        700..860 => Manner::WrongFirst(rng.u64(1..=3)),
        860..880 => Manner::NeverRight,
        880..890 => Manner::Stubborn,
        890..930 => Manner::LateSecret(rng.u64(500..=15_000)),
        930..955 => Manner::VerifiedBefore,
        955..970 => Manner::NoCode,
        970..990 => Manner::SuspendedFirst(rng.u64(500..=15_000)),
        _ => Manner::UnknownNumber,
    }
}

/// The k-th code of the n-th resource: no two are alike.
pub fn code(n: u64, k: u64) -> String {
    let scattered = (n * MOST_CODES + k) * SCATTER % CODES;
    format!("{}", 10_000_000 + scattered)
}

/// The number of the resource of this name.
pub fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix('m')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_codes_are_alike_and_all_have_eight_digits() {
        let codes: BTreeSet<String> = (0..5_000)
            .flat_map(|n| (0..MOST_CODES).map(move |k| code(n, k)))
            .collect();
        assert_eq!(codes.len(), 200_000);
        assert!(codes.iter().all(|code| code.len() == 8));
    }

    #[test]
    fn pairs_share_a_number_in_one_namespace_and_in_two_with_one_code_and_with_two() {
        let roles: Vec<Role> = (0..400).map(|n| role(3, n, 5)).collect();
        let pairs = roles
            .iter()
            .filter(|r| r.shares.is_some_and(|of| of != r.n));
        let mut kinds = BTreeSet::new();
        for second in pairs {
            let first = roles.iter().find(|r| Some(r.n) == second.shares).unwrap();
            assert_eq!((&first.phone, &first.id), (&second.phone, &second.id));
            assert_eq!(first.shares, Some(first.n));
            let same = first.code(0) == second.code(0);
            assert_ne!(first.code(1), second.code(1));
            kinds.insert((first.namespace == second.namespace, same));
        }
        assert_eq!(kinds.len(), 4, "{kinds:?}");
        let numbers: BTreeSet<&str> = roles.iter().map(|r| &*r.phone).collect();
        assert_eq!(numbers.len(), 320);
    }

    #[test]
    fn a_role_is_the_same_again_and_found_by_its_name() {
        for n in 0..200 {
            let role = role(3, n, 5);
            assert_eq!(role, super::role(3, n, 5));
            assert_eq!(number_of(&role.name), Some(n));
        }
    }
}
