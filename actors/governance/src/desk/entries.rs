//! Pages of the ledger, as far as the visitor may see it.

use super::{Desk, blocking};
use crate::{
    contents::Sought,
    error::Error,
    views::{Entries, EntryView},
};

impl Desk {
    /// The entries after sequence `after` (the first is 1) that are sought and that the visitor may see, at most `limit`.
    pub async fn entries(&self, sought: Sought, after: u64, limit: usize) -> Result<Entries, Error> {
        let desk = self.clone();
        let found = blocking(move || {
            let (mut sees, site) = (desk.sees(), desk.visitor.sees_site(&desk.shared));
            let sees = |subject: &str| subject.parse().map_or(site, &mut sees);
            let ledger = desk.shared.ledger.as_ref();
            // One more than asked for says whether there is a next page.
            desk.shared.contents.find(ledger, &sought, sees, after, limit.saturating_add(1))
        });
        let mut found = found.await??;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|entry| entry.sequence).filter(|_| more);
        Ok(Entries { items: found.into_iter().map(EntryView::from).collect(), next })
    }
}
