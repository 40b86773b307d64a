//! Re-key and Re-key Key Pair: what becomes of the old and of the new key.

use custody::object::State;
use kmip::{
    AttributeValue, ResultReason, TemplateAttribute,
    message::RequestHeader,
    ops::{self, Answer, Request},
    tables::{
        BatchErrorContinuation, CryptographicAlgorithm, HashingAlgorithm, LinkType, RevocationReasonCode,
        StandardAttribute, UsageMask,
    },
    ttlv::Interval,
};

use super::{active_key, archive::archive, create_with, destroy, ec, encrypt, gcm, get, revoke, rsa, template, wrap};
use crate::rig::{Got, Rig, START_S};

pub(super) fn re_key(id: &str) -> Request<'_> {
    re_key_with(id, None, None)
}

fn re_key_with(id: &str, offset: Option<u32>, template_attribute: Option<TemplateAttribute>) -> Request<'_> {
    let offset = offset.map(Interval);
    Request::ReKey(ops::re_key::Request { unique_identifier: Some(id), offset, template_attribute })
}

fn new_id(got: &Got) -> String {
    match got.answer() {
        Answer::ReKey(answer) => answer.unique_identifier.to_owned(),
        _ => panic!("another answer"),
    }
}

pub(super) fn re_key_pair(id: &str, common: Option<TemplateAttribute>) -> Request<'_> {
    Request::ReKeyKeyPair(ops::re_key_key_pair::Request {
        private_key_unique_identifier: Some(id),
        offset: None,
        common,
        private_key: None,
        public_key: None,
    })
}

fn new_ids(got: &Got) -> (String, String) {
    match got.answer() {
        Answer::ReKeyKeyPair(answer) => {
            (answer.private_key_unique_identifier.to_owned(), answer.public_key_unique_identifier.to_owned())
        }
        _ => panic!("another answer"),
    }
}

fn named(name: &str) -> (StandardAttribute, AttributeValue) {
    (StandardAttribute::Name, AttributeValue::name(name))
}

