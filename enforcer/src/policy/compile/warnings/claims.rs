//! Guests whose addresses are not known.

use super::Lint;
use crate::policy::modes::Protects;
use crate::text::diagnostic::Diagnostic;

impl Lint<'_> {
    /// What a guest claims to be can only be checked as far as its addresses are known.
    pub(super) fn claims(&self, out: &mut Vec<Diagnostic>) {
        let guests = self.site.interfaces.iter().filter(|one| one.protects == Protects::Guest);
        for one in guests.filter(|one| one.claims.addresses.is_empty()) {
            let message = format!(
                "the addresses of the guest behind `{}` are not known, so the addresses that it claims are checked only against those \
                 of this machine, of its routers and of other guests",
                one.name
            );
            let hint =
                "`addresses: [..]` in the entry of this port names them; no other address may then leave the guest";
            let at = self.site.interface_places.get(&one.name).copied().unwrap_or_default();
            out.push(self.site.text.warning(at, message).with_hint(hint));
        }
    }
}
