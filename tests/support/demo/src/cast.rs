//! The cast: seventeen numbers in two namespaces, and the event that each of them meets. PURE.

/// The first namespace.
pub const TENANT_A: &str = "tenant-a";
/// The second one; both are served by one operator and share one account's quota.
pub const TENANT_B: &str = "tenant-b";

/// The event that a number meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    RightCode,
    /// Its code is right, and the account is throttled when its turn comes.
    Throttled,
    /// The first code is wrong; the right one is put into the Secret later.
    WrongCode,
    /// The Secret is created after the resource.
    LateSecret,
    /// Another client verified it before.
    AlreadyVerified,
    /// The cloud executes its call and closes the connection.
    LostReply,
    /// The operator is killed once the cloud has executed its call.
    Killed,
}

impl Part {
    /// The words for the table.
    pub fn words(self) -> &'static str {
        match self {
            Self::RightCode => "right code",
            Self::Throttled => "throttled",
            Self::WrongCode => "wrong code, corrected",
            Self::LateSecret => "Secret arrives late",
            Self::AlreadyVerified => "verified already",
            Self::LostReply => "reply gets lost",
            Self::Killed => "operator killed",
        }
    }
}

/// One PhoneMigration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub namespace: &'static str,
    /// Its name; the Secret is `<name>-code`.
    pub name: String,
    /// The number, digits only.
    pub phone: String,
    /// The right code at the simulated cloud.
    pub code: String,
    /// The Id that the simulated cloud returns.
    pub id: String,
    /// The event that it meets.
    pub part: Part,
}

impl Role {
    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// All roles, in the order of the table: twelve right codes and one of each misfortune.
pub fn cast() -> Vec<Role> {
    use Part::{AlreadyVerified, Killed, LateSecret, LostReply, RightCode, Throttled, WrongCode};
    let a = [RightCode; 5]
        .into_iter()
        .chain([Throttled, WrongCode, AlreadyVerified, Killed]);
    let b = [RightCode; 4]
        .into_iter()
        .chain([Throttled, Throttled, LateSecret, LostReply]);
    roles(TENANT_A, "store", 100, a)
        .chain(roles(TENANT_B, "shop", 200, b))
        .collect()
}

fn roles(
    namespace: &'static str,
    prefix: &'static str,
    first: u32,
    parts: impl Iterator<Item = Part>,
) -> impl Iterator<Item = Role> {
    (1..).zip(parts).map(move |(n, part)| Role {
        namespace,
        name: format!("{prefix}-{n:02}"),
        phone: format!("8613800000{:03}", first + n),
        code: format!("{}", 600_000 + (first + n) * 137),
        id: format!("82828893{:03}", first + n),
        part,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn twelve_right_codes_one_of_each_misfortune_and_nothing_shared() {
        let cast = cast();
        let count = |part| cast.iter().filter(|role| role.part == part).count();
        assert_eq!(count(Part::RightCode) + count(Part::Throttled), 12);
        for part in [
            Part::WrongCode,
            Part::LateSecret,
            Part::AlreadyVerified,
            Part::LostReply,
            Part::Killed,
        ] {
            assert_eq!(count(part), 1, "{part:?}");
        }
        let distinct = |of: fn(&Role) -> String| cast.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(|role| role.phone.clone()), cast.len());
        assert_eq!(distinct(|role| role.code.clone()), cast.len());
        assert_eq!(distinct(|role| role.id.clone()), cast.len());
        assert_eq!(distinct(Role::full_name), cast.len());
    }
}
