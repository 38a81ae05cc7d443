//! Every relative link, and every anchor, has a target. Web addresses are not checked.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::page::{Page, none, repository};

/// Targets of `[words](target)` outside of code.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let after = prose.split("](").skip(1);
    after
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split_whitespace().collect())
        .collect()
}

/// Anchors as GitHub makes them of headings.
fn anchors(page: &Page) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let slug = |heading: &str| -> String {
        let lower = heading.to_lowercase();
        let kept = lower
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let mut anchors = Vec::new();
    for heading in page.headings() {
        let slug = slug(heading);
        let count = seen.entry(slug.clone()).or_default();
        anchors.push(match *count {
            0 => slug,
            n => format!("{slug}-{n}"),
        });
        *count += 1;
    }
    anchors
}

/// `path` without `..`; `None` if it leaves the repository.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

fn fault(page: &Page, target: &str) -> Option<String> {
    if ["https://", "http://", "mailto:"]
        .iter()
        .any(|s| target.starts_with(s))
    {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        "" => page.path.clone(),
        path => match plain(&page.path.parent().unwrap().join(path)) {
            Some(path) => path,
            None => return Some(page.fault(&format!("{target} leaves the repository"))),
        },
    };
    if path == page.path {
        let known = anchor.is_empty() || anchors(page).contains(&anchor.to_owned());
        return (!known).then(|| page.fault(&format!("no heading for {target}")));
    }
    if !repository().join(&path).exists() {
        return Some(page.fault(&format!("{target} does not exist")));
    }
    if anchor.is_empty() {
        return None;
    }
    let known = path.extension().is_some_and(|e| e == "md")
        && anchors(&Page::read(&path)).contains(&anchor.to_owned());
    (!known).then(|| page.fault(&format!("no heading for {target}")))
}

fn faults(page: &Page) -> Vec<String> {
    let targets = targets(page);
    targets
        .iter()
        .filter_map(|target| fault(page, target))
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let pages = Page::all();
    let all: usize = pages.iter().map(|page| targets(page).len()).sum();
    assert!(all > 50, "only {all} links found");
    none(pages.iter().flat_map(faults));
}

/// Pages that no other page links to, by itself or with its folder; the top one needs none.
fn lost(pages: &[Page]) -> Vec<String> {
    let mut linked = Vec::new();
    for page in pages {
        for target in targets(page) {
            let path = target
                .split_once('#')
                .map_or(target.as_str(), |(path, _)| path);
            // An anchor alone leads to the page itself.
            if !path.is_empty() {
                let path = plain(&page.path.parent().unwrap().join(path));
                linked.extend(path.filter(|path| *path != page.path));
            }
        }
    }
    let is_lost = |page: &&Page| {
        let folder = page.path.parent().unwrap().to_path_buf();
        page.path != Path::new("README.md")
            && !linked.contains(&page.path)
            && !linked.contains(&folder)
    };
    let lost = pages.iter().filter(is_lost);
    lost.map(|page| page.fault("no page links to it")).collect()
}

#[test]
fn every_page_is_linked() {
    none(lost(&Page::all()));
}

#[test]
fn a_page_without_a_link_is_found() {
    let page = |path: &str, text: &str| Page::new(path, text);
    let pages = [
        page("README.md", "[a](docs/a.md) [r](docs/r/)"),
        page("docs/a.md", "[here](#a) [itself](a.md)"),
        page("docs/b.md", "[itself](b.md)"),
        page("docs/r/c.md", ""),
    ];
    assert_eq!(lost(&pages), ["docs/b.md: no page links to it"]);
}

#[test]
fn a_link_to_nowhere_is_found() {
    let text = "# A b, `c`!\n## A\n## A\n[1](#a-b-c) [2](#a-1) [3](threats.md#threats) \
                [4](../README.md) [5](https://example.com) `[6](no.md)`\n```\n[7](no.md)\n```\n";
    none(faults(&Page::new("docs/x.md", text)));
    for bad in [
        "#a-2",
        "no.md",
        "threats.md#no",
        "../Cargo.toml#x",
        "../../etc",
        "/etc/hosts",
    ] {
        let page = Page::new("docs/x.md", format!("# A\n[words]({bad})\n"));
        assert_eq!(faults(&page).len(), 1, "{bad}");
    }
}
