//! Which watched resources name which Secret; used only with `--watch-secrets`. PURE.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::api::crd::PhoneMigration;
use crate::api::object_key::ObjectKey;

/// Resources by the namespace and name of their Secret.
#[derive(Default)]
pub struct SecretNames(Mutex<Index>);

#[derive(Default)]
struct Index {
    by_secret: HashMap<ObjectKey, BTreeSet<String>>,
    secret_of: HashMap<ObjectKey, String>,
}

impl Index {
    fn take_out(&mut self, key: &ObjectKey) {
        let Some(name) = self.secret_of.remove(key) else {
            return;
        };
        let secret = ObjectKey {
            namespace: key.namespace.clone(),
            name,
        };
        if let Some(names) = self.by_secret.get_mut(&secret) {
            names.remove(&key.name);
            if names.is_empty() {
                self.by_secret.remove(&secret);
            }
        }
    }
}

impl SecretNames {
    fn with<T>(&self, f: impl FnOnce(&mut Index) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Updates the index from a watch event.
    pub fn seen(&self, key: &ObjectKey, object: &PhoneMigration) {
        let name = &object.spec.verify_code_secret_ref.name;
        self.with(|index| {
            if index.secret_of.get(key) == Some(name) {
                return;
            }
            index.take_out(key);
            index.secret_of.insert(key.clone(), name.clone());
            let secret = ObjectKey {
                namespace: key.namespace.clone(),
                name: name.clone(),
            };
            let names = index.by_secret.entry(secret).or_default();
            names.insert(key.name.clone());
        });
    }

    /// Forgets a resource that is gone.
    pub fn gone(&self, key: &ObjectKey) {
        self.with(|index| index.take_out(key));
    }

    /// Forgets every resource of a namespace (`None`: of all) that is missing in a full list.
    pub fn retain(&self, namespace: Option<&str>, listed: &HashSet<ObjectKey>) {
        self.with(|index| {
            let is_lost = |key: &&ObjectKey| {
                namespace.is_none_or(|namespace| namespace == key.namespace)
                    && !listed.contains(*key)
            };
            let lost: Vec<ObjectKey> = index.secret_of.keys().filter(is_lost).cloned().collect();
            for key in &lost {
                index.take_out(key);
            }
        });
    }

    /// The resources that name this Secret.
    pub fn of(&self, secret: &ObjectKey) -> Vec<ObjectKey> {
        self.with(|index| {
            let names = index.by_secret.get(secret).into_iter().flatten();
            let key = |name: &String| ObjectKey {
                namespace: secret.namespace.clone(),
                name: name.clone(),
            };
            names.map(key).collect()
        })
    }
}
