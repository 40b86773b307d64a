//! What people ask of the herald: the log, a test, and telling again.

use std::collections::BTreeSet;

use orbital::names::{Channel as Name, TenantId};

use super::{
    herald::State,
    news,
    notice::{Delivery, DeliveryFilter, DeliveryState},
    route::over_channel,
};
use crate::error::{Error, Fault, Refusal};

impl State {
    pub(super) fn list(&self, filter: &DeliveryFilter) -> Vec<Delivery> {
        let wanted = |d: &&Delivery| {
            filter.tenant.is_none_or(|tenant| d.notice.tenant == tenant)
                && filter.channel.as_ref().is_none_or(|channel| d.channel == *channel)
                && filter.state.is_none_or(|state| d.state == state)
        };
        let mut found: Vec<_> = self.journal(|journal| journal.all().filter(wanted).cloned().collect());
        found.sort_by(|a, b| b.created_ms.cmp(&a.created_ms).then_with(|| a.id.cmp(&b.id)));
        found
    }

    pub(super) async fn test(&mut self, tenant: TenantId, channel: Option<Name>) -> Result<Vec<Delivery>, Error> {
        let portrait = self.portrait(tenant, None).await.ok_or(Fault::Gone { what: "the tenant's actor" })?;
        self.tests = self.tests.saturating_add(1);
        let now_ms = self.shared.clock.unix_ms();
        let notice = news::test(&self.setting(tenant, &portrait, now_ms, None), &format!("{now_ms}/{}", self.tests));
        let mut found = self.routed(&portrait, Some(notice.clone()));
        if let Some(channel) = channel {
            let known: BTreeSet<_> = self.shared.notifying.channels.open_to(tenant).map(|(name, _)| name).collect();
            if !known.contains(&channel) {
                let known = known.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let why = format!("there is no channel {channel} for this tenant; there are: {known}");
                return Err(Refusal::Untold { what: "a test", why }.into());
            }
            found.retain(|delivery| delivery.channel == channel);
            if found.is_empty() {
                found = over_channel(&notice, &channel, &self.shared.notifying.channels, now_ms);
            }
        }
        if found.is_empty() {
            let why = "no route and no default channel leads anywhere".to_owned();
            return Err(Refusal::Untold { what: "a test", why }.into());
        }
        Ok(self.take_up(None, found).await)
    }

    pub(super) async fn replay(&mut self, id: &str) -> Result<Delivery, Error> {
        let known = self.journal(|journal| journal.get(id).cloned());
        let known = known.ok_or_else(|| Refusal::UnknownDelivery(id.to_owned()))?;
        if self.queue.waits(id) {
            return Ok(known);
        }
        let again = Delivery { state: DeliveryState::Waiting, attempts: 0, why: String::new(), ..known };
        let full = |why| Refusal::Untold { what: "the notice", why };
        self.queue.put(again.clone(), self.shared.clock.unix_ms()).map_err(full)?;
        self.keep(None, vec![again.clone()]).await;
        Ok(again)
    }
}
