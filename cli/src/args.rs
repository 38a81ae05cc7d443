//! The command line. Danger: no error and no flag takes or repeats a code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::digits::{Lengths, looks_like_a_code, without_codes};
use crate::exit::Exit;

/// Hands in one-time codes of PhoneMigrations, and shows how far a batch is
#[derive(Parser)]
#[command(
    name = "kubectl-phmig",
    bin_name = "kubectl phmig",
    version,
    after_help = EXAMPLES,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kubectl phmig code store-42 -n tenant-a        hand in one code, at a prompt without echo
  kubectl phmig code --next -A -l wave=3         one prompt after another for all that wait
  pbpaste | kubectl phmig codes -f - --wait      lines of NAME,CODE or NUMBER,CODE
  kubectl phmig status -A -w                     how far are we, and who needs me";

/// Flags of every command, as kubectl has them.
#[derive(Args, Clone, Debug)]
pub struct Connection {
    /// Namespace; by default that of the context
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig, instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Hand in a code, and wait for the outcome of it
    Code(CodeArgs),
    /// Hand in many codes, from a file or a pipe
    Codes(CodesArgs),
    /// Show how far a batch is, and which numbers need a person
    Status(StatusArgs),
    /// Write PhoneMigrations from a table of numbers, for Git
    Generate(GenerateArgs),
    /// Say why a number does not go on, and what to do
    Explain(ExplainArgs),
    /// Change spec.retryToken, which allows more codes once attempts are exhausted
    Retry(RetryArgs),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How codes are taken and stored.
#[derive(Args, Clone, Debug)]
pub struct HandInArgs {
    /// The code expires so long after it was handed in
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub ttl: Duration,
    /// Store no expiry: the code may be submitted however old it is
    #[arg(long, conflicts_with = "ttl")]
    pub no_expiry: bool,
    /// Overwrite a Secret that another tool owns
    #[arg(long)]
    pub force: bool,
    /// How many digits a code has, as the operator's flag of this name
    #[arg(
        long,
        env = "PHONEMIG_CODE_DIGITS",
        value_name = "N|MIN-MAX",
        default_value = "6"
    )]
    pub code_digits: Lengths,
    /// How long to wait for outcomes
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
}

/// `code`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The code is read from the terminal without echo, or as one line from a pipe; white space and dashes
are dropped. The command puts it into the Secret that the resource names, asks the operator to read it at once,
and waits for the outcome of this very code.

Examples:
  kubectl phmig code store-42 -n tenant-a
  gateway-client latest-code 8613800001234 | kubectl phmig code store-42 -n tenant-a
  kubectl phmig code --next -A -l wave=3")]
pub struct CodeArgs {
    /// The PhoneMigration
    #[arg(value_name = "NAME", required_unless_present = "next")]
    pub name: Option<String>,
    /// Ask for the code of one resource after another that waits for one
    #[arg(long, conflicts_with = "name")]
    pub next: bool,
    /// With --next: in all namespaces
    #[arg(short = 'A', long, requires = "next")]
    pub all_namespaces: bool,
    /// With --next: only resources with these labels
    #[arg(short = 'l', long, value_name = "LABELS", requires = "next")]
    pub selector: Option<String>,
    /// Hand in, and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// Print the outcome as JSON
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<JsonFormat>,
    /// How codes are taken and stored.
    #[command(flatten)]
    pub hand_in: HandInArgs,
    #[arg(hide = true, num_args = 0..)]
    rest: Vec<String>,
}

/// `codes`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Each line: NAME or NUMBER, then the code, then optionally its expiry (RFC 3339), separated by comma,
semicolon, tab or spaces. Empty lines and those that begin with # are skipped. Codes are handed in by
expiry, the earliest first. No code is ever printed.

Examples:
  pbpaste | kubectl phmig codes -n tenant-a -f - --wait
  kubectl phmig codes -A -f codes.csv --wait")]
pub struct CodesArgs {
    /// The file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub filename: PathBuf,
    /// Look for the names and numbers in all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Wait for the outcomes
    #[arg(long)]
    pub wait: bool,
    /// How codes are taken and stored.
    #[command(flatten)]
    pub hand_in: HandInArgs,
}

