//! The temporary key of a sign-in, shared by the task that renews it and the code that signs with
//! it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Credentials;
use super::renewal::Life;

/// A temporary key. Without `Debug`.
pub struct SessionKey {
    /// The key.
    pub credentials: Arc<Credentials>,
    /// Begin and end of the key's life.
    pub life: Life,
}

/// The newest temporary key; empty before the first.
#[derive(Default)]
pub struct Session(Mutex<State>);

#[derive(Default)]
struct State {
    key: Option<Arc<SessionKey>>,
    changes: u64,
}

impl Session {
    /// Puts a new key into use.
    pub fn put(&self, key: SessionKey) {
        let mut state = self.lock();
        state.key = Some(Arc::new(key));
        state.changes += 1;
    }

    /// The newest key; its life may have ended.
    pub fn key(&self) -> Option<Arc<SessionKey>> {
        self.lock().key.clone()
    }

    /// Number of keys put into use since the start.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced whole, so a panic elsewhere cannot have left half of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
