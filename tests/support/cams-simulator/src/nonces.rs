//! Nonces the gateway has seen. PURE: time comes in.

use std::collections::{HashSet, VecDeque};

/// Nonces seen, by (scope, nonce), for as long as they are remembered.
#[derive(Clone, Debug, Default)]
pub struct Nonces {
    seen: HashSet<(String, String)>,
    order: VecDeque<(u64, (String, String))>,
}

impl Nonces {
    /// Returns true and remembers the nonce if it is new.
    pub fn take(&mut self, scope: &str, nonce: &str, now_us: u64, retention_us: u64) -> bool {
        while let Some((at, _)) = self.order.front()
            && at.saturating_add(retention_us) <= now_us
        {
            if let Some((_, key)) = self.order.pop_front() {
                self.seen.remove(&key);
            }
        }
        let key = (scope.to_owned(), nonce.to_owned());
        if self.seen.contains(&key) {
            return false;
        }
        self.seen.insert(key.clone());
        self.order.push_back((now_us, key));
        true
    }
}