/// `status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  kubectl phmig status -A -w
  kubectl phmig status -n tenant-a -l wave=3 --wait --timeout 15m
  kubectl phmig status -A -o csv > ids.csv")]
pub struct StatusArgs {
    /// In all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only resources with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Go on showing it until Ctrl-C
    #[arg(short, long, conflicts_with_all = ["output", "wait"])]
    pub watch: bool,
    /// Return when the operator has nothing in progress: 0 if all are verified, 3 if not
    #[arg(long)]
    pub wait: bool,
    /// With --wait: how long
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub timeout: Duration,
    /// One line or object for each number, instead of the overview
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<TableFormat>,
    /// Show whole numbers: by default the last four digits are hidden
    #[arg(long)]
    pub show_numbers: bool,
}

/// `generate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The table's first line names its columns: name, namespace, custSpaceId, phoneNumber and, if you like,
labels (wave=3;region=cn). Comma, semicolon or tab. Nothing is written unless every line is right; the
cluster is not asked.

Examples:
  kubectl phmig generate -f numbers.csv --out phone-migrations
  kubectl phmig generate -f numbers.csv --out phone-migrations --check")]
pub struct GenerateArgs {
    /// The table; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub filename: PathBuf,
    /// The folder: a folder for each namespace, a file for each number, and kustomizations
    #[arg(long, value_name = "FOLDER", default_value = "phone-migrations")]
    pub out: PathBuf,
    /// Write nothing; say how the folder differs, and end with 1 if it does
    #[arg(long)]
    pub check: bool,
}

/// `explain`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  kubectl phmig explain store-44 -n tenant-a")]
pub struct ExplainArgs {
    /// The PhoneMigration
    pub name: String,
    /// Where the operator runs
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "phone-migration-operator"
    )]
    pub operator_namespace: String,
}

/// `retry`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Put the new code into the Secret first (kubectl phmig code), then retry: a changed token allows five
more codes once attempts are exhausted, and lets a code go of which it cannot be told whether it was
spent. A code that is known to be spent is never submitted again.

Example:
  kubectl phmig retry store-42 -n tenant-a")]
pub struct RetryArgs {
    /// The PhoneMigration
    pub name: String,
    /// Change the field although another tool owns it
    #[arg(long)]
    pub force: bool,
    /// How long to wait for the operator's answer
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub timeout: Duration,
}

/// Formats of a single outcome.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFormat {
    /// One object.
    Json,
}

/// Formats of a table.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated, with a head.
    Csv,
    /// A list of objects.
    Json,
}

/// Why there is no command to run.
pub struct Refused {
    /// The help, the version or the error.
    pub text: String,
    /// Printed on standard output, as the help is.
    pub is_answer: bool,
    /// The exit code.
    pub exit: Exit,
}

/// The whole command line, for the page and for completion.
pub fn command_line() -> clap::Command {
    Cli::command().after_long_help(format!("{EXAMPLES}\n\n{}", exit_codes()))
}

fn exit_codes() -> String {
    let lines = Exit::ALL.map(|(exit, meaning)| format!("  {:<4} {meaning}", exit.code()));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// Reads the command line.
///
/// # Errors
/// The help, or what is wrong with it.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Cli, Refused> {
    let wrong = |text: String| Refused {
        text,
        is_answer: false,
        exit: Exit::Error,
    };
    let argv: Vec<OsString> = argv.into_iter().collect();
    if gives_a_code(&argv) {
        return Err(wrong(CODE_IN_ARGV.to_owned()));
    }
    let matches = command_line().try_get_matches_from(argv);
    let cli = matches.and_then(|matches| {
        use clap::FromArgMatches;
        Cli::from_arg_matches(&matches)
    });
    match cli {
        Ok(cli) => Ok(cli),
        Err(error) if !error.use_stderr() => Err(Refused {
            text: error.render().to_string().trim_end().to_owned(),
            is_answer: true,
            exit: Exit::Done,
        }),
        // It repeats what was typed.
        Err(error) => Err(wrong(
            without_codes(&error.render().to_string())
                .trim_end()
                .to_owned(),
        )),
    }
}

const CODE_IN_ARGV: &str = "\
error: a code never goes on the command line: the shell's history and the list of processes would keep
it. Nothing was handed in. Type it at the prompt of `kubectl phmig code NAME`, or pipe it in. What was
typed here others may have seen; if that matters, request a new code.
(A PhoneMigration whose name is a number is given as phmig/NAME.)";

