//! `code --next`: one prompt after another; outcomes of earlier codes appear above it.

use std::time::Duration;

use jiff::Timestamp;
use phone_migration_api::crd::PhoneMigration;

use super::code::waiting;
use super::{TICK, Wait, connect, ending_lines, expiry, scope, take};
use crate::args::{CodeArgs, Connection};
use crate::cluster::{Cluster, Key};
use crate::digits::Digits;
use crate::exit::{Exit, Failure};
use crate::hand::{hand_in, refusal};
use crate::terminal::{Console, Interrupt, Typed, Typist};
use crate::text::{counted, masked};
use crate::tracker::Ending;

const QUESTION: &str = "  code (Enter skips): ";

/// The results of the codes so far.
#[derive(Default)]
struct Tally {
    handed_in: usize,
    skipped: usize,
    /// Left when the user ended or interrupted the list.
    not_asked: usize,
    failed: usize,
    endings: Vec<Ending>,
}

/// Asks for the code of every resource that waits for one.
pub async fn run(
    connection: &Connection,
    args: &CodeArgs,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen();
    let (cluster, namespace) = connect(connection).await?;
    let scope = scope(&namespace, args.all_namespaces, args.selector.as_ref());
    let listed = cluster.list(&scope).await;
    let listed = listed.map_err(|error| error.while_("listing PhoneMigrations"))?;
    let queue = waiting(listed.objects);
    if queue.is_empty() {
        console.out("No PhoneMigration waits for a code");
        return Ok(Exit::Done);
    }
    let mut desk = Desk {
        cluster: &cluster,
        args,
        console,
        wait: Wait::on(&cluster, &scope),
        tally: Tally::default(),
    };
    let mut typist = Typist::begin()?;
    let finished = desk.prompts(&mut typist, &queue, &mut interrupt).await;
    drop(typist);
    let finished = finished?;
    let mut exit = match finished {
        true => Exit::Done,
        false => Exit::Interrupted,
    };
    if finished && !args.no_wait {
        exit = desk.rest(&mut interrupt).await?;
    }
    let worst = desk.tally.endings.iter().map(|ending| ending.exit);
    let exit = worst.fold(exit, Exit::or_worse);
    console.out(&desk.tally.summary(desk.wait.tracker.open()));
    match desk.tally.failed {
        0 => Ok(exit),
        _ => Ok(exit.or_worse(Exit::Error)),
    }
}

struct Desk<'a> {
    cluster: &'a Cluster,
    args: &'a CodeArgs,
    console: &'a Console,
    wait: Wait,
    tally: Tally,
}

