//! What can be asked, in the product's words. No Cedar here.

use std::fmt;

use orbital::names::{Group, Person, System, TenantId};

/// Every kind of change (DESIGN §4). Each is two Cedar actions, `propose:KIND` and `approve:KIND`, that every bundle must know:
/// a policy that misspells one is found at validation, and no bundle can make a kind impossible to ask about.
pub const CHANGE_KINDS: [&str; 24] = [
    "ProvisionTenant",
    "LinkL1",
    "SwitchL1",
    "UnlinkL1",
    "SuspendL1",
    "ResumeL1",
    "RevokeL1",
    "RestoreL1",
    "MigrateCsekToCmk",
    "RotateL2",
    "RotateL3",
    "RegisterSystem",
    "RetireSystem",
    "ChangeCallers",
    "ChangeActors",
    "ChangeQuorum",
    "ChangePolicy",
    "ChangeRouting",
    "ChangeLease",
    "ChangeResidency",
    "BlockTenant",
    "UnblockTenant",
    "TerminateTenant",
    "ApplyTopology",
];

/// Whose trust root: a tenant's, or that of the site's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realm {
    Tenant(TenantId),
    Site,
}

impl From<TenantId> for Realm {
    fn from(tenant: TenantId) -> Self {
        Self::Tenant(tenant)
    }
}

impl fmt::Display for Realm {
    /// The Cedar id. `site` has four characters and a tenant's id 43, so the two never meet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => tenant.fmt(f),
            Self::Site => f.write_str("site"),
        }
    }
}

/// A person as one trust root knows them: the groups are those of `home` and of no other trust root.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    pub person: &'a Person,
    pub home: Realm,
    pub groups: &'a [Group],
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $action:literal, $on:ident;)*) => {
        /// A KMIP operation, each its own Cedar action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation { $($(#[$doc])* $name,)* }

        impl Operation {
            /// Every operation, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The Cedar action's id.
            pub const fn action(self) -> &'static str {
                match self { $(Self::$name => $action,)* }
            }

            /// Whether it can be asked about an object. What names several is asked about each.
            pub const fn on_object(self) -> bool {
                match self { $(Self::$name => operations!(@object $on),)* }
            }

            /// Whether it can be asked about the caller's own system: what names no object.
            pub const fn on_system(self) -> bool {
                match self { $(Self::$name => operations!(@system $on),)* }
            }
        }
    };
    (@object system) => { false };
    (@object $other:ident) => { true };
    (@system object) => { false };
    (@system $other:ident) => { true };
}

operations! {
    DiscoverVersions = "discover_versions", system;
    Query = "query", system;
    Create = "create", system;
    CreateKeyPair = "create_key_pair", system;
    Register = "register", system;
    Import = "import", system;
    Locate = "locate", system;
    /// Plain Get: the key bytes leave. Its own action on purpose (PROTOCOL §8).
    Get = "get", object;
    /// An object with all its attributes and its key bytes leaves.
    Export = "export", object;
    GetAttributes = "get_attributes", object;
    GetAttributeList = "get_attribute_list", object;
    AddAttribute = "add_attribute", object;
    ModifyAttribute = "modify_attribute", object;
    DeleteAttribute = "delete_attribute", object;
    Check = "check", object;
    ObtainLease = "obtain_lease", object;
    GetUsageAllocation = "get_usage_allocation", object;
    Activate = "activate", object;
    Encrypt = "encrypt", object;
    Decrypt = "decrypt", object;
    Sign = "sign", object;
    SignatureVerify = "signature_verify", object;
    Mac = "mac", object;
    MacVerify = "mac_verify", object;
    Hash = "hash", system;
    RngRetrieve = "rng_retrieve", system;
    RngSeed = "rng_seed", system;
    ReKey = "rekey", object;
    ReKeyKeyPair = "rekey_key_pair", object;
    DeriveKey = "derive_key", object;
    /// About the public key; about the system for a certificate request alone.
    Certify = "certify", either;
    ReCertify = "recertify", object;
    /// About each certificate that is named; about the system for certificates that are sent along.
    Validate = "validate", either;
    /// About the key that is split; about the system where a new one is made.
    CreateSplitKey = "create_split_key", either;
    JoinSplitKey = "join_split_key", object;
    Archive = "archive", object;
    Recover = "recover", object;
    /// What the same caller began, and asks about or calls off.
    Poll = "poll", system;
    Cancel = "cancel", system;
    Revoke = "revoke", object;
    Destroy = "destroy", object;
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action())
    }
}

/// On what an operation works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The caller's own system: operations that name no object.
    OwnSystem,
    /// One managed object of the caller's tenant, by its KMIP unique identifier, and the system that made it.
    Object { id: &'a str, owner: &'a System },
}

/// One KMIP operation of one caller. Everything in it comes from the `Caller` that the certificate's anchor yielded, and from the shelf.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub tenant: TenantId,
    /// The system to which the trust root maps the caller's certificate.
    pub system: &'a System,
    /// The label of the client certificate in the trust root.
    pub caller: &'a str,
    pub operation: Operation,
    pub target: Target<'a>,
}