/// Whether an argument of `code` or `codes` could be a code: a second word after the name, a name
/// that is a number, or a flag that tries to pass one.
fn gives_a_code(argv: &[OsString]) -> bool {
    let words: Vec<String> = argv
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let for_codes = words.iter().any(|word| word == "code" || word == "codes");
    let tries = |word: &String| {
        let named = word
            .strip_prefix("--code")
            .or(word.strip_prefix("--verify-code"));
        let names_digits = word.starts_with("--code-digits");
        named.is_some_and(|rest| rest.is_empty() || rest.starts_with('=')) && !names_digits
    };
    // The value of a flag may be a number: `--code-digits 6` is too short for a code. A namespace
    // or a context that is a number must be given with `=`.
    for_codes
        && words
            .iter()
            .any(|word| looks_like_a_code(word) || tries(word))
}

impl CodeArgs {
    /// Whether words follow the name; the command accepts none of them.
    pub fn has_more(&self) -> bool {
        !self.rest.is_empty()
    }
}

/// `NAME`, or `phmig/NAME` as kubectl takes it.
pub fn resource_name(word: &str) -> &str {
    let kinds = ["phmig/", "phonemigration/", "phonemigrations/"];
    let stripped = kinds.iter().find_map(|kind| word.strip_prefix(kind));
    stripped.unwrap_or(word)
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give a duration such as 90s, 10m or 1h".to_owned();
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let parsed = Duration::try_from(parsed).map_err(|_| wrong())?;
    match parsed >= Duration::from_secs(1) {
        true => Ok(parsed),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn parsed(line: &str) -> Result<Cli, Refused> {
        parse(line.split(' ').map(OsString::from))
    }

    fn refused(line: &str) -> String {
        match parsed(line) {
            Ok(_) => panic!("{line} was taken"),
            Err(refused) => refused.text,
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        command_line().debug_assert();
    }

    #[test]
    fn a_code_is_refused_wherever_it_stands_and_never_repeated() {
        for line in [
            "kubectl-phmig code store-42 123456",
            "kubectl-phmig code 123456",
            "kubectl-phmig code store-42 123-456",
            "kubectl-phmig code store-42 --code 12345678",
            "kubectl-phmig code store-42 --code=123456",
            "kubectl-phmig code store-42 --verify-code=x",
            "kubectl-phmig codes 123456",
            "kubectl-phmig -n tenant-a code store-42 -- 123456",
        ] {
            let text = refused(line);
            assert!(
                text.contains("never goes on the command line"),
                "{line}: {text}"
            );
            assert!(!text.contains("1234"), "{line}: {text}");
        }
        let text = refused("kubectl-phmig status 123456");
        assert!(!text.contains("123456"), "{text}");
    }

    #[test]
    fn other_numbers_are_taken() {
        let cli = parsed("kubectl-phmig code phmig/123456 --code-digits 4-8 --ttl 90s")
            .unwrap_or_else(|e| panic!("{}", e.text));
        let Command::Code(args) = cli.command else {
            panic!("not code");
        };
        assert_eq!(resource_name(args.name.as_deref().unwrap()), "123456");
        assert_eq!(args.hand_in.ttl, Duration::from_secs(90));
    }

    #[test]
    fn a_resource_is_named_as_for_kubectl() {
        for word in ["store-42", "phmig/store-42", "phonemigration/store-42"] {
            assert_eq!(resource_name(word), "store-42");
        }
    }

    #[test]
    fn help_is_an_answer_and_names_examples_and_exit_codes() {
        let Err(help) = parsed("kubectl-phmig --help") else {
            panic!("no help");
        };
        assert!(help.is_answer);
        for part in ["Examples:", "Exit codes:", "code --next", "130"] {
            assert!(help.text.contains(part), "{}", help.text);
        }
        for command in ["code", "codes", "status", "generate", "explain", "retry"] {
            let Err(help) = parsed(&format!("kubectl-phmig {command} --help")) else {
                panic!("no help");
            };
            assert!(help.text.contains("Example"), "{}", help.text);
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("10m").unwrap(), Duration::from_secs(600));
        for text in ["10", "", "-5m", "0s", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
