//! The admin's side of the soft L1: `kcm soft-l1 disable KEY` and its siblings.

use custody::l1::{
    SoftTarget, soft_exchange,
    soft_wire::{Ask, Reply, Request, SoftState, Token},
};

use super::SoftL1Error;

/// Sends one question with the admin's token; gives the key's state after it, which is durable then.
///
/// # Errors
/// [`SoftL1Error::Refused`] with the server's reason, [`SoftL1Error::NoAnswer`] where none came: then the change may have been made.
pub async fn command(target: &SoftTarget, admin: &Token, ask: Ask) -> Result<SoftState, SoftL1Error> {
    let request = Request { token: admin.clone(), ask };
    match soft_exchange(target, &request).await {
        Ok(Reply::Done { state } | Reply::Described { state, .. }) => Ok(state),
        Ok(Reply::Refused { code, why }) => Err(SoftL1Error::Refused { code, why }),
        Ok(_) => Err(SoftL1Error::NoAnswer { why: "it answered another question than the one asked".to_owned() }),
        Err(why) => Err(SoftL1Error::NoAnswer { why }),
    }
}
