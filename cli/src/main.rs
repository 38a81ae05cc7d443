//! `kubectl-phmig`: all of it is in the library, for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_phmig::main()
}
