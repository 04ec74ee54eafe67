//! The shapes of role files, site files and estates, from which `schema/*.schema.json` is generated for editors.
//!
//! Files are not read through these types: [`crate::policy::catalogue`] and [`crate::policy::site`] report every error with its place, which
//! serde does not. The tests hold both against each other.

mod estate;
mod role;
mod site;

use schemars::transform::transform_subschemas;
use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

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
    SchemaSettings::draft07().with_transform(without_null).with_transform(in_one_line).into_generator()
}

/// Removes null from the types of keys: editors would offer `null` as a value of every key that can be left out.
fn without_null(schema: &mut Schema) {
    transform_subschemas(&mut without_null, schema);
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if let Some(Value::Array(types)) = property.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                property.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(shapes)) = property.get_mut("anyOf") {
            shapes.retain(|shape| shape.get("type").is_none_or(|name| name != "null"));
            // A single shape stays in a list: draft 7 ignores what stands beside a reference.
            if let [_] = shapes.as_slice()
                && let Some(only) = property.remove("anyOf")
            {
                property.insert("allOf".to_owned(), only);
            }
        }
    }
}

fn text(schema: Schema) -> String {
    let value = schema.to_value();
    // A map of strings and numbers always has a text.
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

/// Joins the lines of a description: an editor breaks them where its window ends.
fn in_one_line(schema: &mut Schema) {
    transform_subschemas(&mut in_one_line, schema);
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

/// A list, or a single item that stands for a list of one.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    /// One item.
    One(T),
    /// A list.
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
