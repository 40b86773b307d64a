//! Re-key Key Pair (KMIP 1.4 §4.5): a new pair in place of an old one, as Re-key replaces one key.

use custody::keyring::New;
use kmip::{
    ops::{Answer, re_key_key_pair},
    tables::{LinkType, ObjectType},
};
use policy::Operation;

use super::{
    Allowed, Turn,
    create_key_pair::{self, Wanted},
    re_key::Replaced,
    store::new_id,
};
use crate::{
    attributes::replace::{Wish, link, linked, replacement},
    refusal::{Outcome, denied},
};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: re_key_key_pair::Request<'_>,
) -> Outcome<()> {
    let common = request.common.as_ref();
    let offset_s = request.offset.map(|offset| offset.0);
    let wish = |own| Wish { offset_s, template: create_key_pair::merged(common, own) };
    let (private_wish, public_wish) = (wish(request.private_key), wish(request.public_key));
    let old_private = turn.to_replace(object, ObjectType::PrivateKey)?;
    let public = linked(&old_private, LinkType::PublicKeyLink)
        .ok_or_else(|| denied("the private key has no Public Key Link; only a pair is replaced by this operation"))?;
    let public = turn.other(Operation::ReKeyKeyPair, public)?;
    let old_public = turn.to_replace(&public, ObjectType::PublicKey)?;
    let mut private_meta = replacement(&old_private, &private_wish, turn.now_s)?;
    let mut public_meta = replacement(&old_public, &public_wish, turn.now_s)?;
    let wanted = Wanted::of(&private_meta, &public_meta)?;
    wanted.describe([&mut private_meta, &mut public_meta])?;
    turn.put_off_if_cold()?;
    let pair = create_key_pair::made(turn, wanted).await?;
    let (private_id, public_id) = (new_id()?, new_id()?);
    let private = New { object: private_id, meta: private_meta, secret: turn.hold_copy(&pair.private)? };
    let public_half = New { object: public_id, meta: public_meta, secret: turn.hold_copy(&pair.public)? };
    let replaced = vec![
        Replaced::by(object, &old_private, private_wish, private),
        Replaced::by(&public, &old_public, public_wish, public_half),
    ];
    turn.replace(replaced, vec![], move |_, pair| {
        let ids = [(LinkType::PublicKeyLink, public_id), (LinkType::PrivateKeyLink, private_id)];
        for (half, (kind, other)) in pair.iter_mut().zip(ids) {
            half.links.push(link(kind, &other.text()));
        }
        Ok(())
    })
    .await?;
    // §4.5: the ID Placeholder is the private key's.
    let private_key_unique_identifier = &turn.made(private_id);
    turn.success(&Answer::ReKeyKeyPair(re_key_key_pair::Answer {
        private_key_unique_identifier,
        public_key_unique_identifier: &public_id.text(),
        private_key: None,
        public_key: None,
    }));
    Ok(())
}
