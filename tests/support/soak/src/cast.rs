//! The resources: their names, numbers and codes, and how their tenants go about it. PURE.

use fastrand::Rng;

/// Codes of eight digits, so that they can be searched for in everything written.
const CODES: u64 = 89_999_999;
const SCATTER: u64 = 7_919;
/// No resource is given more codes than this.
pub const MOST_CODES: u64 = 40;

/// What a tenant does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The right code at once.
    Right,
    /// So many wrong codes, each replaced once it was refused.
    WrongFirst(u64),
    /// A wrong code that nobody corrects.
    NeverRight,
    /// Wrong codes until no more are allowed; then the right one and a new retryToken.
    Stubborn,
    /// The Secret comes later, by so many milliseconds.
    LateSecret(u64),
    /// The number is verified already.
    VerifiedBefore,
    /// First something that is no code.
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
}

/// The n-th resource of a run.
pub fn role(seed: u64, n: u64, namespaces: u64) -> Role {
    let mut rng = Rng::with_seed(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Role {
        n,
        namespace: format!("tenant-{}", rng.u64(..namespaces)),
        name: format!("m{n}"),
        phone: format!("86138{n:08}"),
        // No eight digits, which a code could be.
        id: format!("id-{n}"),
        manner: manner(&mut rng),
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
    fn a_role_is_the_same_again_and_found_by_its_name() {
        for n in 0..200 {
            let role = role(3, n, 5);
            assert_eq!(role, super::role(3, n, 5));
            assert_eq!(number_of(&role.name), Some(n));
        }
    }
}
