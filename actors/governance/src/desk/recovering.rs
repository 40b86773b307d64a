//! What the desk does with a recovery by cold keys. Whoever may see the tenant may bring one: its signatures say whether it counts.

use orbital::{certificate::Certificate, change::Change, names::Correlation};

use super::{Desk, Msg};
use crate::{error::Error, views::RecoveryView};

impl Desk {
    /// Takes a certificate of recovery keys: each region hears of it at once, and it comes into force after its delay. The same one again
    /// answers with what is known of it, or with nothing once it is in force.
    pub async fn recover(
        &self,
        id_or_name: &str,
        certificate: Certificate,
        correlation: Correlation,
    ) -> Result<Option<RecoveryView>, Error> {
        let tenant = self.find(id_or_name).await?;
        let change = Change::digest_of(&certificate.change);
        let all = self.ask(|reply| Msg::Recover { tenant, certificate, correlation, reply }).await??;
        Ok(all.into_iter().find(|one| one.change == change))
    }
}
