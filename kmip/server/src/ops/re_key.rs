//! Re-key (KMIP 1.4 §4.4): a new key in place of an old one, which loses its names and learns what replaced it, at one stroke.

use custody::{Error, keyring::New, names::ObjectId, object::ObjectMeta};
use kmip::{
    ops::{Answer, re_key},
    tables::{KeyFormatType, LinkType, ObjectType},
};

use super::{Allowed, Turn, create, store::new_id};
use crate::{
    attributes::replace::{Wish, linked, replacement, supersede},
    refusal::{self, Outcome, denied},
};

/// A key or certificate, and what is to replace it.
pub(super) struct Replaced {
    id: ObjectId,
    /// What its Replacement Object Link named when it was looked at.
    before: Option<String>,
    wish: Wish,
    new: New,
}

impl Replaced {
    pub(super) fn by(object: &Allowed, old: &ObjectMeta, wish: Wish, new: New) -> Self {
        let before = linked(old, LinkType::ReplacementObjectLink).map(str::to_owned);
        Self { id: object.id, before, wish, new }
    }
}

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: re_key::Request<'_>) -> Outcome<()> {
    let wish = wish(request.offset.map(|offset| offset.0), request.template_attribute);
    let old = turn.to_replace(object, ObjectType::SymmetricKey)?;
    let mut meta = replacement(&old, &wish, turn.now_s)?;
    meta.key_format = Some(KeyFormatType::Raw.code());
    let (bytes, draw) = create::drawn(&meta)?;
    turn.put_off_if_cold()?;
    let (object_id, secret) = (new_id()?, turn.hold(bytes, draw)?);
    let new = New { object: object_id, meta, secret };
    turn.replace(vec![Replaced::by(object, &old, wish, new)], vec![], |_, _| Ok(())).await?;
    let unique_identifier = &turn.made(object_id);
    turn.success(&Answer::ReKey(re_key::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

pub(super) fn wish(offset_s: Option<u32>, template: Option<kmip::TemplateAttribute>) -> Wish {
    Wish { offset_s, template: template.unwrap_or_default() }
}

impl Turn<'_, '_> {
    /// The attributes of what is to be replaced.
    pub(super) fn to_replace(&self, object: &Allowed, object_type: ObjectType) -> Outcome<ObjectMeta> {
        let meta = self.meta(object.id)?;
        if meta.key_elsewhere {
            // §11.5, §11.6.
            return Err(refusal::of_custody(&Error::KeyElsewhere(object.id)));
        }
        if meta.object_type != object_type.code() {
            return Err(denied(format!(
                "the object is no {object_type}; only such a one is replaced by this operation"
            )));
        }
        if linked(&meta, LinkType::ReplacementObjectLink).is_some_and(|id| self.lives(id)) {
            let why =
                "the object is replaced already; replace its replacement, which its Replacement Object Link names";
            return Err(denied(why));
        }
        Ok(meta)
    }

    fn lives(&self, id: &str) -> bool {
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        match id.parse().map(|id| keyring.object(tenant, system, id)) {
            Ok(Ok(object)) => !object.meta.state.is_destroyed(),
            // It can be recovered.
            Ok(Err(Error::Archived(_))) => true,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Stores the replacements and changes what they replace, all or none; `relate` links the objects beside them and the replacements
    /// with each other.
    pub(super) async fn replace(
        &self,
        replaced: Vec<Replaced>,
        beside: Vec<ObjectId>,
        relate: impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Outcome<()> + Send + 'static,
    ) -> Outcome<()> {
        let now_s = self.now_s;
        let named: Vec<_> = replaced.iter().map(|one| (&one.new.meta, Some(one.id))).collect();
        let _naming = self.reserve(&named).await?;
        let (mut old, mut new, mut rest) = (vec![], vec![], vec![]);
        for one in replaced {
            rest.push((one.id.text(), one.new.object.text(), one.wish, one.before));
            old.push(one.id);
            new.push(one.new);
        }
        old.extend(beside);
        self.store_beside(old, new, move |old, new| {
            let (old, beside) = old.split_at_mut_checked(rest.len()).unwrap_or_default();
            for ((old, new), (old_id, new_id, wish, before)) in old.iter_mut().zip(new.iter_mut()).zip(&rest) {
                if linked(old, LinkType::ReplacementObjectLink) != before.as_deref() {
                    return Err(refusal::try_again("another request replaced the object at the same time"));
                }
                // What follows from the new bytes is settled.
                let ObjectMeta { digest, key_format, length_bits, domain, lease_time_s, rng, .. } = *new;
                let certificate = new.certificate.take();
                let meta = replacement(old, wish, now_s)?;
                *new = ObjectMeta { digest, key_format, length_bits, domain, lease_time_s, rng, certificate, ..meta };
                supersede(old, old_id, new, new_id, now_s);
            }
            relate(beside, new)
        })
        .await
    }
}
