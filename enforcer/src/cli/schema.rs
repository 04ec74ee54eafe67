//! `enforcer schema`: prints the schemas that editors use to complete and check files.

use clap::ValueEnum;

use crate::cli::output::Output;
use crate::failure::Failure;
use crate::policy::schema;

/// Print the JSON Schema of role files, site files or estates.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kind of file.
    #[arg(value_enum)]
    file: File,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    Role,
    Site,
    Estate,
}

/// Runs the command.
///
/// # Errors
///
/// The output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let text = match args.file {
        File::Role => schema::role(),
        File::Site => schema::site(),
        File::Estate => schema::estate(),
    };
    Ok(write!(output.out, "{text}")?)
}
