//! Selects the requests, or the frames of a watch, that a rule is for. PURE.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::request::{Target, Verb};

type Predicate = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// Selects the requests that fit every given part. Without a counter, every time.
#[derive(Clone)]
pub struct When {
    verb: Option<Verb>,
    resource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    event: Option<String>,
    bodies: Vec<(String, Predicate)>,
    from: u64,
    every: u64,
    times: Option<u64>,
}

/// A request, or a frame of a watch, as a rule sees it.
pub(crate) struct Seen<'a> {
    pub(crate) target: &'a Target,
    /// The type of the frame's event; `None`: this is a request.
    pub(crate) event: Option<&'a str>,
    /// The body of the request, or the object of the frame; null if there is none.
    pub(crate) body: &'a Value,
}

impl When {
    pub fn any() -> Self {
        Self {
            verb: None,
            resource: None,
            namespace: None,
            name: None,
            event: None,
            bodies: Vec::new(),
            from: 1,
            every: 1,
            times: None,
        }
    }

    #[must_use]
    pub fn verb(mut self, verb: Verb) -> Self {
        self.verb = Some(verb);
        self
    }

    /// Requests about a resource, named with its subresource: `phonemigrations/status`.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    fn about(verb: Verb, resource: impl Into<String>) -> Self {
        Self::any().verb(verb).resource(resource)
    }

    /// GET of one object.
    pub fn get(resource: impl Into<String>) -> Self {
        Self::about(Verb::Get, resource)
    }

    /// GET of many.
    pub fn list(resource: impl Into<String>) -> Self {
        Self::about(Verb::List, resource)
    }

    /// Watches, or their frames.
    pub fn watch(resource: impl Into<String>) -> Self {
        Self::about(Verb::Watch, resource)
    }

    /// POST.
    pub fn create(resource: impl Into<String>) -> Self {
        Self::about(Verb::Create, resource)
    }

    /// PUT.
    pub fn update(resource: impl Into<String>) -> Self {
        Self::about(Verb::Update, resource)
    }

    /// PATCH.
    pub fn patch(resource: impl Into<String>) -> Self {
        Self::about(Verb::Patch, resource)
    }

    /// DELETE of one object.
    pub fn delete(resource: impl Into<String>) -> Self {
        Self::about(Verb::Delete, resource)
    }

    /// Only in this namespace; of a frame: that of its object.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Only this object; of a frame: that of its object.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only frames of this type: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`, `ERROR`.
    #[must_use]
    pub fn event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    /// Only if the body of the request, or the object of the frame, satisfies `holds`; `what`
    /// is for messages. A request without a JSON body has null.
    #[must_use]
    pub fn body(
        mut self,
        what: impl Into<String>,
        holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.bodies.push((what.into(), Arc::new(holds)));
        self
    }

    /// Begin with the n-th that fits (1 is the first).
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.from = n.max(1);
        self
    }

    /// Each k-th that fits: with 3 the third, the sixth … counted from the first that counts.
    #[must_use]
    pub fn every(mut self, k: u64) -> Self {
        self.every = k.max(1);
        self
    }

    /// Stop after this many.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Fits, counters apart.
    pub(crate) fn fits(&self, seen: &Seen<'_>) -> bool {
        let is = |wanted: &Option<String>, got: &str| wanted.as_ref().is_none_or(|w| w == got);
        self.verb.is_none_or(|verb| verb == seen.target.verb)
            && is(&self.resource, &seen.target.resource)
            && is(&self.namespace, &seen.target.namespace)
            && is(&self.name, &seen.target.name)
            && is(&self.event, seen.event.unwrap_or_default())
            && self.bodies.iter().all(|(_, holds)| holds(seen.body))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verb {
            Some(verb) => write!(f, "{verb}")?,
            None => f.write_str("any")?,
        }
        let parts = [
            ("", &self.resource),
            ("namespace=", &self.namespace),
            ("name=", &self.name),
            ("event=", &self.event),
        ];
        for (what, value) in parts {
            if let Some(value) = value {
                write!(f, " {what}{value}")?;
            }
        }
        for (what, _) in &self.bodies {
            write!(f, " body={what}")?;
        }
        if self.from > 1 {
            write!(f, " nth={}", self.from)?;
        }
        if self.every > 1 {
            write!(f, " every={}", self.every)?;
        }
        self.times.map_or(Ok(()), |n| write!(f, " times={n}"))
    }
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "When({self})")
    }
}

/// The counters of one rule.
#[derive(Debug, Default)]
pub(crate) struct Count {
    fitted: u64,
    taken: u64,
}

impl Count {
    /// Counts one that fits; true if the rule is for it.
    pub(crate) fn take(&mut self, when: &When) -> bool {
        self.fitted += 1;
        let since = (self.fitted + 1).saturating_sub(when.from);
        let due = since > 0 && since.is_multiple_of(when.every);
        let left = when.times.is_none_or(|times| self.taken < times);
        if due && left {
            self.taken += 1;
        }
        due && left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taken(when: &When) -> Vec<u64> {
        let mut count = Count::default();
        (1..=9).filter(|_| count.take(when)).collect()
    }

    #[test]
    fn counters_say_which() {
        assert_eq!(taken(&When::any()).len(), 9);
        assert_eq!(taken(&When::any().once()), [1]);
        assert_eq!(taken(&When::any().nth(3).times(2)), [3, 4]);
        assert_eq!(taken(&When::any().every(3)), [3, 6, 9]);
        assert_eq!(taken(&When::any().nth(2).every(3).times(2)), [4, 7]);
    }

    #[test]
    fn every_part_must_fit() {
        let target = Target::of(
            "PUT",
            "/apis/g/v1/namespaces/a/phonemigrations/s/status",
            "",
            None,
        );
        let claim = json!({"status": {"attempt": {"id": "x"}}});
        let seen = |body| Seen {
            target: &target,
            event: None,
            body,
        };
        let open = |body: &Value| body["status"]["attempt"]["outcome"].is_null();
        let when = When::update("phonemigrations/status")
            .name("s")
            .body("open", open);
        assert!(when.fits(&seen(&claim)));
        let done = json!({"status": {"attempt": {"outcome": "Accepted"}}});
        assert!(!when.fits(&seen(&done)));
        assert!(!when.clone().name("t").fits(&seen(&claim)));
        assert!(!when.clone().event("MODIFIED").fits(&seen(&claim)));
        assert!(!When::update("phonemigrations").fits(&seen(&claim)));
        assert_eq!(
            when.once().to_string(),
            "update phonemigrations/status name=s body=open times=1"
        );
    }
}
