//! Notices at the desk: what a tenant routes, what became of each delivery, and trying the way. Trying and telling again are for those who
//! may propose a routing, and for operators; nothing of it changes who is told of what.

use orbital::{
    names::{Channel, TenantId},
    routing::Occasion,
};
use tokio::sync::oneshot;

use super::Desk;
use crate::{
    error::{Error, Fault, Refusal},
    notify::{Delivery, DeliveryFilter, HeraldMsg},
    tenant::{self, Reply},
    views::{ChannelView, RoutingView},
};

impl Desk {
    /// Who is told of what.
    pub async fn routing(&self, id_or_name: &str) -> Result<RoutingView, Error> {
        let tenant = self.find(id_or_name).await?;
        let portrait = self.read(tenant, |reply| tenant::Msg::Portrait(None, reply)).await?;
        let channels = self.shared.notifying.channels.open_to(tenant).map(|(name, channel)| ChannelView {
            name: name.clone(),
            kind: channel.target.kind(),
            default: channel.default,
        });
        Ok(RoutingView {
            tenant,
            change: portrait.routing.as_ref().map(|(change, _)| *change),
            routing: portrait.routing.map(|(_, routing)| routing).unwrap_or_default(),
            channels: channels.collect(),
            events: Occasion::ALL,
        })
    }

    /// Deliveries that the visitor may see, the newest first.
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, Error> {
        if let Some(tenant) = filter.tenant {
            self.check_tenant(tenant)?;
        }
        let Some(all) = self.herald(|reply| HeraldMsg::List(filter, reply)).await? else { return Ok(Vec::new()) };
        let mut sees = self.sees();
        Ok(all.into_iter().filter(|delivery| sees(delivery.notice.tenant)).collect())
    }

    /// Tells a test over one channel, or over all that a tenant is told anything over; the deliveries that it became.
    pub async fn test_notice(&self, id_or_name: &str, channel: Option<Channel>) -> Result<Vec<Delivery>, Error> {
        let tenant = self.find(id_or_name).await?;
        self.check_router(tenant).await?;
        let told = self.herald(|reply| HeraldMsg::Test { tenant, channel, reply }).await?;
        told.unwrap_or_else(|| {
            Err(untold("a test", "the topology names no channel (`[notify.NAME]`)".to_owned()).into())
        })
    }

    /// Takes a delivery that is at its end up again.
    pub async fn replay(&self, id: &str) -> Result<Delivery, Error> {
        let unknown = || Refusal::UnknownDelivery(id.chars().take(64).collect());
        let all = self.deliveries(DeliveryFilter::default()).await?;
        let known = all.into_iter().find(|delivery| delivery.id == id).ok_or_else(unknown)?;
        self.check_router(known.notice.tenant).await?;
        let again = self.herald(|reply| HeraldMsg::Replay(id.to_owned(), reply)).await?;
        again.unwrap_or_else(|| Err(unknown().into()))
    }

    async fn check_router(&self, tenant: TenantId) -> Result<(), Error> {
        match self.visitor.person(&self.shared, tenant) {
            None => Ok(()),
            Some(person) => Ok(self.read(tenant, |reply| tenant::Msg::CheckRouter(person, reply)).await??),
        }
    }

    /// None where there is no channel, and so no herald.
    async fn herald<T>(&self, msg: impl FnOnce(Reply<T>) -> HeraldMsg) -> Result<Option<T>, Error> {
        if self.shared.notifying.channels.is_empty() {
            return Ok(None);
        }
        let gone = || Fault::Gone { what: "the herald" };
        let (reply, answer) = oneshot::channel();
        self.shared.herald().ok_or_else(gone)?.cast(msg(reply)).map_err(|_| gone())?;
        answer.await.map(Some).map_err(|_| gone().into())
    }
}

pub(crate) fn untold(what: &'static str, why: String) -> Refusal {
    Refusal::Untold { what, why }
}
