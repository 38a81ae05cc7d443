//! The verb and object of a request to an API server, from its method and URL. PURE.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The verb of a request, in the words of the API server's audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// A stream of events.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of many.
    DeleteCollection,
    /// Not about a resource: discovery, health.
    NonResource,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::NonResource => "nonresource",
        })
    }
}

/// The verb and object of a request. Fields that it does not have are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub verb: Verb,
    /// The plural, with the subresource if there is one: `secrets`, `phonemigrations/status`.
    pub resource: String,
    /// The namespace of the path.
    pub namespace: String,
    /// The name in the path; for a create, the name of the sent object.
    pub name: String,
}

impl Target {
    /// Reads it from `method`, `path` and `query`, and from `body` the name of a created object.
    pub(crate) fn of(method: &str, path: &str, query: &str, body: Option<&Value>) -> Self {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (namespace, rest): (&str, &[&str]) = match parts.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => match rest {
                ["namespaces", namespace, below @ ..] if !below.is_empty() => (namespace, below),
                other => ("", other),
            },
            _ => ("", &[]),
        };
        let (resource, name) = match rest {
            [] => (String::new(), ""),
            [resource] => ((*resource).to_owned(), ""),
            [resource, name] => ((*resource).to_owned(), *name),
            [resource, name, sub, ..] => (format!("{resource}/{sub}"), *name),
        };
        let verb = if resource.is_empty() {
            Verb::NonResource
        } else {
            verb_of(method, query, !name.is_empty())
        };
        let sent = || body?.pointer("/metadata/name")?.as_str();
        let name = match verb {
            Verb::Create if name.is_empty() => sent().unwrap_or_default(),
            _ => name,
        };
        Self {
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

fn verb_of(method: &str, query: &str, named: bool) -> Verb {
    let watches = || {
        query
            .split('&')
            .any(|pair| pair == "watch=true" || pair == "watch=1")
    };
    match method {
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch,
        "DELETE" if named => Verb::Delete,
        "DELETE" => Verb::DeleteCollection,
        _ if watches() => Verb::Watch,
        _ if named => Verb::Get,
        _ => Verb::List,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, uri: &str) -> String {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let target = Target::of(method, path, query, None);
        let Target {
            verb,
            resource,
            namespace,
            name,
        } = target;
        format!("{verb} {resource} {namespace} {name}")
    }

    #[test]
    fn requests_are_named_as_in_the_audit_log() {
        let group = "/apis/phonemigration.dev/v1alpha1";
        for (method, uri, wanted) in [
            (
                "PUT",
                "/namespaces/a/phonemigrations/s/status?fieldManager=x",
                "update phonemigrations/status a s",
            ),
            (
                "GET",
                "/namespaces/a/phonemigrations/s",
                "get phonemigrations a s",
            ),
            (
                "GET",
                "/namespaces/a/phonemigrations?limit=500",
                "list phonemigrations a ",
            ),
            (
                "GET",
                "/phonemigrations?watch=true&x=y",
                "watch phonemigrations  ",
            ),
        ] {
            assert_eq!(told(method, &format!("{group}{uri}")), wanted);
        }
        for (method, uri, wanted) in [
            ("GET", "/api/v1/namespaces/a/secrets/c", "get secrets a c"),
            ("GET", "/api/v1/namespaces/a", "get namespaces  a"),
            ("DELETE", "/api/v1/namespaces/a", "delete namespaces  a"),
            ("GET", "/readyz", "nonresource   "),
            ("GET", "/apis", "nonresource   "),
            (
                "POST",
                "/apis/events.k8s.io/v1/namespaces/a/events",
                "create events a ",
            ),
            (
                "PATCH",
                "/api/v1/namespaces/a/secrets/c",
                "patch secrets a c",
            ),
        ] {
            assert_eq!(told(method, uri), wanted);
        }
    }
}
