//! A table of numbers, and the manifests that come of it. PURE.
//!
//! The rules of the resource's own schema check every line. If a table has an error, nothing is
//! written. The same table always gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::{clean, cut};

/// A file to be written: its path below the folder, and its text.
pub type Files = BTreeMap<String, String>;

/// A number to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    name: String,
    namespace: String,
    cust_space_id: String,
    phone_number: String,
    labels: BTreeMap<String, String>,
}

/// The columns, as the field of the resource is called.
const NEEDED: [&str; 4] = ["name", "namespace", "custSpaceId", "phoneNumber"];
const LABELS: &str = "labels";

/// The manifests of a table.
///
/// # Errors
/// Every fault of it, each with its line.
pub fn files(text: &str) -> Result<Files, Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let records = records(text)?;
    let mut records = records.into_iter();
    let Some((_, head)) = records.next() else {
        return Err(vec!["the table is empty".to_owned()]);
    };
    let columns = columns(&head)?;
    let mut faults = Vec::new();
    let mut rows = Vec::new();
    for (line, cells) in records {
        match row(line, &cells, &columns) {
            Ok(row) => rows.push(row),
            Err(wrong) => faults.extend(wrong),
        }
    }
    faults.extend(doubles(&rows));
    if rows.is_empty() && faults.is_empty() {
        faults.push("the table has a head and no numbers".to_owned());
    }
    match faults.is_empty() {
        true => Ok(manifests(&rows)),
        false => Err(faults),
    }
}

/// Lines as cells, by the separator of the first line. Quotes as in CSV.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, Vec<String>> {
    let head = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t']
        .into_iter()
        .max_by_key(|c| head.matches(*c).count());
    let separator = separator.unwrap_or(',');
    let mut records = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let cells = cells(line, separator);
        let cells = cells.ok_or_else(|| vec![fault(n + 1, "a quote is not closed")])?;
        records.push((n + 1, cells));
    }
    Ok(records)
}

fn cells(line: &str, separator: char) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = cells.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    let trimmed = cells.iter().map(|cell| cell.trim().to_owned()).collect();
    (!quoted).then_some(trimmed)
}

fn fault(line: usize, what: &str) -> String {
    format!("{line}: {what}")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(&clean(text), 40))
}

/// The place of each column.
fn columns(head: &[String]) -> Result<BTreeMap<&'static str, usize>, Vec<String>> {
    let (mut places, mut faults) = (BTreeMap::new(), Vec::new());
    for (n, word) in head.iter().enumerate() {
        let known = NEEDED.into_iter().chain([LABELS]);
        let column = known
            .into_iter()
            .find(|column| column.eq_ignore_ascii_case(word));
        match column {
            Some(column) if places.insert(column, n).is_some() => {
                faults.push(fault(1, &format!("column {column} is there twice")));
            }
            Some(_) => {}
            None => faults.push(fault(
                1,
                &format!(
                    "{} is no column: {}, {LABELS}",
                    quoted(word),
                    NEEDED.join(", ")
                ),
            )),
        }
    }
    for column in NEEDED.iter().filter(|column| !places.contains_key(*column)) {
        faults.push(fault(1, &format!("column {column} is missing")));
    }
    match faults.is_empty() {
        true => Ok(places),
        false => Err(faults),
    }
}

