//! `enforcer roles`: lists the roles in the catalogue.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::output::{Format, Output};
use crate::cli::print::table::{print, table};
use crate::failure::Failure;
use crate::policy::catalogue::{Catalogue, Role, Setting};
use crate::policy::source::{Error, load_catalogue};

/// List the roles in the catalogue.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  enforcer roles\n  enforcer roles --format json | jq -r '.[].name'")]
pub struct Args {
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Read the catalogue from this directory instead of the built-in one.
    #[arg(long, value_name = "DIR")]
    catalogue: Option<PathBuf>,
}

/// A role as `--format json` has it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    product: &'a str,
    release: &'a str,
    summary: &'a str,
    includes: &'a [String],
    parameters: Vec<ListedParameter<'a>>,
    services: usize,
    connections: usize,
    /// Connections that no row prints as such.
    derived: usize,
    tables: Vec<String>,
}

/// A parameter, with those of included roles.
#[derive(Serialize)]
pub(super) struct ListedParameter<'a> {
    pub name: &'a str,
    pub default: Option<&'a Setting>,
    pub required: bool,
    pub values: String,
    pub summary: &'a str,
}

/// Runs the command.
///
/// # Errors
///
/// The catalogue is wrong, or the output cannot be written.
pub fn run(args: &Args, output: &mut Output<'_>) -> Result<(), Failure> {
    let catalogue = match load_catalogue(args.catalogue.as_deref()) {
        Ok(catalogue) => catalogue,
        Err(error) => return Err(Error::from(error).into()),
    };
    let roles: Vec<Listed<'_>> = catalogue.roles.values().map(|role| listed(&catalogue, role)).collect();
    match args.format {
        Format::Json => output.json(&roles),
        Format::Table => {
            let mut table = table(
                output.terminal,
                &["ROLE", "PRODUCT", "SERVICES", "CONNECTIONS", "DERIVED", "TABLES", "PARAMETERS"],
            );
            for role in &roles {
                let parameters: Vec<String> = role
                    .parameters
                    .iter()
                    .map(|p| if p.required { format!("{} (required)", p.name) } else { p.name.to_owned() })
                    .collect();
                table.add_row(vec![
                    role.name.to_owned(),
                    format!("{} {}", role.product, role.release),
                    role.services.to_string(),
                    role.connections.to_string(),
                    role.derived.to_string(),
                    role.tables.join(" "),
                    parameters.join(", "),
                ]);
            }
            Ok(write!(output.out, "{}", print(&table))?)
        }
    }
}

/// The parameters of a role, those of included roles with them.
pub(super) fn parameters<'a>(catalogue: &'a Catalogue, role: &'a str) -> Vec<ListedParameter<'a>> {
    let parameters = catalogue.parameters(role).into_iter();
    let listed = parameters.map(|(name, parameter)| ListedParameter {
        name,
        default: parameter.default.as_ref(),
        required: parameter.default.is_none(),
        values: parameter.kind.to_string(),
        summary: &parameter.summary,
    });
    listed.collect()
}

fn listed<'a>(catalogue: &'a Catalogue, role: &'a Role) -> Listed<'a> {
    let all = catalogue.flatten(&role.name);
    let sources: BTreeSet<(&str, u32, &str)> = all
        .iter()
        .flat_map(|role| role.entries())
        .flat_map(|service| std::iter::once(&service.source).chain(service.ports.iter().map(|port| &port.source)))
        .map(|source| (source.document.as_str(), source.table.parse().unwrap_or(u32::MAX), source.table.as_str()))
        .collect();
    Listed {
        name: &role.name,
        product: &role.product,
        release: &role.release,
        summary: &role.summary,
        includes: &role.includes,
        parameters: parameters(catalogue, &role.name),
        services: all.iter().map(|role| role.services.len()).sum(),
        connections: all.iter().map(|role| role.connections.len()).sum(),
        derived: catalogue.derived(&role.name).len(),
        tables: sources.into_iter().map(|(document, _, table)| format!("{document}:{table}")).collect(),
    }
}
