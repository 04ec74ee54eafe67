//! The whole estate of a command that is about all of its hosts.

use std::borrow::Cow;

use crate::cli::args::policy::PolicyArgs;
use crate::failure::Failure;
use crate::host::trusted::Pipes;
use crate::policy::catalogue::Catalogue;
use crate::policy::estate::{self, Estate, Input};
use crate::policy::source::{Error, load_catalogue};
use crate::text::yaml::Limits;

/// An estate and the catalogue that it is bound to.
#[derive(Debug)]
pub struct WholeEstate {
    /// The estate.
    pub estate: Box<Estate>,
    /// The catalogue.
    pub catalogue: Cow<'static, Catalogue>,
}

/// The estate that a command names without choosing a host; `None`: it is about one policy.
///
/// # Errors
///
/// The file cannot be read, or everything that is wrong with the estate.
pub fn whole_estate(args: &PolicyArgs) -> Result<Option<WholeEstate>, Failure> {
    match &args.site {
        Some(path) if path != "-" && args.host.is_none() => whole(path, args.flags.catalogue.as_deref()),
        _ => Ok(None),
    }
}

/// The estate in a file; `None`: it is a site file.
///
/// # Errors
///
/// As [`whole_estate`].
pub fn whole(path: &str, catalogue: Option<&std::path::Path>) -> Result<Option<WholeEstate>, Failure> {
    // A pipe can be read once.
    let is_file = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= Limits::ESTATE.bytes as u64);
    if !is_file {
        return Ok(None);
    }
    let catalogue = load_catalogue(catalogue).map_err(Error::from)?;
    match estate::load(path, &catalogue, Pipes::Allowed) {
        Ok(Input::Estate(estate)) => Ok(Some(WholeEstate { estate, catalogue })),
        // Whatever is wrong with a file is said by whoever reads it as one policy.
        Ok(Input::Site(_)) | Err(_) => Ok(None),
    }
}
