//! `code NAME`.

use std::io::{IsTerminal, Read};

use jiff::Timestamp;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Wait, connect, ending_lines, expiry, get};
use crate::args::{CodeArgs, Connection, resource_name};
use crate::cluster::{Key, Scope};
use crate::digits::{Digits, Lengths};
use crate::exit::{Exit, Failure};
use crate::hand::{hand_in, refusal};
use crate::state;
use crate::terminal::{Console, Interrupt, Typed, Typist};
use crate::text::{clock, masked};
use crate::tracker::Ending;

/// Most bytes that are read from a pipe for one code.
const LONGEST: u64 = 1024;

/// Hands in one code, and waits for its outcome.
pub async fn run(
    connection: &Connection,
    args: &CodeArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    if args.has_more() {
        return Err(Failure::input(
            "code takes one NAME, and the code at the prompt: kubectl phmig code NAME",
        ));
    }
    let mut interrupt = Interrupt::listen();
    let (cluster, namespace) = connect(connection).await?;
    let name = resource_name(args.name.as_deref().unwrap_or_default());
    let key = Key {
        namespace,
        name: name.to_owned(),
    };
    let object = get(&cluster, &key).await?;
    if let Some(refused) = refusal(&object) {
        return Err(refused);
    }
    let number = masked(&object.spec.phone_number);
    let lengths = args.hand_in.code_digits;
    let about = format!("Code for {name} ({number})");
    let Some(digits) = read(&about, lengths, &mut interrupt).await? else {
        return Ok(Exit::Interrupted);
    };
    let mut wait = Wait::on(&cluster, &Scope::one(&key));
    wait.tracker.begin(&object);
    let expires_at = expiry(&args.hand_in).after(Timestamp::now());
    let began = wait.now();
    let handed = hand_in(&cluster, &object, &digits, expires_at, args.hand_in.force).await?;
    drop(digits);
    let until =
        expires_at.map_or_else(String::new, |at| format!("; valid until {} UTC", clock(at)));
    if args.no_wait {
        console.out(&format!("{name}  handed in{until}"));
        return Ok(Exit::Done);
    }
    console.note(&format!("Handed in{until}. Waiting …"));
    wait.tracker.add(&object, handed, began);
    let as_json = args.output.is_some();
    let tell = |ending: &Ending| match as_json {
        true => console.out(&as_object(ending).to_string()),
        false => {
            for line in ending_lines(ending, console) {
                console.out(&line);
            }
        }
    };
    let exit = wait
        .finish(args.hand_in.timeout, &mut interrupt, console, tell)
        .await?;
    if exit == Exit::Interrupted {
        console.note(&format!(
            "The code was handed in; for its outcome: kubectl phmig explain {name} -n {}",
            key.namespace
        ));
    }
    Ok(exit)
}

fn as_object(ending: &Ending) -> serde_json::Value {
    json!({
        "namespace": ending.key.namespace,
        "name": ending.key.name,
        "reason": ending.reason,
        "id": ending.id,
        "errorCode": ending.error_code,
        "message": ending.message,
        "seconds": ending.took.as_secs_f64(),
        "exitCode": ending.exit.code(),
    })
}

/// The code, from the terminal or as one line from a pipe; `None` if the user interrupted.
async fn read(
    about: &str,
    lengths: Lengths,
    interrupt: &mut Interrupt,
) -> Result<Option<Digits>, Failure> {
    let line = match std::io::stdin().is_terminal() {
        true => typed(about, interrupt).await?,
        false => tokio::select! {
            line = piped() => Some(line?),
            () = interrupt.wait() => None,
        },
    };
    let Some(line) = line else {
        return Ok(None);
    };
    let digits = Digits::parse(&line, lengths);
    let wrong = || {
        Failure::input(format!(
            "that is not a code of {lengths} digits (not shown); nothing was handed in"
        ))
    };
    digits.map(Some).ok_or_else(wrong)
}

async fn typed(
    about: &str,
    interrupt: &mut Interrupt,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let mut typist = Typist::begin()?;
    typist.ask(about, ", as received: ");
    loop {
        let key = tokio::select! {
            key = typist.key() => key,
            () = interrupt.wait() => {
                typist.end_line("");
                return Ok(None);
            }
        };
        match typist.press(key) {
            None => {}
            Some(Typed::Line(line)) => return Ok(Some(line)),
            Some(Typed::Interrupted | Typed::End) => return Ok(None),
        }
    }
}

/// The first line of standard input; the rest is dropped.
async fn piped() -> Result<Zeroizing<String>, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut text = Zeroizing::new(String::with_capacity(LONGEST as usize + 1));
        let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
        read.map(|_| text)
    });
    let failed = |_| Failure::input("standard input cannot be read as text");
    let text = read
        .await
        .map_err(|_| Failure::input("standard input cannot be read"))?;
    let text = text.map_err(failed)?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (first, second) = (lines.next(), lines.next());
    match (first, second) {
        (Some(line), None) => Ok(Zeroizing::new(line.to_owned())),
        (None, _) => Err(Failure::input("there is no code on standard input")),
        (Some(_), Some(_)) => Err(Failure::input(
            "there is more than one line on standard input: for many codes, kubectl phmig codes -f -",
        )),
    }
}

/// The resources of a list that wait for a code: first those without one, then those whose code was
/// refused.
pub fn waiting(
    objects: Vec<phone_migration_api::crd::PhoneMigration>,
) -> Vec<phone_migration_api::crd::PhoneMigration> {
    let mut waiting: Vec<_> = objects.into_iter().filter(state::wants_a_code).collect();
    waiting.sort_by_key(|object| (state::is_stalled(object), Key::of(object)));
    waiting
}
