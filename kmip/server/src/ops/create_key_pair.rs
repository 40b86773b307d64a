//! Create Key Pair (KMIP 1.4 §4.2): an RSA key pair, made aside from the threads that serve; both halves are stored, each with a
//! link to the other, or neither.

use custody::{
    keyring::New,
    names::ObjectId,
    object::{Link, ObjectMeta},
    rsa::{self, Pair},
};
use kmip::{
    TemplateAttribute,
    ops::{Answer, create_key_pair},
    tables::{CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType},
};
use policy::Permitted;

use super::Turn;
use crate::{
    attributes::{self, generator},
    refusal::{self, Outcome, invalid_field, try_again},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: create_key_pair::Request) -> Outcome<()> {
    let half =
        |object_type, own: Option<TemplateAttribute>| half(object_type, request.common.as_ref(), own, turn.now_s);
    let mut private = half(ObjectType::PrivateKey, request.private_key.clone())?;
    let mut public = half(ObjectType::PublicKey, request.public_key.clone())?;
    let pair = made(turn, bits(&private, &public)?).await?;
    let drawn = || ObjectId::random().map_err(|error| refusal::of_custody(&error));
    let (private_id, public_id) = (drawn()?, drawn()?);
    private.links.push(Link { kind: LinkType::PublicKeyLink.code(), to: public_id.to_string() });
    public.links.push(Link { kind: LinkType::PrivateKeyLink.code(), to: private_id.to_string() });
    turn.store_pair([
        New { object: private_id, meta: private, bytes: &pair.private },
        New { object: public_id, meta: public, bytes: &pair.public },
    ])
    .await?;
    // §4.2: the ID Placeholder is the private key's.
    let private_key_unique_identifier = &turn.made(private_id);
    turn.success(&Answer::CreateKeyPair(create_key_pair::Answer {
        private_key_unique_identifier,
        public_key_unique_identifier: &public_id.text(),
        private_key: None,
        public_key: None,
    }));
    Ok(())
}

/// What one key of the pair is: its own attributes go before the common ones (§4.2).
fn half(
    object_type: ObjectType,
    common: Option<&TemplateAttribute>,
    own: Option<TemplateAttribute>,
    now_s: i64,
) -> Outcome<ObjectMeta> {
    let mut template = own.unwrap_or_default();
    if let Some(common) = common {
        let own = template.attributes.len();
        template.template_names.extend(common.template_names.iter().cloned());
        for attribute in &common.attributes {
            if template.attributes.iter().take(own).all(|other| other.name != attribute.name) {
                template.attributes.push(attribute.clone());
            }
        }
    }
    let mut meta = attributes::meta_of(object_type, &template, now_s)?;
    if meta.usage_mask == 0 {
        return Err(invalid_field(format!("the {object_type} needs a Cryptographic Usage Mask that allows something")));
    }
    meta.key_format = Some(KeyFormatType::Pkcs1.code());
    meta.dates.original_creation = Some(now_s);
    generator::check(meta.rng)?;
    meta.rng = Some(generator::OURS);
    Ok(meta)
}

fn bits(private: &ObjectMeta, public: &ObjectMeta) -> Outcome<u32> {
    let rsa = Some(CryptographicAlgorithm::Rsa.code());
    if (private.algorithm, public.algorithm) != (rsa, rsa) {
        return Err(invalid_field("key pairs of the Cryptographic Algorithm RSA are made here; name it for both keys"));
    }
    match (private.length_bits, public.length_bits) {
        (Some(bits), Some(other)) if bits == other => Ok(bits),
        _ => Err(invalid_field("Create Key Pair needs one Cryptographic Length for both keys")),
    }
}

/// One pair at a time: making them takes a processor for up to seconds.
async fn made(turn: &Turn<'_, '_>, bits: u32) -> Outcome<Pair> {
    let _turn = turn.server.making_pairs().await;
    let made = tokio::task::spawn_blocking(move || rsa::generate(bits)).await;
    match made.map_err(|_| try_again("the key pair was not made"))? {
        Some(pair) => pair.map_err(|error| refusal::of_custody(&error)),
        None => Err(invalid_field(format!("an RSA key pair has 2048, 3072 or 4096 bits, not {bits}"))),
    }
}
