//! `generate -f numbers.csv`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use crate::args::GenerateArgs;
use crate::exit::{Exit, Failure};
use crate::table::{Files, files};
use crate::terminal::Console;
use crate::text::counted;

/// Writes the manifests, or compares them with the existing ones.
pub fn run(args: &GenerateArgs, console: &Console) -> Result<Exit, Failure> {
    let table = read(&args.filename)?;
    let wanted = match files(&table) {
        Ok(files) => files,
        Err(faults) => {
            let name = match args.filename.as_os_str() == "-" {
                true => "standard input".to_owned(),
                false => args.filename.display().to_string(),
            };
            for fault in &faults {
                console.out(&format!("{name}:{fault}"));
            }
            let count = counted(faults.len(), "error");
            return Err(Failure::input(format!("{count}, nothing written")));
        }
    };
    let there = existing(&args.out)?;
    let differences = differences(&wanted, &there);
    if args.check {
        for line in &differences {
            console.out(line);
        }
        return match differences.is_empty() {
            true => Ok(Exit::Done),
            false => Err(Failure::input(format!(
                "{} between the table and {}",
                counted(differences.len(), "difference"),
                args.out.display()
            ))),
        };
    }
    write(&args.out, &wanted, &there)?;
    for line in differences
        .iter()
        .filter(|line| line.starts_with("only in"))
    {
        console.note(&format!("{line}: not in the table, and left as it is"));
    }
    let numbers = wanted
        .keys()
        .filter(|name| !name.ends_with("/kustomization.yaml"));
    console.out(&format!(
        "{} in {}: {}",
        counted(numbers.count(), "PhoneMigration"),
        args.out.display(),
        match differences
            .iter()
            .filter(|line| !line.starts_with("only in"))
            .count()
        {
            0 => "nothing has changed".to_owned(),
            count => format!("{} written", counted(count, "file")),
        }
    ));
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<String, Failure> {
    let read = match path.as_os_str() == "-" {
        true => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        }
        false => fs::read_to_string(path),
    };
    read.map_err(|error| Failure::input(format!("cannot read {}: {error}", path.display())))
}

/// The manifests below a folder, two levels deep; none if it does not exist.
fn existing(folder: &Path) -> Result<Files, Failure> {
    let mut found = BTreeMap::new();
    let failed = |error: std::io::Error| {
        Failure::input(format!("cannot read {}: {error}", folder.display()))
    };
    if !folder.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let namespace = entry.map_err(failed)?.path();
        if !namespace.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&namespace).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let text = fs::read_to_string(&path).map_err(failed)?;
                let name = |path: &Path| {
                    let name = path.file_name().unwrap_or_default();
                    name.to_string_lossy().into_owned()
                };
                found.insert(format!("{}/{}", name(&namespace), name(&path)), text);
            }
        }
    }
    Ok(found)
}

fn differences(wanted: &Files, there: &Files) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, text) in wanted {
        match there.get(name) {
            None => lines.push(format!("missing: {name}")),
            Some(found) if found != text => lines.push(format!("differs: {name}")),
            Some(_) => {}
        }
    }
    let extra = there.keys().filter(|name| !wanted.contains_key(*name));
    lines.extend(extra.map(|name| format!("only in the folder: {name}")));
    lines
}

fn write(folder: &Path, wanted: &Files, there: &Files) -> Result<(), Failure> {
    for (name, text) in wanted
        .iter()
        .filter(|(name, text)| there.get(*name) != Some(*text))
    {
        let path = folder.join(name);
        let failed = |error: std::io::Error| {
            Failure::input(format!("cannot write {}: {error}", path.display()))
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(&path, text).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::PathBuf;

    const TABLE: &str = "name,namespace,custSpaceId,phoneNumber\na,t,1,8613800001234\n";

    fn args(folder: &Path, table: &str, check: bool) -> GenerateArgs {
        let filename: PathBuf = folder.join("numbers.csv");
        fs::write(&filename, table).unwrap();
        GenerateArgs {
            filename,
            out: folder.join("out"),
            check,
        }
    }

    #[test]
    fn a_second_run_changes_nothing_and_a_check_sees_an_edit() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::new();
        let (write, check) = (
            args(folder.path(), TABLE, false),
            args(folder.path(), TABLE, true),
        );
        assert!(run(&check, &console).is_err(), "nothing is there yet");
        assert_eq!(run(&write, &console).unwrap(), Exit::Done);
        assert_eq!(run(&check, &console).unwrap(), Exit::Done);
        let file = folder.path().join("out/t/a.yaml");
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(run(&write, &console).unwrap(), Exit::Done);
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        fs::write(&file, "edited").unwrap();
        assert!(run(&check, &console).is_err());
        fs::remove_file(&file).unwrap();
        assert!(run(&check, &console).is_err());
    }

    #[test]
    fn of_a_wrong_table_nothing_is_written_and_what_is_not_in_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::new();
        let wrong = format!("{TABLE}b,t,1,+8613800001235\n");
        assert!(run(&args(folder.path(), &wrong, false), &console).is_err());
        assert!(!folder.path().join("out").exists());
        let extra = folder.path().join("out/t/old.yaml");
        fs::create_dir_all(extra.parent().unwrap()).unwrap();
        fs::write(&extra, "x").unwrap();
        assert_eq!(
            run(&args(folder.path(), TABLE, false), &console).unwrap(),
            Exit::Done
        );
        assert!(extra.exists());
        let check = run(&args(folder.path(), TABLE, true), &console);
        assert!(check.unwrap_err().message.contains("1 difference"));
    }
}
