//! Query (KMIP 1.4 §4.25): what this server can do, as the asker's version can say it.

use kmip::{
    Attribute, AttributeValue, Operation, ProtocolVersion, Tag,
    ops::{
        self, Answer,
        query::{self, CapabilityInformation, ProfileInformation, SYSTEM, TENANT},
    },
    tables::{AttributeName, ObjectType, ProfileName, QueryFunction},
    ttlv::{Enumeration, Limits, Value, Writer, parse},
};
use policy::Permitted;

use super::Turn;
use crate::{
    attributes::generator,
    caller::Caller,
    refusal::{self, Outcome},
};

const VENDOR: &str = "kcm";
/// The types of objects that can be stored.
const OBJECTS: [ObjectType; 7] = [
    ObjectType::Certificate,
    ObjectType::SymmetricKey,
    ObjectType::PublicKey,
    ObjectType::PrivateKey,
    ObjectType::SplitKey,
    ObjectType::SecretData,
    ObjectType::OpaqueObject,
];
/// §9.1.3.2.43: Not Processed. A key that is registered wrapped stays so.
const NOT_PROCESSED: Enumeration = Enumeration(3);
/// Profiles whose mandatory cases all pass: `tests/oasis.rs` holds this list against them.
pub(crate) const PROFILES: [ProfileName; 9] = [
    ProfileName::BaselineServerBasicKmipV14,
    ProfileName::SymmetricKeyLifecycleServerKmipV14,
    ProfileName::SymmetricKeyFoundryServerKmipV14,
    ProfileName::AsymmetricKeyLifecycleServerKmipV14,
    ProfileName::BasicCryptographicServerKmipV14,
    ProfileName::RngCryptographicServerKmipV14,
    ProfileName::OpaqueManagedObjectStoreServerKmipV14,
    ProfileName::StorageArrayWithSelfEncryptingDriveServerKmipV14,
    ProfileName::TapeLibraryServerKmipV14,
];
/// What a server with a listener for HTTPS has besides.
pub(crate) const PROFILES_OF_HTTPS: [ProfileName; 3] =
    [ProfileName::HttpsServerKmipV14, ProfileName::JsonServerKmipV14, ProfileName::XmlServerKmipV14];
/// §9.1.3.2.44: Key Material Shredded. Its wrapped bytes are wiped, and its wrapping key is another's.
const KEY_MATERIAL_SHREDDED: Enumeration = Enumeration(3);

pub(super) fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: &query::Request) -> Outcome<()> {
    if request.functions.is_empty() {
        return Err(refusal::fail(kmip::ResultReason::InvalidMessage, "Query names no Query Function"));
    }
    let information = server_information(turn.caller);
    let mut answer = query::Answer::empty();
    for function in &request.functions {
        if !turn.version.knows(function.since()) {
            let message = format!("Query Function {function} is not of KMIP {}", turn.version);
            return Err(refusal::invalid_field(message));
        }
        fill(&mut answer, *function, turn);
        if *function == QueryFunction::QueryServerInformation {
            answer.server_information = parse(&information, &Limits::ANSWER).ok();
        }
    }
    turn.success(&Answer::Query(answer));
    Ok(())
}

fn fill(answer: &mut query::Answer<'_>, function: QueryFunction, turn: &Turn<'_, '_>) {
    match function {
        QueryFunction::QueryOperations => answer.operations = operations(turn.version),
        QueryFunction::QueryObjects => answer.object_types = OBJECTS.to_vec(),
        QueryFunction::QueryServerInformation => answer.vendor_identification = Some(VENDOR),
        QueryFunction::QueryRngs => {
            answer.rng_parameters = vec![generator::shown(&generator::OURS)];
        }
        QueryFunction::QueryProfiles => answer.profile_information = profiles(turn.server.is_offering_https()),
        QueryFunction::QueryCapabilities => answer.capability_information = vec![capabilities()],
        // We have none of these; an empty list says so.
        QueryFunction::QueryApplicationNamespaces
        | QueryFunction::QueryExtensionList
        | QueryFunction::QueryExtensionMap
        | QueryFunction::QueryAttestationTypes
        | QueryFunction::QueryValidations
        | QueryFunction::QueryClientRegistrationMethods => {}
    }
}

/// §4.25: "vendor-specific fields and/or substructures". Here: whom this server takes the client for.
fn server_information(caller: &Caller) -> Vec<u8> {
    let mut out = vec![];
    Writer::new(&mut out, ProtocolVersion::V1_4).structure(Tag::SERVER_INFORMATION, |writer| {
        for (name, value) in [(TENANT, caller.tenant().to_string()), (SYSTEM, caller.system().to_string())] {
            let name = AttributeName::Custom(name.to_owned());
            Attribute { name, index: None, value: AttributeValue::Text(value) }.write(Tag::ATTRIBUTE, writer);
        }
    });
    out
}

fn operations(version: ProtocolVersion) -> Vec<Operation> {
    ops::SERVED.iter().copied().filter(|operation| version.knows(operation.since())).collect()
}

fn profiles(https: bool) -> Vec<ProfileInformation<'static>> {
    let over_https = PROFILES_OF_HTTPS.iter().filter(|_| https);
    let named = |profile: &ProfileName| ProfileInformation {
        profile_name: Enumeration(profile.code()),
        server_uri: None,
        server_port: None,
    };
    PROFILES.iter().chain(over_https).map(named).collect()
}

fn capabilities() -> CapabilityInformation {
    CapabilityInformation {
        streaming_capability: Some(true),
        asynchronous_capability: Some(true),
        attestation_capability: Some(false),
        batch_undo_capability: Some(true),
        batch_continue_capability: Some(true),
        unwrap_mode: Some(NOT_PROCESSED),
        destroy_action: Some(KEY_MATERIAL_SHREDDED),
        ..CapabilityInformation::default()
    }
}

#[cfg(test)]
mod tests {
    use kmip::{ResultReason, ops::Request};

    use super::*;
    use crate::{
        caller::people::{caller_of, tenant},
        rig::{Rig, V1_0},
    };

    #[tokio::test]
    async fn a_client_learns_whom_it_is_taken_for() {
        let rig = Rig::new().await;
        let request = Request::Query(query::Request { functions: vec![QueryFunction::QueryServerInformation] });
        for (number, system) in [(1, "orders"), (2, "ledger")] {
            let got = rig.call(&caller_of(tenant(number), system), V1_0, &request).await.unwrap();
            let Answer::Query(answer) = got.answer() else { panic!("{got:?}") };
            let items = answer.server_information.unwrap().items();
            let said: Vec<_> = items.map(|item| Attribute::read(&item, V1_0).unwrap().value).collect();
            assert_eq!(said, [tenant(number).to_string(), system.to_owned()].map(AttributeValue::Text));
        }
        let nothing = Request::Query(query::Request { functions: vec![] });
        assert_eq!(rig.reason(&nothing).await, Some(ResultReason::InvalidMessage));
    }

    #[test]
    fn operations_of_later_versions_are_not_named_to_older_clients() {
        let old = operations(ProtocolVersion::V1_0);
        assert!(old.contains(&Operation::Get));
        assert!(!old.contains(&Operation::Encrypt) && !old.contains(&Operation::DiscoverVersions));
        assert_eq!(operations(ProtocolVersion::V1_4).len(), ops::SERVED.len());
    }
}
