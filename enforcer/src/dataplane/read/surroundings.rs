//! What the state of several interfaces is compared with, read once for all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::drift;
use crate::dataplane::error::{Context as _, DataplaneError};
use crate::dataplane::load::own::Own;
use crate::dataplane::pin::protected::{Protected, interfaces_of_this_machine};
use crate::dataplane::pin::record::InterfaceRecord;
use crate::host::links::{Link, links};
use crate::policy::modes::Protects;

/// What the tables of an interface are compared with.
pub(super) struct Surroundings {
    pub(super) links: Vec<Link>,
    /// The addresses of this host; `None`: no interface protects this host itself.
    pub(super) own: Option<Own>,
    /// Hashes of the tables that were read so far, or why they could not be, by network namespace and generation: what was applied
    /// together has its tables together.
    tables: RefCell<BTreeMap<(u64, u64), Result<String, String>>>,
}

impl Surroundings {
    pub(super) fn of(protected: &[Protected]) -> Result<Self, DataplaneError> {
        let links = links().with_context(|| "cannot look at the interfaces".to_owned())?;
        let has_host = protected.iter().any(|one| one.record.protects == Protects::Host);
        let own = if has_host { Some(Own::read(&interfaces_of_this_machine()?)?) } else { None };
        Ok(Self { links, own, tables: RefCell::default() })
    }

    /// The hash of the tables of a policy in the kernel.
    pub(super) fn tables_hash(&self, record: &InterfaceRecord) -> Result<String, String> {
        let mut tables = self.tables.borrow_mut();
        let read = || drift::in_force(record).map_err(|error| format!("{:#}", anyhow::Error::from(error)));
        tables.entry((record.netns, record.generation)).or_insert_with(read).clone()
    }
}
