//! The pages, and their parts: prose, headings, code in a line, blocks of code.

use std::fs;
use std::path::{Path, PathBuf};

/// Pages outside `docs/`.
const ELSEWHERE: [&str; 2] = ["README.md", ".github/SECURITY.md"];

/// The top of the repository, for tests of any package.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = |folder: &&Path| folder.join("Cargo.lock").exists();
    package.ancestors().find(top).unwrap()
}

/// A Markdown file, by its path from the top of the repository.
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

impl Page {
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(repository().join(path));
        Self::new(
            path,
            text.unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        )
    }

    /// Every page, by path.
    pub fn all() -> Vec<Self> {
        let mut paths: Vec<PathBuf> = ELSEWHERE.iter().map(PathBuf::from).collect();
        collect(Path::new("docs"), &mut paths);
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// A fault, with the page's name in front.
    pub fn fault(&self, what: &str) -> String {
        format!("{}: {what}", self.path.display())
    }

    /// Lines, each with whether it is in a block of code; fences themselves are left out.
    pub fn lines(&self) -> Vec<(bool, &str)> {
        let mut inside = false;
        let mut lines = Vec::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else {
                lines.push((inside, line));
            }
        }
        lines
    }

    /// Words of headings.
    pub fn headings(&self) -> Vec<&str> {
        let prose = self.lines().into_iter().filter(|(code, _)| !code);
        prose
            .filter_map(|(_, line)| {
                let rest = line.trim_start_matches('#');
                let level = line.len() - rest.len();
                (1..=6).contains(&level).then_some(rest)?.strip_prefix(' ')
            })
            .map(str::trim)
            .collect()
    }

    /// Prose without code, headings included.
    pub fn prose(&self) -> String {
        let lines = self.lines().into_iter().filter(|(code, _)| !code);
        let text: String = lines.map(|(_, line)| format!("{line}\n")).collect();
        text.split('`').step_by(2).collect()
    }

    /// Texts between backquotes, a line break as a space.
    pub fn inline(&self) -> Vec<String> {
        let lines = self.lines().into_iter().filter(|(code, _)| !code);
        let text: String = lines.map(|(_, line)| format!("{line}\n")).collect();
        let codes = text.split('`').skip(1).step_by(2);
        codes.map(|code| code.replace('\n', " ")).collect()
    }

    /// Commands and other lines of blocks, a continued line (`\` at its end) as one.
    pub fn blocks(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut open = false;
        for (_, line) in self.lines().into_iter().filter(|(code, _)| *code) {
            let (body, goes_on) = match line.strip_suffix('\\') {
                Some(body) => (body, true),
                None => (line, false),
            };
            match lines.last_mut().filter(|_| open) {
                Some(last) => last.push_str(body),
                None => lines.push(body.to_owned()),
            }
            open = goes_on;
        }
        lines
    }

    /// All code: lines of blocks, and texts between backquotes.
    pub fn code(&self) -> Vec<String> {
        let mut code = self.blocks();
        code.extend(self.inline());
        code
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(repository().join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if repository().join(&path).is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

/// Panics with every fault.
pub fn none(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Writes a generated page on request; otherwise compares.
pub fn settle(path: &str, wanted: &str) {
    let file = repository().join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, wanted).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is not what the source says: UPDATE_DOCS=1 cargo test --test docs reference"
    );
}

/// Writes the first diagram of a page if asked to; else compares.
pub fn settle_diagram(path: &str, wanted: &str) {
    let text = Page::read(Path::new(path)).text;
    let (before, rest) = text.split_once("```mermaid\n").unwrap();
    let (_, after) = rest.split_once("```").unwrap();
    settle(path, &format!("{before}```mermaid\n{wanted}```{after}"));
}

/// A text as a cell of a table.
pub fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|")
}
