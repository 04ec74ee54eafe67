//! What compiles but may not be meant.

use jiff::civil::Date;

use crate::catalogue::Catalogue;
use crate::diagnostic::Diagnostic;
use crate::ruleset::Rule;
use crate::site::Site;

/// Adds every warning about a site.
pub(super) fn warnings(
    _site: &Site,
    _catalogue: &Catalogue,
    _rules: &[Rule],
    _today: Date,
    _out: &mut Vec<Diagnostic>,
) {
}