fn row(
    line: usize,
    cells: &[String],
    columns: &BTreeMap<&'static str, usize>,
) -> Result<Row, Vec<String>> {
    let value = |column: &str| -> &str {
        let place = columns.get(column);
        let cell = place.and_then(|place| cells.get(*place));
        cell.map(String::as_str).unwrap_or_default()
    };
    let mut faults = Vec::new();
    if cells.len() > columns.len() {
        faults.push(fault(line, "there are more values than columns"));
    }
    let mut judge = |column: &str, wrong: Option<String>| {
        faults.extend(wrong.map(|wrong| fault(line, &format!("{column} {wrong}"))));
    };
    judge("name", name_fault(value("name")));
    judge("namespace", namespace_fault(value("namespace")));
    judge("custSpaceId", space_fault(value("custSpaceId")));
    judge("phone", number_fault(value("phoneNumber")));
    let labels = match labels(value(LABELS)) {
        Ok(labels) => labels,
        Err(wrong) => {
            judge("labels", Some(wrong));
            BTreeMap::new()
        }
    };
    match faults.is_empty() {
        true => Ok(Row {
            line,
            name: value("name").to_owned(),
            namespace: value("namespace").to_owned(),
            cust_space_id: value("custSpaceId").to_owned(),
            phone_number: value("phoneNumber").to_owned(),
            labels,
        }),
        false => Err(faults),
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    !text.is_empty() && text.len() <= 63 && ends && text.bytes().all(inner)
}

/// The Secret has the resource's name with `-code` appended.
fn name_fault(text: &str) -> Option<String> {
    let good = text.len() <= 248 && text.split('.').all(is_label);
    let wrong = "lower-case letters, digits, '-' and '.', such as store-42";
    (!good).then(|| format!("{}: {wrong}", quoted(text)))
}

fn namespace_fault(text: &str) -> Option<String> {
    let wrong = "lower-case letters, digits and '-', such as tenant-a";
    (!is_label(text)).then(|| format!("{}: {wrong}", quoted(text)))
}

/// As in the schema: `^([0-9]+|cams-[0-9A-Za-z-]+)$`, at most 64 characters.
fn space_fault(text: &str) -> Option<String> {
    if let Some(wrong) = spreadsheet_fault(text) {
        return Some(wrong);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let instance = text.strip_prefix("cams-").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    });
    let good = text.len() <= 64 && (digits || instance);
    (!good).then(|| {
        format!(
            "{}: digits only, or an id that begins with cams-",
            quoted(text)
        )
    })
}

/// As in the schema: `^[1-9][0-9]{6,14}$`.
fn number_fault(text: &str) -> Option<String> {
    if let Some(wrong) = spreadsheet_fault(text) {
        return Some(wrong);
    }
    let wrong = |what: &str| Some(format!("{}: {what}", quoted(text)));
    if text.starts_with('+') {
        return wrong("write digits only, without '+'");
    }
    if text.starts_with("00") {
        return wrong("write it without the zeros in front: country code first");
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return wrong("write digits only");
    }
    if text.starts_with('0') || !(7..=15).contains(&text.len()) {
        return wrong("country code and number: 7 to 15 digits, the first one not 0");
    }
    None
}

/// A spreadsheet shortens long numbers: 8.6138E+12.
fn spreadsheet_fault(text: &str) -> Option<String> {
    let parsed = text.contains(['e', 'E']) && text.parse::<f64>().is_ok();
    parsed.then(|| {
        format!(
            "{}: the spreadsheet has shortened the number: format its column as text",
            quoted(text)
        )
    })
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for pair in text.split([';', ' ']).filter(|pair| !pair.is_empty()) {
        let wrong = || {
            format!(
                "{}: give NAME=VALUE, several separated by ';'",
                quoted(pair)
            )
        };
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        let plain = |part: &str, also: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
            part.len() <= 63 && part.chars().all(known)
        };
        let ends = |part: &str| {
            let good = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
            good(part.chars().next()) && good(part.chars().last())
        };
        let (prefix, short) = key.split_once('/').unwrap_or(("x", key));
        let key_good = !short.is_empty() && plain(short, "-_.") && ends(short);
        let prefix_good = prefix.split('.').all(is_label);
        if !key_good || !prefix_good || !plain(value, "-_.") || !ends(value) {
            return Err(wrong());
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

/// A number may stand once, and so may a name in its namespace.
fn doubles(rows: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut numbers, mut names) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        let Row {
            line,
            name,
            namespace,
            phone_number,
            ..
        } = row;
        if let Some(before) = numbers.insert(phone_number, *line) {
            faults.push(fault(
                *line,
                &format!("phone {phone_number} is also in line {before}"),
            ));
        }
        if let Some(before) = names.insert((namespace, name), *line) {
            faults.push(fault(
                *line,
                &format!("{namespace}/{name} is also in line {before}"),
            ));
        }
    }
    faults
}

fn manifests(rows: &[Row]) -> Files {
    let mut files = Files::new();
    let mut namespaces: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        let file = format!("{}.yaml", row.name);
        files.insert(format!("{}/{file}", row.namespace), manifest(row));
        namespaces.entry(&row.namespace).or_default().insert(file);
    }
    for (namespace, names) in &namespaces {
        let list: String = names.iter().map(|name| format!("  - {name}\n")).collect();
        let text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
             namespace: {}\nresources:\n{list}",
            scalar(namespace)
        );
        files.insert(format!("{namespace}/kustomization.yaml"), text);
    }
    files
}

