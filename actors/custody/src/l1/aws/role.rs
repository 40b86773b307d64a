//! A role in the customer's account, assumed with the region's own identity: the region keeps no secret of the customer's at all.
//!
//! The external id of each call is the tenant's id (PROTOCOL §7), so that a role whose trust policy names it opens for this tenant alone,
//! whichever other tenants the region serves with the same identity. The SDK renews what STS gives before it ends. A refusal by STS is a
//! fault of our credential and stops nobody: PROTOCOL §4 asks for a principal whose identity call succeeds.

use aws_config::{SdkConfig, sts::AssumeRoleProvider};
use aws_sdk_kms::config::SharedCredentialsProvider;
use orbital::names::{Region, TenantId};

use super::PROVIDER;
use crate::l1::L1Error;

/// Longest name of a session, in bytes (AWS STS API reference, "AssumeRole").
const SESSION_BYTES_MAX: usize = 64;

/// What a region becomes before it asks for a tenant's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsRole {
    /// `arn:aws:iam::ACCOUNT:role/NAME`.
    pub arn: String,
    /// Its id is the external id.
    pub tenant: TenantId,
    /// Names the session, for the customer's own log of uses.
    pub region: Region,
}

impl AwsRole {
    /// `base` is the region's own identity; `endpoint` is where STS answers instead of at AWS.
    pub(super) async fn assumed(self, base: &SdkConfig, endpoint: Option<String>) -> Result<SdkConfig, L1Error> {
        check(&self.arn)?;
        let mut asking = base.clone().into_builder();
        asking.set_endpoint_url(endpoint);
        let provider = AssumeRoleProvider::builder(self.arn)
            .external_id(self.tenant.to_string())
            .session_name(session(&self.region))
            .configure(&asking.build())
            .build()
            .await;
        Ok(base.clone().into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build())
    }
}

fn check(arn: &str) -> Result<(), L1Error> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", _, role] if role.strip_prefix("role/").is_some_and(|name| !name.is_empty()) => Ok(()),
        _ => {
            let why = format!("its role `{arn}` is none: write arn:aws:iam::ACCOUNT:role/NAME");
            Err(L1Error::setup(PROVIDER, why))
        }
    }
}

/// `kcm-` and the region, in the characters that STS takes.
fn session(region: &Region) -> String {
    let taken = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    "kcm-".chars().chain(region.as_str().chars().map(taken)).take(SESSION_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_in_full() {
        for good in ["arn:aws:iam::111122223333:role/kcm", "arn:aws-cn:iam::1:role/path/kcm"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "kcm", "arn:aws:iam::1:user/kcm", "arn:aws:iam::1:role/", "arn:aws:kms:eu:1:role/kcm"] {
            let refused = check(bad).unwrap_err().to_string();
            assert!(refused.contains("arn:aws:iam::ACCOUNT:role/NAME"), "{refused}");
        }
    }

    #[test]
    fn a_session_has_the_region_s_name_as_sts_takes_it() {
        assert_eq!(session(&Region::new("eu-frankfurt").unwrap()), "kcm-eu-frankfurt");
        assert_eq!(session(&Region::new("a:b/c").unwrap()), "kcm-a-b-c");
        assert_eq!(session(&Region::new("x".repeat(200)).unwrap()).len(), SESSION_BYTES_MAX);
    }
}
