//! Create Key Pair (KMIP 1.4 §4.2): a pair of RSA, made aside from the threads that serve, or of an elliptic curve. Both halves are
//! stored, each with a link to the other, or neither.

use custody::{
    asymmetric::Pair,
    ec::{self, Curve},
    keyring::New,
    object::{Link, ObjectMeta},
    rsa,
};
use kmip::{
    TemplateAttribute,
    ops::{Answer, create_key_pair},
    tables::{CryptographicAlgorithm, KeyFormatType, LinkType, ObjectType, RecommendedCurve},
};
use policy::Permitted;

use super::{
    Turn,
    halves::{self, Family},
    store::new_id,
};
use crate::{
    attributes::{self, generator},
    refusal::{self, Outcome, invalid_field, try_again},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: create_key_pair::Request) -> Outcome<()> {
    let half =
        |object_type, own: Option<TemplateAttribute>| half(object_type, request.common.as_ref(), own, turn.now_s);
    let mut private = half(ObjectType::PrivateKey, request.private_key.clone())?;
    let mut public = half(ObjectType::PublicKey, request.public_key.clone())?;
    let wanted = Wanted::of(&private, &public)?;
    wanted.describe([&mut private, &mut public])?;
    turn.put_off_if_cold()?;
    let pair = made(turn, wanted).await?;
    let (private_id, public_id) = (new_id()?, new_id()?);
    private.links.push(Link { kind: LinkType::PublicKeyLink.code(), to: public_id.to_string() });
    public.links.push(Link { kind: LinkType::PrivateKeyLink.code(), to: private_id.to_string() });
    turn.store_all(vec![
        New { object: private_id, meta: private, secret: turn.hold_copy(&pair.private)? },
        New { object: public_id, meta: public, secret: turn.hold_copy(&pair.public)? },
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

/// A key's own attributes go before the common ones (§4.2).
pub(super) fn merged(common: Option<&TemplateAttribute>, own: Option<TemplateAttribute>) -> TemplateAttribute {
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
    template
}

/// What one key of the pair is.
fn half(
    object_type: ObjectType,
    common: Option<&TemplateAttribute>,
    own: Option<TemplateAttribute>,
    now_s: i64,
) -> Outcome<ObjectMeta> {
    let template = merged(common, own);
    let mut meta = attributes::meta_of(object_type, &template, now_s)?;
    if meta.usage_mask == 0 {
        return Err(invalid_field(format!("the {object_type} needs a Cryptographic Usage Mask that allows something")));
    }
    meta.dates.original_creation = Some(now_s);
    generator::check(meta.rng)?;
    meta.rng = Some(generator::OURS);
    Ok(meta)
}

/// Which pair is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Bits of the modulus.
    Rsa(u32),
    Ec(Curve),
}

impl Wanted {
    /// Table 168: algorithm, length and domain parameters are the same for both halves.
    pub(super) fn of(private: &ObjectMeta, public: &ObjectMeta) -> Outcome<Self> {
        let named = |half: &ObjectMeta| (half.algorithm, half.length_bits, half.domain);
        if named(private) != named(public) {
            return Err(invalid_field(
                "Cryptographic Algorithm, Cryptographic Length and Cryptographic Domain Parameters are those of both keys: name them \
                 in the Common Template-Attribute",
            ));
        }
        let algorithm = private.algorithm.and_then(CryptographicAlgorithm::from_code);
        match algorithm.and_then(Family::of) {
            Some(Family::Rsa) => {
                let missing = || invalid_field("Create Key Pair of RSA needs a Cryptographic Length for both keys");
                private.length_bits.map(Self::Rsa).ok_or_else(missing)
            }
            Some(Family::Ec) => curve(private).map(Self::Ec),
            None => Err(invalid_field(
                "key pairs of the Cryptographic Algorithms RSA, EC, ECDSA, ECDH and ECMQV are made here; name one for both keys",
            )),
        }
    }

    /// What both halves are, and in which format they are stored.
    pub(super) fn describe(self, [private, public]: [&mut ObjectMeta; 2]) -> Outcome<()> {
        let formats = match self {
            Self::Rsa(_) => [KeyFormatType::Pkcs1, KeyFormatType::Pkcs1],
            Self::Ec(_) => [KeyFormatType::EcPrivateKey, KeyFormatType::X509],
        };
        for (half, format) in [private, public].into_iter().zip(formats) {
            half.key_format = Some(format.code());
            match self {
                Self::Rsa(bits) => halves::describe_rsa(half, bits)?,
                Self::Ec(curve) => halves::describe_ec(half, curve)?,
            }
        }
        Ok(())
    }
}

/// The curve that is named, or the one of this length.
fn curve(half: &ObjectMeta) -> Outcome<Curve> {
    let named = half.domain.and_then(|domain| domain.curve).and_then(RecommendedCurve::from_code);
    if let Some(named) = named {
        return halves::curve_of(named);
    }
    half.length_bits.and_then(Curve::of_bits).ok_or_else(|| {
        invalid_field("an elliptic curve key pair needs a Recommended Curve in its Cryptographic Domain Parameters (P-256, P-384 or \
                       P-521), or a Cryptographic Length of 256, 384 or 521")
    })
}

/// One RSA pair at a time: making them takes a processor for up to seconds. A curve's takes less than the way there.
pub(super) async fn made(turn: &Turn<'_, '_>, wanted: Wanted) -> Outcome<Pair> {
    let bits = match wanted {
        Wanted::Ec(curve) => return ec::generate(curve).map_err(|error| refusal::of_custody(&error)),
        Wanted::Rsa(bits) => bits,
    };
    let _turn = turn.server.making_pairs().await;
    let made = tokio::task::spawn_blocking(move || rsa::generate(bits)).await;
    match made.map_err(|_| try_again("the key pair was not made"))? {
        Some(pair) => pair.map_err(|error| refusal::of_custody(&error)),
        None => Err(invalid_field(format!("an RSA key pair has 2048, 3072 or 4096 bits, not {bits}"))),
    }
}