fn manifest(row: &Row) -> String {
    let Row {
        name,
        namespace,
        cust_space_id,
        phone_number,
        labels,
        ..
    } = row;
    let mut text = format!(
        "apiVersion: phonemigration.dev/v1alpha1\nkind: PhoneMigration\nmetadata:\n  name: {}\n  \
         namespace: {}\n",
        scalar(name),
        scalar(namespace)
    );
    if !labels.is_empty() {
        text.push_str("  labels:\n");
        for (key, value) in labels {
            text.push_str(&format!("    {}: \"{value}\"\n", scalar(key)));
        }
    }
    text.push_str(&format!(
        "spec:\n  custSpaceId: \"{cust_space_id}\"\n  phoneNumber: \"{phone_number}\"\n  \
         verifyCodeSecretRef:\n    name: {}\n",
        scalar(&format!("{name}-code"))
    ));
    text
}

/// A name as YAML: quoted if it could be taken for a number, a word of its own or a time.
fn scalar(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase()) && !words.contains(&text);
    match plain {
        true => text.to_owned(),
        false => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const HEAD: &str = "name,namespace,custSpaceId,phoneNumber,labels\n";

    fn faults(rows: &str) -> Vec<String> {
        files(&format!("{HEAD}{rows}")).expect_err("it is right")
    }

    #[test]
    fn a_row_is_a_manifest_and_a_namespace_a_kustomization() {
        let table = format!(
            "\u{feff}{HEAD}store-42,tenant-a,29348393884,8613800001234,wave=3;region=cn\r\n\
             1,tenant-b,cams-abc,8613800001235,\n"
        );
        let files = files(&table).unwrap();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "tenant-a/kustomization.yaml",
                "tenant-a/store-42.yaml",
                "tenant-b/1.yaml",
                "tenant-b/kustomization.yaml"
            ]
        );
        let yaml =
            |name: &str| -> serde_json::Value { serde_yaml_ng::from_str(&files[name]).unwrap() };
        let object = yaml("tenant-a/store-42.yaml");
        let typed: phone_migration_api::crd::PhoneMigration =
            serde_json::from_value(object.clone()).unwrap();
        assert_eq!(typed.spec.phone_number, "8613800001234");
        assert_eq!(typed.spec.cust_space_id, "29348393884");
        assert_eq!(typed.spec.verify_code_secret_ref.name, "store-42-code");
        assert_eq!(object["metadata"]["labels"]["wave"], "3");
        assert_eq!(yaml("tenant-b/1.yaml")["metadata"]["name"], "1");
        assert_eq!(
            yaml("tenant-b/kustomization.yaml")["resources"][0],
            "1.yaml"
        );
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let found = faults(
            "a,t,1,+8613800001234,\nb,t,1,8613800001240,\nc,t,1,8613800001240,\nb,t,1,8613800001241,\n\
             D,t,1,8613800001242,\ne,T,x,8.6138E+12,\nf,t,1,08613800001,wave\n",
        );
        for part in [
            "2: phone \"+8613800001234\": write digits only, without '+'",
            "4: phone 8613800001240 is also in line 3",
            "5: t/b is also in line 3",
            "6: name \"D\"",
            "7: namespace \"T\"",
            "7: custSpaceId \"x\"",
            "7: phone \"8.6138E+12\": the spreadsheet has shortened the number",
            "8: phone \"08613800001\"",
            "8: labels \"wave\"",
        ] {
            assert!(
                found.iter().any(|fault| fault.starts_with(part)),
                "{part}: {found:#?}"
            );
        }
    }

    #[test]
    fn the_head_decides() {
        let wrong = files("name,namespace,phone\n").expect_err("it is right");
        assert!(
            wrong
                .iter()
                .any(|fault| fault.contains("\"phone\" is no column"))
        );
        assert!(
            wrong
                .iter()
                .any(|fault| fault.contains("custSpaceId is missing"))
        );
        let table = "phonenumber;NAME;namespace;custspaceid\n\"8613800001234\";a;t;1\n";
        assert_eq!(files(table).unwrap().len(), 2);
        assert!(files("").is_err());
        assert!(files(HEAD).is_err());
    }

    #[test]
    fn names_that_yaml_would_take_for_something_else_are_quoted() {
        for name in ["true", "42", "1e3", "no", "0x10"] {
            let text = files(&format!("{HEAD}{name},t,1,8613800001234,\n")).unwrap();
            let manifest = &text[&format!("t/{name}.yaml")];
            let object: serde_json::Value = serde_yaml_ng::from_str(manifest).unwrap();
            assert_eq!(object["metadata"]["name"], name);
        }
    }
}
