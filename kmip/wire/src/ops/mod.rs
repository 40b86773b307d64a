//! One file an operation: the fields of its request and of its answer, as the specification tabulates them.
//!
//! Each table is in the order of the specification, which is the order on the wire. A payload that is much larger than the others is
//! boxed: every request is moved, and most are small. Adding an operation means a file, and a line in
//! [`Request`] and [`Answer`]; the matches then name every other place.

pub mod activate;
pub mod add_attribute;
pub mod archive;
pub mod cancel;
pub mod certify;
pub mod check;
pub mod create;
pub mod create_key_pair;
pub mod create_split_key;
pub mod decrypt;
pub mod delete_attribute;
pub mod derive_key;
pub mod destroy;
pub mod discover_versions;
pub mod encrypt;
pub mod export;
pub mod get;
pub mod get_attribute_list;
pub mod get_attributes;
pub mod get_usage_allocation;
pub mod hash;
pub mod import;
pub mod in_place;
pub mod join_split_key;
pub mod locate;
pub mod mac;
pub mod mac_verify;
pub mod modify_attribute;
pub mod obtain_lease;
pub mod poll;
pub mod query;
pub mod re_certify;
pub mod re_key;
pub mod re_key_key_pair;
pub mod recover;
pub mod register;
pub mod revoke;
pub mod rng_retrieve;
pub mod rng_seed;
pub mod sign;
pub mod signature_verify;
pub mod validate;

use crate::{
    error::WireError,
    tables::{Operation, ProtocolVersion},
    ttlv::{Record, Structure, Writer},
};

macro_rules! operations {
    ($($operation:ident $request:ty, $answer:ty;)*) => {
        /// The payload of a request.
        pub enum Request<'a> { $($operation($request),)* }

        /// The payload of an answer.
        pub enum Answer<'a> { $($operation($answer),)* }

        /// The operations of this crate.
        pub const SERVED: &[Operation] = &[$(Operation::$operation,)*];

        impl<'a> Request<'a> {
            /// Reads a payload. What `version` does not know is Operation Not Supported; of what the table of
            /// operations knows, none is: an operation without a line here does not compile.
            pub fn read(code: u32, payload: Structure<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
                match known(code, version)? {
                    $(Operation::$operation => Record::read_fields(payload, version).map(Self::$operation),)*
                }
            }

            pub fn operation(&self) -> Operation {
                match self { $(Self::$operation(_) => Operation::$operation,)* }
            }

            pub fn write_fields(&self, writer: &mut Writer<'_>) {
                match self { $(Self::$operation(request) => request.write_fields(writer),)* }
            }
        }

        impl<'a> Answer<'a> {
            pub fn read(code: u32, payload: Structure<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
                match known(code, version)? {
                    $(Operation::$operation => Record::read_fields(payload, version).map(Self::$operation),)*
                }
            }

            pub fn operation(&self) -> Operation {
                match self { $(Self::$operation(_) => Operation::$operation,)* }
            }

            pub fn write_fields(&self, writer: &mut Writer<'_>) {
                match self { $(Self::$operation(answer) => answer.write_fields(writer),)* }
            }
        }
    };
}

operations! {
    DiscoverVersions discover_versions::Request, discover_versions::Answer;
    Query query::Request, query::Answer<'a>;
    Create create::Request, create::Answer<'a>;
    CreateKeyPair create_key_pair::Request, create_key_pair::Answer<'a>;
    ReKey re_key::Request<'a>, re_key::Answer<'a>;
    ReKeyKeyPair re_key_key_pair::Request<'a>, re_key_key_pair::Answer<'a>;
    DeriveKey derive_key::Request<'a>, derive_key::Answer<'a>;
    Certify certify::Request<'a>, certify::Answer<'a>;
    ReCertify re_certify::Request<'a>, re_certify::Answer<'a>;
    Register Box<register::Request<'a>>, register::Answer<'a>;
    Get get::Request<'a>, Box<get::Answer<'a>>;
    Export export::Request<'a>, Box<export::Answer<'a>>;
    Import Box<import::Request<'a>>, import::Answer<'a>;
    GetAttributes get_attributes::Request<'a>, get_attributes::Answer<'a>;
    GetAttributeList get_attribute_list::Request<'a>, get_attribute_list::Answer<'a>;
    AddAttribute add_attribute::Request<'a>, add_attribute::Answer<'a>;
    ModifyAttribute modify_attribute::Request<'a>, modify_attribute::Answer<'a>;
    DeleteAttribute delete_attribute::Request<'a>, delete_attribute::Answer<'a>;
    Check check::Request<'a>, check::Answer<'a>;
    ObtainLease obtain_lease::Request<'a>, obtain_lease::Answer<'a>;
    GetUsageAllocation get_usage_allocation::Request<'a>, get_usage_allocation::Answer<'a>;
    Activate activate::Request<'a>, activate::Answer<'a>;
    Locate locate::Request, locate::Answer<'a>;
    Encrypt encrypt::Request<'a>, encrypt::Answer<'a>;
    Decrypt decrypt::Request<'a>, decrypt::Answer<'a>;
    Sign sign::Request<'a>, sign::Answer<'a>;
    SignatureVerify signature_verify::Request<'a>, signature_verify::Answer<'a>;
    Mac mac::Request<'a>, mac::Answer<'a>;
    MacVerify mac_verify::Request<'a>, mac_verify::Answer<'a>;
    RngRetrieve rng_retrieve::Request, rng_retrieve::Answer<'a>;
    RngSeed rng_seed::Request<'a>, rng_seed::Answer;
    Hash hash::Request<'a>, hash::Answer<'a>;
    Revoke revoke::Request<'a>, revoke::Answer<'a>;
    Destroy destroy::Request<'a>, destroy::Answer<'a>;
    Archive archive::Request<'a>, archive::Answer<'a>;
    Recover recover::Request<'a>, recover::Answer<'a>;
    CreateSplitKey create_split_key::Request<'a>, create_split_key::Answer<'a>;
    JoinSplitKey join_split_key::Request<'a>, join_split_key::Answer<'a>;
    Validate validate::Request<'a>, validate::Answer;
    Cancel cancel::Request<'a>, cancel::Answer<'a>;
    Poll poll::Request<'a>, poll::Answer;
}

fn known(code: u32, version: ProtocolVersion) -> Result<Operation, WireError> {
    Operation::from_code(code)
        .filter(|operation| version.knows(operation.since()))
        .ok_or(WireError::UnknownOperation { code, version })
}
