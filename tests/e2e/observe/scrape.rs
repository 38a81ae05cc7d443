//! Reads a scrape in Prometheus's text form.

use std::collections::{BTreeMap, BTreeSet};

/// All series of one name, as in HELP and TYPE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Name of the family; a histogram's samples have `_bucket`, `_sum` and `_count` behind it.
    pub name: String,
    /// counter, gauge or histogram.
    pub kind: String,
    /// Its HELP text.
    pub help: String,
    /// Names of its labels, except `le`.
    pub labels: BTreeSet<String>,
}

impl Family {
    /// By the name, as Prometheus wants it.
    pub fn unit(&self) -> &'static str {
        let stem = self.name.strip_suffix("_total").unwrap_or(&self.name);
        ["seconds", "bytes"]
            .into_iter()
            .find(|unit| stem.ends_with(&format!("_{unit}")))
            .filter(|_| !stem.ends_with("_per_second"))
            .unwrap_or(if stem.ends_with("_per_second") {
                "1/s"
            } else {
                "1"
            })
    }

    /// The names that its samples can have.
    pub fn samples(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        suffixes
            .iter()
            .map(|suffix| format!("{}{suffix}", self.name))
            .collect()
    }
}

/// The families of a scrape, in its order.
pub fn families(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut by_sample: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            families.push(Family {
                name: name.to_owned(),
                help: help.to_owned(),
                ..Family::default()
            });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let number = families.len() - 1;
            let family = &mut families[number];
            assert_eq!(family.name, name, "TYPE follows HELP");
            family.kind = kind.to_owned();
            by_sample.extend(family.samples().into_iter().map(|name| (name, number)));
        } else if !line.is_empty() {
            let end = line.find(['{', ' ']).unwrap();
            let number = by_sample[&line[..end]];
            families[number].labels.extend(labels(&line[end..]));
        }
    }
    families
}

/// The names of the labels in `{a="x",b="y"} 1`.
fn labels(text: &str) -> Vec<String> {
    let Some(inner) = text.strip_prefix('{') else {
        return Vec::new();
    };
    let mut rest = inner;
    let mut names = Vec::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let (_, after) = after.split_once('"').unwrap();
        names.push(name.trim_start_matches(',').to_owned());
        rest = after;
    }
    names.retain(|name| name != "le");
    names
}

#[test]
fn a_scrape_is_read_as_it_is_meant() {
    let text = "# HELP a_seconds Time.\n# TYPE a_seconds histogram\n\
                a_seconds_sum{x=\"1 {\",y=\"2\"} 0.5\na_seconds_bucket{le=\"1.0\",x=\"1\",y=\"2\"} 1\n\
                # HELP b_total Calls.\n# TYPE b_total counter\nb_total 3\n";
    let families = families(text);
    let found: Vec<_> = families
        .iter()
        .map(|f| (f.name.as_str(), f.kind.as_str(), f.unit(), f.labels.len()))
        .collect();
    assert_eq!(
        found,
        [
            ("a_seconds", "histogram", "seconds", 2),
            ("b_total", "counter", "1", 0)
        ]
    );
}
