//! The `enforcer` command: parse, run, print the error chain, exit with the documented code.

use std::process::ExitCode;

fn main() -> ExitCode {
    enforcer::cli::main()
}