async fn found(rig: &Rig, name: &str) -> Vec<String> {
    let request = ops::locate::Request::of(template(&[named(name)]).attributes);
    let got = rig.does(&Request::Locate(request)).await.unwrap();
    let Answer::Locate(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifiers.iter().map(|&id| id.to_owned()).collect()
}

fn meta(rig: &Rig, id: &str) -> custody::object::ObjectMeta {
    let (keyring, caller) = (rig.server.keyring(), &rig.caller);
    keyring.object(caller.tenant(), caller.system(), id.parse().unwrap()).unwrap().meta
}

fn link(rig: &Rig, id: &str, kind: LinkType) -> Option<String> {
    let meta = meta(rig, id);
    let all: Vec<_> = meta.links.iter().filter(|link| link.kind == kind.code()).collect();
    assert!(all.len() < 2, "{all:?}");
    all.first().map(|link| link.to.clone())
}

async fn key_of(rig: &Rig, id: &str) -> Vec<u8> {
    let got = rig.does(&get(id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    answer.symmetric_key.unwrap().key_block.material.expose().to_vec()
}

#[tokio::test]
async fn a_new_key_takes_over_the_name_and_both_know_of_each_other() {
    let rig = Rig::new().await;
    let old = rig.does(&create_with(&[named("master")])).await.unwrap().id();
    rig.does(&super::activate(Some(&old))).await.unwrap();
    let new = new_id(&rig.does(&re_key(&old)).await.unwrap());
    assert_eq!(found(&rig, "master").await, [new.as_str()]);
    assert_eq!(link(&rig, &old, LinkType::ReplacementObjectLink), Some(new.clone()));
    assert_eq!(link(&rig, &new, LinkType::ReplacedObjectLink), Some(old.clone()));
    assert_eq!((meta(&rig, &old).state, meta(&rig, &new).state), (State::Active, State::Active));
    assert_ne!(meta(&rig, &old).digest, meta(&rig, &new).digest);
    let (one, other) = (key_of(&rig, &old).await, key_of(&rig, &new).await);
    assert_eq!((one.len(), other.len()), (32, 32));
    assert_ne!(one, other);
    for id in [&old, &new] {
        assert_eq!(rig.reason(&encrypt(id, gcm(), b"x")).await, None, "each key goes on by itself");
    }
}

#[tokio::test]
async fn a_key_is_replaced_once_as_long_as_its_replacement_lives() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let first = new_id(&rig.does(&re_key(&old)).await.unwrap());
    assert_eq!(rig.reason(&re_key(&old)).await, Some(ResultReason::PermissionDenied));
    let of_first = new_id(&rig.does(&re_key(&first)).await.unwrap());
    assert_eq!(link(&rig, &of_first, LinkType::ReplacedObjectLink), Some(first.clone()));
    rig.does(&revoke(&first, RevocationReasonCode::Superseded)).await.unwrap();
    rig.does(&destroy(&first)).await.unwrap();
    let second = new_id(&rig.does(&re_key(&old)).await.unwrap());
    assert_eq!(link(&rig, &old, LinkType::ReplacementObjectLink), Some(second));
    assert_eq!(rig.reason(&re_key(&first)).await, Some(ResultReason::PermissionDenied), "it is destroyed");
}

#[tokio::test]
async fn what_is_archived_is_not_replaced_and_lives() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let new = new_id(&rig.does(&re_key(&old)).await.unwrap());
    rig.does(&archive(&new)).await.unwrap();
    assert_eq!(rig.reason(&re_key(&new)).await, Some(ResultReason::ObjectArchived));
    assert_eq!(rig.reason(&re_key(&old)).await, Some(ResultReason::PermissionDenied), "its replacement lives");
}

#[tokio::test]
async fn a_key_that_came_wrapped_is_replaced_by_one_that_is_not() {
    let rig = Rig::new().await;
    let old = wrap::stored_wrapped(&rig, UsageMask::ENCRYPT).await;
    let new = new_id(&rig.does(&re_key(&old)).await.unwrap());
    assert_eq!(meta(&rig, &new).wrapping, None);
    assert_eq!(key_of(&rig, &new).await.len(), 32);
    assert_eq!(rig.reason(&encrypt(&new, gcm(), b"x")).await, None);
}

#[tokio::test]
async fn of_two_at_once_one_replaces_the_key() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let request = re_key(&old);
    let (one, other) = tokio::join!(rig.does(&request), rig.does(&request));
    assert_eq!([&one, &other].iter().filter(|answer| answer.is_ok()).count(), 1);
    let made = new_id(&one.or(other).unwrap());
    assert_eq!(link(&rig, &old, LinkType::ReplacementObjectLink), Some(made));
}

#[tokio::test]
async fn a_name_that_is_given_besides_must_be_free() {
    let rig = Rig::new().await;
    let other = rig.does(&create_with(&[named("taken")])).await.unwrap().id();
    let old = rig.does(&create_with(&[named("mine")])).await.unwrap().id();
    let ask = |name| re_key_with(&old, None, Some(template(&[named(name)])));
    assert_eq!(rig.reason(&ask("taken")).await, Some(ResultReason::InvalidField));
    assert_eq!(found(&rig, "mine").await, [old.as_str()], "nothing was changed");
    let new = new_id(&rig.does(&ask("more")).await.unwrap());
    for name in ["mine", "more"] {
        assert_eq!(found(&rig, name).await, [new.as_str()]);
    }
    assert_eq!(found(&rig, "taken").await, [other.as_str()]);
}

#[tokio::test]
async fn the_item_after_it_means_the_replacement() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let header = RequestHeader::of(crate::rig::V1_4);
    let attributes = ops::get_attributes::Request { unique_identifier: None, attribute_names: vec!["Link"] };
    let answers = rig.batch(header, &[re_key_with(&old, Some(60), None), Request::GetAttributes(attributes)]).await;
    assert_eq!(answers, [None, None]);
    let new = link(&rig, &old, LinkType::ReplacementObjectLink).unwrap();
    assert_eq!(meta(&rig, &new).dates.activation, Some(START_S + 60));
    assert_eq!(meta(&rig, &new).state, State::PreActive);
}

#[tokio::test]
async fn what_is_no_symmetric_key_is_not_re_keyed() {
    let rig = Rig::new().await;
    let seed = rig.does(&super::register_seed(vec![1; 32])).await.unwrap().id();
    assert_eq!(rig.reason(&re_key(&seed)).await, Some(ResultReason::PermissionDenied));
    assert_eq!(rig.reason(&re_key_pair(&seed, None)).await, Some(ResultReason::PermissionDenied));
    let (private, public) = rsa::pair(&rig).await;
    assert_eq!(rig.reason(&re_key(&private)).await, Some(ResultReason::PermissionDenied));
    assert_eq!(rig.reason(&re_key_pair(&public, None)).await, Some(ResultReason::PermissionDenied));
    assert_eq!(rig.reason(&re_key("0b0e9c8a-0000-4000-8000-000000000000")).await, Some(ResultReason::ItemNotFound));
}