impl Desk<'_> {
    /// True if the user went through all resources or ended the list; false if interrupted.
    async fn prompts(
        &mut self,
        typist: &mut Typist,
        queue: &[PhoneMigration],
        interrupt: &mut Interrupt,
    ) -> Result<bool, Failure> {
        for (n, object) in queue.iter().enumerate() {
            self.tally.not_asked = queue.len() - n;
            let key = Key::of(object);
            let about = format!(
                "[{}/{}] {} {} {}",
                n + 1,
                queue.len(),
                key.name,
                key.namespace,
                masked(&object.spec.phone_number)
            );
            typist.ask(&about, QUESTION);
            loop {
                let typed = self.typed(typist, interrupt).await?;
                let line = match typed {
                    Typed::Line(line) => line,
                    Typed::Interrupted => return Ok(false),
                    Typed::End => return Ok(true),
                };
                if line.trim().is_empty() {
                    self.tally.skipped += 1;
                    break;
                }
                let lengths = self.args.hand_in.code_digits;
                let Some(digits) = Digits::parse(&line, lengths) else {
                    typist.above(&format!("  that is not a code of {lengths} digits; again:"));
                    typist.ask(&about, QUESTION);
                    continue;
                };
                if let Err(failure) = self.one(object, &digits).await {
                    self.tally.failed += 1;
                    typist.end_line(&format!("  not handed in: {failure}"));
                }
                break;
            }
        }
        self.tally.not_asked = 0;
        Ok(true)
    }

    /// Reads a line; outcomes appear above it meanwhile.
    async fn typed(
        &mut self,
        typist: &mut Typist,
        interrupt: &mut Interrupt,
    ) -> Result<Typed, Failure> {
        loop {
            tokio::select! {
                key = typist.key() => {
                    if let Some(typed) = typist.press(key) {
                        return Ok(typed);
                    }
                }
                news = self.wait.feed.next() => take(&mut self.wait.tracker, news)?,
                () = tokio::time::sleep(TICK) => {}
                () = interrupt.wait() => return Ok(Typed::Interrupted),
            }
            for ending in self.wait.tracker.ended(self.wait.began.elapsed()) {
                for line in ending_lines(&ending, self.console) {
                    typist.above(&line);
                }
                self.tally.endings.push(ending);
            }
        }
    }

    /// Hands in one code, without interruption: Ctrl-C is a key here, and is read afterwards.
    async fn one(&mut self, object: &PhoneMigration, digits: &Digits) -> Result<(), Failure> {
        // The list may be old by now.
        let now = self.cluster.get(&Key::of(object)).await;
        let now = now.map_err(|error| error.while_("reading it again"))?;
        if let Some(refused) = refusal(&now) {
            return Err(refused);
        }
        let expires_at = expiry(&self.args.hand_in).after(Timestamp::now());
        self.wait.tracker.begin(&now);
        let began = self.wait.now();
        let force = self.args.hand_in.force;
        let handed = hand_in(self.cluster, &now, digits, expires_at, force).await?;
        self.tally.handed_in += 1;
        self.wait.tracker.add(&now, handed, began);
        Ok(())
    }

    /// Waits for the missing outcomes.
    async fn rest(&mut self, interrupt: &mut Interrupt) -> Result<Exit, Failure> {
        if self.wait.tracker.open() > 0 {
            let open = counted(self.wait.tracker.open(), "outcome");
            self.console.note(&format!("Waiting for {open} …"));
        }
        let timeout: Duration = self.args.hand_in.timeout;
        let (console, mut endings) = (self.console, Vec::new());
        let tell = |ending: &Ending| {
            for line in ending_lines(ending, console) {
                console.out(&line);
            }
            endings.push(ending.clone());
        };
        let exit = self.wait.finish(timeout, interrupt, console, tell).await;
        self.tally.endings.extend(endings);
        exit
    }
}

impl Tally {
    fn summary(&self, open: usize) -> String {
        let of = |exit: Exit| -> Vec<&str> {
            let endings = self.endings.iter().filter(|ending| ending.exit == exit);
            endings.map(|ending| ending.key.name.as_str()).collect()
        };
        let verified = of(Exit::Done).len();
        let mut parts = vec![format!("{verified} verified")];
        for (exit, word) in [
            (Exit::Refused, "refused"),
            (Exit::Person, "need a person"),
            (Exit::Account, "held back by the account"),
            (Exit::Unknown, "unknown"),
            (Exit::Timeout, "without an outcome"),
        ] {
            let names = of(exit);
            if !names.is_empty() {
                parts.push(format!("{} {word} ({})", names.len(), names.join(", ")));
            }
        }
        if open > 0 {
            parts.push(format!("{open} still open"));
        }
        let mut line = format!("{} handed in: {}", self.handed_in, parts.join(", "));
        if self.skipped > 0 {
            line.push_str(&format!("; {} skipped", self.skipped));
        }
        if self.not_asked > 0 {
            line.push_str(&format!("; {} not asked", self.not_asked));
        }
        if self.failed > 0 {
            line.push_str(&format!("; {} not handed in", self.failed));
        }
        line
    }
}

/// The prompts concern the resources that want a code.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::state;
    use crate::state::tests::in_state;
    use phone_migration_api::reason::Reason;

    #[test]
    fn the_summary_counts_those_that_were_not_asked() {
        let tally = Tally {
            handed_in: 1,
            not_asked: 2,
            ..Tally::default()
        };
        let line = tally.summary(1);
        assert_eq!(line, "1 handed in: 0 verified, 1 still open; 2 not asked");
    }

    #[test]
    fn those_without_a_code_come_first() {
        let list = vec![
            in_state("c", Reason::CodeRejected, true),
            in_state("b", Reason::SecretNotFound, false),
            in_state("x", Reason::Verified, false),
            in_state("a", Reason::SecretNotFound, false),
        ];
        let names: Vec<String> = waiting(list).iter().map(|o| Key::of(o).name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(state::wants_a_code(&in_state(
            "c",
            Reason::CodeRejected,
            true
        )));
    }
}
