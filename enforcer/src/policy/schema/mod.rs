//! The shapes of role files, site files and estates, from which `schema/*.schema.json` is generated for editors.
//!
//! Files are not read through these types: [`crate::policy::catalogue`] and [`crate::policy::site`] report every error with its place, which
//! serde does not. The tests hold both against each other.

mod estate;
mod role;
mod site;

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};

pub use estate::EstateFile;
pub use role::RoleFile;
pub use site::SiteFile;

/// Schema of a role file, as it stands in `schema/role.schema.json`.
#[must_use]
pub fn role() -> String {
    text(generator().into_root_schema_for::<RoleFile>())
}

/// Schema of a site file, as it stands in `schema/site.schema.json`.
#[must_use]
pub fn site() -> String {
    text(generator().into_root_schema_for::<SiteFile>())
}

/// Schema of an estate, as it stands in `schema/estate.schema.json`.
#[must_use]
pub fn estate() -> String {
    text(generator().into_root_schema_for::<EstateFile>())
}

fn generator() -> SchemaGenerator {
    // Draft 7 is what the YAML language server knows best.
    SchemaSettings::draft07().into_generator()
}

fn text(schema: Schema) -> String {
    let value = schema.to_value();
    // A map of strings and numbers always has a text.
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

/// A list, or a single item that stands for a list of one.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    /// One item.
    One(T),
    /// Several.
    More(Vec<T>),
}

/// A number or a text.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}
