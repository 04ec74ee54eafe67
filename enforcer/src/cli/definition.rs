//! The definition of the command line, for what is made of it: help, manual pages, completions.

use std::sync::OnceLock;

static DEFINITION: OnceLock<fn() -> clap::Command> = OnceLock::new();

/// Makes the definition known. The subcommands are below whoever defines the whole, and ask here.
pub(super) fn set(definition: fn() -> clap::Command) {
    DEFINITION.get_or_init(|| definition);
}

/// The definition of the command line.
#[must_use]
pub fn command() -> clap::Command {
    DEFINITION.get().map_or_else(|| clap::Command::new("enforcer"), |definition| definition())
}