#[tokio::test]
async fn a_pair_is_replaced_whole() {
    let rig = Rig::new().await;
    let (private, public) = rsa::pair(&rig).await;
    let (new_private, new_public) = new_ids(&rig.does(&re_key_pair(&private, None)).await.unwrap());
    for (old, new) in [(&private, &new_private), (&public, &new_public)] {
        assert_eq!(link(&rig, old, LinkType::ReplacementObjectLink).as_ref(), Some(new));
        assert_eq!(link(&rig, new, LinkType::ReplacedObjectLink).as_ref(), Some(old));
        assert_eq!(meta(&rig, old).usage_mask, meta(&rig, new).usage_mask);
    }
    assert_eq!(link(&rig, &new_private, LinkType::PublicKeyLink), Some(new_public.clone()));
    assert_eq!(link(&rig, &new_public, LinkType::PrivateKeyLink), Some(new_private.clone()));
    assert_eq!(link(&rig, &private, LinkType::PublicKeyLink), Some(public.clone()), "the old pair stays a pair");
    rsa::signs_for(&rig, &new_private, &new_public).await;
    rsa::signs_for(&rig, &private, &public).await;
    assert_eq!(rig.reason(&re_key_pair(&private, None)).await, Some(ResultReason::PermissionDenied));
    let other_use =
        template(&[(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(UsageMask::SIGN.0))]);
    let (newest, _) = new_ids(&rig.does(&re_key_pair(&new_private, Some(other_use))).await.unwrap());
    assert_eq!(meta(&rig, &newest).usage_mask, 1);
}

#[tokio::test]
async fn a_pair_of_a_curve_is_replaced_by_one_of_the_same() {
    let rig = Rig::new().await;
    let length = (StandardAttribute::CryptographicLength, AttributeValue::Integer(384));
    let [private, public] = ec::pair(&rig, &ec::pair_of(CryptographicAlgorithm::Ec, &[length])).await;
    let (new_private, new_public) = new_ids(&rig.does(&re_key_pair(&private, None)).await.unwrap());
    for (old, new) in [(&private, &new_private), (&public, &new_public)] {
        let (old, new) = (meta(&rig, old), meta(&rig, new));
        assert_eq!((new.length_bits, new.domain, new.key_format), (Some(384), old.domain, old.key_format));
        assert_ne!(new.digest, old.digest);
    }
    let signature = ec::sign(&rig, &new_private, HashingAlgorithm::Sha384, Some(b"text"), None).await;
    assert!(ec::is_valid(&rig, &new_public, HashingAlgorithm::Sha384, b"text", &signature).await);
    assert!(!ec::is_valid(&rig, &public, HashingAlgorithm::Sha384, b"text", &signature).await);
}

#[tokio::test]
async fn a_batch_that_is_undone_replaces_nothing() {
    let rig = Rig::new().await;
    let old = rig.does(&create_with(&[named("master")])).await.unwrap().id();
    let undo = || RequestHeader {
        batch_error_continuation: Some(BatchErrorContinuation::Undo),
        ..RequestHeader::of(crate::rig::V1_4)
    };
    let answers = rig.batch(undo(), &[re_key(&old), get("1")]).await;
    assert!(answers.iter().all(Option::is_some), "{answers:?}");
    assert_eq!(link(&rig, &old, LinkType::ReplacementObjectLink), None);
    assert_eq!(found(&rig, "master").await, [old.as_str()]);
    let no_id = ops::get::Request { unique_identifier: None, ..ops::get::Request::of("") };
    let answers = rig.batch(undo(), &[re_key(&old), Request::Get(no_id)]).await;
    assert_eq!(answers, [None, None], "the replacement is in the draft's table");
    let new = link(&rig, &old, LinkType::ReplacementObjectLink).unwrap();
    assert_eq!(found(&rig, "master").await, [new.as_str()]);
    assert_eq!(key_of(&rig, &new).await.len(), 32);
}
