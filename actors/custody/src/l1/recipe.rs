//! What a customer must allow at each KMS, and no more: the least under which a region's probe succeeds.
//!
//! `kcm l1 permissions` prints these; the conformance suite runs under them, so that what is printed is what suffices.

use orbital::names::{KeyRef, TenantId};
use serde_json::{Value, json};

/// A policy of OpenBao or Vault for one key of a transit engine.
pub fn transit_policy(mount: &str, key: &str) -> Value {
    let capability = |word: &str| json!({ "capabilities": [word] });
    json!({ "path": {
        format!("{mount}/keys/{key}"): capability("read"),
        format!("{mount}/encrypt/{key}"): capability("update"),
        format!("{mount}/decrypt/{key}"): capability("update"),
    }})
}

/// What a region does at a key of Google Cloud KMS: looks at it and at the version that a refusal names, wraps, unwraps.
pub const GOOGLE_PERMISSIONS: [&str; 4] = [
    "cloudkms.cryptoKeys.get",
    "cloudkms.cryptoKeyVersions.get",
    "cloudkms.cryptoKeyVersions.useToEncrypt",
    "cloudkms.cryptoKeyVersions.useToDecrypt",
];

/// A custom role of Google Cloud, to be bound to one key alone.
pub fn google_role() -> Value {
    json!({ "title": "kcm L1", "stage": "GA", "includedPermissions": GOOGLE_PERMISSIONS })
}

/// What a region does at a key of Azure Key Vault: looks at it, wraps, unwraps. A Managed HSM has them by other names.
pub const AZURE_ACTIONS: [&str; 3] = [
    "Microsoft.KeyVault/vaults/keys/read",
    "Microsoft.KeyVault/vaults/keys/wrap/action",
    "Microsoft.KeyVault/vaults/keys/unwrap/action",
];

/// A custom role of Azure, to be assigned at one key alone. `scope` is where it can be assigned at all.
pub fn azure_role(scope: &str) -> Value {
    json!({
        "Name": "kcm L1", "IsCustom": true, "Description": "Looks at a key, wraps and unwraps", "Actions": [], "NotActions": [],
        "DataActions": AZURE_ACTIONS, "NotDataActions": [], "AssignableScopes": [scope],
    })
}

/// An IAM policy for one key of AWS KMS. What is wrapped is bound to the tenant, and nothing else may be.
pub fn aws_policy(key: &KeyRef, tenant: &TenantId) -> Value {
    let bound = json!({ "StringEquals": { "kms:EncryptionContext:kcm:tenant": tenant.to_string() } });
    json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": "KcmDescribe", "Effect": "Allow", "Action": "kms:DescribeKey", "Resource": key.as_str() },
        {
            "Sid": "KcmWrap", "Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": key.as_str(),
            "Condition": bound,
        },
    ]})
}

/// Who may become the role of [`aws_policy`]: the region's own principal, and only for this tenant.
pub fn aws_trust(principal: &str, tenant: &TenantId) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": principal },
        "Condition": { "StringEquals": { "sts:ExternalId": tenant.to_string() } },
    }]})
}

/// A key of a key manager, and the operations on it that a region's certificate is allowed.
pub fn kmip_key() -> Value {
    json!({
        "attributes": {
            "Object Type": "Symmetric Key", "Cryptographic Algorithm": "AES", "Cryptographic Length": 256,
            "Cryptographic Usage Mask": ["Encrypt", "Decrypt"], "State": "Active",
        },
        "operations": ["Get Attributes", "Encrypt", "Decrypt"],
    })
}

/// The attributes of a key on a PKCS#11 token.
pub fn pkcs11_key() -> Value {
    json!({
        "CKA_CLASS": "CKO_SECRET_KEY", "CKA_KEY_TYPE": "CKK_AES", "CKA_VALUE_LEN": 32, "CKA_TOKEN": true,
        "CKA_PRIVATE": true, "CKA_SENSITIVE": true, "CKA_EXTRACTABLE": false, "CKA_ENCRYPT": true, "CKA_DECRYPT": true,
    })
}
